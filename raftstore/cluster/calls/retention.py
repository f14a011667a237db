"""Retention for operators: what directories keep, and what would go."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.retention import Bounds
from raftstore.peers.calls import admin_call
from raftstore.rights import Actor
from raftstore.wire import admin_pb2 as admin

_OPERATOR = Actor.system("an operator's command")


def _bounds(request: admin.RetentionBounds) -> Bounds:
    return Bounds(request.age_ns, request.max_bytes, request.max_files)


@admin_call("admin.retention_set", admin.RetentionBounds, admin.RetentionReply, changes=True)
async def put(node: NodeContext, request: admin.RetentionBounds) -> admin.RetentionReply:
    """Have a directory keep so much. Raises NotFound, NotADirectory, Invalid."""
    await node.retention.set(_OPERATOR, request.path, _bounds(request))
    return admin.RetentionReply()


@admin_call("admin.retention_preview", admin.RetentionBounds, admin.RetentionPreview, changes=False)
async def preview(node: NodeContext, request: admin.RetentionBounds) -> admin.RetentionPreview:
    """Tell what would go; nothing is changed. Raises NotFound, NotADirectory, Invalid."""
    found = await node.retention.preview(request.path, _bounds(request))
    return admin.RetentionPreview(
        files=found.files,
        bytes=found.bytes,
        of_files=found.of_files,
        of_bytes=found.of_bytes,
        paths=found.paths,
    )


@admin_call("admin.retention_remove", admin.RetentionRemove, admin.RetentionReply, changes=True)
async def remove(node: NodeContext, request: admin.RetentionRemove) -> admin.RetentionReply:
    """Have a directory keep everything again. Raises NotFound, NotADirectory, Invalid."""
    await node.retention.remove(_OPERATOR, request.path)
    return admin.RetentionReply()


@admin_call("admin.retention", admin.RetentionRequest, admin.RetentionRules, changes=False)
async def rules(node: NodeContext, _request: admin.RetentionRequest) -> admin.RetentionRules:
    """List what directories keep, by path: at most 1,000. Raises Invalid."""
    reply = admin.RetentionRules()
    for rule in await node.retention.rules():
        bounds = admin.RetentionBounds(
            path=rule.path, age_ns=rule.bounds.age_ns, max_bytes=rule.bounds.bytes, max_files=rule.bounds.files
        )
        reply.rules.add(bounds=bounds, files=rule.files, bytes=rule.bytes, settled=rule.settled)
    return reply
