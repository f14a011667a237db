"""Who belongs to the cluster, and what an operator wants changed about that."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from raftstore.cluster.calls.context import NodeContext
from raftstore.errors import Invalid
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands


@admin_call("admin.membership", admin.MembershipRequest, admin.Membership, changes=False)
async def membership(node: NodeContext, _request: admin.MembershipRequest) -> admin.Membership:
    """Tell the members and what is open, after a read barrier, with what the leader says that it waits for."""
    await node.barrier()
    leader = node.leader()
    report = node.health.last(leader) if leader else None
    return node.membership.describe(node.membership.waiting or (report.waiting if report else ()))


def _intent(request: admin.Intend) -> commands.Intent:
    try:
        return commands.Intent.FromString(request.intent)
    except DecodeError:
        raise Invalid("not a change of membership") from None


@admin_call("admin.intent", admin.Intend, admin.IntendReply, changes=True, shown=_intent)
async def intend(node: NodeContext, request: admin.Intend) -> admin.IntendReply:
    """Take what an operator wants of the membership."""
    await node.membership.intend(_intent(request))
    return admin.IntendReply()


@admin_call("admin.cancel", admin.Cancel, admin.IntendReply, changes=True)
async def cancel(node: NodeContext, request: admin.Cancel) -> admin.IntendReply:
    """Give up what is open for a node."""
    await node.membership.cancel(request.node)
    return admin.IntendReply()
