"""What status and repair ask: which pictures are short of replicas, and what lies where.

Cost: nothing is short -> a pass over the few sets of stores, no SQL. Something is -> index seeks for what is
returned.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterator

import blake3

from raftstore.metadata.database.database import level_of
from raftstore.metadata.refusal import MAX_INTEGER
from raftstore.metadata.tables import SCHEMAS
from raftstore.metadata.tables.contents.replicas import ReplicaSet, ReplicaSets
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.types import ChunkRef, Wanted

PAGE = 500
"""Chunks that `chunks_on` tells at a time: some milliseconds."""

EXACT = 2_000
"""Short chunks up to which the files that have them are counted one by one."""

_FILES_1 = """
SELECT DISTINCT entries.inode FROM chunks
  JOIN contents ON contents.chunk = chunks.id
  JOIN entries ON entries.inode = contents.inode
  WHERE chunks.replicas = ? LIMIT ?
"""
_FILES = """
SELECT DISTINCT entries.inode FROM chunks
  JOIN contents ON contents.chunk = chunks.id
  LEFT JOIN content_of ON content_of.content = contents.inode
  JOIN entries ON entries.inode = coalesce(content_of.inode, contents.inode)
  WHERE chunks.replicas = ? AND NOT EXISTS (SELECT 1 FROM leftovers WHERE leftovers.content = contents.inode) LIMIT ?
"""
_PAGE = "SELECT id, digest FROM chunks WHERE replicas = ? AND id > ? ORDER BY id LIMIT ?"
_CHUNKS = "SELECT digest, length FROM chunks WHERE replicas = ? AND id <= ? ORDER BY id LIMIT ?"
_GROUP_PAGE = (
    "SELECT id, digest, length FROM chunks WHERE replicas = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?"
)


class Reports:
    """Questions about replicas over one connection."""

    def __init__(self, database: sqlite3.Connection, sets: ReplicaSets, names: Namespace) -> None:
        self._database = database
        self._execute = database.cursor().execute
        self._sets = sets
        self._names = names

    def short_files(self, wanted: Wanted, live: Collection[int], limit: int) -> tuple[int, list[str]]:
        """Return how many files have a chunk on fewer stores of `live` than are `wanted`, and up to `limit` paths,
        sorted.

        The count is exact up to EXACT short chunks. Beyond, it is of files whose first chunk is short: the same
        for files of one chunk, possibly too low for longer ones.
        """
        short = self._sets.short(wanted, live)
        if not short:
            return 0, []
        exact = sum(group.chunks for _, group in short) <= EXACT
        files = _FILES if level_of(self._database) >= 2 else _FILES_1
        inodes: set[int] = set()
        for _, group in short:
            # One chunk may be in any number of files: the bound holds for those too.
            left = max(limit, EXACT if exact else 0) - len(inodes)
            if left > 0:
                inodes.update(row[0] for row in self._execute(files, (group.number, left)).fetchall())
        first = sorted(inodes)[: max(limit, 0)]
        paths = sorted(path for inode in first if (path := self._names.path_of(inode)) is not None)
        if exact and len(inodes) < EXACT:
            return len(inodes), paths
        return max(len(inodes), sum(group.heads for _, group in short)), paths

    def short_chunks(
        self,
        wanted: Wanted,
        live: Collection[int],
        limit: int,
        among: Callable[[tuple[int, ...]], bool],
        upto: int = MAX_INTEGER,
    ) -> list[ChunkRef]:
        """Return up to `limit` chunks on fewer stores of `live` than are `wanted`, on a set of stores that is `among`.

        Those with the fewest copies left come first, but those with none, which nobody can repair now, last.
        Chunks with a number above `upto` are passed over.
        """
        found: list[ChunkRef] = []
        for group in self._urgent(wanted, live, among):
            if len(found) >= limit:
                break
            rows = self._execute(_CHUNKS, (group.number, upto, limit - len(found))).fetchall()
            copies = group.copies(wanted)
            found.extend(ChunkRef(digest, length, group.stores, copies) for digest, length in rows)
        return found

    def short_pages(
        self,
        wanted: Wanted,
        live: Collection[int],
        among: Callable[[tuple[int, ...]], bool],
        upto: int,
    ) -> Iterator[list[ChunkRef]]:
        """Yield all that `short_chunks` means, PAGE at a time; they may change meanwhile."""
        return self._pages(self._urgent(wanted, live, among), wanted, upto)

    def _pages(self, groups: list[ReplicaSet], wanted: Wanted, upto: int) -> Iterator[list[ChunkRef]]:
        for group in groups:
            after, copies = 0, group.copies(wanted)
            while rows := self._execute(_GROUP_PAGE, (group.number, after, upto, PAGE)).fetchall():
                yield [ChunkRef(digest, length, group.stores, copies) for _, digest, length in rows]
                after = rows[-1][0]

    def surplus_chunks(self, wanted: Wanted, live: Collection[int], limit: int, upto: int) -> list[ChunkRef]:
        """Return some chunks, about `limit`, on more stores of `live` than are wanted: of all sets of stores."""
        groups = self._sets.surplus(wanted, live)
        found: list[ChunkRef] = []
        for group in groups[:limit]:
            rows = self._execute(_CHUNKS, (group.number, upto, max(1, limit // len(groups)))).fetchall()
            copies = group.copies(wanted)
            found.extend(ChunkRef(digest, length, group.stores, copies) for digest, length in rows)
        return found

    def surplus_pages(
        self, wanted: Wanted, live: Collection[int], on: int, upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield all that `surplus_chunks` means and is on store `on`, PAGE at a time."""
        groups = [group for group in self._sets.surplus(wanted, live) if on in group.stores]
        return self._pages(groups, wanted, upto)

    def absent_pages(self, wanted: Wanted, store: int, upto: int) -> Iterator[list[ChunkRef]]:
        """Yield the chunks in use that are on some stores, but not on `store`, PAGE at a time."""
        groups = [
            group for group in self._sets.all() if group.chunks and group.stores and store not in group.stores
        ]
        return self._pages(groups, wanted, upto)

    def short_count(self, wanted: Wanted, live: Collection[int], on: int | None) -> int:
        """Return how many chunks (that are on store `on`) have fewer stores in `live` than are wanted."""
        short = self._sets.short(wanted, live)
        return sum(group.chunks for _, group in short if on is None or on in group.stores)

    def _urgent(
        self, wanted: Wanted, live: Collection[int], among: Callable[[tuple[int, ...]], bool]
    ) -> list[ReplicaSet]:
        short = sorted(self._sets.short(wanted, live), key=lambda item: (item[0] == 0, item[0], item[1].number))
        return [group for _, group in short if among(group.stores)]

    def chunks_on(self, store: int) -> Iterator[list[bytes]]:
        """Yield the chunks in use that are said to be on a store, PAGE at a time; others may move on meanwhile."""
        for group in [group for group in self._sets.all() if store in group.stores]:
            after = 0
            while rows := self._execute(_PAGE, (group.number, after, PAGE)).fetchall():
                yield [row[1] for row in rows]
                after = rows[-1][0]

    def store_totals(self, store: int) -> tuple[int, int]:
        """Return the pictures (files whose first chunk is there) and bytes (each chunk once) on a store."""
        groups = [group for group in self._sets.all() if store in group.stores]
        return sum(group.heads for group in groups), sum(group.bytes for group in groups)


def content_digest(database: sqlite3.Connection) -> str:
    """Hash every row of every table, as one state: equal for catalogs that applied the same log."""
    hasher = blake3.blake3()
    database.execute("BEGIN")
    try:
        hasher.update(str(level_of(database)).encode())
        there = {row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for schema in SCHEMAS:
            if schema.name not in there:
                continue  # of a later level
            hasher.update(schema.name.encode())
            for row in database.execute(f"SELECT * FROM {schema.name} ORDER BY {schema.key}"):
                hasher.update(hashlib.blake2b(repr(row).encode(), digest_size=16).digest())
    finally:
        database.execute("ROLLBACK")
    return hasher.hexdigest()
