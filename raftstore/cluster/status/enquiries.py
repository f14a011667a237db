"""What this node asks single members, before it takes part in consensus and beside it."""

from __future__ import annotations

from raftstore.cluster.membership.service import Membership
from raftstore.errors import Unavailable
from raftstore.peers import Lane, PeerNetwork
from raftstore.wire import admin_pb2 as admin

PATIENCE = 1.5
"""Seconds that a member has to report."""


class Enquiries:
    """All raise a StoreError when no answer comes, for example Unavailable."""

    def __init__(self, network: PeerNetwork, membership: Membership) -> None:
        self._network = network
        self._membership = membership
        self.latest_boot = 0
        """Number of the newest start of this node of which a member has told."""

    async def call(self, member: str, method: str, body: bytes, *, timeout: float) -> bytes:
        """Call `method` at a member beside the bulk traffic; `timeout` in seconds."""
        return (await self._network.call(member, method, body, lane=Lane.BULK, timeout=timeout)).body

    async def report(self, member: str) -> admin.NodeReport:
        """Return what a member says of itself, and take note of what it says of the members."""
        request = admin.NodeRequest(known=self._membership.roster.committed[0])
        reply = await self._network.call(member, "admin.node", request.SerializeToString(), timeout=PATIENCE)
        report = admin.NodeReport.FromString(reply.body)
        self._membership.hear(report)
        self.latest_boot = max(self.latest_boot, report.latest_boot)
        return report

    async def empty(self, member: str) -> bool:
        """Return whether its log is empty."""
        return (await self.report(member)).empty

    async def term(self, member: str) -> int:
        """Return its term. Raises Unavailable while it does not take part itself."""
        report = await self.report(member)
        if not report.node.HasField("term"):
            raise Unavailable(f"{member} has not started yet")
        return report.node.term
