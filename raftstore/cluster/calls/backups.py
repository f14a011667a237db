"""Backups for operators: hold the chunks, read the catalog and them. An admin's certificate only: it is everything."""

from __future__ import annotations

from raftstore.cluster.calls.context import NodeContext
from raftstore.peers.calls import admin_call
from raftstore.types import ChunkRef
from raftstore.wire import admin_pb2 as admin


def _held(node: NodeContext, index: int) -> admin.BackupHeld:
    return admin.BackupHeld(index=index, lease_ns=node.backups.lease_ns, node=node.settings.name)


@admin_call("admin.backup_hold", admin.BackupHold, admin.BackupHeld, changes=True)
async def hold(node: NodeContext, request: admin.BackupHold) -> admin.BackupHeld:
    """Keep all chunks from collection. Raises Invalid, QuotaExceeded."""
    return _held(node, await node.backups.hold(request.id))


# Nothing for the audit log: that a backup is made stands there, and this comes each minute.
@admin_call("admin.backup_renew", admin.BackupHold, admin.BackupHeld, changes=False, nodes=False)
async def renew(node: NodeContext, request: admin.BackupHold) -> admin.BackupHeld:
    """Keep them for longer. Raises NotFound when that has ended."""
    return _held(node, await node.backups.hold(request.id, renew=True))


@admin_call("admin.backup_end", admin.BackupHold, admin.BackupHeld, changes=True)
async def end(node: NodeContext, request: admin.BackupHold) -> admin.BackupHeld:
    """Let go of the chunks."""
    return _held(node, await node.backups.end(request.id))


@admin_call("admin.backup_catalog", admin.BackupHold, admin.BackupCatalog, changes=False, nodes=False)
async def catalog(node: NodeContext, request: admin.BackupHold) -> admin.BackupCatalog:
    """Have this node's catalog copied for a hold. Raises NotFound, Unavailable, DiskFull."""
    copy = await node.backups.copy(request.id)
    if copy is None:
        return admin.BackupCatalog()
    return admin.BackupCatalog(id=copy.id, index=copy.index, size=copy.size, digest=copy.digest)


@admin_call("admin.backup_piece", admin.BackupPiece, admin.BackupBytes, changes=False, nodes=False)
async def piece(node: NodeContext, request: admin.BackupPiece) -> admin.BackupBytes:
    """Return a piece of that copy. Raises NotFound, Invalid, Unavailable."""
    return admin.BackupBytes(data=[await node.backups.piece(request.id, request.offset, request.length)])


@admin_call("admin.backup_chunks", admin.BackupChunks, admin.BackupBytes, changes=False, nodes=False)
async def chunks(node: NodeContext, request: admin.BackupChunks) -> admin.BackupBytes:
    """Return chunks, verified, of whatever node has them. Raises Invalid, Unavailable."""
    refs = [ChunkRef(chunk.digest, chunk.length, tuple(chunk.stores)) for chunk in request.chunks]
    return admin.BackupBytes(data=[bytes(data) for data in await node.backups.chunks(refs)])
