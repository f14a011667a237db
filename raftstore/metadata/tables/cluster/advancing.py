"""The command that moves cluster time, and with it removes what expires: a bounded number of things each time."""

from __future__ import annotations

from typing import Self, cast

from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.cluster.clock import Budget, Clock, Expiring
from raftstore.metadata.tables.cluster.moments import Moments
from raftstore.metadata.tables.names.trash import Trash
from raftstore.metadata.tables.people.drafts import Drafts
from raftstore.metadata.tables.people.records import Records
from raftstore.metadata.tables.people.sending import Sending
from raftstore.rights.reserved import LEVEL
from raftstore.wire import commands_pb2 as commands

LATEST_NS = 1 << 62
"""Cluster time goes no further (the year 2116): with the longest times added it still fits into what SQLite counts."""

MAX_LIMIT = 256
"""Things that go with one command at most."""

EXPIRING: tuple[type[Table], ...] = (Trash, Sending, Drafts, Records)
"""The tables with things that expire, each an `Expiring`, in the order in which they are asked."""


class Advances(Table):
    """Applies AdvanceClock over the clock and all tables in which something expires."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._clock = tables[Clock]
        self._moments = tables[Moments]
        self._expiring = [cast(Expiring, tables[table]) for table in EXPIRING]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the clock and what goes by it."""
        return cls(tables)

    def due(self, until_ns: int) -> int | None:
        """Return the cluster time at which the first thing of all expires, if not after `until_ns`; else None."""
        found = [first for table in self._expiring if (first := table.due(until_ns)) is not None]
        return min(found, default=None)

    @handles("advance_clock", level=LEVEL)
    def advance(self, command: commands.AdvanceClock, at: Context) -> commands.Result:
        """Remove what expires up to a time, and move the clock as far as nothing is left. Refuses with INVALID."""
        until = command.time_ns
        if not 0 < until <= LATEST_NS or not 0 < command.limit <= MAX_LIMIT:
            raise Refusal(commands.INVALID, f"cluster time {until}, limit {command.limit}")
        if until <= self._clock.now_ns:
            return commands.Result(finished=True)
        self._clock.note_jump(until)
        budget = Budget(command.limit)
        for table in self._expiring:
            table.expire(at, until, budget)
        left = self.due(until)
        reached = until if left is None else left - 1
        if reached > self._clock.now_ns:
            self._clock.move(reached)
            if left is None:  # on the way the clock is behind what the log has
                self._moments.note(at.index, reached)
        return commands.Result(removed=budget.spent, finished=left is None)
