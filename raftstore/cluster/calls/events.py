"""Events, for operators: what has become of what persons send, of trash and of retention."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.peers.calls import admin_call
from raftstore.types import owner_name
from raftstore.wire import admin_pb2 as admin

MAX_WAIT = 30.0
"""Seconds that a call waits at most for an event to come."""


@admin_call("admin.events", admin.EventsRequest, admin.EventsPage, changes=False)
async def events(node: NodeContext, request: admin.EventsRequest) -> admin.EventsPage:
    """Tell events behind a number. Raises EventsLost (what follows is not kept any more), Invalid (of this level)."""
    first, _ = await node.events.bounds()
    after = request.after if request.HasField("after") else first - 1
    found = await node.events.waited_page(after, min(request.wait_ms / 1000, MAX_WAIT))
    reply = admin.EventsPage(last=found[-1].number if found else after)
    for event in found:
        reply.events.add(
            number=event.number,
            index=event.index,
            time_ns=event.time_ns,
            kind=event.kind.name.lower(),
            files=event.files,
            actor=owner_name(event.actor),
            subject=owner_name(event.subject),
            path=node.events.path(event),
        )
    return reply
