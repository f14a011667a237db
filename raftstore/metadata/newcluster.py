"""A catalog for a new cluster, made of a copy of another cluster's: names, contents, accounts, people, trash stay.

What belongs to the nodes of the old one goes: members and what operators wanted of them, stores and which of them have
a chunk, jobs, names and contents that nodes had reserved or staged, what was remembered of proposers and their boots,
and holds; also webhooks, and secrets by which others know it. The log goes on behind the old one's: all that the
catalog says of log indices stays in the past.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raftstore.metadata.database.database import open_catalog
from raftstore.metadata.database.schemas import fill, schema_at
from raftstore.metadata.machine import Machine
from raftstore.metadata.registry import Table
from raftstore.metadata.tables import TABLES
from raftstore.metadata.tables.contents.replicas import NOWHERE, ReplicaSet
from raftstore.types import Wanted

_PORTION = 10_000
_OLD = ("proposers", "results", "intents", "stores", "jobs", "holds", "webhooks", "dead_letters")
"""Tables of which no row stays. Whoever gets webhooks takes them for the old cluster's, which may go on."""


@dataclass(frozen=True, slots=True)
class NewStore:
    """The volumes of a node of the new cluster, by their identity; they get the number `number`, 1 and up."""

    number: int
    node: str
    identity: bytes


@dataclass(frozen=True, slots=True)
class Making:
    """What a catalog becomes. `configuration`: of the new members, encoded. `wanted`: copies of chunks.

    `place` chooses the stores of a chunk, given its digest and how many copies it should have; none for one that is
    lost. `secrets` names those that stay, such as the SSH host keys, by which clients know the old cluster.
    """

    stores: Sequence[NewStore]
    configuration: bytes
    wanted: Wanted
    place: Callable[[bytes, int], tuple[int, ...]]
    secrets: Sequence[str] = ()


def make_catalog(path: Path, making: Making) -> int:
    """Turn the catalog at `path` into that of a new cluster, in one transaction; return the index it has applied then.

    It is of level 3 at least, as all that are backed up. The entry of that index is the new configuration. Raises
    Damaged, TooNew, DiskFull, sqlite3.Error.
    """
    database = open_catalog(path, 0, fill, schema_at)
    try:
        database.execute("BEGIN IMMEDIATE")
        index = _let_go(database, making.configuration)
        for table in _OLD:
            database.execute(f"DELETE FROM {table}")
        kept = ", ".join("?" * len(making.secrets))
        database.execute(f"DELETE FROM secrets WHERE name NOT IN ({kept})", tuple(making.secrets))
        database.executemany(
            "INSERT INTO stores VALUES (?, ?, ?, 1, '', 0)",
            [(store.number, store.node, store.identity) for store in making.stores],
        )
        _place_chunks(database, making)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return index
    finally:
        database.close()


def _let_go(database: sqlite3.Connection, configuration: bytes) -> int:
    """Have the tables let go of all nodes, and then take the new ones for the members, in the next entry."""
    machine = Machine(database)
    for table in TABLES:
        kept: Table = machine.tables[table]
        kept.keep_of(())
    index = machine.state.applied + 1
    machine.configure(index, configuration)
    machine.finish()
    return index


def _place_chunks(database: sqlite3.Connection, making: Making) -> None:
    """Say where each chunk is now, and count anew what lies on which stores."""
    demands: dict[int, int] = dict(database.execute("SELECT id, demand FROM replicas").fetchall())
    sets: dict[tuple[tuple[int, ...], int], ReplicaSet] = {((), 0): ReplicaSet(NOWHERE, ())}
    after = 0
    while rows := database.execute(
        "SELECT id, digest, length, heads, replicas FROM chunks WHERE id > ? ORDER BY id LIMIT ?",
        (after, _PORTION),
    ).fetchall():
        moved = []
        for number, digest, length, heads, replicas in rows:
            demand = demands[replicas]
            copies = ReplicaSet(0, (), demand).copies(making.wanted)
            stores = tuple(sorted(making.place(digest, copies)))
            group = sets.setdefault((stores, demand), ReplicaSet(len(sets) + 1, stores, demand))
            group.chunks += 1
            group.heads += heads
            group.bytes += length
            moved.append((group.number, number))
        database.executemany("UPDATE chunks SET replicas = ? WHERE id = ?", moved)
        after = rows[-1][0]
    database.execute("DELETE FROM replicas")
    database.executemany(
        "INSERT INTO replicas VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                group.number,
                ",".join(map(str, group.stores)),
                group.demand,
                group.chunks,
                group.heads,
                group.bytes,
            )
            for group in sets.values()
        ],
    )
