"""Contents with numbers of their own: those of more than SLICE chunks, and those that several files have.

From level 2 on no command touches all rows of a long one. Each chunk is a row of `contents` and a reference, so what
has thousands would hold every node's loop for as long as they take. They come a slice at a time under a number of
their own (`staging`), which a file then takes over: either as its inode, when it is new, or by a row of `content_of`.
When such a content is replaced or removed, its number goes to `leftovers`, and the command `ForgetContents` gives its
chunks up a slice at a time. Until then they stay.

What was sent, from level 3 on, is one content of several inodes: of each there is a row of `content_of` then, also of
the one whose number it is. The last that parts with it gives it up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Self

from raftstore.metadata.registry import Schema, Table, Tables
from raftstore.metadata.tables.cluster.state import State

SLICE = 128
"""Chunks that one command touches at most: some milliseconds."""

_OWN = "coalesce((SELECT content FROM content_of WHERE inode = ?1), ?1)"
_OWN_IF_ANY = (
    "coalesce((SELECT content FROM content_of WHERE inode = ?1),"
    " (SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM leftovers WHERE content = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM content_of WHERE content = ?1)))"
)


class LongContents(Table):
    """The tables `content_of` and `leftovers`."""

    schemas = (
        Schema(
            "content_of",
            "inode",
            """CREATE TABLE content_of (
  inode INTEGER PRIMARY KEY,
  content INTEGER NOT NULL
) STRICT;
CREATE INDEX content_of_by_content ON content_of (content);
""",
            level=2,
        ),
        Schema("leftovers", "content", "CREATE TABLE leftovers (content INTEGER PRIMARY KEY) STRICT", level=2),
    )

    def __init__(self, database: sqlite3.Connection, state: State) -> None:
        super().__init__(database)
        self._executemany = database.cursor().executemany
        self._state = state
        self.known = False
        """Whether the level in force has them; before, every content goes at once, and is called by its inode."""
        self.left = 0
        """How many contents are to be given up."""
        self._some = False
        """Whether there may be contents under another number than their inode's."""
        if self._execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'leftovers')").fetchone()[0]:
            self._read()

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with what gives numbers."""
        return cls(tables.database, tables[State])

    def migrate(self, level: int) -> None:
        """At level 2: begin with none."""
        super().migrate(level)
        if level == 2:
            self._read()

    def _read(self) -> None:
        self.known = True
        self.left = self._execute("SELECT count(*) FROM leftovers").fetchone()[0]
        self._some = bool(self._execute("SELECT EXISTS (SELECT 1 FROM content_of)").fetchone()[0])

    @property
    def most(self) -> int:
        """Chunks of a content that goes at once (-1: any number)."""
        return SLICE if self.known else -1

    @property
    def number(self) -> str:
        """The number of the content of inode ?1, in SQL; NULL when it has none: its own may be left, or another's."""
        if self.left or self._some:
            return _OWN_IF_ANY
        return _OWN if self.known else "?1"

    def new(self, inode: int) -> int:
        """Return the number of a content that `inode` gets now, in place of one that is released."""
        if not (self.left or self._some) or not self._taken(inode):
            return inode
        content = self._state.new_inode()
        self.take(inode, content)
        return content

    def _taken(self, content: int) -> bool:
        """Whether the content of that number is left, or another inode's."""
        return bool(
            self._execute(
                "SELECT EXISTS (SELECT 1 FROM leftovers WHERE content = ?1)"
                " OR EXISTS (SELECT 1 FROM content_of WHERE content = ?1)",
                (content,),
            ).fetchone()[0]
        )

    def of(self, inode: int) -> int | None:
        """Return the number of the content of `inode` if it is noted: it is another one, or shared; None: it is not."""
        if not self._some:
            return None
        row = self._execute("SELECT content FROM content_of WHERE inode = ?", (inode,)).fetchone()
        return row[0] if row is not None else None

    def take(self, inode: int, content: int) -> None:
        """Let `content` be that of `inode`, which has none."""
        if content != inode:
            self._note(inode, content)

    def share_new(self, inode: int, others: Sequence[int]) -> None:
        """Let the content of `inode`, a new file's own, be that of the others too, which are as new."""
        self._executemany(
            "INSERT INTO content_of VALUES (?, ?)", [(inode, inode), *((other, inode) for other in others)]
        )
        self._some = True

    def share(self, inode: int, content: int, others: Sequence[int]) -> None:
        """Let `content`, that of `inode`, be that of the others too, which have none."""
        if content == inode and self.of(inode) is None:
            self._note(inode, content)
        self._executemany("INSERT INTO content_of VALUES (?, ?)", [(other, content) for other in others])
        self._some = True

    def _note(self, inode: int, content: int) -> None:
        self._execute("INSERT INTO content_of VALUES (?, ?)", (inode, content))
        self._some = True

    def hand_over(self, inode: int, to: int) -> None:
        """The content of `inode` is that of `to` from now on, which has none; it keeps its number."""
        content = self.of(inode)
        if content is not None:
            self._execute("DELETE FROM content_of WHERE inode = ?", (inode,))
        self._note(to, inode if content is None else content)

    def part(self, inode: int) -> tuple[int | None, bool]:
        """The inode has its content no more. Return the number if it was noted, and whether others have it."""
        content = self.of(inode)
        if content is None:
            return None, False
        self._execute("DELETE FROM content_of WHERE inode = ?", (inode,))
        row = self._execute("SELECT EXISTS (SELECT 1 FROM content_of WHERE content = ?)", (content,)).fetchone()
        return content, bool(row[0])

    def part_all(self, inodes: Sequence[int]) -> int:
        """Some inodes have their content no more, which is one, and which others have too; return its number."""
        content = self.of(inodes[0])
        assert content is not None
        self._executemany("DELETE FROM content_of WHERE inode = ?", [(inode,) for inode in inodes])
        return content

    def leave(self, content: int) -> None:
        """Nobody has a content any more: it is given up in a while."""
        self._execute("INSERT INTO leftovers VALUES (?)", (content,))
        self.left += 1

    def first(self) -> int | None:
        """Return the content that is given up next."""
        row: tuple[int | None] = self._execute("SELECT min(content) FROM leftovers").fetchone()
        return row[0]

    def gone(self, content: int) -> None:
        """Nothing is left of a content that was to be given up."""
        self._execute("DELETE FROM leftovers WHERE content = ?", (content,))
        self.left -= 1
