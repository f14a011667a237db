"""What interrupted uploads left for their owners: the table `partials`.

From level 2 on they age, by ticks: the command `ExpirePartials` counts them on, and each partial upload knows in which
it was last put. A leader says that the next one begins when a fixed time has passed on a clock of its own that nobody
sets, from the last tick that it has seen applied or from when it began to lead. So no clock that is wrong makes
anything older than it is; what is lost at a change of leader, or while there is none, only keeps things longer.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable
from typing import Self

from raftstore.errors import NotADirectory, NotFound
from raftstore.metadata.refusal import MAX_INTEGER, Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.contents.staging import Staging
from raftstore.metadata.tables.names.namespace import Namespace, Place, check_stays
from raftstore.types import Kind, owner_name
from raftstore.wire import commands_pb2 as commands

MAX_PARTIALS = 10_000
"""Interrupted uploads that are kept for an owner; further ones are refused."""

MAX_EXPIRED = 256
"""Partial uploads that go with one command at most."""

MAX_EXPIRED_BYTES = 2 << 30
"""Bytes after which one command ends: each MiB is a row for every node. The first always goes."""

AN_ENTRY = 4
"""Partial uploads of removed directories that go with each log entry, by its first command."""

BYTES_AN_ENTRY = 256 * 1024 * 1024
"""Size of those together from which on the next waits: each megabyte is a reference to a chunk."""

_FIND = "SELECT inode, size, mtime_ns FROM partials WHERE parent = ? AND name = ? AND owner = ?"
_ORPHANS = """
SELECT DISTINCT parent FROM partials WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.inode = partials.parent)
"""
_IN_DIRECTORY = "SELECT name, owner, size FROM partials WHERE parent = ? ORDER BY name, owner LIMIT ?"


class Expiry(Table):
    """The table `expiry`, from level 2 on: the present tick."""

    schemas = (
        Schema(
            "expiry",
            "only",
            "CREATE TABLE expiry (only INTEGER PRIMARY KEY CHECK (only = 1), tick INTEGER NOT NULL) STRICT",
            level=2,
            rows=((1, 0),),
        ),
    )

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self.tick: int | None = None
        """The present tick; None: partial uploads do not age yet."""
        if self._execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'expiry')").fetchone()[0]:
            self._read()

    def migrate(self, level: int) -> None:
        """At level 2: begin with the first tick."""
        super().migrate(level)
        if level == 2:
            self._read()

    def _read(self) -> None:
        self.tick = self._execute("SELECT tick FROM expiry").fetchone()[0]

    def begin(self, tick: int) -> None:
        """Let a tick begin, unless it is the present one."""
        if tick != self.tick:
            self._execute("UPDATE expiry SET tick = ?", (tick,))
            self.tick = tick


class Partials(Table):
    """The partial uploads, and what they count."""

    schemas = (
        Schema(
            "partials",
            "parent, name, owner",
            """
CREATE TABLE partials (
  parent INTEGER NOT NULL,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  inode INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  PRIMARY KEY (parent, name, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX partials_by_owner ON partials (owner);
""",
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._state = tables[State]
        self._names = tables[Namespace]
        self._contents = tables[Contents]
        self._staging = tables[Staging]
        self._quotas = tables[Quotas]
        self._expiry = tables[Expiry]
        self.total = self._state.partials
        """How many there are."""
        self.bytes: int = (
            self._execute("SELECT coalesce(sum(size), 0) FROM partials").fetchone()[0] if self.total else 0
        )
        """What they hold."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with where they are, what they hold and whose they are."""
        return cls(tables)

    def migrate(self, level: int) -> None:
        """From level 2 on they age: what there is counts as put in the first tick."""
        super().migrate(level)
        if level == 2:
            self._execute("ALTER TABLE partials ADD COLUMN tick INTEGER NOT NULL DEFAULT 0")
            self._execute("CREATE INDEX partials_by_tick ON partials (tick)")

    def flush(self) -> None:
        """Note how many there are."""
        self._state.partials = self.total

    @property
    def tick(self) -> int | None:
        """The present tick; None: they do not age yet."""
        return self._expiry.tick

    @handles("put_partial", level=1)
    def put_partial(self, command: commands.PutPartial, at: Context) -> commands.Result:
        """Keep what an upload has left. Refuses with IS_A_DIRECTORY, DENIED, QUOTA, and as `plan`, `new_place`."""
        owner, size = at.leave.owner, command.size
        check_label(owner, "an owner")
        place, row = self._names.new_place(at, command.path, commands.IS_A_DIRECTORY)
        if row is not None and row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        check_stays(at, command.path)
        content = self._staging.content(command, 0)

        def acquire() -> int:
            inode = self._staging.new_inode(content)
            self._staging.give(inode, content, owner, published=False)
            return inode

        return commands.Result(inode=self.put(place, owner, size, at.time_ns, acquire))

    @handles("drop_partial", level=1)
    def drop_partial(self, command: commands.DropPartial, at: Context) -> None:
        """Drop one. Refuses with NOT_FOUND, and as `new_place`."""
        place, _ = self._names.new_place(at, command.path, commands.IS_A_DIRECTORY, existing=True)
        if not self.forget(place, at.leave.owner):
            raise Refusal(commands.NOT_FOUND, command.path)

    @handles("expire_partials", level=2)
    def expire(self, command: commands.ExpirePartials, at: Context) -> None:
        """Let a tick begin, unless it is the present one, and drop what was last put `keep` or more ticks before it."""
        present, keep, limit = self.tick, command.keep, command.limit
        assert present is not None, "the level is in force"
        if command.tick not in (present, present + 1):
            raise Refusal(commands.CHANGED, f"tick {present} is the present one")
        if not (0 < keep <= MAX_INTEGER and 0 < limit <= MAX_EXPIRED):
            raise Refusal(commands.INVALID, f"keep {keep}, limit {limit}")
        self._expiry.begin(command.tick)
        freed = 0
        for parent, name, owner, size in self._old(keep, limit):
            freed += size
            if freed > max(size, MAX_EXPIRED_BYTES):
                return
            self.forget(Place(parent, name), owner)

    def _old(self, keep: int, limit: int) -> list[tuple[int, str, str, int]]:
        found: list[tuple[int, str, str, int]] = self._execute(
            "SELECT parent, name, owner, size FROM partials WHERE tick <= ?"
            " ORDER BY tick, parent, name, owner LIMIT ?",
            ((self.tick or 0) - keep, limit),
        ).fetchall()
        return found

    def due(self, keep: int) -> bool:
        """Whether `expire` would drop something in the present tick."""
        return bool(self.total) and self.tick is not None and bool(self._old(keep, 1))

    def page(self, after: tuple[int, str, str], limit: int) -> list[tuple[int, str, str, int, int, int]]:
        """Return parent, name, owner, size, time and age in ticks of those after another one, by the former three."""
        if not self.total:
            return []
        tick = "0" if self.tick is None else "(SELECT tick FROM expiry) - tick"
        found: list[tuple[int, str, str, int, int, int]] = self._execute(
            f"SELECT parent, name, owner, size, mtime_ns, {tick} FROM partials"
            " WHERE (parent, name, owner) > (?, ?, ?) ORDER BY parent, name, owner LIMIT ?",
            (*after, limit),
        ).fetchall()
        return found

    def of_path(self, owner: str, path: str) -> tuple[int, int, int] | None:
        """Return what `find` does, by a path. Raises BadName."""
        if path == "/":
            return None
        try:
            return self.find(self._names.place(path), owner)
        except (NotFound, NotADirectory, UnicodeEncodeError):
            return None

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
        row: tuple[object, ...] = (place.parent, place.name, owner, inode, size, time_ns)
        if self.tick is not None:
            row += (self.tick,)
        self._execute(f"INSERT INTO partials VALUES ({', '.join('?' * len(row))})", row)
        self._quotas.count(owner, partial_bytes=size)
        self.total += 1
        self.bytes += size
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
        self.bytes -= size
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


class Orphans(Table):
    """Removed directories with partial uploads in them: these go a few at a time.

    There can be ten thousand of each owner in one directory, and to drop them all in the command that removes it would
    hold up every node's loop. Nobody finds them any more, since no inode comes twice. Until they are gone they count
    for their owners, and their chunks stay. The directories follow from the tables, so all nodes agree on them.

    One of which nothing is left may still be known here, and not to a node that was started since: it decides nothing.
    """

    def __init__(self, database: sqlite3.Connection, partials: Partials) -> None:
        super().__init__(database)
        self._partials = partials
        self.directories: list[int] = (
            [row[0] for row in self._execute(_ORPHANS).fetchall()] if partials.total else []
        )
        """Removed ones in which there may be some: a heap."""
        heapq.heapify(self.directories)

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the partial uploads."""
        return cls(tables.database, tables[Partials])

    def add(self, directory: int) -> None:
        """A directory, given by its inode, was removed."""
        if self._partials.total and self._execute(_IN_DIRECTORY, (directory, 1)).fetchone() is not None:
            heapq.heappush(self.directories, directory)

    def drop_some(self) -> None:
        """At the beginning of an entry: drop a few."""
        rows: list[tuple[str, str, int]] = []
        while self.directories and not rows:
            directory = self.directories[0]
            rows = self._execute(_IN_DIRECTORY, (directory, AN_ENTRY)).fetchall()
            if not rows:
                heapq.heappop(self.directories)
        total = 0
        for name, owner, size in rows:
            total += size
            if total > BYTES_AN_ENTRY and total > size:
                break
            self._partials.forget(Place(directory, name), owner)
