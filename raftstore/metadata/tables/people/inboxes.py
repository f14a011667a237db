"""What came: how much of it each sender has in an inbox, and whether more may come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.metadata.tables.contents import Contents
from raftstore.metadata.tables.namespace import Namespace, Place, Row
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Delivery, Records
from raftstore.metadata.tables.people.storing import Storing
from raftstore.metadata.tables.quotas import Quotas
from raftstore.paths import free_name
from raftstore.rights.reserved import Area
from raftstore.types import INBOX_MARK, DeliveryState, User

FILES, BYTES = 20_000, 100 << 30
"""What an inbox takes whose account says nothing else; directories count as files."""

MAX_KNOWN = 4096
"""Pairs of persons kept in memory beyond the end of a transaction."""

SENDER_FILES, SENDER_BYTES = 10_000, 50 << 30
"""Of that from one sender; no directories."""


@dataclass(slots=True)
class _Pair:
    files: int = 0
    bytes: int = 0


class Inboxes(Table):
    """The table `inboxes`: what is in the inbox of a person from each sender, kept in memory meanwhile.

    What is in an inbox belongs to the identity of the person with INBOX_MARK behind it: it is on nobody's quota, and
    counted with what others have (`quotas`).
    """

    schemas = (
        Schema(
            "inboxes",
            "recipient, sender",
            """
CREATE TABLE inboxes (
  recipient INTEGER NOT NULL,
  sender INTEGER NOT NULL,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (recipient, sender)
) STRICT, WITHOUT ROWID;
""",
            level=3,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._executemany = tables.database.cursor().executemany
        self._names = tables[Namespace]
        self._contents = tables[Contents]
        self._quotas = tables[Quotas]
        self._persons = tables[Persons]
        self._blocks = tables[Blocks]
        self._records = tables[Records]
        self._storing = tables[Storing]
        self._pairs: dict[tuple[int, int], _Pair] = {}
        self._changed: set[tuple[int, int]] = set()

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with who blocks whom, and what was sent."""
        return cls(tables)

    def _pair(self, recipient: int, sender: int) -> _Pair:
        found = self._pairs.get((recipient, sender))
        if found is None:
            row = self._execute(
                "SELECT files, bytes FROM inboxes WHERE recipient = ? AND sender = ?", (recipient, sender)
            ).fetchone()
            if len(self._pairs) >= MAX_KNOWN:
                self._pairs = {key: self._pairs[key] for key in self._changed}
            found = self._pairs[recipient, sender] = _Pair(*(row or ()))
        return found

    def _count(self, recipient: int, sender: int, files: int, size: int) -> None:
        pair = self._pair(recipient, sender)
        pair.files += files
        pair.bytes += size
        self._changed.add((recipient, sender))

    def flush(self) -> None:
        """Write what each has of each into the current transaction."""
        if not self._changed:
            return
        pairs = {key: self._pairs[key] for key in self._changed}
        rows = [(*key, pair.files, pair.bytes) for key, pair in pairs.items() if pair.files]
        gone = [key for key, pair in pairs.items() if not pair.files]
        self._executemany("INSERT OR REPLACE INTO inboxes VALUES (?, ?, ?, ?)", rows)
        self._executemany("DELETE FROM inboxes WHERE recipient = ? AND sender = ?", gone)
        self._changed.clear()

    def takes(self, user: User | None, sender: User, size: int) -> bool:
        """Whether a person takes a file of that size from `sender`. Why not is for nobody to know. Changes nothing."""
        if user is None or not user.person or user.disabled or user.name == sender.name:
            return False
        share = self._quotas.usage(user.owner + INBOX_MARK)
        if share.files >= (user.inbox_files or FILES) or share.bytes + size > (user.inbox_bytes or BYTES):
            return False
        recipient, number = self._persons.find(user.owner), self._persons.find(sender.owner)
        if recipient is not None and number is not None:
            pair = self._pair(recipient, number)
            if pair.files >= (user.sender_files or SENDER_FILES):
                return False
            if pair.bytes + size > (user.sender_bytes or SENDER_BYTES):
                return False
        return not self._blocks.has(user.name, sender.name)

    def put(
        self, at: Context, users: list[User], sender: User, way: tuple[str, ...], size: int, mtime_ns: int
    ) -> list[int]:
        """Put a file into some inboxes, under the names `way` in the directory of the sender; return its inodes.

        They have no content yet.
        """
        number = self._persons.number(sender.owner)
        inside = "".join(f"/{name}" for name in (sender.name, *way[:-1]))
        owners = [user.owner + INBOX_MARK for user in users]
        directories = [
            self._storing.directory(at, Area.INBOX.of(user.name) + inside, owner)
            for user, owner in zip(users, owners, strict=True)
        ]
        taken = self._names.having(directories, way[-1])
        places = [
            self._free(directory, way[-1]) if directory in taken else Place(directory, way[-1])
            for directory in directories
        ]
        for user in users:
            self._count(self._persons.number(user.owner), number, 1, size)
        return self._storing.add_all(at, list(zip(places, owners, strict=True)), size, mtime_ns)

    def _free(self, directory: int, name: str) -> Place:
        return Place(
            directory, free_name(name, lambda each: self._names.at(Place(directory, each)) is not None)
        )

    def find(self, delivery: Delivery) -> tuple[Place, Row] | None:
        """Return where a delivery is in its inbox; None: it is not there any more."""
        return self._names.of_inode(delivery.inode) if delivery.there else None

    def remove(self, at: Context, place: Place, row: Row, state: DeliveryState | None = None) -> None:
        """Remove the file at `place` from an inbox; `state`: what becomes of its delivery, None: nobody is to know."""
        self._leave(row, state)
        self._storing.remove(at, place, row)

    def keep(self, at: Context, place: Place, row: Row, target: Place, owner: str) -> None:
        """Move the file at `place` out of an inbox: it becomes `owner`'s."""
        self._leave(row, DeliveryState.KEPT)
        self._storing.give(place, row, owner)
        self._storing.move(at, place, target)

    def keep_copied(self, row: Row) -> None:
        """The person has a copy of a file in its inbox: nobody recalls that one, and it does not expire any more."""
        self._leave(row, DeliveryState.KEPT)

    def _leave(self, row: Row, state: DeliveryState | None) -> None:
        delivery = self._records.delivery(row[2])
        if delivery is None or not delivery.there:
            return  # it is no delivery any more, or never was one
        record = self._records.record(delivery.record)
        assert record is not None
        self._count(delivery.recipient, record.sender, -1, -row[3])
        self._records.become(delivery, state or delivery.state, there=False)
