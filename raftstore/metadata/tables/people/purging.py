"""What somebody has left who is no person any more, and how it is thrown away: some names a command."""

from __future__ import annotations

from typing import Self

from raftstore.errors import NotADirectory, NotFound
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.cluster.clock import Budget
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.names.partials import Orphans
from raftstore.metadata.tables.names.reservations import Reservations
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.versions import Versions
from raftstore.metadata.tables.people.inboxes import Inboxes
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Records
from raftstore.metadata.tables.people.sending import Sending
from raftstore.metadata.tables.people.storing import Storing
from raftstore.rights.reserved import LEVEL, Area, is_apart, roots_of
from raftstore.types import Kind, owner_name
from raftstore.wire import commands_pb2 as commands

MAX_PURGED = 64
"""Names that one command removes, with the recipients that are noted of those that were sent. One file that was sent
to a group may be more."""

MAX_PURGED_CHUNKS = 512
"""Chunks' worth of bytes in them."""


class Purging(Table):
    """Applies PurgePerson."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._accounts = tables[Accounts]
        self._names = tables[Namespace]
        self._orphans = tables[Orphans]
        self._reservations = tables[Reservations]
        self._storing = tables[Storing]
        self._persons = tables[Persons]
        self._inboxes = tables[Inboxes]
        self._sending = tables[Sending]
        self._records = tables[Records]
        self._versions = tables[Versions]
        self._retention = tables[Retention]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with what there may be in a person's places."""
        return cls(tables)

    @handles("purge_person", level=LEVEL)
    def purge(self, command: commands.PurgePerson, at: Context) -> commands.Result:
        """Remove some of what is in the four places of a former person. Refuses with NOT_FOUND, CHANGED, INVALID."""
        identity, name = command.identity, owner_name(command.identity)
        if not 0 < command.limit <= MAX_PURGED:
            raise Refusal(commands.INVALID, f"1 to {MAX_PURGED} names a command")
        if self._persons.holder(name) != identity:
            raise Refusal(commands.NOT_FOUND, f"{identity} has left nothing")
        user = self._accounts.owner(identity)
        if user is not None and user.person:
            raise Refusal(commands.CHANGED, f"{name} is a person")
        number = self._persons.find(identity)
        assert number is not None
        self._records.forget_replaced(number)
        budget = Budget(command.limit, MAX_PURGED_CHUNKS)
        finished = all(self._empty(at, path, budget) for path in roots_of(name))
        return commands.Result(finished=finished, removed=budget.spent)

    def _empty(self, at: Context, path: str, budget: Budget) -> bool:
        """Remove what is in a directory, then it; return whether all is gone."""
        try:
            row = self._names.row(path)
        except (NotFound, NotADirectory):
            return True
        place = self._names.place(path, existing=True)
        return self._remove(at, path, place, row, budget)

    def _remove(self, at: Context, path: str, place: Place, row: Row, budget: Budget) -> bool:
        if row[1] == Kind.DIRECTORY:
            inside = self._names.listing(row[2], MAX_PURGED).fetchall()
            for each in inside:
                if not self._remove(at, f"{path}/{each[0]}", Place(row[2], each[0]), each, budget):
                    return False
            if len(inside) == MAX_PURGED or not self._names.is_empty(row[2]) or self._reserved_in(row[2]):
                return False
            if self._names.at(place) is None:
                return True  # it has gone with the last file in it
        if Area.SENT.has(path) and row[1] != Kind.DIRECTORY:
            return self._sending.throw_away(at, place, row, budget)
        if not budget.take(row[3]):
            return False
        if row[1] == Kind.DIRECTORY:
            self._orphans.add(row[2])
            self._storing.remove_directory(at, place, row)
            self._retention.directory_removed(row[2])
        elif Area.INBOX.has(path):
            self._inboxes.throw_away(at, place, row)
        elif is_apart(path):
            self._sending.remove(at, path, place, row)
        else:
            self._versions.remove(at, place, row)
        return True

    def _reserved_in(self, directory: int) -> bool:
        try:
            self._reservations.check_none_in(directory)
        except Refusal:
            return True
        return False
