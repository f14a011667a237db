"""Notes: operators put one, and ask for one with what each node says how many there are."""

from __future__ import annotations

from raftstore.cluster.calls.notecounts import note_count
from raftstore.metadata.tables.notes import LEVEL, Notes

from raftstore.cluster.calls.context import NodeContext
from raftstore.errors import NotFound
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands


@admin_call("admin.note_put", admin.NotePut, admin.NoteReply, changes=True)
async def put_note(node: NodeContext, request: admin.NotePut) -> admin.NoteReply:
    """Put a note."""
    await node.propose(commands.Command(put_note=commands.PutNote(name=request.name, text=request.text)))
    return admin.NoteReply(name=request.name, text=request.text)


@admin_call("admin.note", admin.NoteRequest, admin.NoteReply, changes=False)
async def note(node: NodeContext, request: admin.NoteRequest) -> admin.NoteReply:
    """Tell a note, after a read barrier. Raises NotFound."""
    await node.barrier()
    there = node.catalog.level >= LEVEL
    found = node.catalog.ask(Notes, lambda notes: notes.find(request.name)) if there else None
    if found is None:
        raise NotFound(f"note {request.name}")
    reply = admin.NoteReply(name=request.name, text=found[0])
    for name in node.membership.others():
        counted = await note_count.ask(node.network, name, admin.NoteCountRequest(), timeout=5.0)
        reply.counts[name] = counted.count
    return reply
