"""Names in directories. An entry is found by (parent inode, name): renaming a directory moves one row.

What commands do to names concerns more tables than this one: see `files`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.database.database import ROOT
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Schema, Table
from raftstore.paths import MAX_DEPTH, MAX_PATH_BYTES, check_name, split
from raftstore.rights.looks import sees
from raftstore.rights.reserved import LEVEL, PEOPLE, stays
from raftstore.types import Entry, Kind, Order
from raftstore.wire import commands_pb2 as commands

MAX_KNOWN = 8192
"""Directories whose path is kept in memory."""

COLUMNS = "name, kind, inode, size, mtime_ns, owner, version"
_ASKED = ", ".join(f"entries.{column}" for column in COLUMNS.split(", "))
_FIND = f"SELECT {COLUMNS} FROM entries WHERE parent = ? AND name = ?"
_LIST = f"SELECT {COLUMNS} FROM entries WHERE parent = ? AND name > ? ORDER BY name LIMIT ?"
_LIST_BACK = (
    f"SELECT {COLUMNS} FROM entries WHERE parent = ? AND name < ? AND name > '' ORDER BY name DESC LIMIT ?"
)
_SORTED = {
    Order.TIME: f"SELECT {COLUMNS} FROM entries WHERE parent = ? AND name > '' ORDER BY mtime_ns DESC, name",
    Order.SIZE: f"SELECT {COLUMNS} FROM entries WHERE parent = ? AND name > '' ORDER BY size DESC, name",
}
_LAST = b""
"""Behind every name: SQLite sorts blobs after texts."""

_KINDS = {1: Kind.FILE, 2: Kind.DIRECTORY}
_SURELY_SHORT = MAX_PATH_BYTES // 4

Row = tuple[str, int, int, int, int, str, int]


class Place(NamedTuple):
    """Where a name is, or would be: the directory's inode and the name in it."""

    parent: int
    name: str


def entry_of(row: Row) -> Entry:
    """Make an Entry of a row of COLUMNS."""
    name, kind, inode, size, mtime_ns, owner, version = row
    return Entry(name, _KINDS[kind], inode, size, mtime_ns, owner, version)


class Namespace(Table):
    """The table `entries`, read and changed through one connection."""

    schemas = (
        Schema(
            "entries",
            "parent, name",
            """
CREATE TABLE entries (
  parent INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (parent, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_inode ON entries (inode);
""",
            # The root is its own parent's empty name: found like any other entry, and never listed as one.
            rows=((ROOT, "", int(Kind.DIRECTORY), ROOT, 0, 0, "", 0),),
        ),
    )

    def check_level(self, level: int) -> None:
        """Level 3 reserves /people."""
        if level == LEVEL and self.at(Place(ROOT, PEOPLE[1:])) is not None:
            raise Refusal(commands.CHANGED, f"{PEOPLE} is reserved for persons: rename what is there first")

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self._executemany = database.cursor().executemany
        # Path of a directory, without the last slash ("" is the root), to its inode.
        self._known: dict[str, int] = {"": ROOT}
        self._touched: dict[int, int] = {}

    # Finding.

    def row(self, path: str) -> Row:
        """Return the row of `path`. Raises NotFound, NotADirectory (on the way), BadName."""
        head, slash, name = path.rpartition("/")
        parent = self._known.get(head)
        try:
            if parent is None or not slash:
                parent = self._walk(split(path, existing=True)[:-1])
            row: Row | None = self._execute(_FIND, (parent, name)).fetchone()
        except UnicodeEncodeError:
            raise BadName("a name must be UTF-8; set your client to UTF-8") from None
        if row is None:
            if len(path) > 1:
                split(path, existing=True)
            raise NotFound(path)
        return row

    def place(self, path: str, *, existing: bool = False) -> Place:
        """Return where `path`, not the root, is or would be. Raises BadName, NotFound, NotADirectory.

        `existing`: for something that is there, however long its path has become.
        """
        head, slash, name = path.rpartition("/")
        parent = self._known.get(head)
        if parent is None or not slash or len(path) > _SURELY_SHORT or path.count("/") > MAX_DEPTH:
            names = split(path, existing=existing)
            parent, name = self._walk(names[:-1]), names[-1]
        else:
            check_name(name)
        return Place(parent, name)

    def at(self, place: Place) -> Row | None:
        """Return the row at `place`, None where nothing is."""
        row: Row | None = self._execute(_FIND, (place.parent, place.name)).fetchone()
        return row

    def having(self, directories: Sequence[int], name: str) -> set[int]:
        """Return those of some directories, given by their inodes, that have an entry of that name."""
        rows = self._execute(
            "SELECT entries.parent FROM json_each(?1) AS asked CROSS JOIN entries"
            " ON entries.parent = asked.value AND entries.name = ?2",
            (json.dumps(directories), name),
        ).fetchall()
        return {parent for (parent,) in rows}

    def of_inodes(self, inodes: Sequence[int]) -> dict[int, tuple[Place, Row]]:
        """Return what `of_inode` does, of those that are anywhere, by inode."""
        found = self._execute(
            f"SELECT entries.parent, {_ASKED} FROM json_each(?) AS asked CROSS JOIN entries"
            " ON entries.inode = asked.value",
            (json.dumps(inodes),),
        ).fetchall()
        return {row[3]: (Place(row[0], row[1]), row[1:]) for row in found}

    def rows_in(self, directory: int, names: Sequence[str]) -> dict[str, Row]:
        """Return the rows of those of some names that are in a directory, by name."""
        rows = self._execute(
            f"SELECT {_ASKED} FROM json_each(?2) AS asked CROSS JOIN entries"
            " ON entries.parent = ?1 AND entries.name = asked.value",
            (directory, json.dumps(names)),
        ).fetchall()
        return {row[0]: row for row in rows}

    def empty_of(self, directories: Sequence[int]) -> list[int]:
        """Return those of some directories, given by their inodes, that have no entries."""
        rows = self._execute(
            "SELECT asked.value FROM json_each(?) AS asked WHERE NOT EXISTS"
            " (SELECT 1 FROM entries WHERE entries.parent = asked.value AND entries.name > '')",
            (json.dumps(directories),),
        ).fetchall()
        return [inode for (inode,) in rows]

    def new_place(
        self, at: Context, path: str, at_root: commands.Status, *, existing: bool = False
    ) -> tuple[Place, Row | None]:
        """Return where a command puts something, and what is there. Refuses with `at_root`, NO_PARENT, ..."""
        if path == "/":
            raise Refusal(at_root, path)
        try:
            place = self.place(path, existing=existing and at.level >= 2)
        except NotFound as error:
            raise Refusal(commands.NO_PARENT, error.detail) from None
        except NotADirectory as error:
            if at.rights is not None and not at.rights.lists(path):
                raise Refusal(commands.NO_PARENT, path) from None  # what is there is not to be seen
            raise Refusal(commands.NOT_A_DIRECTORY, error.detail) from None
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None
        row: Row | None = self._execute(_FIND, (place.parent, place.name)).fetchone()
        return place, row

    def old_place(self, at: Context, path: str, at_root: commands.Status) -> tuple[Place, Row]:
        """Return where what a command names is, and its row.

        Refuses with `at_root`, NOT_FOUND, NOT_A_DIRECTORY, BAD_NAME.
        """
        try:
            place, row = self.new_place(at, path, at_root, existing=True)
        except Refusal as refusal:
            if refusal.status == commands.NO_PARENT:
                raise Refusal(commands.NOT_FOUND, path) from None
            raise
        if row is None or _hidden(at, path, row):
            raise Refusal(commands.NOT_FOUND, path)
        return place, row

    def _walk(self, names: list[str]) -> int:
        inode, path = ROOT, ""
        for name in names:
            path = f"{path}/{name}"
            known = self._known.get(path)
            if known is None:
                row = self._execute(_FIND, (inode, name)).fetchone()
                if row is None:
                    raise NotFound(path)
                if row[1] != Kind.DIRECTORY:
                    raise NotADirectory(path)
                known = row[2]
                self._know(path, known)
            inode = known
        return inode

    def _know(self, path: str, inode: int) -> None:
        if path == "/":
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
            self._known[""] = ROOT
        self._known[path] = inode

    def directory(self, path: str) -> int:
        """Return the inode of a directory. Raises NotFound, NotADirectory, BadName."""
        known = self._known.get(path) if path != "/" else ROOT
        if known is not None and path:
            return known
        row = self.row(path)
        if row[1] != Kind.DIRECTORY:
            raise NotADirectory(path)
        self._know(path, row[2])
        return row[2]

    def listing(
        self, inode: int, limit: int = -1, *, after: str = "", backwards: bool = False
    ) -> sqlite3.Cursor:
        """Return a cursor over the rows in directory `inode`, by name; to be read at once. `limit` -1: all.

        Those behind the name `after` ("": from the first on), `backwards` in the opposite order.
        """
        if backwards:
            return self._execute(_LIST_BACK, (inode, after or _LAST, limit))
        return self._execute(_LIST, (inode, after, limit))

    def sorted(self, inode: int, order: Order) -> sqlite3.Cursor:
        """Return a cursor over all rows in directory `inode`, in an order for which there is no index."""
        return self._execute(_SORTED[order], (inode,))

    def has_more_than(self, inode: int, count: int) -> bool:
        """Whether a directory has more than `count` entries."""
        found = self._execute(
            "SELECT 1 FROM entries WHERE parent = ? AND name > '' LIMIT 1 OFFSET ?", (inode, count)
        ).fetchone()
        return found is not None

    def is_empty(self, inode: int) -> bool:
        """Whether a directory has no entries."""
        row = self._execute("SELECT 1 FROM entries WHERE parent = ? AND name > '' LIMIT 1", (inode,)).fetchone()
        return row is None

    def of_inode(self, inode: int) -> tuple[Place, Row] | None:
        """Return where an inode is, and its row; None when it is nowhere."""
        found = self._execute(f"SELECT parent, {COLUMNS} FROM entries WHERE inode = ?", (inode,)).fetchone()
        return (Place(found[0], found[1]), found[1:]) if found is not None else None

    def is_directory(self, inode: int) -> bool:
        """Whether there is a directory with that inode."""
        row = self._execute("SELECT kind FROM entries WHERE inode = ?", (inode,)).fetchone()
        return row is not None and row[0] == Kind.DIRECTORY

    def path_of(self, inode: int) -> str | None:
        """Return the path of an inode; None when no entry has that number."""
        names: list[str] = []
        while inode != ROOT:
            row = self._execute("SELECT parent, name FROM entries WHERE inode = ?", (inode,)).fetchone()
            if row is None:
                return None
            inode = row[0]
            names.append(row[1])
        return "/" + "/".join(reversed(names))

    # Changing.

    def insert(
        self, place: Place, kind: Kind, inode: int, size: int, mtime_ns: int, owner: str, version: int
    ) -> None:
        """Put a new entry at `place`, where nothing is."""
        self._execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, int(kind), inode, size, mtime_ns, owner, version),
        )

    def insert_all(self, rows: Sequence[tuple[int, str, int, int, int, int, str, int]]) -> None:
        """Put new entries where nothing is: of each its parent, and what COLUMNS say."""
        self._executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def replace(self, place: Place, size: int, mtime_ns: int, owner: str, version: int) -> None:
        """Give the file at `place` a new version."""
        self._execute(
            "UPDATE entries SET size = ?, mtime_ns = ?, owner = ?, version = ? WHERE parent = ? AND name = ?",
            (size, mtime_ns, owner, version, place.parent, place.name),
        )

    def give(self, place: Place, owner: str) -> None:
        """Make the entry at `place` another owner's."""
        self._execute(
            "UPDATE entries SET owner = ? WHERE parent = ? AND name = ?", (owner, place.parent, place.name)
        )

    def set_modified(self, place: Place, inode: int, mtime_ns: int) -> None:
        """Set the time of the entry at `place`."""
        self._touched.pop(inode, None)
        self._execute(
            "UPDATE entries SET mtime_ns = ? WHERE parent = ? AND name = ?",
            (mtime_ns, place.parent, place.name),
        )

    def move(self, source: Place, target: Place, *, directory: bool) -> None:
        """Move the entry at `source` to `target`, where nothing is."""
        self._execute(
            "UPDATE entries SET parent = ?, name = ? WHERE parent = ? AND name = ?",
            (target.parent, target.name, source.parent, source.name),
        )
        if directory:
            self.forget_paths()

    def remove(self, place: Place, *, directory: bool) -> None:
        """Remove the entry at `place`; a directory is empty."""
        self._execute("DELETE FROM entries WHERE parent = ? AND name = ?", (place.parent, place.name))
        if directory:
            self.forget_paths()

    def remove_all(self, places: Sequence[Place]) -> None:
        """Remove the entries at some places; of directories the paths are forgotten besides, if any are there."""
        self._executemany("DELETE FROM entries WHERE parent = ? AND name = ?", places)

    def forget_paths(self) -> None:
        """Drop what is known of paths: a directory has moved or gone."""
        self._known.clear()
        self._known[""] = ROOT

    def touch(self, inode: int, time_ns: int) -> None:
        """Note that the entries of directory `inode` changed; written at the end of the log entry."""
        self._touched[inode] = time_ns

    def touch_all(self, inodes: Sequence[int], time_ns: int) -> None:
        """As `touch`, for some directories."""
        self._touched |= dict.fromkeys(inodes, time_ns)

    def flush(self) -> None:
        """Write the times of touched directories into the current transaction."""
        if not self._touched:
            return
        rows = [(time_ns, inode) for inode, time_ns in self._touched.items()]
        self._executemany("UPDATE entries SET mtime_ns = ? WHERE inode = ?", rows)
        self._touched.clear()


def _hidden(at: Context, path: str, row: Row) -> bool:
    """Whether the actor, who may touch only its own files there, is not to know that this is there."""
    if at.rights is None or not at.leave.source_of:
        return False
    return not sees(at.rights, path, directory=row[1] == Kind.DIRECTORY, owner=row[5])


def check_stays(at: Context, path: str) -> None:
    """Refuse with DENIED to make, move, remove or replace the places of persons, whoever asks."""
    if at.level >= LEVEL and stays(path):
        raise Refusal(
            commands.DENIED, f"{path} belongs to the places of persons: it is made, and stays, by itself"
        )
