"""Known bugs of what persons send to each other. See `bugs`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from simbugs import bug, replace

from raftstore.metadata.registry import Context
from raftstore.metadata.tables.cluster.remembered import Remembered
from raftstore.metadata.tables.contents.longcontents import LongContents
from raftstore.metadata.tables.names import retention
from raftstore.metadata.tables.names.namespace import Place, Row
from raftstore.metadata.tables.names.restoring import Restores
from raftstore.metadata.tables.people import inboxes
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.records import Records
from raftstore.metadata.tables.people.sending import Sending
from raftstore.types import DeliveryState, Kind
from raftstore.wire import commands_pb2 as commands


@bug("what is put to somebody again, by who does not know that it has arrived, is delivered again")
def delivered_when_repeated(stack: ExitStack) -> None:
    replace(stack, Sending, "_knows", lambda self, *arguments: False)


@bug("what is put to somebody is delivered twice when the command is tried again")
def delivered_twice_after_a_retry(stack: ExitStack) -> None:
    def recall(self: Remembered, operation: commands.OperationId) -> bytes | None:
        result: bytes | None = real(self, operation)
        if result is None or not commands.Result.FromString(result).accepted:
            return result
        retried.append(operation.sequence)
        self._executemany(
            "DELETE FROM results WHERE node = ? AND sequence = ?", [(operation.node, operation.sequence)]
        )
        return None

    def recent(self: Sending, *arguments: Any) -> bool:
        if retried:
            retried.clear()
            return False
        return bool(known(self, *arguments))

    retried: list[int] = []
    real = replace(stack, Remembered, "recall", recall)
    known = replace(stack, Sending, "_recent", recent)


@bug("what has expired stays in the inboxes")
def expired_but_there(stack: ExitStack) -> None:
    replace(stack, Records, "there", lambda self, record, limit: [])


@bug("what was kept by who got it is recalled from its home")
def recalled_after_it_was_kept(stack: ExitStack) -> None:
    def leave(self: inboxes.Inboxes, row: Row, state: DeliveryState | None) -> object:
        pair = real(self, row, state)
        if state is DeliveryState.KEPT:
            self._execute(
                "UPDATE deliveries SET state = ? WHERE inode = ?", (int(DeliveryState.DELIVERED), row[2])
            )
        return pair

    real = replace(stack, inboxes.Inboxes, "_leave", leave)


@bug("what was read is recalled like what was not")
def recalled_after_read(stack: ExitStack) -> None:
    replace(stack, Records, "open", lambda self, inode: None)


@bug("what comes into an inbox is charged to its person, as if it were its own")
def charged_to_the_recipient(stack: ExitStack) -> None:
    replace(stack, inboxes, "INBOX_MARK", "")


@bug("what a group gets comes to a member that blocks the sender, too")
def delivered_to_who_blocks(stack: ExitStack) -> None:
    replace(stack, Blocks, "blocking", lambda self, persons, name: set())


@bug("the content of what was sent goes with the sender's entry, though inboxes refer to it")
def given_up_with_the_senders_entry(stack: ExitStack) -> None:
    def part(self: LongContents, inode: int) -> tuple[int | None, bool]:
        content, _ = real(self, inode)
        return content, False

    real = replace(stack, LongContents, "part", part)


@bug("what is restored from the trash takes the place of a newer file, which is lost")
def restored_over_a_newer_file(stack: ExitStack) -> None:
    def target(self: Restores, command: commands.RestoreTrash, at: Context) -> Place:
        place, there = self._names.new_place(at, command.to, commands.IS_A_DIRECTORY)
        if there is not None and there[1] != Kind.DIRECTORY and not command.beside:
            self._versions.remove(at, place, there)
        found: Place = real(self, command, at)
        return found

    real = replace(stack, Restores, "_target", target)


@bug("retention removes what has come after its decision, and keeps what was there")
def retention_removes_the_newest(stack: ExitStack) -> None:
    oldest = retention._OLDEST.replace("version, inode LIMIT", "version DESC, inode DESC LIMIT")
    assert oldest != retention._OLDEST
    replace(stack, retention, "_OLDEST", oldest)
