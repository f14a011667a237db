"""Which stores hold a chunk. Few sets of stores occur among millions of chunks, so a chunk names its set.

Each set counts its chunks in use: what is short of replicas, and what a store holds, is known without a scan.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class ReplicaSet:
    """A set of stores; counters are of chunks in use that lie on exactly these.

    `heads` counts files whose first chunk is among them: a file of one chunk is counted exactly once.
    """

    number: int
    stores: tuple[int, ...]
    chunks: int = 0
    heads: int = 0
    bytes: int = 0


NOWHERE = 1
"""Number of the empty set."""

MAX_UNIONS = 4096


class ReplicaSets:
    """All sets of stores that ever occurred, in memory, written back before each commit."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._sets: dict[int, ReplicaSet] = {}
        self._numbers: dict[tuple[int, ...], int] = {}
        self._unions: dict[tuple[int, tuple[int, ...]], int] = {}
        self._changed: set[int] = set()
        for number, stores, *counters in database.execute(
            "SELECT id, stores, chunks, heads, bytes FROM replicas"
        ):
            members = tuple(map(int, stores.split(","))) if stores else ()
            self._sets[number] = ReplicaSet(number, members, *counters)
            self._numbers[members] = number

    def stores(self, number: int) -> tuple[int, ...]:
        """Return the stores of a set, ascending."""
        return self._sets[number].stores

    def all(self) -> Iterable[ReplicaSet]:
        """Return every set."""
        return self._sets.values()

    def short(self, wanted: int, live: Collection[int]) -> list[tuple[int, ReplicaSet]]:
        """Return sets in use with fewer than `wanted` stores in `live`, each with how many are."""
        alive = frozenset(live)
        counted = (
            (len(alive.intersection(group.stores)), group) for group in self._sets.values() if group.chunks
        )
        return [(count, group) for count, group in counted if count < wanted]

    def with_stores(self, number: int, stores: tuple[int, ...]) -> int:
        """Return the number of set `number` and `stores` together, making that set when it is new."""
        union = self._unions.get((number, stores))
        if union is None:
            union = self._number(tuple(sorted({*self._sets[number].stores, *stores})))
            if len(self._unions) >= MAX_UNIONS:
                self._unions.clear()
            self._unions[number, stores] = union
        return union

    def without_store(self, number: int, store: int) -> int:
        """Return the number of set `number` without `store`, making that set when it is new."""
        members = self._sets[number].stores
        return self._number(tuple(s for s in members if s != store)) if store in members else number

    def _number(self, members: tuple[int, ...]) -> int:
        number = self._numbers.get(members)
        if number is None:
            number = len(self._sets) + 1
            self._sets[number] = ReplicaSet(number, members)
            self._numbers[members] = number
            self._database.execute(
                "INSERT INTO replicas VALUES (?, ?, 0, 0, 0)", (number, ",".join(map(str, members)))
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
        rows = [
            (g.chunks, g.heads, g.bytes, g.number) for g in map(self._sets.__getitem__, sorted(self._changed))
        ]
        self._database.executemany("UPDATE replicas SET chunks = ?, heads = ?, bytes = ? WHERE id = ?", rows)
        self._changed.clear()
