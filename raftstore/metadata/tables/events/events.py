"""What has become of what persons send, of trash and of what retention keeps: events, in the order of the log. Members
that go and come are events, too, and uploads while a webhook asks for them (`webhooks`).

The command that causes an event writes its row, so all nodes have the same ones, exactly once. Numbers have no gaps:
who has read up to one goes on behind it, and sees when what follows is not kept any more. At most MAX_KEPT are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.rights.reserved import LEVEL
from raftstore.types import EventKind

MAX_KEPT = 65_536
"""Events that are kept; the oldest go, LOT at a time."""

LOT = 256
"""Events after each of which the oldest go together."""

_COLUMNS = "number, entry, time_ns, kind, files, record, inode, actor, subject, owner"


@dataclass(frozen=True, slots=True)
class Noted:
    """An event as its row has it.

    `entry`: log index; `time_ns`: cluster time. `actor`, `subject`: numbers of persons (see `persons`), 0: nobody's;
    `owner`: the identity whose files they are, where it may be no person's. The rest is as in `raftstore.types.Event`.
    """

    number: int
    entry: int
    time_ns: int
    kind: EventKind
    files: int
    record: int
    inode: int
    actor: int
    subject: int
    owner: str


class Events(Table):
    """The table `events`."""

    schemas = (
        Schema(
            "events",
            "number",
            """
CREATE TABLE events (
  number INTEGER PRIMARY KEY,
  entry INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  files INTEGER NOT NULL,
  record INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  actor INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  owner TEXT NOT NULL
) STRICT;
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._executemany = tables.database.cursor().executemany
        self._at: Context = tables.at
        self._clock = tables[Clock]
        self.last = 0
        """Number of the newest one; 0: there never was any."""
        if tables.at.level >= LEVEL:
            (self.last,) = self._execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
        self.on_change: Callable[[], object] = lambda: None
        """Called when there is one more, while the entry is still applied; must not raise."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with cluster time."""
        return cls(tables)

    def note(
        self,
        kind: EventKind,
        files: int = 1,
        record: int = 0,
        inode: int = 0,
        *,
        actor: int = 0,
        subject: int = 0,
        owner: str = "",
    ) -> None:
        """Note what the command at hand has done."""
        self._add([(int(kind), files, record, inode, actor, subject, owner)])

    def note_each(self, kind: EventKind, record: int, concerned: Sequence[tuple[int, int, int]]) -> None:
        """Note one of a kind for each (inode, actor, subject) that one record concerns."""
        if concerned:
            self._add([(int(kind), 1, record, *each, "") for each in concerned])

    def _add(self, rows: Sequence[tuple[int, int, int, int, int, int, str]]) -> None:
        at, stamp, before = self._at, self._clock.stamp(self._at), self.last
        self._executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(number, at.index, stamp, *row) for number, row in enumerate(rows, before + 1)],
        )
        self.last = before + len(rows)
        if self.last // LOT > before // LOT:
            self._execute("DELETE FROM events WHERE number <= ?", (self.last // LOT * LOT - MAX_KEPT + LOT,))
        self.on_change()

    def first(self) -> int:
        """Return the number of the oldest that is kept, or that the next one will have."""
        (found,) = self._execute("SELECT min(number) FROM events").fetchone()
        return int(found) if found is not None else self.last + 1

    def after(self, number: int, limit: int) -> list[Noted]:
        """Return what is kept behind a number, the oldest first."""
        rows = self._execute(
            f"SELECT {_COLUMNS} FROM events WHERE number > ? ORDER BY number LIMIT ?", (number, limit)
        ).fetchall()
        return [Noted(entry[0], entry[1], entry[2], EventKind(entry[3]), *entry[4:]) for entry in rows]
