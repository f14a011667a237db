"""What is put to somebody and not delivered yet: empty files, and names that uploaders use while they write."""

from __future__ import annotations

import sqlite3
from typing import Self

from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.metadata.tables.cluster.clock import Budget, Clock
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.metadata.tables.people.storing import Storing
from raftstore.rights.reserved import LEVEL

KEPT_NS = 24 * 3600 * 10**9
"""For which a draft is kept after its last change, in cluster time."""


class Drafts(Table):
    """The table `drafts`: their inodes, and when each was changed last."""

    schemas = (
        Schema(
            "drafts",
            "inode",
            """
CREATE TABLE drafts (
  inode INTEGER PRIMARY KEY,
  changed_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX drafts_by_change ON drafts (changed_ns, inode);
""",
            level=LEVEL,
        ),
    )

    def __init__(self, database: sqlite3.Connection, clock: Clock, names: Namespace, storing: Storing) -> None:
        super().__init__(database)
        self._clock = clock
        self._names = names
        self._storing = storing

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with cluster time, and where they are."""
        return cls(tables.database, tables[Clock], tables[Namespace], tables[Storing])

    def note(self, at: Context, inode: int) -> None:
        """A draft was changed."""
        self._execute("INSERT OR REPLACE INTO drafts VALUES (?, ?)", (inode, self._clock.stamp(at)))

    def forget(self, inode: int) -> None:
        """It is delivered, or gone."""
        self._execute("DELETE FROM drafts WHERE inode = ?", (inode,))

    def due(self, until_ns: int) -> int | None:
        """Return when the first one is kept no longer, if not after `until_ns`."""
        row = self._execute(
            "SELECT changed_ns FROM drafts WHERE changed_ns <= ? ORDER BY changed_ns LIMIT 1",
            (until_ns - KEPT_NS,),
        ).fetchone()
        return row[0] + KEPT_NS if row is not None else None

    def expire(self, at: Context, until_ns: int, budget: Budget) -> None:
        """Remove those that are kept no longer."""
        while True:
            row = self._execute(
                "SELECT inode, changed_ns FROM drafts WHERE changed_ns <= ? ORDER BY changed_ns, inode LIMIT 1",
                (until_ns - KEPT_NS,),
            ).fetchone()
            if row is None:
                return
            inode, changed = row
            found = self._names.of_inode(inode)
            if not budget.take(found[1][3] if found is not None else 0):
                return
            counted = self._clock.counted_from(changed)
            if counted > changed:
                self._execute("UPDATE drafts SET changed_ns = ? WHERE inode = ?", (counted, inode))
                continue
            if found is not None:
                self._storing.remove(at, *found)
            self.forget(inode)
