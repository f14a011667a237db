"""Names that are taken for files which are still to be published: the table `reservations`, from level 2 on.

No clock is part of it. A reservation lives as long as the boot of the node that holds it: an operation of a later
boot ends those of the earlier ones, and so does a configuration without the node. Of a node that is just not heard of
any more, the leader ends them (`raftstore.store.transfers.reservations`): it says which entry of the node it has seen
last, and
is refused when there is a later one. Who publishes under a reservation is refused when it is gone, so either may be
wrong.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self

from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.names.namespace import Namespace, Place, check_stays
from raftstore.types import owner_name
from raftstore.wire import commands_pb2 as commands

MAX_OF_OWNER = 1_000
MAX_OF_NODE = 10_000
"""Names that an owner, and a node, may have reserved at a time."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A name that is taken. `renewed`: log index at which its node said last that it needs it."""

    place: Place
    number: int
    owner: str
    node: str
    boot: int
    renewed: int


class Reservations(Table):
    """The table, whole in memory."""

    schemas = (
        Schema(
            "reservations",
            "parent, name",
            """CREATE TABLE reservations (
  parent INTEGER NOT NULL,
  name TEXT NOT NULL,
  number INTEGER NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  node TEXT NOT NULL,
  boot INTEGER NOT NULL,
  renewed INTEGER NOT NULL,
  PRIMARY KEY (parent, name)
) STRICT, WITHOUT ROWID""",
            level=2,
        ),
    )

    def __init__(self, database: sqlite3.Connection, state: State, names: Namespace, intents: Intents) -> None:
        super().__init__(database)
        self._state = state
        self._names = names
        self._intents = intents
        self.by_place: dict[Place, Reservation] = {}
        """All of them: mostly none."""
        self.boots: dict[str, int] = {}
        """Of the nodes that hold some."""
        self._counts: Counter[tuple[str, str | int]] = Counter()  # by owner, node and directory
        if self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'reservations'").fetchone():
            for parent, name, *rest in self._execute("SELECT * FROM reservations ORDER BY number").fetchall():
                self._note(Reservation(Place(parent, name), *rest))

    def _note(self, reservation: Reservation) -> None:
        self.by_place[reservation.place] = reservation
        self.boots[reservation.node] = reservation.boot
        self._counts.update(_counted(reservation))

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the names that there are, and who the members are."""
        return cls(tables.database, tables[State], tables[Namespace], tables[Intents])

    def all(self) -> list[Reservation]:
        """Return all, by number."""
        return sorted(self.by_place.values(), key=lambda reservation: reservation.number)

    def at(self, place: Place) -> Reservation | None:
        """Return what holds the name at `place`."""
        return self.by_place.get(place)

    def check_free(self, place: Place) -> None:
        """Refuse with EXISTS when a name is taken."""
        if place in self.by_place:
            raise Refusal(commands.EXISTS, f"{place.name}: somebody is about to store a file of that name")

    def check_none_in(self, directory: int) -> None:
        """Refuse with NOT_EMPTY when a name in a directory is taken."""
        if self._counts["directory", directory]:
            raise Refusal(commands.NOT_EMPTY, "somebody is about to store a file in it")

    def check_held(self, place: Place, number: int) -> None:
        """Refuse with CHANGED unless the name at `place` is held by reservation `number`."""
        held = self.by_place.get(place)
        if held is None or held.number != number:
            raise Refusal(commands.CHANGED, "its name is not reserved any more")

    @handles("reserve_name", level=2)
    def reserve(self, command: commands.ReserveName, at: Context) -> commands.Result:
        """Take a name, where nothing is. Refuses with EXISTS, DENIED, QUOTA, INVALID, STALE, and as `new_place`."""
        place, row = self._names.new_place(at, command.path, commands.IS_A_DIRECTORY)
        if row is not None:
            raise Refusal(commands.EXISTS, command.path)
        check_stays(at, command.path)
        owner = at.leave.owner
        self._check(place, owner, command)
        number = self._state.new_inode()
        self._add(Reservation(place, number, owner, command.node, command.boot, at.index))
        return commands.Result(inode=place.parent, reservation=number)

    def _check(self, place: Place, owner: str, command: commands.ReserveName) -> None:
        check_label(owner, "an owner")
        check_label(command.node, "a node's name")
        self._intents.check_boot(command.node, command.boot, "a name is reserved")
        if command.boot < self.boots.get(command.node, 0):
            raise Refusal(commands.STALE, f"node {command.node} was started again")
        self.check_free(place)
        if self._counts["owner", owner] >= MAX_OF_OWNER:
            raise Refusal(
                commands.QUOTA, f"{owner_name(owner)} has reserved {MAX_OF_OWNER} names; close some files"
            )
        if self._counts["node", command.node] >= MAX_OF_NODE:
            raise Refusal(commands.QUOTA, f"node {command.node} has reserved {MAX_OF_NODE} names")

    def _add(self, held: Reservation) -> None:
        self._execute(
            "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)",
            (held.place.parent, held.place.name, held.number, held.owner, held.node, held.boot, held.renewed),
        )
        self._note(held)

    @handles("renew_names", level=2)
    def renew(self, command: commands.RenewNames, at: Context) -> None:
        """Note that a node needs what it has. Refuses with STALE what is of an earlier boot."""
        if command.boot < self.boots.get(command.node, 0):
            raise Refusal(commands.STALE, f"node {command.node} was started again")
        for held in self._of(command.node):
            self.by_place[held.place] = replace(held, renewed=at.index)
        self._execute("UPDATE reservations SET renewed = ? WHERE node = ?", (at.index, command.node))

    @handles("release_name", level=2)
    def release(self, command: commands.ReleaseName, at: Context) -> None:
        """End one, or all of a boot. Refuses with CHANGED when the node was heard of since `renewed`."""
        ours = [held for held in self._of(command.node) if held.boot == command.boot]
        if command.reservation:
            ours = [held for held in ours if held.number == command.reservation]
        elif any(held.renewed > command.renewed for held in ours):
            raise Refusal(commands.CHANGED, f"node {command.node} was heard of since")
        self._forget(ours)

    def end(self, place: Place) -> None:
        """End the one at `place`: its file is published."""
        held = self.by_place.get(place)
        if held is not None:
            self._forget([held])

    def booted(self, node: str, boot: int) -> None:
        """An operation of a node's `boot` was applied: its earlier ones are over."""
        if self.boots.get(node, boot) < boot:
            self._forget([held for held in self._of(node) if held.boot < boot])

    def keep_of(self, members: Collection[str]) -> None:
        """End those of all other nodes: these are no members any more."""
        self._forget([held for held in self.all() if held.node not in members])

    def _of(self, node: str) -> list[Reservation]:
        if node not in self.boots:
            return []
        return [held for held in self.all() if held.node == node]

    def _forget(self, ended: Collection[Reservation]) -> None:
        for held in ended:
            del self.by_place[held.place]
            self._counts.subtract(_counted(held))
            self._execute("DELETE FROM reservations WHERE number = ?", (held.number,))
        for node in {held.node for held in ended}:
            if not self._counts["node", node]:
                del self.boots[node]
        self._counts = +self._counts if ended else self._counts


def _counted(held: Reservation) -> tuple[tuple[str, str | int], ...]:
    return ("owner", held.owner), ("node", held.node), ("directory", held.place.parent)
