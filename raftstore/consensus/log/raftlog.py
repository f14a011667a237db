"""What consensus asks of its log; `Journal` is the one on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, SupportsIndex, overload

from raftstore.consensus.log.records import Entry
from raftstore.util.disk import DiskFile


class RaftLog(Protocol):
    """The log as a sequence of (command, index, term), and how it gets to disk: `Journal` states the rules.

    Methods in camel case have the names under which pysyncobj calls them.
    """

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, item: SupportsIndex, /) -> Entry: ...
    @overload
    def __getitem__(self, item: slice, /) -> list[Entry]: ...

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry, in memory until the next sync."""
        ...

    def clear(self) -> None:
        """Begin to replace the log by a snapshot: the two `add` that follow give its last two entries."""
        ...

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Drop the entries from this position on."""
        ...

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Drop the entries before this position, which are applied."""
        ...

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Note that entries up to this one are committed."""
        ...

    def getRaftCommitIndex(self) -> int:
        """Return the highest index known to be committed."""
        ...

    @property
    def durable_index(self) -> int:
        """Highest index such that all entries up to it are on disk; 0: none."""
        ...

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do."""
        ...

    def sync(self) -> int:
        """Write and sync what was added; return `durable_index`. Blocks. Raises DiskFailed, DiskFull."""
        ...

    def write(self) -> DiskFile | None:
        """Write a little; the caller syncs it and calls `synced`. None: nothing is to do, or it is for `sync`."""
        ...

    def synced(self, error: BaseException | None = None) -> None:
        """Take note that what `write` has written is synced, or that this has failed."""
        ...

    def remember(self) -> None:
        """Write the mark of what is synced."""
        ...

    def filling(self) -> Callable[[], None] | None:
        """Return the work, for a thread, that is due to fill the file ahead of the log, if any."""
        ...
