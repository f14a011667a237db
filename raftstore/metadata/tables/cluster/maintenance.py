"""Which nodes are in maintenance: they take no sessions of clients and do not lead; everything else goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from raftstore.metadata.refusal import MAX_INTEGER, Refusal, check_label, no_node
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.wire import commands_pb2 as commands

LEVEL = 3
MAX_GRACE_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Rest:
    """A node in maintenance: since when (ns since the epoch, by the clock of the node that was asked), and for how many
    ms sessions may go on from then. `index` is the log entry that put it there.
    """

    since_ns: int
    grace_ms: int
    index: int


class Maintenance(Table):
    """The table `maintenance`, whole in memory: it is asked for each new session."""

    schemas = (
        Schema(
            "maintenance",
            "node",
            """
CREATE TABLE maintenance (
  node TEXT PRIMARY KEY,
  since_ns INTEGER NOT NULL,
  grace_ms INTEGER NOT NULL,
  entry INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
            level=LEVEL,
        ),
    )

    def __init__(self, database: sqlite3.Connection, intents: Intents, level: int) -> None:
        super().__init__(database)
        self._intents = intents
        self.nodes: dict[str, Rest] = {}
        """Those in maintenance; none before its level."""
        if level >= LEVEL:
            rows = self._execute("SELECT node, since_ns, grace_ms, entry FROM maintenance").fetchall()
            self.nodes = {node: Rest(*values) for node, *values in rows}

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with those who know the members; it is empty before the level in force has it."""
        return cls(tables.database, tables[Intents], tables.at.level)

    @handles("set_maintenance", level=LEVEL)
    def put(self, command: commands.SetMaintenance, at: Context) -> None:
        """Put a node into maintenance, or take it out; as it is already, nothing changes. Refuses with NOT_FOUND."""
        node = command.node
        check_label(node, "a node's name")
        members = self._intents.members
        if not node or (members and node not in members):
            raise no_node(node, members)
        if command.off:
            self._forget(node)
            return
        if command.grace_ms > MAX_GRACE_MS or not 0 <= command.since_ns <= MAX_INTEGER:
            raise Refusal(commands.INVALID, "a node's sessions go on for a day at most")
        if node not in self.nodes:
            self.nodes[node] = rest = Rest(command.since_ns, command.grace_ms, at.index)
            values = node, rest.since_ns, rest.grace_ms, rest.index
            self._execute("INSERT INTO maintenance VALUES (?, ?, ?, ?)", values)

    def keep_of(self, members: Collection[str]) -> None:
        """Forget who is no member any more."""
        for node in self.nodes.keys() - set(members):
            self._forget(node)

    def _forget(self, node: str) -> None:
        if self.nodes.pop(node, None) is not None:
            self._execute("DELETE FROM maintenance WHERE node = ?", (node,))
