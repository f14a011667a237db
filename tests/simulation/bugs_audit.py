"""Known bugs of the audit log. See `bugs`."""

from __future__ import annotations

from contextlib import ExitStack

from simbugs import bug, replace

from raftstore.metadata.machine import Machine
from raftstore.metadata.registry import Context
from raftstore.metadata.tables.events.audit import AuditLog
from raftstore.wire import commands_pb2 as commands


@bug("what is done for an admin has no record now and then")
def done_without_a_record(stack: ExitStack) -> None:
    def note(self: AuditLog, audit: commands.Audit, at: Context) -> None:
        if at.index % 5:
            real(self, audit, at)

    real = replace(stack, AuditLog, "note_done", note)


@bug("what is tried again for an admin, and not done again, is recorded again")
def recorded_with_each_attempt(stack: ExitStack) -> None:
    def operation(self: Machine, each: commands.Operation, at: Context) -> bytes:
        result: bytes = real(self, each, at)
        command, before = commands.Command.FromString(each.command), commands.Result.FromString(result)
        if command.HasField("audit") and (before.status, before.index != at.index) == (commands.OK, True):
            self._audit._note(command.audit, at)
        return result

    real = replace(stack, Machine, "_operation", operation)
