"""Partial uploads: list and remove what interrupted uploads have left."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.ticks import TICKS
from raftstore.peers.calls import admin_call
from raftstore.rights import Actor
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

PAGE = 200
"""Partial uploads that are listed at a time: the path of each is looked up on the loop."""


@admin_call("admin.partials", admin.PartialsRequest, admin.Partials, changes=False)
async def list_partials(node: NodeContext, request: admin.PartialsRequest) -> admin.Partials:
    """List some, after a read barrier, behind the place that the request names."""
    await node.barrier()
    after, kept = request.after, node.settings.jobs.keep_partials
    ages = node.catalog.partial_tick() is not None
    reply = admin.Partials(kept=round(kept) if ages else 0)
    for found in node.catalog.partials((after.parent, after.name, after.owner), PAGE):
        parent, name, owner = found.place
        reply.partials.add(
            path=found.path,
            owner=owner,
            size=found.size,
            mtime_ns=found.mtime_ns,
            left=max(0, round((TICKS - found.age) * kept / TICKS)) if ages else 0,
            place=admin.PartialPlace(parent=parent, name=name, owner=owner),
        )
    return reply


@admin_call("admin.partial_remove", admin.PartialRemove, admin.PartialReply, changes=True)
async def remove_partial(node: NodeContext, request: admin.PartialRemove) -> admin.PartialReply:
    """Remove one. Raises NotFound."""
    command = commands.Command(drop_partial=commands.DropPartial(path=request.path, owner=request.owner))
    if node.catalog.level >= 2:
        command.actor.CopyFrom(Actor.system("an operator removes a partial upload").message())
    await node.propose(command)
    return admin.PartialReply()
