"""How far down and how long the paths beneath a directory reach: the table `spans`, from level 2 on.

A directory that is renamed takes all that is in it along, and no path may get more than 128 levels or 4,096 bytes
(`raftstore.paths`): what is beyond that nobody could name. What is kept of a directory is an upper bound: it grows with
each name that comes, on the way up as far as it is new, and stays when names go. Where a bound would refuse a move, it
is made exact first, by counting, if that can be done with COUNTED names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from raftstore.metadata.database.database import ROOT
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Schema, Table
from raftstore.metadata.tables.names.namespace import Place
from raftstore.paths import MAX_DEPTH, MAX_PATH_BYTES
from raftstore.types import Kind
from raftstore.wire import commands_pb2 as commands

MAX_KNOWN = 8192
"""Directories whose span is kept in memory."""

COUNTED = 10_000
"""Names that are counted at most to make one bound exact: some ten milliseconds."""

Span = tuple[int, int]
"""Levels beneath a directory, and the bytes of the longest path beneath it; (0, 0) of one that was always empty."""

NOTHING = (0, 0)


class Spans(Table):
    """The table `spans`."""

    schemas = (
        Schema(
            "spans",
            "inode",
            """
CREATE TABLE spans (
  inode INTEGER PRIMARY KEY,
  height INTEGER NOT NULL,
  longest INTEGER NOT NULL
) STRICT
""",
            level=2,
        ),
    )

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self._known: dict[int, Span] = {}

    def migrate(self, level: int) -> None:
        """At level 2: make the table for what is there."""
        super().migrate(level)
        if level == 2:
            _fill(self._database)

    def of(self, inode: int) -> Span:
        """Return a bound of what is beneath a directory."""
        found = self._known.get(inode)
        if found is None:
            row = self._execute("SELECT height, longest FROM spans WHERE inode = ?", (inode,)).fetchone()
            found = row or NOTHING
            self._remember(inode, found)
        return found

    def _remember(self, inode: int, span: Span) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[inode] = span

    def _set(self, inode: int, span: Span) -> None:
        self._remember(inode, span)
        self._execute("INSERT OR REPLACE INTO spans VALUES (?, ?, ?)", (inode, *span))

    def begin(self, inode: int) -> None:
        """A directory is made."""
        self._remember(inode, NOTHING)

    def forget(self, inode: int) -> None:
        """A directory is removed."""
        self._known.pop(inode, None)
        self._execute("DELETE FROM spans WHERE inode = ?", (inode,))

    def grow_each(self, places: Sequence[Place]) -> None:
        """As `grow`, for files that have come."""
        known, nothing = self._known, NOTHING
        for place in places:
            height, longest = known.get(place.parent, nothing)
            if not height or 4 * len(place.name) > longest:
                self.grow(place)

    def grow(self, place: Place, directory: int | None = None) -> None:
        """A name has come to `place`; `directory`: its inode, if it may have something in it."""
        inode = place.parent
        if directory is None:
            known = self._known.get(inode, NOTHING)
            if known[0] and (4 * len(place.name) <= known[1] or len(place.name.encode()) <= known[1]):
                return  # nearly always: a file beside others
        span = _with(place.name, self.of(directory) if directory is not None else NOTHING)
        while True:
            before = self.of(inode)
            after = (max(before[0], span[0]), max(before[1], span[1]))
            if after == before:
                return
            self._set(inode, after)
            if inode == ROOT:
                return
            parent, name = self._execute(
                "SELECT parent, name FROM entries WHERE inode = ?", (inode,)
            ).fetchone()
            inode, span = parent, _with(name, after)

    def check_move(self, inode: int, source: str, target: str) -> None:
        """Refuse with BAD_NAME when a path beneath a directory would become too long that is not so already."""
        if self._fits(self.of(inode), source, target):
            return
        exact = self._count(inode)
        if exact is None or not self._fits(exact, source, target):
            bounds = f"{MAX_DEPTH} levels or {MAX_PATH_BYTES} bytes"
            raise Refusal(commands.BAD_NAME, f"what is in it would have paths of more than {bounds}")

    def _fits(self, span: Span, source: str, target: str) -> bool:
        height, longest = span
        deeper = target.count("/") - source.count("/")
        longer = len(target.encode()) - len(source.encode())
        too_deep = deeper > 0 and target.count("/") + height > MAX_DEPTH
        too_long = longer > 0 and len(target.encode()) + 1 + longest > MAX_PATH_BYTES
        return not too_deep and not too_long

    def _count(self, inode: int) -> Span | None:
        """Make the bound of a directory exact, and those of all directories beneath; None when there are too many."""
        order: list[tuple[int, int, str]] = [(inode, 0, "")]
        spans: dict[int, Span] = {}
        left = COUNTED
        for directory, _, _ in order:  # grows meanwhile
            rows = self._execute(
                "SELECT name, kind, inode FROM entries WHERE parent = ? LIMIT ?", (directory, left + 1)
            ).fetchall()
            left -= len(rows)
            if left < 0:
                return None
            order += [(each, directory, name) for name, kind, each in rows if kind == Kind.DIRECTORY]
            spans[directory] = (1 if rows else 0, max((len(name.encode()) for name, _, _ in rows), default=0))
        for directory, parent, name in reversed(order[1:]):
            inner = _with(name, spans[directory])
            spans[parent] = (max(spans[parent][0], inner[0]), max(spans[parent][1], inner[1]))
        for directory, span in spans.items():
            if span != self.of(directory):
                self._set(directory, span)
        return spans[inode]


def _with(name: str, beneath: Span) -> Span:
    """Return what a directory spans by one name in it, with what is beneath that."""
    height, longest = beneath
    size = len(name.encode())
    return height + 1, size + 1 + longest if height else size


def _fill(database: sqlite3.Connection) -> None:
    spans = {
        inode: (1, longest)
        for inode, longest in database.execute(
            "SELECT parent, max(length(CAST(name AS BLOB))) FROM entries WHERE name > '' GROUP BY parent"
        )
    }
    parents = {
        inode: (parent, name)
        for inode, parent, name in database.execute(
            "SELECT inode, parent, name FROM entries WHERE kind = ? AND name > ''", (int(Kind.DIRECTORY),)
        )
    }
    for inode in _deepest_first(parents):
        parent, name = parents[inode]
        inner, before = _with(name, spans.get(inode, NOTHING)), spans.get(parent, NOTHING)
        spans[parent] = (max(before[0], inner[0]), max(before[1], inner[1]))
    rows = [(inode, height, longest) for inode, (height, longest) in sorted(spans.items())]
    database.executemany("INSERT INTO spans VALUES (?, ?, ?)", rows)


def _deepest_first(parents: dict[int, tuple[int, str]]) -> list[int]:
    """Return the directories in an order in which each comes before the one that it lies in."""
    children: dict[int, list[int]] = {}
    for inode, (parent, _) in parents.items():
        children.setdefault(parent, []).append(inode)
    order = [ROOT]
    for inode in order:  # grows meanwhile
        order += children.get(inode, ())
    return order[:0:-1]
