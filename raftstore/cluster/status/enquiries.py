"""What this node asks single members, before it takes part in consensus and beside it."""

from __future__ import annotations

from raftstore.cluster.calls.status import node_report
from raftstore.cluster.membership.service import Membership
from raftstore.errors import Unavailable
from raftstore.peers import PeerNetwork
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

    async def ask(self, member: str, request: admin.NodeRequest) -> admin.NodeReport:
        """Return what a member says of itself and of this node, beside the bulk traffic."""
        return await node_report.ask(self._network, member, request, timeout=PATIENCE)

    async def report(self, member: str) -> admin.NodeReport:
        """Return what a member says of itself, and take note of what it says of the members."""
        report = await self.ask(member, admin.NodeRequest(known=self._membership.roster.committed[0]))
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
