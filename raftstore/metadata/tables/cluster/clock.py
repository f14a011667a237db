"""Cluster time, from level 3 on: by it is judged what expires. Monotone, in the log, the same on every node.

`AdvanceClock` moves it (`advancing` applies that, with what expires by it); the leader proposes what the clocks of a
majority of the members agree on (`raftstore/cluster/clustertime.py`). So one wrong clock, also the leader's,
moves nothing, and while they disagree it stands still. DESIGN.md argues it.

**Nothing visible is past the clock**: what expires up to a time is removed by the command that moves the clock there.
So reads filter nothing, and all nodes agree at each index.

**Nothing expires early.** Between two commands time passes that the clock does not show. What is made meanwhile is
stamped with its command's time, as far as that is at most STEP ahead of the clock: right to the second where that
node's clock is right, and off by STEP at most where it is not. If then the clock jumps by more than STEP, since the
clocks disagreed or nobody led, what was stamped in that standstill is counted from its end: `counted_from`.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple, Protocol, Self

from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.rights.reserved import LEVEL

STEP = 120 * 10**9
"""Most ns by which a stamp is ahead of the clock, and the longest step that is none over a standstill. A leader that
has nothing else to do moves the clock once a minute (`clustertime.IDLE`)."""

MAX_STANDSTILLS = 1_000
"""Standstills that are remembered; then the oldest is forgotten, and what is left of that time goes by its stamp."""

MAX_CHUNKS = 2_048
"""Chunks' worth of bytes after which one command expires nothing more: each is some rows for every node."""

CHUNK = 1 << 20


class Budget:
    """What one command may still remove: a number of things, and bytes in them. Both bound its work."""

    __slots__ = ("_bytes", "_things", "spent")

    def __init__(self, things: int, chunks: int = MAX_CHUNKS) -> None:
        self._things = things
        self._bytes = chunks * CHUNK
        self.spent = 0
        """Things that were taken."""

    def take(self, size: int = 0, things: int = 1) -> bool:
        """Whether something more of `size` bytes may go, which counts as so many things. The first always may."""
        if self.spent and (self.spent + things > self._things or size > self._bytes):
            return False
        self.spent += things
        self._bytes -= size
        return True

    @property
    def left(self) -> int:
        """Things that may still go, as far as their number counts."""
        return max(0, self._things - self.spent)


class Expiring(Protocol):
    """A table with things that expire. It has a line in `advancing.EXPIRING`."""

    def due(self, until_ns: int) -> int | None:
        """Return the cluster time at which the first thing expires, if that is not after `until_ns`; else None.

        One seek in an index: the leader asks each second.
        """
        ...

    def expire(self, at: Context, until_ns: int, budget: Budget) -> None:
        """Remove what expires up to `until_ns`, the oldest first, as long as `budget.take` says so.

        What `Clock.counted_from` moves behind its present expiry is put off instead, which takes of the budget, too.
        """
        ...


class _Standstill(NamedTuple):
    """What was stamped in `first_ns` to `last_ns` counts from `end_ns`."""

    first_ns: int
    last_ns: int
    end_ns: int


class Clock(Table):
    """The tables `clock` (one row) and `standstills`, both in memory."""

    schemas = (
        Schema(
            "clock",
            "only",
            "CREATE TABLE clock (only INTEGER PRIMARY KEY CHECK (only = 1), now_ns INTEGER NOT NULL) STRICT",
            level=LEVEL,
            rows=((1, 0),),
        ),
        Schema(
            "standstills",
            "first_ns",
            "CREATE TABLE standstills"
            " (first_ns INTEGER PRIMARY KEY, last_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL) STRICT",
            level=LEVEL,
        ),
    )

    def __init__(self, database: sqlite3.Connection, level: int) -> None:
        super().__init__(database)
        self.now_ns = 0
        """Cluster time in ns since the epoch; 0: it was never told, which is one long standstill."""
        self._standstills: list[_Standstill] = []
        if level >= LEVEL:
            self._read()

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it, if the level in force has it."""
        return cls(tables.database, tables.at.level)

    def _read(self) -> None:
        self.now_ns = self._execute("SELECT now_ns FROM clock").fetchone()[0]
        rows = self._execute("SELECT * FROM standstills ORDER BY first_ns").fetchall()
        self._standstills = [_Standstill(*row) for row in rows]

    def stamp(self, at: Context) -> int:
        """Return the cluster time at which the command at hand makes something that is to expire.

        It expires a duration after `counted_from` of this.
        """
        return min(max(at.time_ns, self.now_ns), self.now_ns + STEP)

    def counted_from(self, stamp_ns: int) -> int:
        """Return from when a duration counts for what was stamped with `stamp_ns`: later if the clock stood still then.

        What is about to expire is asked for; whoever it puts off keeps the answer as its stamp.
        """
        for stood in reversed(self._standstills):
            if stood.first_ns <= stamp_ns <= stood.last_ns:
                return max(stamp_ns, stood.end_ns)
            if stood.first_ns < stamp_ns:
                break
        return stamp_ns

    def note_jump(self, target_ns: int) -> None:
        """Before anything expires: note a standstill, if it takes one to get from the present time to `target_ns`.

        The way there may take many commands: all that is stamped meanwhile counts from its end.
        """
        last = self._standstills[-1] if self._standstills else None
        on_the_way = last is not None and last.first_ns <= self.now_ns < last.end_ns
        if target_ns - self.now_ns <= STEP and not on_the_way:
            return
        first = last.first_ns if last is not None and on_the_way else self.now_ns
        stood = _Standstill(first, self.now_ns + STEP, target_ns)
        if last is not None and on_the_way:
            stood = _Standstill(first, max(stood.last_ns, last.last_ns), max(target_ns, last.end_ns))
            self._standstills.pop()
        self._standstills.append(stood)
        self._execute("INSERT OR REPLACE INTO standstills VALUES (?, ?, ?)", stood)
        if len(self._standstills) > MAX_STANDSTILLS:
            self._execute("DELETE FROM standstills WHERE first_ns = ?", (self._standstills.pop(0).first_ns,))

    def move(self, now_ns: int) -> None:
        """Set the time, which is later than the present one: nothing expires any more up to then."""
        self._execute("UPDATE clock SET now_ns = ?", (now_ns,))
        self.now_ns = now_ns

    def migrate(self, level: int) -> None:
        """At level 3 it begins, and has not been told the time."""
        super().migrate(level)
        if level == LEVEL:
            self._read()
