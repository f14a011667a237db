"""What a table of the catalog is, and where replicated commands are registered: `handles` stands above the method that
applies one, in the module of the table that the command concerns.

A new table is a subclass of `Table` with a line in `tables.TABLES`. It is made, kept up to date and hashed like the
others, and what its handlers apply is exactly once, judged and of a level like everything else (`machine`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar, cast

from raftstore.rights import Rights
from raftstore.rights.changes import Leave
from raftstore.wire import commands_pb2 as commands

COMMANDS: dict[str, int] = {}
"""Level from which a command may be in the log, by its name in the oneof `Command.kind`; filled by `handles`."""


ANYTHING = Leave()
"""Of a command that changes no names."""


@dataclass(slots=True)
class Context:
    """The operation that is being applied: where it stands in the log, and what its command may do.

    `level` is the one in force there: rules that came with a level are behind `if at.level >= N`. `rights` are those
    of its account; None: they need not be asked further. `path`: where the file of a handle is by now, if it is one's.
    """

    level: int
    index: int = 0
    position: int = 0
    time_ns: int = 0
    leave: Leave = ANYTHING
    rights: Rights | None = None
    path: str | None = None


Handler = Callable[[Any, Context], commands.Result | None]
"""Applies a command. It checks everything first (a Refusal leaves no trace) and writes then; None: simply done."""

_Method = TypeVar("_Method", bound=Callable[..., commands.Result | None])


def handles(kind: str, *, level: int) -> Callable[[_Method], _Method]:
    """Make a method the handler of a command, by its name in `Command.kind`, that may be in the log from `level` on."""

    def register(method: _Method) -> _Method:
        if kind in COMMANDS:
            raise ValueError(f"{kind} has a handler already")
        COMMANDS[kind] = level
        cast(Any, method).handles = kind
        return method

    return register


def handlers_of(owner: object) -> dict[str, Handler]:
    """Return the handlers among an object's methods, by kind."""
    methods = vars(type(owner)).values()
    return {method.handles: method.__get__(owner) for method in methods if hasattr(method, "handles")}


@dataclass(frozen=True, slots=True)
class Schema:
    """A table in the database, from `level` on.

    `statements`, which are compared when a catalog is opened and so never change, make it and its indices; `key` gives
    the order in which it is hashed; `rows` are in it from the start.
    """

    name: str
    key: str
    statements: str
    level: int = 1
    rows: tuple[tuple[object, ...], ...] = ()

    def make(self, database: sqlite3.Connection) -> None:
        """Make the table and its indices, within the current transaction."""
        for statement in self.statements.split(";\n"):
            if statement.strip():
                database.execute(statement)

    def put_rows(self, database: sqlite3.Connection) -> None:
        """Put in what is there from the start."""
        for row in self.rows:
            database.execute(f"INSERT INTO {self.name} VALUES ({', '.join('?' * len(row))})", row)


class Table:
    """One table of the catalog, or a few that belong together, over one connection: queries, and effects of commands.

    Without `schemas`: what commands do to several tables.
    """

    schemas: ClassVar[tuple[Schema, ...]] = ()

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._execute = database.cursor().execute

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it, with what it needs of the others. Called once there is all that the level in force has."""
        return cls(tables.database)

    def check_level(self, level: int) -> None:
        """Refuse with CHANGED what stands in the way of `level`, the next one: before anything is changed for it."""

    def migrate(self, level: int) -> None:
        """Go through what `level` brings, within the transaction of the entry that raises the level, on every node
        alike: so it depends on the tables and on nothing else, and on no order among rows.

        All tables are up to date then; memory and tables must say the same afterwards. An exception stops the node.
        """
        for schema in self.schemas:
            if schema.level == level:
                schema.make(self._database)
                schema.put_rows(self._database)

    def flush(self) -> None:
        """Write what is kept in memory into the current transaction: before a commit, and before a migration."""

    def keep_of(self, members: Collection[str]) -> None:
        """Let go of what belongs to nodes that are no members any more."""

    def untouched(self) -> bool:
        """Whether there is nothing in it that makes a cluster other than new."""
        return True


_T = TypeVar("_T", bound=Table)


class Tables:
    """The tables over one connection, each once, by their class. They are made when they are first asked for."""

    def __init__(self, database: sqlite3.Connection, at: Context) -> None:
        self.database = database
        self.at = at
        self._made: dict[type[Table], Table] = {}

    def __getitem__(self, kind: type[_T]) -> _T:
        found = self._made.get(kind)
        if found is None:
            found = self._made[kind] = kind.over(self)
        return cast(_T, found)
