"""How many notes a node has applied."""

from __future__ import annotations

from raftstore.metadata.tables.notes import LEVEL, Notes

from raftstore.cluster.calls.context import NodeContext
from raftstore.peers import Peer
from raftstore.peers.calls import node_call
from raftstore.wire import admin_pb2 as admin


@node_call("notes.count", admin.NoteCountRequest, admin.NoteCount)
async def note_count(node: NodeContext, _request: admin.NoteCountRequest, _peer: Peer) -> admin.NoteCount:
    """Count them, as applied here."""
    if node.catalog.level < LEVEL:
        return admin.NoteCount()
    return admin.NoteCount(count=node.catalog.ask(Notes, lambda notes: notes.count()))
