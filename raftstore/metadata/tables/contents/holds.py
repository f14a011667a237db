"""Holds: while one is in force, no store begins to remove chunks. A backup takes one before it has the catalog copied.

So every chunk that the copy refers to stays where the copy lists it, also when what refers to it goes meanwhile:
`BeginSweep` is refused, and a sweep that began before the hold removes only what was not listed when the copy was made
(`raftstore/cluster/replicas/collector.py` has the proof: what is listed later is no candidate of it). Copies that are
more than wanted may still go (`DropReplicas`): those that have to stay are on other stores then.

A hold is a lease, judged by cluster time, which stands still while the clocks of a majority disagree. What counts is
the order of the log all the same: a hold whose lease is over ends with the entry of the sweep that finds it so, and
whoever renews it later is refused.
"""

from __future__ import annotations

from typing import Self

from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.rights.reserved import LEVEL
from raftstore.wire import commands_pb2 as commands

ID_SIZE = 16
MAX_HOLDS = 16
"""At a time: nobody keeps all disks from being cleaned by mistake, again and again."""
LONGEST_NS = 3600 * 10**9
"""Longest lease; it can be renewed."""


class Holds(Table):
    """The table `holds`."""

    schemas = (
        Schema(
            "holds",
            "id",
            """
CREATE TABLE holds (
  id BLOB PRIMARY KEY,
  stamp_ns INTEGER NOT NULL,
  lease_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._at: Context = tables.at
        self._clock = tables[Clock]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with cluster time."""
        return cls(tables)

    def in_force(self) -> bool:
        """Whether one is there whose lease is not over."""
        return any(not over for _, over in self._all())

    def _all(self) -> list[tuple[bytes, bool]]:
        """Return each, and whether its lease is over."""
        if self._at.level < LEVEL:
            return []
        rows = self._execute("SELECT id, stamp_ns, lease_ns FROM holds ORDER BY id").fetchall()
        now, counted = self._clock.now_ns, self._clock.counted_from
        return [(identity, counted(stamp) + lease <= now) for identity, stamp, lease in rows]

    def check_none(self) -> None:
        """Refuse with CHANGED while one is in force. Those whose lease is over end otherwise."""
        found = self._all()
        if any(not over for _, over in found):
            raise Refusal(commands.CHANGED, "a backup reads the chunks: none is removed until it has ended")
        if found:
            self._execute("DELETE FROM holds")

    @handles("hold_chunks", level=LEVEL)
    def hold(self, command: commands.HoldChunks, at: Context) -> None:
        """Take a hold, or renew it. Refuses with INVALID, QUOTA, and with NOT_FOUND to renew what has ended."""
        if len(command.id) != ID_SIZE or not 0 < command.lease_ns <= min(LONGEST_NS, MAX_INTEGER):
            raise Refusal(commands.INVALID, f"a hold has an identity of {ID_SIZE} bytes and a lease")
        known = [identity for identity, _ in self._all()]
        if command.id not in known:
            if command.renew:
                raise Refusal(commands.NOT_FOUND, "this hold of the chunks has ended")
            if len(known) >= MAX_HOLDS:
                raise Refusal(commands.QUOTA, f"{MAX_HOLDS} backups hold the chunks already")
        row = (command.id, self._clock.stamp(at), command.lease_ns)
        self._execute("INSERT OR REPLACE INTO holds VALUES (?, ?, ?)", row)

    @handles("end_hold", level=LEVEL)
    def end(self, command: commands.EndHold, at: Context) -> None:
        """End a hold, if it is there."""
        self._execute("DELETE FROM holds WHERE id = ?", (command.id,))
