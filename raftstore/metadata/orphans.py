"""Partial uploads whose directory was removed: they go a few at a time.

There can be ten thousand of each owner in one directory, and to drop them all in the command that removes it would hold
up every node's loop. Nobody finds them any more, since no inode comes twice. Until they are gone they count for their
owners, and their chunks stay.
"""

from __future__ import annotations

import heapq
import sqlite3

from raftstore.metadata.tables.namespace import Place
from raftstore.metadata.tables.partials import Partials

A_COMMAND = 4
"""Partial uploads that go with each command that is applied."""

BYTES_A_COMMAND = 256 * 1024 * 1024
"""Size of those together from which on the next waits: each megabyte is a reference to a chunk."""

_ALL = """
SELECT DISTINCT parent FROM partials WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.inode = partials.parent)
"""
_SOME = "SELECT name, owner, size FROM partials WHERE parent = ? ORDER BY name, owner LIMIT ?"


class Orphans:
    """The removed directories with partial uploads in them. They follow from the tables, so all nodes agree on them.

    One of which nothing is left may still be known here, and not to a node that was started since: it decides nothing.
    """

    def __init__(self, database: sqlite3.Connection, partials: Partials) -> None:
        self._execute = database.cursor().execute
        self._partials = partials
        self._directories = [row[0] for row in self._execute(_ALL).fetchall()] if partials.total else []
        heapq.heapify(self._directories)

    def add(self, directory: int) -> None:
        """A directory, given by its inode, was removed."""
        if self._partials.total and self._execute(_SOME, (directory, 1)).fetchone() is not None:
            heapq.heappush(self._directories, directory)

    def __bool__(self) -> bool:
        """Whether there may be any."""
        return bool(self._directories)

    def drop_some(self) -> None:
        """At the beginning of a command: drop a few."""
        rows: list[tuple[str, str, int]] = []
        while self._directories and not rows:
            directory = self._directories[0]
            rows = self._execute(_SOME, (directory, A_COMMAND)).fetchall()
            if not rows:
                heapq.heappop(self._directories)
        total = 0
        for name, owner, size in rows:
            total += size
            if total > BYTES_A_COMMAND and total > size:
                break
            self._partials.forget(Place(directory, name), owner)
