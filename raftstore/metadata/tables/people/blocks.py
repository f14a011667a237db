"""From whom persons take nothing: the table `blocks`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Self

from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.rights.reserved import LEVEL
from raftstore.wire import commands_pb2 as commands

MAX_BLOCKS = 1_000
"""Names that a person may block. They go in one command with its account."""


class Blocks(Table):
    """Of each person the names that it blocks: accounts, there or not, or ones at other clusters.

    A block is against a name, not an identity: nobody gets round it by an account that is made anew.
    """

    schemas = (
        Schema(
            "blocks",
            "person, name",
            """
CREATE TABLE blocks (
  person TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (person, name)
) STRICT, WITHOUT ROWID;
""",
            level=LEVEL,
        ),
    )

    def __init__(self, database: sqlite3.Connection, accounts: Accounts) -> None:
        super().__init__(database)
        self._accounts = accounts
        self._any = False
        """Whether there may be any: most clusters have none, and it is asked for each delivery."""
        if self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'blocks'").fetchone():
            self._any = self._execute("SELECT 1 FROM blocks LIMIT 1").fetchone() is not None

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the accounts."""
        return cls(tables.database, tables[Accounts])

    def blocking(self, persons: Sequence[str], name: str) -> set[str]:
        """Return those of some persons who take nothing from `name`."""
        if not self._any:
            return set()
        if len(persons) == 1:
            row = self._execute("SELECT person FROM blocks WHERE person = ? AND name = ?", (persons[0], name))
            return {person for (person,) in row.fetchall()}
        rows = self._execute(
            "SELECT blocks.person FROM json_each(?1) AS asked CROSS JOIN blocks"
            " ON blocks.person = asked.value AND blocks.name = ?2",
            (json.dumps(persons), name),
        ).fetchall()
        return {person for (person,) in rows}

    def of(self, person: str) -> list[str]:
        """Return whom a person blocks, sorted."""
        rows = self._execute("SELECT name FROM blocks WHERE person = ? ORDER BY name", (person,)).fetchall()
        return [name for (name,) in rows]

    @handles("block", level=LEVEL)
    def block(self, command: commands.Block, at: Context) -> None:
        """Block a name, or take it again, if it is not so already. Refuses with NOT_FOUND, INVALID, QUOTA."""
        person, name = command.person, command.name
        user = self._accounts.user(person)
        if user is None or not user.person:
            raise Refusal(commands.NOT_FOUND, f"person {person}")
        check_label(name, "a name to block")
        if not name or name == person:
            raise Refusal(commands.INVALID, "one blocks somebody else, by name")
        if command.off:
            self._execute("DELETE FROM blocks WHERE person = ? AND name = ?", (person, name))
            return
        here = self._execute("SELECT 1 FROM blocks WHERE person = ? AND name = ?", (person, name)).fetchone()
        if here is not None:
            return
        (count,) = self._execute("SELECT count(*) FROM blocks WHERE person = ?", (person,)).fetchone()
        if count >= MAX_BLOCKS:
            raise Refusal(commands.QUOTA, f"a person blocks at most {MAX_BLOCKS:,} names")
        self._execute("INSERT INTO blocks VALUES (?, ?)", (person, name))
        self._any = True

    def account_removed(self, name: str) -> None:
        """Forget whom an account has blocked when it was a person. Who blocks it still does."""
        self._execute("DELETE FROM blocks WHERE person = ?", (name,))
