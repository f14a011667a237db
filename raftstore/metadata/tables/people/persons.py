"""Who is or was a person: a number for each identity, which stands in what it has sent and what came to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Self

from raftstore.metadata.registry import Schema, Table, Tables
from raftstore.rights.reserved import LEVEL
from raftstore.types import owner_name

MAX_KNOWN = 8192
"""Persons kept in memory."""


class Persons(Table):
    """The tables `persons` and `listed`. A row of a person stays when its account has gone: what was sent names it.

    `history` counts the ended records that it keeps (see `records`). `held`: it is or was a person, so that what is in
    the places of that name may be its own; others have a number because something was to go to them, and did not.
    """

    schemas = (
        Schema(
            "persons",
            "number",
            """
CREATE TABLE persons (
  number INTEGER PRIMARY KEY,
  identity TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  history INTEGER NOT NULL,
  held INTEGER NOT NULL
) STRICT;
CREATE INDEX persons_by_name ON persons (name, number) WHERE held = 1;
""",
            level=LEVEL,
        ),
        Schema(
            "listed", "name", "CREATE TABLE listed (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID", level=LEVEL
        ),
    )

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self._numbers: dict[str, int] = {}
        self.added = 0
        """Grows with every identity that is given a number."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it."""
        return cls(tables.database)

    def number(self, identity: str) -> int:
        """Return the number of an identity; it is given one when it has none."""
        found = self._numbers.get(identity)
        if found is None:
            row = self._execute("SELECT number FROM persons WHERE identity = ?", (identity,)).fetchone()
            found = int(row[0]) if row is not None else self._add(identity)
            if len(self._numbers) >= MAX_KNOWN:
                self._numbers.clear()
            self._numbers[identity] = found
        return found

    def _add(self, identity: str) -> int:
        (last,) = self._execute("SELECT coalesce(max(number), 0) FROM persons").fetchone()
        number: int = last + 1
        self.added += 1
        self._execute("INSERT INTO persons VALUES (?, ?, ?, 0, 0)", (number, identity, owner_name(identity)))
        return number

    def find(self, identity: str) -> int | None:
        """Return the number of an identity, None when it never was a person's. Changes nothing."""
        found = self._numbers.get(identity)
        if found is not None:
            return found
        row = self._execute("SELECT number FROM persons WHERE identity = ?", (identity,)).fetchone()
        return row[0] if row is not None else None

    def numbers(self, identities: Sequence[str]) -> list[int | None]:
        """Return what `find` does for some identities: one statement for those not at hand."""
        known = self._numbers
        missing = [identity for identity in identities if identity not in known]
        if not missing:
            return [known[identity] for identity in identities]
        rows = self._execute(
            "SELECT persons.identity, number FROM json_each(?) AS asked CROSS JOIN persons"
            " ON persons.identity = asked.value",
            (json.dumps(missing),),
        ).fetchall()
        found = known | dict(rows)
        self._numbers = found if len(found) <= MAX_KNOWN else dict(rows)
        return [found.get(identity) for identity in identities]

    def given(self, identities: Sequence[str]) -> list[int]:
        """Return what `number` does for some identities."""
        return [
            self.number(identity) if number is None else number
            for identity, number in zip(identities, self.numbers(identities), strict=True)
        ]

    def identity(self, number: int) -> str:
        """Return who has a number."""
        found: tuple[str] = self._execute("SELECT identity FROM persons WHERE number = ?", (number,)).fetchone()
        return found[0]

    def identities(self, numbers: Collection[int]) -> dict[int, str]:
        """Return who has some numbers, by number."""
        rows = self._execute(
            "SELECT number, identity FROM json_each(?) AS asked CROSS JOIN persons ON number = asked.value",
            (json.dumps(sorted(numbers)),),
        ).fetchall()
        return dict(rows)

    def holder(self, name: str) -> str | None:
        """Return the identity that was the last to be a person of that name: what is in its places is its own."""
        row = self._execute(
            "SELECT identity FROM persons WHERE name = ? AND held = 1 ORDER BY number DESC LIMIT 1", (name,)
        ).fetchone()
        return row[0] if row is not None else None

    def hold(self, identity: str) -> None:
        """Note that it is a person, whose the places of its name are from now on."""
        self._execute("UPDATE persons SET held = 1 WHERE number = ?", (self.number(identity),))

    # Whom others may see.

    def show(self, name: str, *, shown: bool) -> None:
        """Note whether an account is a person, which others may see."""
        if shown:
            self._execute("INSERT OR IGNORE INTO listed VALUES (?)", (name,))
        else:
            self._execute("DELETE FROM listed WHERE name = ?", (name,))

    def listed(self) -> list[str]:
        """Return the names of all persons that others may see, sorted: no account is read for it."""
        return [name for (name,) in self._execute("SELECT name FROM listed ORDER BY name").fetchall()]

    def is_listed(self, name: str) -> bool:
        """Whether there is a person of that name that others may see."""
        return self._execute("SELECT 1 FROM listed WHERE name = ?", (name,)).fetchone() is not None

    def count_history(self, number: int, change: int) -> int:
        """Count ended records of a person that come or go; return how many there are then."""
        found: tuple[int] = self._execute(
            "UPDATE persons SET history = history + ? WHERE number = ? RETURNING history", (change, number)
        ).fetchone()
        return found[0]
