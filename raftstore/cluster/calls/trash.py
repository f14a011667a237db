"""Trash for operators: what is in an account's, how it comes back, and how it is emptied."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.peers.calls import admin_call
from raftstore.rights import Actor
from raftstore.wire import admin_pb2 as admin

_OPERATOR = Actor.system("an operator's command")


@admin_call("admin.trash", admin.TrashRequest, admin.TrashPage, changes=False)
async def trash(node: NodeContext, request: admin.TrashRequest) -> admin.TrashPage:
    """Tell what is in an account's trash. Raises NotFound, Invalid (no trash at this level)."""
    user = await node.accounts.user(request.name)
    reply = admin.TrashPage(kept_ns=user.trash_ns if user is not None else 0)
    async for page in node.trash.entries(_OPERATOR, of=request.name, after=request.after):
        for each in page:
            reply.trashed.add(
                inode=each.inode,
                name=each.name,
                path=each.path,
                size=each.size,
                removed_ns=each.removed_ns,
                expires_ns=each.expires_ns,
            )
        break
    return reply


@admin_call("admin.trash_restore", admin.TrashRestore, admin.TrashRestored, changes=True)
async def restore(node: NodeContext, request: admin.TrashRestore) -> admin.TrashRestored:
    """Restore a file. Raises NotFound, AlreadyExists, BadName, Invalid."""
    name = request.entry
    if name.startswith("/"):
        name = await node.trash.newest_of(_OPERATOR, name, of=request.name)
    path = await node.trash.restore(
        _OPERATOR, name, to=request.to, beside=request.beside, replace=request.replace, of=request.name
    )
    return admin.TrashRestored(path=path)


@admin_call("admin.trash_empty", admin.TrashEmpty, admin.TrashEmptied, changes=True)
async def empty(node: NodeContext, request: admin.TrashEmpty) -> admin.TrashEmptied:
    """Delete for good what is in an account's trash now. Raises NotFound, Invalid."""
    return admin.TrashEmptied(removed=await node.trash.empty(_OPERATOR, of=request.name))
