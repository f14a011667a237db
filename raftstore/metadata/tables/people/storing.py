"""Files and directories that commands make or take away beside the one that they name: on the catalog's own account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from raftstore.errors import NotADirectory, NotFound
from raftstore.metadata.database.database import ROOT
from raftstore.metadata.registry import Context, Table, Tables
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.names.spans import Spans
from raftstore.paths import numbered
from raftstore.types import Kind


class Storing(Table):
    """Writes names with all that they count. Nothing is refused here: whoever calls it has checked that before."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._state = tables[State]
        self._names = tables[Namespace]
        self._contents = tables[Contents]
        self._quotas = tables[Quotas]
        self._spans = tables[Spans]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with what a name counts in."""
        return cls(tables)

    def directory(self, at: Context, path: str, owner: str = "") -> int:
        """Return the inode of the directory at `path`; make what is missing of the way, `owner`'s.

        Where a file is in the way the directory gets a number behind its name.
        """
        try:
            return self._names.directory(path)
        except (NotFound, NotADirectory):
            pass
        inode = ROOT
        for name in path[1:].split("/"):
            inode = self._step(at, Place(inode, name), owner)
        return inode

    def _step(self, at: Context, place: Place, owner: str) -> int:
        number, wanted = 1, place
        row = self._names.at(wanted)
        while row is not None and row[1] != Kind.DIRECTORY:
            number += 1
            wanted = Place(place.parent, numbered(place.name, number))
            row = self._names.at(wanted)
        return row[2] if row is not None else self._make(at, wanted, owner)

    def _make(self, at: Context, place: Place, owner: str) -> int:
        inode = self._state.new_inode()
        self._names.insert(place, Kind.DIRECTORY, inode, 0, at.time_ns, owner, at.index)
        self._quotas.count(owner, files=1)
        self._spans.grow(place)
        self._names.touch(place.parent, at.time_ns)
        return inode

    def add(self, at: Context, place: Place, size: int, mtime_ns: int, owner: str, inode: int = 0) -> int:
        """Make a file at `place`, where nothing is; return its inode (0: a new one)."""
        inode = inode or self._state.new_inode()
        self._names.insert(place, Kind.FILE, inode, size, mtime_ns, owner, at.index)
        self.count(owner, 1, size)
        self._spans.grow(place)
        self._names.touch(place.parent, at.time_ns)
        return inode

    def add_all(self, at: Context, wanted: Sequence[tuple[Place, str]], size: int, mtime_ns: int) -> list[int]:
        """Make a file at each of some places, of an owner each; see `add`."""
        inodes = self._state.new_inodes(len(wanted))
        kind = int(Kind.FILE)
        rows = [
            (place.parent, place.name, kind, inode, size, mtime_ns, owner, at.index)
            for inode, (place, owner) in zip(inodes, wanted, strict=True)
        ]
        self._names.insert_all(rows)
        self._names.touch_all([place.parent for place, _ in wanted], at.time_ns)
        self._quotas.count_each([owner for _, owner in wanted], files=1, size=size)
        self._spans.grow_each([place for place, _ in wanted])
        self._state.files += len(rows)
        self._state.bytes += size * len(rows)
        return inodes

    def remove(self, at: Context, place: Place, row: Row, *, at_once: int = 0) -> None:
        """Remove the file at `place` with its content; `at_once`: see `Contents.release`."""
        self._contents.release(row[2], published=True, at_once=at_once)
        self.count(row[5], -1, -row[3])
        self._names.remove(place, directory=False)
        self._names.touch(place.parent, at.time_ns)

    def remove_all(self, at: Context, found: Sequence[tuple[Place, Row]]) -> None:
        """Remove some files, which have one content together; see `remove`."""
        self._contents.release_all([row[2] for _, row in found])
        for place, row in found:
            self.count(row[5], -1, -row[3])
            self._names.touch(place.parent, at.time_ns)
        self._names.remove_all([place for place, _ in found])

    def make_all(self, at: Context, wanted: Sequence[tuple[Place, str]]) -> list[int]:
        """Make a directory at each of some places, where nothing is, of an owner each; return their inodes.

        In each something is to be made at once: how far the paths around it reach is counted with that.
        """
        inodes = [self._state.new_inode() for _ in wanted]
        rows = [
            (*place, int(Kind.DIRECTORY), inode, 0, at.time_ns, owner, at.index)
            for inode, (place, owner) in zip(inodes, wanted, strict=True)
        ]
        self._names.insert_all(rows)
        for inode, (place, owner) in zip(inodes, wanted, strict=True):
            self._quotas.count(owner, files=1)
            self._spans.begin(inode)
            self._names.touch(place.parent, at.time_ns)
        return inodes

    def remove_directory(self, at: Context, place: Place, row: Row) -> None:
        """Remove the directory at `place`, which is empty."""
        self._quotas.count(row[5], files=-1)
        self._names.remove(place, directory=True)
        self._spans.forget(row[2])
        self._names.touch(place.parent, at.time_ns)

    def move(self, at: Context, place: Place, target: Place) -> None:
        """Move the file at `place` to `target`, where nothing is."""
        self._names.move(place, target, directory=False)
        self._spans.grow(target)
        self._names.touch(place.parent, at.time_ns)
        self._names.touch(target.parent, at.time_ns)

    def give(self, place: Place, row: Row, owner: str) -> None:
        """Make what is at `place`, a file, `owner`'s."""
        self._names.give(place, owner)
        self._quotas.count(row[5], files=-1, size=-row[3])
        self._quotas.count(owner, files=1, size=row[3])

    def count(self, owner: str, files: int, size: int) -> None:
        """Count files of an owner that come or go."""
        self._quotas.count(owner, files=files, size=size)
        self._state.files += files
        self._state.bytes += size
