"""What interrupted uploads left for their owners: the table `partials`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from raftstore.metadata.contents import Contents
from raftstore.metadata.namespace import Place
from raftstore.metadata.quotas import Quotas
from raftstore.metadata.refusal import Refusal
from raftstore.types import owner_name
from raftstore.wire import commands_pb2 as commands

MAX_PARTIALS = 10_000
"""Interrupted uploads that are kept for an owner; further ones are refused."""

_FIND = "SELECT inode, size, mtime_ns FROM partials WHERE parent = ? AND name = ? AND owner = ?"


class Partials:
    """The partial uploads, and what they count. `total` is how many there are."""

    def __init__(self, database: sqlite3.Connection, contents: Contents, quotas: Quotas, total: int) -> None:
        self._execute = database.cursor().execute
        self._contents = contents
        self._quotas = quotas
        self.total = total

    def find(self, place: Place, owner: str) -> tuple[int, int, int] | None:
        """Return inode, size and time of what `owner` can resume at `place`, or None."""
        found: tuple[int, int, int] | None = self._execute(_FIND, (place.parent, place.name, owner)).fetchone()
        return found

    def put(self, place: Place, owner: str, size: int, time_ns: int, acquire: Callable[[], int]) -> int:
        """Keep a partial upload in place of an earlier one; return its inode. Refuses with QUOTA.

        `acquire` takes the content, once the earlier one is released, and returns the inode it has given.
        """
        known = self.find(place, owner)
        self._quotas.check_partial(owner, size - (known[1] if known else 0))
        most = self._quotas.partial_names(owner, MAX_PARTIALS)
        if known is None and self._count(owner) >= most:
            raise Refusal(commands.QUOTA, f"{owner_name(owner)} has {most} interrupted uploads")
        self.forget(place, owner)
        inode = acquire()
        self._execute(
            "INSERT INTO partials VALUES (?, ?, ?, ?, ?, ?)",
            (place.parent, place.name, owner, inode, size, time_ns),
        )
        self._quotas.count(owner, partial_bytes=size)
        self.total += 1
        return inode

    def _count(self, owner: str) -> int:
        found: tuple[int] = self._execute("SELECT count(*) FROM partials WHERE owner = ?", (owner,)).fetchone()
        return found[0]

    def forget(self, place: Place, owner: str) -> bool:
        """Drop a partial upload; return whether there was one."""
        if not self.total:
            return False
        known = self.find(place, owner)
        if known is None:
            return False
        inode, size, _ = known
        self._contents.release(inode, published=False)
        self._execute(
            "DELETE FROM partials WHERE parent = ? AND name = ? AND owner = ?",
            (place.parent, place.name, owner),
        )
        self._quotas.count(owner, partial_bytes=-size)
        self.total -= 1
        return True

    def give(self, place: Place, before: str, owner: str) -> None:
        """Hand a partial upload over to another owner, unless that has one of its own there: then drop it."""
        if self.find(place, owner) is not None:
            self.forget(place, before)
            return
        known = self.find(place, before)
        assert known is not None
        self._execute(
            "UPDATE partials SET owner = ? WHERE parent = ? AND name = ? AND owner = ?",
            (owner, place.parent, place.name, before),
        )
        self._quotas.count(before, partial_bytes=-known[1])
        self._quotas.count(owner, partial_bytes=known[1])

    def forget_below(self, directory: int) -> None:
        """Drop all partial uploads in a directory, given by its inode."""
        if not self.total:
            return
        rows = self._execute("SELECT name, owner FROM partials WHERE parent = ?", (directory,)).fetchall()
        for name, owner in rows:
            self.forget(Place(directory, name), owner)
