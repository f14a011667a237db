"""Which stores hold a chunk. Few sets of stores occur among millions of chunks, so a chunk names its set.

Each set counts its chunks in use: what is short of replicas, and what a store holds, is known without a scan.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from raftstore.metadata.registry import Schema, Table
from raftstore.types import Wanted


@dataclass(slots=True)
class ReplicaSet:
    """A set of stores; counters are of chunks in use that lie on exactly these, and of which as many copies are wanted.

    `demand` is the most that the owners of files with these chunks want, plus DEFAULT when one of them wants what the
    cluster makes. `heads` counts files whose first chunk is among them: a file of one chunk is counted exactly once.
    """

    number: int
    stores: tuple[int, ...]
    demand: int = 0
    chunks: int = 0
    heads: int = 0
    bytes: int = 0

    def copies(self, wanted: Wanted) -> int:
        """Return how many copies these chunks should have."""
        own = min(self.demand & ~DEFAULT, wanted.most)
        return max(own, wanted.default) if self.demand & DEFAULT else own


NOWHERE = 1
"""Number of the empty set that nobody wants anything of."""

DEFAULT = 1 << 8
"""In a demand: as many copies as the cluster makes."""

MAX_UNIONS = 4096


class ReplicaSets(Table):
    """The table `replicas`: all sets of stores that ever occurred, in memory, written back before each commit."""

    schemas = (
        Schema(
            "replicas",
            "id",
            """
CREATE TABLE replicas (
  id INTEGER PRIMARY KEY,
  stores TEXT NOT NULL,
  demand INTEGER NOT NULL,
  chunks INTEGER NOT NULL,
  heads INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  UNIQUE (stores, demand)
) STRICT;
""",
            rows=((NOWHERE, "", 0, 0, 0, 0),),
        ),
    )

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self._sets: dict[int, ReplicaSet] = {}
        self._numbers: dict[tuple[tuple[int, ...], int], int] = {}
        self._unions: dict[tuple[int, tuple[int, ...], int], int] = {}
        self._changed: set[int] = set()
        for number, stores, demand, *counters in database.execute(
            "SELECT id, stores, demand, chunks, heads, bytes FROM replicas"
        ):
            members = tuple(map(int, stores.split(","))) if stores else ()
            self._sets[number] = ReplicaSet(number, members, demand, *counters)
            self._numbers[members, demand] = number

    def stores(self, number: int) -> tuple[int, ...]:
        """Return the stores of a set, ascending."""
        return self._sets[number].stores

    def group(self, number: int) -> ReplicaSet:
        """Return a set."""
        return self._sets[number]

    def all(self) -> Iterable[ReplicaSet]:
        """Return every set."""
        return self._sets.values()

    def short(self, wanted: Wanted, live: Collection[int]) -> list[tuple[int, ReplicaSet]]:
        """Return sets in use with fewer stores in `live` than are wanted, each with how many are."""
        alive = frozenset(live)
        counted = (
            (len(alive.intersection(group.stores)), group) for group in self._sets.values() if group.chunks
        )
        return [(count, group) for count, group in counted if count < group.copies(wanted)]

    def surplus(self, wanted: Wanted, live: Collection[int]) -> list[ReplicaSet]:
        """Return sets in use with more stores in `live` than are wanted."""
        alive = frozenset(live)
        return [
            group
            for group in self._sets.values()
            if group.chunks and len(alive.intersection(group.stores)) > group.copies(wanted)
        ]

    def with_stores(self, number: int, stores: tuple[int, ...], demand: int = 0) -> int:
        """Return the number of set `number` and `stores` together, with both demands; it is made when it is new."""
        union = self._unions.get((number, stores, demand))
        if union is None:
            group = self._sets[number]
            union = self._number(tuple(sorted({*group.stores, *stores})), joined(group.demand, demand))
            if len(self._unions) >= MAX_UNIONS:
                self._unions.clear()
            self._unions[number, stores, demand] = union
        return union

    def without_store(self, number: int, store: int) -> int:
        """Return the number of set `number` without `store`, making that set when it is new."""
        group = self._sets[number]
        if store not in group.stores:
            return number
        return self._number(tuple(s for s in group.stores if s != store), group.demand)

    def _number(self, members: tuple[int, ...], demand: int) -> int:
        number = self._numbers.get((members, demand))
        if number is None:
            number = len(self._sets) + 1
            self._sets[number] = ReplicaSet(number, members, demand)
            self._numbers[members, demand] = number
            self._database.execute(
                "INSERT INTO replicas VALUES (?, ?, ?, 0, 0, 0)", (number, ",".join(map(str, members)), demand)
            )
        return number

    def count(self, number: int, chunks: int, heads: int, size: int) -> None:
        """Add to the counters of a set."""
        group = self._sets[number]
        group.chunks += chunks
        group.heads += heads
        group.bytes += size
        self._changed.add(number)

    def flush(self) -> None:
        """Write changed counters into the current transaction."""
        if not self._changed:
            return
        rows = [
            (g.chunks, g.heads, g.bytes, g.number) for g in map(self._sets.__getitem__, sorted(self._changed))
        ]
        self._database.executemany("UPDATE replicas SET chunks = ?, heads = ?, bytes = ? WHERE id = ?", rows)
        self._changed.clear()


def joined(one: int, other: int) -> int:
    """Return the demand that meets both."""
    return (one | other) & DEFAULT | max(one & ~DEFAULT, other & ~DEFAULT)
