"""When, in cluster time, how much of the log was there: by it the age of a version is known, which is a log index."""

from __future__ import annotations

import bisect
from typing import Self

from raftstore.metadata.registry import Schema, Table, Tables
from raftstore.rights.reserved import LEVEL

FINEST = 10**9
"""Ns between two moments that are kept, at least."""

PRECISION = 128
"""Older moments lie further apart: by a part of their age, which makes some thousand of them for any time."""


class Moments(Table):
    """The table `moments`, whole in memory: at log index `entry` cluster time had become `now_ns`.

    What has a lower index was there by then. So what is counted from a moment never is older than it really is.
    """

    schemas = (
        Schema(
            "moments",
            "entry",
            "CREATE TABLE moments (entry INTEGER PRIMARY KEY, now_ns INTEGER NOT NULL) STRICT",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        rows = (
            self._execute("SELECT entry, now_ns FROM moments ORDER BY entry").fetchall()
            if tables.at.level >= LEVEL
            else []
        )
        self._entries: list[int] = [entry for entry, _ in rows]
        self._times: list[int] = [now_ns for _, now_ns in rows]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it, if the level in force has it."""
        return cls(tables)

    def note(self, entry: int, now_ns: int) -> None:
        """Cluster time has become `now_ns` with log index `entry`: keep that, and fewer of the older moments."""
        if self._times and (now_ns - self._times[-1] < FINEST or entry == self._entries[-1]):
            return
        self._execute("INSERT INTO moments VALUES (?, ?)", (entry, now_ns))
        self._entries.append(entry)
        self._times.append(now_ns)
        gone = thinned(self._times, now_ns)
        for place in reversed(gone):
            self._execute("DELETE FROM moments WHERE entry = ?", (self._entries[place],))
            del self._entries[place], self._times[place]

    def before(self, time_ns: int) -> int:
        """Return a log index below which all was there at cluster time `time_ns`; 0: none is known."""
        place = bisect.bisect_right(self._times, time_ns)
        return self._entries[place - 1] if place else 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._times)


def thinned(times: list[int], now_ns: int) -> list[int]:
    """Return the places, ascending, of those of some moments that lie closer together than their age asks for. Pure.

    Of two neighbours one stays; the first and the last always do.
    """
    gone: list[int] = []
    before = times[0]
    for place in range(1, len(times) - 1):
        if times[place + 1] - before <= (now_ns - times[place + 1]) // PRECISION:
            gone.append(place)
        else:
            before = times[place]
    return gone
