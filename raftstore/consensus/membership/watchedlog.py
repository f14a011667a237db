"""The journal as pysyncobj gets it: whatever it does to the log, the newest configuration in it is in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex, overload

from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.log.records import Entry
from raftstore.consensus.membership.configuration import Configuration

PREFIX = b"\x00M"
"""How a configuration's entry starts: pysyncobj's command type REGULAR, then our codec's tag."""

Versioned = tuple[int, Configuration]
"""A configuration and the log entry that it is (0: it came from nowhere in the log)."""


class WatchedLog:
    """A journal whose configuration entries are known.

    Invariant: `latest` is the last configuration in the log, or `base` if that is newer (the last one applied, or
    what the node was started with). `changed` is called when it has become another one; never from the constructor.
    """

    def __init__(self, journal: RaftLog, base: Callable[[], Versioned], changed: Callable[[], None]) -> None:
        self._journal = journal
        self._base = base
        self._changed = changed
        self._resetting = False
        self._found: list[Versioned] = []
        self._scan()

    @property
    def latest(self) -> Versioned:
        """The configuration in force, and its entry."""
        return self._found[-1]

    def committed(self, commit_index: int) -> Versioned:
        """Return the newest configuration that is committed, given the commit index."""
        if len(self._found) == 1:
            return self._found[0]
        return next((found for found in reversed(self._found) if found[0] <= commit_index), self._found[0])

    def _scan(self) -> None:
        base = self._base()
        found = [
            (index, Configuration.decode(command[len(PREFIX) :]))
            for command, index, _ in self._journal[:]
            if index > base[0] and command.startswith(PREFIX)
        ]
        self._found = [base, *found]

    def _rescan(self) -> None:
        before = self.latest
        self._scan()
        if self.latest != before:
            self._changed()

    # What pysyncobj calls.

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry; a configuration is in force at once. Damaged when it cannot be read."""
        found = None
        if command.startswith(PREFIX) and not self._resetting:
            found = (idx, Configuration.decode(command[len(PREFIX) :]))
        self._journal.add(command, idx, term)
        if self._resetting:
            if len(self._journal) >= 2:  # the snapshot is in use, and what followed an equal log is there again
                self._resetting = False
                self._rescan()
        elif found is not None and idx > self._found[0][0]:
            self._found.append(found)
            self._changed()

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Drop the end of the log, and with it the configurations there."""
        self._journal.deleteEntriesFrom(entryFrom)
        last = self._journal[-1][1]
        before = self.latest
        while len(self._found) > 1 and self._found[-1][0] > last:
            self._found.pop()
        if self.latest is not before:
            self._changed()

    def clear(self) -> None:
        """Begin to replace the log by a snapshot's last two entries."""
        self._journal.clear()
        self._resetting = True

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Pass on; older configurations than the committed one are forgotten."""
        self._journal.setRaftCommitIndex(raftCommitIndex)
        while len(self._found) > 1 and self._found[1][0] <= raftCommitIndex:
            del self._found[0]

    def __len__(self) -> int:
        return len(self._journal)

    @overload
    def __getitem__(self, item: SupportsIndex) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: SupportsIndex | slice) -> Entry | list[Entry]:
        return self._journal[item]

    def __getattr__(self, name: str) -> Any:
        # Term, vote, commit index, compaction: nothing to watch.
        return getattr(self._journal, name)
