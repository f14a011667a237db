"""How the version of a file gives way to another, or goes with its name: into the trash, or for good."""

from __future__ import annotations

from typing import Self

from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Table, Tables
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.trash import Trash
from raftstore.metadata.tables.people.storing import Storing
from raftstore.rights.reserved import LEVEL

AT_ONCE = 16
"""Chunks of a file that gives way which go with it; those of a larger one are given up afterwards, in slices."""


class Versions(Table):
    """Takes versions of files away, with all that they count in. What is wanted of it was checked before."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._names = tables[Namespace]
        self._contents = tables[Contents]
        self._quotas = tables[Quotas]
        self._storing = tables[Storing]
        self._trash = tables[Trash]
        self._retention = tables[Retention]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the trash, and what versions count in."""
        return cls(tables)

    def put_away(self, at: Context, place: Place, row: Row) -> None:
        """Remove the file at `place`: into its owner's trash, if that keeps it."""
        self.replace(at, place, row, self._trash.keeps(at, place, row))

    def remove(self, at: Context, place: Place, row: Row) -> None:
        """Remove the file at `place` for good."""
        self.replace(at, place, row, None)

    def replace(self, at: Context, place: Place, row: Row, kept: str | None) -> None:
        """Remove the file at `place`, as `release` does it."""
        self.release(at, row, kept)
        self._names.remove(place, directory=False)

    def release(self, at: Context, row: Row, kept: str | None) -> None:
        """Take the content of a file away: into the trash, if it is `kept`, else from its owner's usage."""
        self._retention.forget(row[2])
        self._trash.forget(row[2])
        if kept is not None:
            self._trash.take(at, row, kept)
            return
        self._contents.release(row[2], published=True)
        self._storing.count(row[5], -1, -row[3])

    # Room in the quota.

    def displaced(self, at: Context, owner: str, files: int, size: int) -> list[int]:
        """Return what of an owner's trash must go for so much more of its own. Refuses with QUOTA."""
        over = self._quotas.excess(owner, files, size)
        if over == (0, 0):
            return []
        found = self._trash.displaced_by(owner, *over) if at.level >= LEVEL else None
        if found is None:
            self._quotas.check_published(owner, files, size)
            raise AssertionError("it is over")
        return found

    def displaced_beside(
        self, at: Context, owner: str, size: int, place: Place, row: Row | None
    ) -> tuple[list[int], str | None]:
        """Return what must go for a version of `size` bytes in the place of `row`, and (its path) whether that is kept.

        One's own earlier version is the newest in the trash: where there is no room for both, it is not kept.
        """
        if row is None:
            return self.displaced(at, owner, 1, size), None
        kept, own = self._trash.keeps(at, place, row), row[5] == owner
        if not own:
            return self.displaced(at, owner, 1, size), kept
        if kept is not None:
            try:
                return self.displaced(at, owner, 1, size), kept
            except Refusal:
                pass
        return self.displaced(at, owner, 0, size - row[3]), None

    def displace(self, at: Context, displaced: list[int]) -> None:
        """Remove what gives way from the trash."""
        for inode in displaced:
            self._trash.remove(at, inode, at_once=AT_ONCE)
