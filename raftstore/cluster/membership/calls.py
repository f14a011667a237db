"""The admin calls about the membership, answered by any node; what changes something needs an admin's certificate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from raftstore.cluster.membership.service import Membership
from raftstore.cluster.status.health import Health
from raftstore.errors import Invalid, NoQuorum
from raftstore.peers import Peer, PeerNetwork, Reply, Role
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

ADMINS = frozenset({Role.ADMIN})
BOTH = frozenset({Role.NODE, Role.ADMIN})
TRANSFER_TIMEOUT = 5.0


class MembershipCalls:
    """Registers the calls on the peers channel."""

    def __init__(
        self,
        membership: Membership,
        network: PeerNetwork,
        health: Health,
        barrier: Callable[[], Awaitable[None]],
        leader: Callable[[], str | None],
    ) -> None:
        self._membership = membership
        self._network = network
        self._health = health
        self._barrier = barrier
        self._leader = leader
        network.serve("admin.membership", self._describe, roles=BOTH)
        network.serve("admin.intent", self._intend, roles=ADMINS)
        network.serve("admin.cancel", self._cancel, roles=ADMINS)
        network.serve("admin.transfer", self._transfer, roles=ADMINS)
        # Passed on by another node, which has checked the admin's certificate. A node may hand over at any time.
        network.serve("members.transfer", self._transfer_here)

    async def _describe(self, _peer: Peer, _body: bytes, _payload: memoryview) -> Reply:
        await self._barrier()
        leader = self._leader()
        report = self._health.last(leader) if leader else None
        waiting = self._membership.waiting or (report.waiting if report else ())
        return Reply(self._membership.describe(waiting).SerializeToString())

    async def _intend(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        try:
            intent = commands.Intent.FromString(admin.Intend.FromString(body).intent)
        except DecodeError:
            raise Invalid("not a change of membership") from None
        await self._membership.intend(intent)
        return Reply(admin.IntendReply().SerializeToString())

    async def _cancel(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        await self._membership.cancel(admin.Cancel.FromString(body).node)
        return Reply(admin.IntendReply().SerializeToString())

    async def _transfer(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        asked = self._membership.transfer(admin.Transfer.FromString(body).target)
        if asked is not None:
            return Reply(admin.TransferReply(target=asked).SerializeToString())
        leader = self._leader()
        if leader is None:
            raise NoQuorum("there is no leader now")
        return await self._network.call(leader, "members.transfer", body, timeout=TRANSFER_TIMEOUT)

    async def _transfer_here(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        asked = self._membership.transfer(admin.Transfer.FromString(body).target)
        if asked is None:
            raise NoQuorum("the leader has changed just now")
        return Reply(admin.TransferReply(target=asked).SerializeToString())
