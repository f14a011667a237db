"""Which members cannot be reached, as the leader has seen it: an event each time that changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.events.events import Events
from raftstore.rights.reserved import LEVEL
from raftstore.types import EventKind
from raftstore.wire import commands_pb2 as commands


class WatchedNodes(Table):
    """The table `nodes_down`."""

    schemas = (
        Schema(
            "nodes_down",
            "node",
            "CREATE TABLE nodes_down (node TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._at = tables.at
        self._events = tables[Events]
        self._intents = tables[Intents]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with events."""
        return cls(tables)

    def keep_of(self, members: Collection[str]) -> None:
        """Who is no member any more is not missed."""
        if self._at.level >= LEVEL:
            for node in self.down() - set(members):
                self._execute("DELETE FROM nodes_down WHERE node = ?", (node,))

    def down(self) -> set[str]:
        """Return the members that are known not to be reached."""
        return {node for (node,) in self._execute("SELECT node FROM nodes_down").fetchall()}

    @handles("note_node", level=LEVEL)
    def note(self, command: commands.NoteNode, at: Context) -> None:
        """Note that a member cannot be reached, or can be again."""
        if command.node not in self._intents.members or (command.node in self.down()) == command.down:
            raise Refusal(commands.CHANGED, f"nothing is new about {command.node[:255]}")
        if command.down:
            self._execute("INSERT INTO nodes_down VALUES (?)", (command.node,))
            self._events.note(EventKind.NODE_DOWN, owner=command.node)
        else:
            self._execute("DELETE FROM nodes_down WHERE node = ?", (command.node,))
            self._events.note(EventKind.NODE_UP, owner=command.node)
