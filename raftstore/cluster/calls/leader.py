"""Handing leadership over."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.errors import NoQuorum
from raftstore.peers import Peer
from raftstore.peers.calls import admin_call, node_call
from raftstore.wire import admin_pb2 as admin

TIMEOUT = 5.0
"""Seconds that the leader has to answer the node that passes a request on."""


@node_call("members.transfer", admin.Transfer, admin.TransferReply)
async def transfer_here(node: NodeContext, request: admin.Transfer, _peer: Peer) -> admin.TransferReply:
    """Hand over, on the leader: for another node, which has checked the admin's certificate."""
    asked = node.membership.transfer(request.target)
    if asked is None:
        raise NoQuorum("the leader has changed just now")
    return admin.TransferReply(target=asked)


@admin_call("admin.transfer", admin.Transfer, admin.TransferReply, changes=False, nodes=False, audited=True)
async def transfer(node: NodeContext, request: admin.Transfer) -> admin.TransferReply:
    """Have the leader hand over; done twice it does no harm. A node that does not lead passes it on."""
    asked = node.membership.transfer(request.target)
    if asked is not None:
        return admin.TransferReply(target=asked)
    leader = node.leader()
    if leader is None:
        raise NoQuorum("there is no leader now")
    return await transfer_here.ask(node.network, leader, request, timeout=TIMEOUT)
