"""The chunk stores that nodes have announced; a node has one current store, earlier ones count as lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Self

from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.contents.holds import Holds
from raftstore.types import StoreInfo
from raftstore.wire import commands_pb2 as commands

IDENTITY_SIZE = 16


class Stores(Table):
    """The table `stores`, whole in memory: it grows by one row when a disk is replaced."""

    schemas = (
        Schema(
            "stores",
            "number",
            """
CREATE TABLE stores (
  number INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  identity BLOB NOT NULL UNIQUE,
  current INTEGER NOT NULL,
  zone TEXT NOT NULL,
  swept INTEGER NOT NULL
) STRICT;
""",
        ),
    )

    def __init__(self, database: sqlite3.Connection, holds: Holds) -> None:
        super().__init__(database)
        self._holds = holds
        rows = self._execute("SELECT number, node, identity, current, zone, swept FROM stores ORDER BY number")
        self._stores = {row[0]: StoreInfo(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows}
        self._note()

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with what keeps chunks from being removed."""
        return cls(tables.database, tables[Holds])

    def _note(self) -> None:
        self._listed = list(self._stores.values())
        self.swept = {store.number: store.swept for store in self._listed}
        self.current = frozenset(store.number for store in self._listed if store.current)
        """The disks that nodes have now."""

    def list(self) -> list[StoreInfo]:
        """Return every store by number."""
        return self._listed.copy()

    def check(self, number: int) -> None:
        """Refuse a store that nobody registered."""
        if number not in self._stores:
            raise Refusal(commands.INVALID, f"no store has number {number}")

    def is_current(self, number: int) -> bool:
        """Whether it is the disk that its node has now."""
        return number in self.current

    def zones(self, nodes: Collection[str]) -> dict[int, str]:
        """Return by number the failure zones of the current stores of some nodes; each without one is a zone itself."""
        return {
            store.number: store.zone or f"\0{store.node}"
            for store in self._listed
            if store.current and store.node in nodes
        }

    def belongs(self, number: int, node: str) -> bool:
        """Whether it is the disk that `node` has now."""
        return self.is_current(number) and self._stores[number].node == node

    def superseded(self, node: str, identity: bytes) -> bool:
        """Whether `node` has had another disk since the one with `identity`."""
        own = [store for store in self._listed if store.node == node]
        return any(store.current and store.identity != identity for store in own) and any(
            store.identity == identity for store in own
        )

    def untouched(self) -> bool:
        """Whether none was registered."""
        return not self._listed

    def keep_of(self, members: Collection[str]) -> None:
        """Take the stores of all other nodes for lost: those nodes are no members any more."""
        for store in self._listed:
            if store.current and store.node not in members:
                self._execute("UPDATE stores SET current = 0 WHERE number = ?", (store.number,))
                self._stores[store.number] = replace(store, current=False)
        self._note()

    def all_proven(self, numbers: Iterable[int], since: int) -> tuple[int, ...]:
        """Return those of some stores, each once, of which that is so. Refuses with INVALID one that is not known."""
        swept, found = self.swept, []
        for number in numbers:
            at = swept.get(number)
            if at is None:
                raise Refusal(commands.INVALID, f"no store has number {number}")
            if at <= since and number not in found:
                found.append(number)
        return tuple(found)

    def proven(self, number: int, since: int) -> bool:
        """Whether what was confirmed of a copy there after log index `since` still stands: see BeginSweep."""
        return self.swept.get(number, since + 1) <= since

    def sweep(self, number: int, index: int) -> None:
        """Note that the store begins to remove at log `index`. Refuses one that is not its node's current one."""
        if not self.is_current(number):
            raise nobodys(number)
        self._execute("UPDATE stores SET swept = ? WHERE number = ?", (index, number))
        self._stores[number] = replace(self._stores[number], swept=index)
        self._note()

    @handles("begin_sweep", level=1)
    def begin_sweep(self, command: commands.BeginSweep, at: Context) -> None:
        """Note that a store begins to remove. Refuses with CHANGED while the chunks are held."""
        if not self.is_current(command.store):
            raise nobodys(command.store)
        self._holds.check_none()
        self.sweep(command.store, at.index)

    @handles("register_store", level=1)
    def register(self, command: commands.RegisterStore, at: Context) -> commands.Result:
        """Make the store with an identity the current one of a node; return its number, given at first sight."""
        node, identity, zone = command.node, command.identity, command.zone
        check_label(node, "a node's name")
        check_label(zone, "a zone")
        if not node or len(identity) != IDENTITY_SIZE:
            raise Refusal(commands.INVALID, f"a store has a node and an identity of {IDENTITY_SIZE} bytes")
        known = next((store for store in self._listed if store.identity == identity), None)
        if known is not None and known.node != node:
            # A copied disk, or one moved to another node: two nodes must never claim the same replicas.
            raise Refusal(
                commands.INVALID, f"this store belongs to node {known.node}; start with empty volumes"
            )
        if self.superseded(node, identity):
            # Its log is older than what this node has acknowledged since.
            raise Refusal(
                commands.SUPERSEDED,
                f"{node} has had another disk since this one; if that one is lost too, remove the data directory and "
                "start: the others have everything",
            )
        number = known.number if known is not None else len(self._stores) + 1
        self._execute("UPDATE stores SET current = 0 WHERE node = ? AND number <> ?", (node, number))
        self._execute(
            "INSERT INTO stores VALUES (?, ?, ?, 1, ?, 0)"
            " ON CONFLICT (number) DO UPDATE SET current = 1, zone = excluded.zone",
            (number, node, identity, zone),
        )
        for store in self._listed:
            if store.node == node and store.current:
                self._stores[store.number] = replace(store, current=False)
        known = known or StoreInfo(number, node, identity, True)
        self._stores[number] = replace(known, current=True, zone=zone)
        self._note()
        return commands.Result(store=number)


def nobodys(number: int) -> Refusal:
    """Return the refusal of what is asked of a store that no node has now."""
    return Refusal(commands.INVALID, f"store {number} is nobody's now")
