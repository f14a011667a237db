"""How much a command does when it is applied, told before it is proposed: what shares a log entry is bounded by it.

An entry is applied in one turn of the loop. A command weighs the rows that it touches beyond those that every command
does: recipients and members, and chunks that come or go. The state that is asked is that of the proposing node, at that
moment: a weight is an estimate, on which only the size of entries depends, and nothing that is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.registry import Tables
from raftstore.metadata.tables.cluster.clock import CHUNK
from raftstore.metadata.tables.contents.longcontents import SLICE
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.metadata.tables.people.groups import Groups
from raftstore.metadata.tables.people.records import Records
from raftstore.rights.reserved import APART, LEVEL, Area, spot
from raftstore.types import Kind
from raftstore.wire import commands_pb2 as commands

WHOLE = 1_000
"""What the commands weigh that take some slice of a larger work by a bound of their own: an entry has one of them."""


class Weighing:
    """Weighs commands by the catalog's tables. Changes nothing."""

    def __init__(self, tables: Tables) -> None:
        self._names = tables[Namespace]
        self._groups = tables[Groups]
        self._records = tables[Records]
        self._at = tables.at
        self._weights: dict[str, Callable[[Any], int]] = {
            "put_file": self._put_file,
            "copy_file": lambda command: self._onto(command.target, sends=not command.draft),
            "send_file": lambda command: self._to(command.to),
            "rename": lambda command: self._onto(command.target, sends=not command.draft),
            "remove_file": lambda command: self._gone(command.path),
            "put_partial": lambda command: len(command.chunks),
            "stage_content": lambda command: len(command.chunks),
            "forget_contents": lambda command: int(command.limit),
            "mark_opened": lambda command: len(command.inodes),
            "put_group": lambda command: len(command.group.members),
            "remove_group": lambda command: self._size(command.name),
            **dict.fromkeys(
                ("advance_clock", "empty_trash", "retain", "purge_person", "adopt_owner", "remove_user"),
                lambda command: WHOLE,
            ),
        }

    @property
    def kinds(self) -> Collection[str]:
        """Which commands weigh something, by their names in the oneof `Command.kind`."""
        return self._weights.keys()

    def weight(self, command: commands.Command) -> int:
        """Return the weight of a command; 0: it does no more than each does."""
        kind = command.WhichOneof("kind") or ""
        weigh = self._weights.get(kind)
        return weigh(getattr(command, kind)) if weigh is not None else 0

    def _put_file(self, command: commands.PutFile) -> int:
        sends = bool(command.size) and not (command.draft or command.unfinished)
        if command.path.startswith(APART):
            return len(command.chunks) + self._onto(command.path, sends=sends)
        return len(command.chunks) + self._gone(command.path)

    def _onto(self, path: str, *, sends: bool) -> int:
        """Weigh what gives way there, and, where it is put to somebody, those who are meant."""
        found = spot(path)
        meant = self._to(found.to) if sends and found is not None and found.area is Area.SENT else 0
        return meant + self._gone(path)

    def _to(self, name: str) -> int:
        return self._size(name) or 1

    def _size(self, name: str) -> int:
        return self._groups.size(name) if self._at.level >= LEVEL else 0

    def _gone(self, path: str) -> int:
        try:
            row = self._names.at(self._names.place(path, existing=True))
        except (NotFound, NotADirectory, BadName):
            return 0
        if row is None or row[1] != Kind.FILE:
            return 0
        noted = self._records.size(row[2]) if self._at.level >= LEVEL and Area.SENT.has(path) else 0
        return noted + min(SLICE, -(-row[3] // CHUNK))
