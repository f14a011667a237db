"""What was removed or replaced and is kept for a while: the table `trash`, from level 3 on.

A version that an account has put is kept when it is removed or replaced, whoever does that, as long as the account's
`trash_ns` says. It becomes an ordinary file of that owner in /people/@trash/NAME, with a new inode to which the
references to its chunks are handed over: no byte is copied, its owner's usage does not change, and what a handle
still has open is not taken for it. Not kept are empty files (clients make one before each upload), and what is in the
areas of /people already: to delete there is for good. Nor does retention keep anything.

It goes when its time is over, by cluster time; when its owner needs the room (`displaced_by`); or when it is told to.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.cluster.clock import Budget, Clock
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.names.spans import Spans
from raftstore.metadata.tables.people.storing import Storing
from raftstore.paths import free_name, join
from raftstore.rights.reserved import LEVEL, Area, is_apart
from raftstore.types import EventKind, Kind, owner_name
from raftstore.wire import commands_pb2 as commands

MAX_DISPLACED = 64
"""Files of the trash that give way to one command which needs room in the quota."""

MAX_EMPTIED = 256
"""Files that one command empties at most."""

_OLDEST = """
SELECT trash.inode, size FROM trash JOIN entries ON entries.inode = trash.inode
  WHERE trash.owner = ? AND trash.inode <= ? ORDER BY trash.inode LIMIT ?
"""
_BEHIND = """
SELECT trash.inode, size FROM trash JOIN entries ON entries.inode = trash.inode
  WHERE trash.owner = ? AND trash.inode > ? ORDER BY trash.inode LIMIT ?
"""
_DUE = """
SELECT inode, stamp_ns, expires_ns, owner FROM trash WHERE expires_ns <= ? ORDER BY expires_ns, inode LIMIT 1
"""


class Trashed(NamedTuple):
    """A file in the trash. `path`: where it was; times are cluster time, in ns."""

    inode: int
    owner: str
    path: str
    stamp_ns: int
    expires_ns: int


class Trash(Table):
    """The table, over the names and contents of its files. Inodes rise with time: the lowest is the oldest."""

    schemas = (
        Schema(
            "trash",
            "inode",
            """
CREATE TABLE trash (
  inode INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  path TEXT NOT NULL,
  stamp_ns INTEGER NOT NULL,
  expires_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX trash_by_owner ON trash (owner, inode);
CREATE INDEX trash_by_expiry ON trash (expires_ns, inode);
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._state = tables[State]
        self._names = tables[Namespace]
        self._contents = tables[Contents]
        self._spans = tables[Spans]
        self._accounts = tables[Accounts]
        self._clock = tables[Clock]
        self._storing = tables[Storing]
        self._events = tables[Events]
        self._some = tables.at.level >= LEVEL and bool(
            self._execute("SELECT EXISTS (SELECT 1 FROM trash)").fetchone()[0]
        )
        """Whether there may be any: who has no trash pays nothing for it. It decides nothing."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with all that a file in it is made of."""
        return cls(tables)

    # What comes into it.

    def keeps(self, at: Context, place: Place, row: Row) -> str | None:
        """Return the path of the file at `place`, if what it has now is to be kept when it goes; else None."""
        if at.level < LEVEL or not row[3]:
            return None
        user = self._accounts.owner(row[5])
        if user is None or not user.trash_ns:
            return None
        directory = self._names.path_of(place.parent)
        if directory is None or is_apart(directory):
            return None
        return join(directory, place.name)

    def take(self, at: Context, row: Row, path: str) -> None:
        """Keep the content of a file that was at `path`, and `keeps`; its inode has none then."""
        name, _, inode, size, mtime_ns, owner, version = row
        user = self._accounts.owner(owner)
        assert user is not None, "it keeps"
        directory = self._storing.directory(at, Area.TRASH.of(owner_name(owner)))
        place = Place(
            directory, free_name(name, lambda each: self._names.at(Place(directory, each)) is not None)
        )
        kept = self._state.new_inode()
        self._contents.hand_over(inode, kept)
        self._names.insert(place, Kind.FILE, kept, size, mtime_ns, owner, version)
        self._spans.grow(place)
        self._names.touch(directory, at.time_ns)
        stamp = self._clock.stamp(at)
        self._execute(
            "INSERT INTO trash VALUES (?, ?, ?, ?, ?)", (kept, owner, path, stamp, stamp + user.trash_ns)
        )
        self._some = True

    # What goes.

    def forget(self, inode: int) -> None:
        """A file is taken away from where it was, which may have been the trash."""
        if self._some:
            self._execute("DELETE FROM trash WHERE inode = ?", (inode,))

    def restored(self, inode: int, owner: str) -> None:
        """A file was moved out of the trash of its owner."""
        self.forget(inode)
        self._events.note(EventKind.RESTORED, inode=inode, owner=owner)

    def give(self, inode: int, owner: str) -> None:
        """A file, which may be in the trash, is another owner's now."""
        if self._some:
            self._execute("UPDATE trash SET owner = ? WHERE inode = ?", (owner, inode))

    def displaced_by(self, owner: str, files: int, size: int) -> list[int] | None:
        """Return what must go for so many files and bytes, the oldest first; None: so many are not enough."""
        chosen: list[int] = []
        for inode, freed in self.oldest(owner, MAX_DISPLACED):
            chosen.append(inode)
            size -= freed
            if len(chosen) >= files and size <= 0:
                return chosen
        return None

    def oldest(self, owner: str, limit: int, upto: int = MAX_INTEGER) -> list[tuple[int, int]]:
        """Return inode and size of an owner's oldest ones up to inode `upto`."""
        return self._execute(_OLDEST, (owner, upto, limit)).fetchall() if self._some else []

    def sizes(self, owner: str, after: int, limit: int) -> list[tuple[int, int]]:
        """Return inode and size of an owner's ones behind inode `after`, the oldest first."""
        return self._execute(_BEHIND, (owner, after, limit)).fetchall() if self._some else []

    def newest(self, owner: str) -> int:
        """Return the inode of an owner's newest one; 0: there is none."""
        if not self._some:
            return 0
        found: int | None = self._execute("SELECT max(inode) FROM trash WHERE owner = ?", (owner,)).fetchone()[
            0
        ]
        return found or 0

    def remove(self, at: Context, inode: int, *, at_once: int = 0) -> None:
        """Remove a file in the trash for good; `at_once`: see `Contents.release`."""
        found = self._names.of_inode(inode)
        if found is not None:
            self._storing.remove(at, *found, at_once=at_once)
        self.forget(inode)

    def due(self, until_ns: int) -> int | None:
        """Return when the first one expires, if not after `until_ns`."""
        row = self._execute(_DUE, (until_ns,)).fetchone() if self._some else None
        return row[2] if row is not None else None

    def expire(self, at: Context, until_ns: int, budget: Budget) -> None:
        """Remove what expires up to `until_ns`, as far as the budget goes."""
        gone: dict[str, int] = {}
        while self._some:
            row = self._execute(_DUE, (until_ns,)).fetchone()
            if row is None:
                break
            inode, stamp, expires, owner = row
            found = self._names.of_inode(inode)
            if not budget.take(found[1][3] if found is not None else 0):
                break
            counted = self._clock.counted_from(stamp)
            if counted > stamp:
                self._execute(
                    "UPDATE trash SET stamp_ns = ?, expires_ns = ? WHERE inode = ?",
                    (counted, expires + counted - stamp, inode),
                )
            else:
                self.remove(at, inode)
                gone[owner] = gone.get(owner, 0) + 1
        for owner, files in gone.items():
            self._events.note(EventKind.TRASH_ENDED, files=files, owner=owner)

    @handles("empty_trash", level=LEVEL)
    def empty(self, command: commands.EmptyTrash, at: Context) -> commands.Result:
        """Remove an owner's oldest ones for good. Refuses with INVALID."""
        limit, upto = command.limit, command.upto or MAX_INTEGER
        if not command.owner or not 0 < limit <= MAX_EMPTIED or upto > MAX_INTEGER:
            raise Refusal(commands.INVALID, f"trash of {command.owner!r}, limit {limit}")
        budget = Budget(limit)
        for inode, size in self.oldest(command.owner, limit, upto):
            if not budget.take(size):
                break
            self.remove(at, inode)
        return commands.Result(removed=budget.spent, finished=not self.oldest(command.owner, 1, upto))

    # Looking.

    def find(self, inode: int) -> Trashed | None:
        """Return what is known of a file in the trash; None: it is in none."""
        row = self._execute("SELECT * FROM trash WHERE inode = ?", (inode,)).fetchone() if self._some else None
        return Trashed(*row) if row is not None else None

    def of(self, owner: str, after: int = 0, limit: int = 200) -> list[tuple[Trashed, Row]]:
        """Return an owner's files in the trash behind inode `after`, the oldest first, with their entries."""
        if not self._some:
            return []
        rows = self._execute(
            "SELECT * FROM trash WHERE owner = ? AND inode > ? ORDER BY inode LIMIT ?", (owner, after, limit)
        ).fetchall()
        found = [(Trashed(*row), self._names.of_inode(row[0])) for row in rows]
        return [(trashed, there[1]) for trashed, there in found if there is not None]
