"""What came: how much of it each sender has in an inbox, and whether more may come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Self

from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.names.partials import Orphans
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.spans import Spans
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Delivery, Record, Records
from raftstore.metadata.tables.people.storing import Storing
from raftstore.paths import free_name, numbered
from raftstore.rights.reserved import LEVEL, Area
from raftstore.types import INBOX_MARK, DeliveryState, Kind, User

FILES, BYTES = 20_000, 100 << 30
"""What an inbox takes whose account says nothing else; directories count as files."""

MAX_KNOWN = 4096
"""Pairs of persons kept in memory beyond the end of a transaction."""

SENDER_FILES, SENDER_BYTES = 10_000, 50 << 30
"""Of that from one sender; directories in its directory count as files."""


@dataclass(slots=True)
class _Pair:
    """`directory`: the inode of the sender's directory in the inbox, 0 when there is none."""

    directory: int = 0
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Audience:
    """Some persons: their accounts, the owners of what is in their inboxes, their numbers, and that of the sender.

    A number is None where nothing was given it yet.
    """

    users: list[User]
    owners: list[str]
    numbers: list[int | None]
    sender: int | None

    def of(self, chosen: Sequence[bool]) -> Audience:
        """Return some of them."""
        return Audience(
            list(compress(self.users, chosen)),
            list(compress(self.owners, chosen)),
            list(compress(self.numbers, chosen)),
            self.sender,
        )


@dataclass(slots=True)
class _Way:
    """Where something would come in an inbox: in `directory`, once there is `missing` in it, one in the other."""

    directory: int
    missing: tuple[str, ...]


class Inboxes(Table):
    """The table `inboxes`: what is in the inbox of a person from each sender, kept in memory meanwhile.

    What is in an inbox belongs to the identity of the person with INBOX_MARK behind it: it is on nobody's quota, and
    counted with what others have (`quotas`). A directory is made for the first file in it, and goes with the last.
    """

    schemas = (
        Schema(
            "inboxes",
            "recipient, sender",
            """
CREATE TABLE inboxes (
  recipient INTEGER NOT NULL,
  sender INTEGER NOT NULL,
  directory INTEGER NOT NULL,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (recipient, sender)
) STRICT, WITHOUT ROWID;
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._executemany = tables.database.cursor().executemany
        self._names = tables[Namespace]
        self._quotas = tables[Quotas]
        self._spans = tables[Spans]
        self._orphans = tables[Orphans]
        self._retention = tables[Retention]
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

    # Pairs.

    def _load(self, recipients: Sequence[int], sender: int) -> None:
        """Have what some persons have of `sender` at hand."""
        missing = [number for number in recipients if (number, sender) not in self._pairs]
        if not missing:
            return
        if len(self._pairs) + len(missing) > MAX_KNOWN:
            # What is asked for now stays, too, and not all that changed needs to be at hand yet.
            kept = self._changed.union((number, sender) for number in recipients)
            self._pairs = {key: pair for key, pair in self._pairs.items() if key in kept}
        rows = self._execute(
            "SELECT recipient, directory, files, bytes FROM json_each(?1) AS asked CROSS JOIN inboxes"
            " ON recipient = asked.value AND sender = ?2",
            (json.dumps(missing), sender),
        ).fetchall()
        self._pairs |= {(number, sender): _Pair() for number in missing}
        self._pairs |= {(number, sender): _Pair(*counts) for number, *counts in rows}

    def _pair(self, recipient: int, sender: int) -> _Pair:
        found = self._pairs.get((recipient, sender))
        if found is None:
            self._load([recipient], sender)
            found = self._pairs[recipient, sender]
        return found

    def _change(self, recipient: int, sender: int) -> _Pair:
        pair = self._pair(recipient, sender)
        self._changed.add((recipient, sender))
        return pair

    def flush(self) -> None:
        """Write what each has of each into the current transaction."""
        if not self._changed:
            return
        pairs = {key: self._pairs[key] for key in self._changed}
        rows = [(*key, pair.directory, pair.files, pair.bytes) for key, pair in pairs.items() if pair.directory]
        gone = [key for key, pair in pairs.items() if not pair.directory]
        self._executemany("INSERT OR REPLACE INTO inboxes VALUES (?, ?, ?, ?, ?)", rows)
        if gone:
            self._executemany("DELETE FROM inboxes WHERE recipient = ? AND sender = ?", gone)
        self._changed.clear()

    # What may come.

    def audience(self, users: Sequence[User], sender: User) -> Audience:
        """Return those of some accounts that can be sent something at all, with what is asked of them each time."""
        asked = [user for user in users if user.person and not user.disabled and user.name != sender.name]
        own, *numbers = self._persons.numbers([sender.owner, *(user.owner for user in asked)])
        return Audience(asked, [user.owner + INBOX_MARK for user in asked], numbers, own)

    def takers(self, audience: Audience, sender: User, way: tuple[str, ...], size: int) -> Audience:
        """Return those who take a file of that size from `sender`. Why not is for nobody to know. Changes nothing.

        `way`: the names that it would have in the sender's directory.
        """
        if not audience.users:
            return audience
        self._quotas.load(audience.owners)
        pairs = self._known_pairs(audience)
        blocking = self._blocks.blocking([user.name for user in audience.users], sender.name)
        share_of, inner = self._quotas.share_of, 0
        taken = []
        for user, owner, pair in zip(audience.users, audience.owners, pairs, strict=True):
            if len(way) > 1:
                inner = len(self._way(pair.directory, way[:-1]).missing)
            there, come = share_of(owner), 1 + inner
            taken.append(
                there.files + come + (not pair.directory) <= (user.inbox_files or FILES)
                and there.bytes + size <= (user.inbox_bytes or BYTES)
                and pair.files + come <= (user.sender_files or SENDER_FILES)
                and pair.bytes + size <= (user.sender_bytes or SENDER_BYTES)
                and user.name not in blocking
            )
        return audience if all(taken) else audience.of(taken)

    def _known_pairs(self, audience: Audience) -> Sequence[_Pair]:
        """Return what each has of the sender; of who was never sent anything by it there is nothing."""
        nothing, sender = _Pair(), audience.sender
        if sender is None:
            return [nothing] * len(audience.users)
        self._load([number for number in audience.numbers if number is not None], sender)
        pairs = self._pairs
        return [nothing if number is None else pairs[number, sender] for number in audience.numbers]

    def _way(self, directory: int, names: tuple[str, ...]) -> _Way:
        """Return how much of the way to a directory, in that of a sender (0: there is none), is there.

        Where a file has the name of a directory, the directory has a number behind it.
        """
        for done, name in enumerate(names):
            if not directory:
                return _Way(0, names[done:])
            number, row = 1, self._names.at(Place(directory, name))
            while row is not None and row[1] != Kind.DIRECTORY:
                number += 1
                name = numbered(names[done], number)
                row = self._names.at(Place(directory, name))
            if row is None:
                return _Way(directory, (name, *names[done + 1 :]))
            directory = row[2]
        return _Way(directory, ())

    # What comes.

    def put(
        self, at: Context, takers: Audience, sender: User, way: tuple[str, ...], size: int, mtime_ns: int
    ) -> list[int]:
        """Put a file into some inboxes, under the names `way` in the directory of the sender; return its inodes.

        They have no content yet.
        """
        users, owners = takers.users, takers.owners
        own, *numbers = self._persons.given([sender.owner, *(user.owner for user in users)])
        self._load(numbers, own)
        keys = [(number, own) for number in numbers]
        self._changed.update(keys)
        pairs = [self._pairs[key] for key in keys]
        self._make_directories(at, users, pairs, sender.name)
        directories = [pair.directory for pair in pairs]
        if len(way) > 1:
            directories = [
                self._inside(at, pair, way[:-1], owner) for pair, owner in zip(pairs, owners, strict=True)
            ]
        places = self._free(directories, way[-1])
        for pair in pairs:
            pair.files += 1
            pair.bytes += size
        return self._storing.add_all(at, list(zip(places, owners, strict=True)), size, mtime_ns)

    def _make_directories(self, at: Context, users: list[User], pairs: list[_Pair], name: str) -> None:
        """Make the sender's directory in the inboxes that have none."""
        wanted = [(user, pair) for user, pair in zip(users, pairs, strict=True) if not pair.directory]
        if not wanted:
            return
        area = self._storing.directory(at, Area.INBOX.value)
        found = self._names.rows_in(area, [user.name for user, _ in wanted])
        inboxes = [
            found[user.name][2] if user.name in found else self._storing.directory(at, Area.INBOX.of(user.name))
            for user, _ in wanted
        ]
        places = self._free(inboxes, name)
        owners = [user.owner + INBOX_MARK for user, _ in wanted]
        made = self._storing.make_all(at, list(zip(places, owners, strict=True)))
        for (_, pair), inode in zip(wanted, made, strict=True):
            pair.directory = inode

    def _inside(self, at: Context, pair: _Pair, names: tuple[str, ...], owner: str) -> int:
        way = self._way(pair.directory, names)
        directory = way.directory
        for name in way.missing:
            (directory,) = self._storing.make_all(at, [(Place(directory, name), owner)])
            pair.files += 1
        return directory

    def _free(self, directories: Sequence[int], name: str) -> list[Place]:
        """Return where a new name would be in some directories: with a number behind it where it is taken."""

        def taken(directory: int, each: str) -> bool:
            return self._names.at(Place(directory, each)) is not None

        if len(directories) == 1:
            return [Place(directories[0], free_name(name, partial(taken, directories[0])))]
        having = self._names.having(directories, name)
        return [
            Place(directory, free_name(name, partial(taken, directory)) if directory in having else name)
            for directory in directories
        ]

    # What goes.

    def find(self, deliveries: Sequence[Delivery]) -> dict[int, tuple[Place, Row]]:
        """Return where some deliveries are in their inboxes, by inode; those are left out that are not there."""
        return self._names.of_inodes([each.inode for each in deliveries if each.there])

    def remove(self, at: Context, place: Place, row: Row) -> None:
        """Remove the file at `place` from an inbox. Its sender is not to know."""
        self._remove(at, place, row, None)

    def throw_away(self, at: Context, place: Place, row: Row) -> None:
        """Remove the file at `place`, whose person is none any more: what it has not opened has bounced for good."""
        delivery = self._records.delivery(row[2])
        unopened = delivery is not None and delivery.state is DeliveryState.DELIVERED
        self._remove(at, place, row, DeliveryState.BOUNCED if unopened else None)

    def _remove(self, at: Context, place: Place, row: Row, state: DeliveryState | None) -> None:
        left = self._leave(row, state)
        self._storing.remove(at, place, row)
        if left is not None:
            self._tidy(at, {place.parent: left})

    def remove_all(
        self, at: Context, record: Record, found: Sequence[tuple[Delivery, tuple[Place, Row]]]
    ) -> None:
        """Remove deliveries of a record from where they are. What becomes of them is noted by the caller."""
        if not found:
            return
        self._load([delivery.recipient for delivery, _ in found], record.sender)
        left: dict[int, _Pair] = {}
        for delivery, (place, row) in found:
            pair = left[place.parent] = self._change(delivery.recipient, record.sender)
            pair.files -= 1
            pair.bytes -= row[3]
        self._storing.remove_all(at, [entry for _, entry in found])
        self._tidy(at, left)

    def keep(self, at: Context, place: Place, row: Row, target: Place, owner: str) -> None:
        """Move the file at `place` out of an inbox: it becomes `owner`'s."""
        left = self._leave(row, DeliveryState.KEPT)
        self._storing.give(place, row, owner)
        self._storing.move(at, place, target)
        if left is not None:
            self._tidy(at, {place.parent: left})

    def keep_copied(self, row: Row) -> None:
        """The person has a copy of a file in its inbox, which stays there."""
        delivery = self._records.delivery(row[2])
        if delivery is not None and delivery.there:
            self._records.become(delivery, DeliveryState.KEPT, there=True)

    def _leave(self, row: Row, state: DeliveryState | None) -> _Pair | None:
        delivery = self._records.delivery(row[2])
        if delivery is None:
            return None  # nobody has sent it: the system put it there
        record = self._records.record(delivery.record)
        assert record is not None
        pair = self._change(delivery.recipient, record.sender)
        pair.files -= 1
        pair.bytes -= row[3]
        self._records.become(delivery, state or delivery.state, there=False)
        return pair

    def _tidy(self, at: Context, left: dict[int, _Pair]) -> None:
        """Remove those of some directories, each with whose files were in it, that are empty, and then those around."""
        while left:
            empty = self._names.of_inodes(self._names.empty_of(sorted(left)))
            around: dict[int, _Pair] = {}
            for inode, (place, row) in empty.items():
                pair = left[inode]
                if inode == pair.directory:
                    pair.directory = 0
                else:
                    pair.files -= 1
                    around[place.parent] = pair
                self._quotas.count(row[5], files=-1)
                self._spans.forget(inode)
                self._orphans.add(inode)
                self._retention.directory_removed(inode)
                self._names.touch(place.parent, at.time_ns)
            if empty:
                self._names.remove_all([place for place, _ in empty.values()])
                self._names.forget_paths()
            left = around
