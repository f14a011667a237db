"""The audit log, for operators."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.calls.events import MAX_WAIT
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin


@admin_call("admin.audit", admin.AuditRequest, admin.AuditPage, changes=False)
async def audit(node: NodeContext, request: admin.AuditRequest) -> admin.AuditPage:
    """Tell records behind a number. Raises EventsLost (what follows is not kept any more), Invalid (of this level)."""
    first, last = await node.audit.bounds()
    after = request.after if request.HasField("after") else first - 1
    if request.newest and not request.HasField("after"):
        after = max(after, last - request.newest)
    found = await node.audit.waited_page(after, min(request.wait_ms / 1000, MAX_WAIT))
    reply = admin.AuditPage(last=found[-1].number if found else after)
    for record in found:
        reply.entries.add(
            number=record.number,
            index=record.entry,
            time_ns=record.time_ns,
            call=record.call,
            caller=record.caller,
            role=record.role,
            address=record.address,
            node=record.node,
            method=record.method,
            arguments=record.arguments,
            code=record.code,
            detail=record.detail,
            omitted=record.omitted,
        )
    return reply
