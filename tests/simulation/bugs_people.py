"""Known bugs of what persons send to each other. See `bugs`."""

from __future__ import annotations

from contextlib import ExitStack

from simbugs import bug, replace

from raftstore.metadata.tables.longcontents import LongContents
from raftstore.metadata.tables.people import inboxes
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.records import Records
from raftstore.metadata.tables.people.sending import Sending


@bug("what is put to somebody again, by who does not know that it has arrived, is delivered again")
def delivered_when_repeated(stack: ExitStack) -> None:
    replace(stack, Sending, "_knows", lambda self, at, record, row, command: False)


@bug("what was read is recalled like what was not")
def recalled_after_read(stack: ExitStack) -> None:
    replace(stack, Records, "open", lambda self, inode: None)


@bug("what comes into an inbox is charged to its person, as if it were its own")
def charged_to_the_recipient(stack: ExitStack) -> None:
    replace(stack, inboxes, "INBOX_MARK", "")


@bug("what a group gets comes to a member that blocks the sender, too")
def delivered_to_who_blocks(stack: ExitStack) -> None:
    replace(stack, Blocks, "has", lambda self, person, name: False)


@bug("the content of what was sent goes with the sender's entry, though inboxes refer to it")
def given_up_with_the_senders_entry(stack: ExitStack) -> None:
    def part(self: LongContents, inode: int) -> tuple[int | None, bool]:
        content, _ = real(self, inode)
        return content, False

    real = replace(stack, LongContents, "part", part)
