"""What interrupted uploads left for their owners: the table `partials`.

From level 2 on they age, by ticks: the command `ExpirePartials` counts them on, and each partial upload knows in which
it was last put. A leader says that the next one begins when a fixed time has passed on a clock of its own that nobody
sets, from the last tick that it has seen applied or from when it began to lead. So no clock that is wrong makes
anything older than it is; what is lost at a change of leader, or while there is none, only keeps things longer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from raftstore.metadata.refusal import Refusal
from raftstore.metadata.tables.contents import Contents
from raftstore.metadata.tables.namespace import Place
from raftstore.metadata.tables.quotas import Quotas
from raftstore.types import owner_name
from raftstore.wire import commands_pb2 as commands

MAX_PARTIALS = 10_000
"""Interrupted uploads that are kept for an owner; further ones are refused."""

MAX_EXPIRED = 256
"""Partial uploads that go with one command at most."""

MAX_EXPIRED_BYTES = 2 << 30
"""Bytes after which one command ends: each MiB is a row for every node. The first always goes."""

_FIND = "SELECT inode, size, mtime_ns FROM partials WHERE parent = ? AND name = ? AND owner = ?"


class Partials:
    """The partial uploads, and what they count."""

    def __init__(self, database: sqlite3.Connection, contents: Contents, quotas: Quotas, total: int) -> None:
        self._execute = database.cursor().execute
        self._contents = contents
        self._quotas = quotas
        self.total = total
        """How many there are."""
        self.bytes: int = (
            self._execute("SELECT coalesce(sum(size), 0) FROM partials").fetchone()[0] if total else 0
        )
        """What they hold."""
        self.tick: int | None = None
        """The present tick; None: they do not age yet."""
        if self._execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'expiry')").fetchone()[0]:
            self._read_tick()

    def begin_to_age(self) -> None:
        """At the level that brings it: what there is counts as put now."""
        self._execute("ALTER TABLE partials ADD COLUMN tick INTEGER NOT NULL DEFAULT 0")
        self._execute("CREATE INDEX partials_by_tick ON partials (tick)")
        self._execute(
            "CREATE TABLE expiry (only INTEGER PRIMARY KEY CHECK (only = 1), tick INTEGER NOT NULL) STRICT"
        )
        self._execute("INSERT INTO expiry VALUES (1, 0)")
        self._read_tick()

    def _read_tick(self) -> None:
        self.tick = self._execute("SELECT tick FROM expiry").fetchone()[0]

    def expire(self, tick: int, keep: int, limit: int) -> None:
        """Let `tick` begin, unless it is the present one, and drop what was last put `keep` or more ticks before it."""
        assert self.tick is not None, "the level is in force"
        if tick not in (self.tick, self.tick + 1):
            raise Refusal(commands.CHANGED, f"tick {self.tick} is the present one")
        if not (keep and 0 < limit <= MAX_EXPIRED):
            raise Refusal(commands.INVALID, f"keep {keep}, limit {limit}")
        if tick != self.tick:
            self._execute("UPDATE expiry SET tick = ?", (tick,))
            self.tick = tick
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
