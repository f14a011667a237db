"""Partial uploads whose directory was removed: they go a few at a time.

There can be ten thousand of each owner in one directory, and to drop them all in the command that removes it would hold
up every node's loop. Nobody finds them any more, since no inode comes twice. Until they are gone they count for their
owners, and their chunks stay.
"""

from __future__ import annotations

import sqlite3

from raftstore.metadata.namespace import Place
from raftstore.metadata.partials import Partials

A_COMMAND = 4
"""Partial uploads that go with each command that is applied."""

BYTES_A_COMMAND = 256 * 1024 * 1024
"""Size of those together from which on the next waits: each megabyte is a reference to a chunk."""

_ALL = """
SELECT DISTINCT parent FROM partials WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.inode = partials.parent)
"""
_SOME = "SELECT name, owner, size FROM partials WHERE parent = ? ORDER BY name, owner LIMIT ?"


class Orphans:
    """The removed directories with partial uploads in them. They follow from the tables, so all nodes agree on them."""

    def __init__(self, database: sqlite3.Connection, partials: Partials) -> None:
        self._execute = database.cursor().execute
        self._partials = partials
        self._directories = {row[0] for row in self._execute(_ALL).fetchall()} if partials.total else set()

    def add(self, directory: int) -> None:
        """A directory, given by its inode, was removed."""
        if self._partials.total and self._execute(_SOME, (directory, 1)).fetchone() is not None:
            self._directories.add(directory)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._directories)

    def drop_some(self) -> None:
        """At the beginning of a command: drop a few."""
        directory = min(self._directories)
        rows = self._execute(_SOME, (directory, A_COMMAND)).fetchall()
        if len(rows) < A_COMMAND:
            self._directories.discard(directory)
        total = 0
        for name, owner, size in rows:
            total += size
            if total > BYTES_A_COMMAND and total > size:
                self._directories.add(directory)
                break
            self._partials.forget(Place(directory, name), owner)
