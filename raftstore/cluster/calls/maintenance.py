"""Maintenance of nodes: which are in it, putting one there and taking it out."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin


@admin_call("admin.maintenance", admin.MaintenanceRequest, admin.MaintenanceList, changes=False)
async def show_maintenance(node: NodeContext, _request: admin.MaintenanceRequest) -> admin.MaintenanceList:
    """Tell which nodes are in maintenance, and all members, after a read barrier."""
    rests = await node.maintenance.newest()
    return admin.MaintenanceList(
        nodes=[
            admin.MaintenanceOf(node=name, since_ns=rest.since_ns, grace_ms=rest.grace_ms)
            for name, rest in sorted(rests.items())
        ],
        members=sorted(node.membership.applied()[1].names),
    )


@admin_call("admin.maintenance_set", admin.MaintenanceSet, admin.MaintenanceReply, changes=True)
async def set_maintenance(node: NodeContext, request: admin.MaintenanceSet) -> admin.MaintenanceReply:
    """Put a node into maintenance, or take it out. Raises NotFound, Invalid."""
    await node.maintenance.put(request.node, grace_ms=request.grace_ms, off=request.off)
    return admin.MaintenanceReply()
