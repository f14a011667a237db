"""What was sent, to whom, and what became of it: a record for each file that was put to somebody.

A record is live while the sender's entry is there; `sent` has its row, under the inode of that entry. `deliveries` has
a row for each recipient, under the inode of the entry in its inbox. When a record ends it goes to `history`; its row
stays until nothing of it is in an inbox any more, because it may expire there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.metadata.tables.cluster.clock import Budget, Clock
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.people.persons import Persons
from raftstore.rights.reserved import LEVEL
from raftstore.types import DeliveryState, EventKind, User

KEPT_NS = 30 * 24 * 3600 * 10**9
"""For which ended records are kept, in cluster time."""

MAX_KEPT = 10_000
"""Ended records that are kept for a sender, one for each recipient."""

MAX_REPLACED = 1_000
"""Of a sender, records that gave way to others under their names and may come back: the newest."""

_TAKEN_OUT = 8
"""Beside a state: the recipient has removed it from the inbox. Its sender is not to know."""

IN_INBOX = (DeliveryState.DELIVERED, DeliveryState.OPENED, DeliveryState.KEPT)
"""States in which it may still be there. DELIVERED means BOUNCED while its recipient is no person; kept is that only of
what was thrown away then."""

NOT_THERE = (DeliveryState.REFUSED, DeliveryState.BOUNCED)
"""States in which a recipient has it not, and gets it when it is sent again."""


_RECIPIENTS = (DeliveryState.OPENED, DeliveryState.KEPT)
"""States that the recipient brings about; all others the sender, or time."""


_LOOKED_AT = 16
"""Entries of an inbox that are looked at for one that was not opened: however many there are, it is one turn."""


@dataclass(frozen=True, slots=True)
class Record:
    """Something that was sent. `inode` is the sender's entry, or was; `sender` the number of a person (see `persons`).

    `sent_ns` is cluster time; it expires at `expires_ns` (0: never). `ended`: the sender's entry is gone.
    """

    inode: int
    sender: int
    sent_ns: int
    expires_ns: int
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record as it concerns one recipient, the number of a person. `inode` is, or was, the entry in its inbox.

    `there`: as far as the record knows it is still in the inbox.
    """

    inode: int
    record: int
    recipient: int
    state: DeliveryState
    there: bool


@dataclass(frozen=True, slots=True)
class Past:
    """A delivery of a record that has ended. `path` is that within /people/@sent/SENDER: to whom, and the name."""

    number: int
    path: str
    size: int
    recipient: int
    state: DeliveryState
    sent_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """A record that has ended since something else was put under its name; `digest` stands for its chunks."""

    record: Record
    digest: bytes


def as_shown(state: DeliveryState, identity: str, account: User | None) -> DeliveryState:
    """Return the state of a delivery to `identity` as its sender is told it; `account`: who has that name now.

    What was not opened has bounced as long as its recipient is no person: nobody can open it.
    """
    there = account is not None and account.person and account.owner == identity
    return DeliveryState.BOUNCED if state is DeliveryState.DELIVERED and not there else state


class Records(Table):
    """The tables `sent`, `deliveries`, `history` and `replaced`."""

    schemas = (
        Schema(
            "sent",
            "inode",
            """
CREATE TABLE sent (
  inode INTEGER PRIMARY KEY,
  sender INTEGER NOT NULL,
  sent_ns INTEGER NOT NULL,
  expires_ns INTEGER NOT NULL,
  ended INTEGER NOT NULL
) STRICT;
CREATE INDEX sent_by_sender ON sent (sender, inode) WHERE ended = 0;
CREATE INDEX sent_by_expiry ON sent (expires_ns, inode) WHERE expires_ns > 0;
""",
            level=LEVEL,
        ),
        Schema(
            "deliveries",
            "inode",
            """
CREATE TABLE deliveries (
  inode INTEGER PRIMARY KEY,
  record INTEGER NOT NULL,
  recipient INTEGER NOT NULL,
  state INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_record ON deliveries (record, inode);
""",
            level=LEVEL,
        ),
        Schema(
            "history",
            "number",
            """
CREATE TABLE history (
  number INTEGER PRIMARY KEY,
  sender INTEGER NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  recipient INTEGER NOT NULL,
  state INTEGER NOT NULL,
  sent_ns INTEGER NOT NULL,
  ended_ns INTEGER NOT NULL,
  record INTEGER NOT NULL
) STRICT;
CREATE INDEX history_by_sender ON history (sender, number, record);
CREATE INDEX history_by_end ON history (ended_ns, number);
""",
            level=LEVEL,
        ),
        Schema(
            "replaced",
            "record",
            """
CREATE TABLE replaced (
  record INTEGER PRIMARY KEY,
  sender INTEGER NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  digest BLOB NOT NULL,
  sent_ns INTEGER NOT NULL,
  expires_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX replaced_by_sender ON replaced (sender, record);
CREATE INDEX replaced_by_path ON replaced (sender, path, record);
""",
            level=LEVEL,
        ),
    )

    def __init__(self, database: sqlite3.Connection, persons: Persons, clock: Clock, events: Events) -> None:
        super().__init__(database)
        self._executemany = database.cursor().executemany
        self._events = events
        self._persons = persons
        self._clock = clock
        self._any_replaced = False
        """Whether anything may have given way: it is asked for each delivery, and mostly nothing has."""
        if self._execute("SELECT 1 FROM sqlite_schema WHERE name = 'replaced'").fetchone():
            self._any_replaced = self._execute("SELECT 1 FROM replaced LIMIT 1").fetchone() is not None

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the persons whose they are, cluster time, and who is told of it."""
        return cls(tables.database, tables[Persons], tables[Clock], tables[Events])

    # Records.

    def record(self, inode: int) -> Record | None:
        """Return the record with the sender's entry `inode`, also when it has ended; None: there is none."""
        row = self._execute(
            "SELECT inode, sender, sent_ns, expires_ns, ended FROM sent WHERE inode = ?", (inode,)
        ).fetchone()
        return _record(row) if row is not None else None

    def add(self, record: Record, deliveries: Iterable[tuple[int, int, DeliveryState]]) -> None:
        """Note that something was sent. Of each recipient: the number of the entry in its inbox, its own, the state."""
        self._execute(
            "INSERT INTO sent VALUES (?, ?, ?, ?, 0)",
            (record.inode, record.sender, record.sent_ns, record.expires_ns),
        )
        self.add_deliveries(record, deliveries)

    def add_deliveries(self, record: Record, deliveries: Iterable[tuple[int, int, DeliveryState]]) -> None:
        """Note recipients of a record; see `add`."""
        rows = [(inode, record.inode, recipient, int(state)) for inode, recipient, state in deliveries]
        self._executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?)", rows)
        self._note_delivered(record, rows)

    def remove_deliveries(self, deliveries: Iterable[int]) -> None:
        """Take back what was noted of some recipients, by the numbers of their entries."""
        self._executemany("DELETE FROM deliveries WHERE inode = ?", [(inode,) for inode in deliveries])

    def deliveries(self, record: int, limit: int = -1, after: int = 0) -> list[Delivery]:
        """Return the deliveries of a record behind a number, in the order of their numbers."""
        rows = self._execute(
            "SELECT inode, record, recipient, state FROM deliveries WHERE record = ? AND inode > ?"
            " ORDER BY inode LIMIT ?",
            (record, after, limit),
        ).fetchall()
        return list(map(_delivery, rows))

    def size(self, record: int) -> int:
        """Return how many deliveries a record has; 0: there is none."""
        found: tuple[int] = self._execute(
            "SELECT count(*) FROM deliveries WHERE record = ?", (record,)
        ).fetchone()
        return found[0]

    def delivery(self, inode: int) -> Delivery | None:
        """Return the delivery that is the entry `inode` of an inbox."""
        row = self._execute(
            "SELECT inode, record, recipient, state FROM deliveries WHERE inode = ?", (inode,)
        ).fetchone()
        return _delivery(row) if row is not None else None

    def any_unopened(self, directory: int) -> bool:
        """Whether something beneath a directory, which is an inbox, was not opened yet.

        In doubt it is said to be: where there are many, not all are looked at.
        """
        waiting, left = [directory], _LOOKED_AT
        while waiting and left:
            looked_at = self._execute(
                "SELECT entries.inode, state FROM entries LEFT JOIN deliveries USING (inode) WHERE parent = ? LIMIT ?",
                (waiting.pop(), left),
            ).fetchall()
            if any(state == DeliveryState.DELIVERED for _, state in looked_at):
                return True
            left -= len(looked_at)
            waiting += [inode for inode, state in looked_at if state is None]
        return not left

    def there(self, record: int, limit: int) -> list[Delivery]:
        """Return up to `limit` deliveries of a record that are still in inboxes, as far as it knows."""
        rows = self._execute(
            "SELECT inode, record, recipient, state FROM deliveries WHERE record = ? AND state IN (?, ?, ?)"
            " ORDER BY inode LIMIT ?",
            (record, *map(int, IN_INBOX), limit),
        ).fetchall()
        return list(map(_delivery, rows))

    def become(self, delivery: Delivery, state: DeliveryState, *, there: bool) -> None:
        """Give a delivery a state; `there`: it is still in the inbox."""
        record = self.record(delivery.record)
        assert record is not None
        self.become_all(record, [delivery], state, there=there)

    def become_all(
        self, record: Record, deliveries: Sequence[Delivery], state: DeliveryState, *, there: bool
    ) -> None:
        """Give some deliveries of a record a state. Of one that has ended those are forgotten that are not `there`."""
        self._note_state(record, [each for each in deliveries if each.state is not state], state)
        if record.ended:
            self._executemany(
                "UPDATE history SET state = ? WHERE number = ?",
                [(int(state), each.inode) for each in deliveries],
            )
        if record.ended and not there:
            self.remove_deliveries(each.inode for each in deliveries)
            self._forget_empty(record.inode)
            return
        number = int(state) | (0 if there else _TAKEN_OUT)
        self._executemany(
            "UPDATE deliveries SET state = ? WHERE inode = ?", [(number, each.inode) for each in deliveries]
        )

    def _note_delivered(self, record: Record, rows: list[tuple[int, int, int, int]]) -> None:
        taken = [row for row in rows if row[3] == DeliveryState.DELIVERED]
        if taken:
            only = rows[0][2] if len(rows) == 1 else 0
            self._events.note(
                EventKind.DELIVERED, len(taken), record.inode, taken[0][0], actor=record.sender, subject=only
            )

    def _note_state(self, record: Record, deliveries: Iterable[Delivery], state: DeliveryState) -> None:
        if state is DeliveryState.BOUNCED:
            return  # one event says it of all, when their recipient went
        theirs = state in _RECIPIENTS
        concerned = [
            (each.inode, each.recipient, record.sender)
            if theirs
            else (each.inode, record.sender, each.recipient)
            for each in deliveries
        ]
        self._events.note_each(EventKind(state), record.inode, concerned)

    def open(self, inode: int) -> None:
        """Note that the entry `inode` of an inbox was read, if it is one that nobody has read yet."""
        found = self.delivery(inode)
        if found is not None and found.there and found.state is DeliveryState.DELIVERED:
            self.become(found, DeliveryState.OPENED, there=True)

    def end(
        self,
        at: Context,
        record: Record,
        path: str,
        size: int,
        deliveries: Sequence[Delivery],
        recalled: Collection[int] = (),
    ) -> None:
        """The sender's entry goes: keep for a while what became of it. `path` is that within /people/@sent/SENDER.

        `deliveries`: all of the record. Those in `recalled` are taken from their inboxes with it.
        """
        self._note_state(
            record, [each for each in deliveries if each.inode in recalled], DeliveryState.RECALLED
        )
        now = self._clock.stamp(at)
        rows = [
            (
                each.inode,
                record.sender,
                path,
                size,
                each.recipient,
                int(DeliveryState.RECALLED if each.inode in recalled else each.state),
                record.sent_ns,
                now,
                record.inode,
            )
            for each in deliveries
        ]
        self._executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        kept = self._persons.count_history(record.sender, len(rows))
        if kept > MAX_KEPT:
            self._drop_oldest(record.sender, kept - MAX_KEPT)
        kept_there = {each.inode for each in deliveries if each.there and each.inode not in recalled}
        self._end(
            record.inode, len(kept_there), [each.inode for each in deliveries if each.inode not in kept_there]
        )

    def note_replaced(self, record: Record, path: str, size: int, digest: bytes) -> None:
        """Note of a record that is to end that something else is put under its name; see `end`."""
        self._any_replaced = True
        self._execute(
            "INSERT INTO replaced VALUES (?, ?, ?, ?, ?, ?, ?)",
            (record.inode, record.sender, path, size, digest, record.sent_ns, record.expires_ns),
        )
        self._execute(
            "DELETE FROM replaced WHERE record IN"
            " (SELECT record FROM replaced WHERE sender = ? ORDER BY record DESC LIMIT -1 OFFSET ?)",
            (record.sender, MAX_REPLACED),
        )

    def replaced(self, sender: int, path: str, size: int) -> list[Replaced]:
        """Return what gave way under a name and has that size, the newest first."""
        if not self._any_replaced:
            return []
        rows = self._execute(
            "SELECT record, replaced.sender, coalesce(sent.sent_ns, replaced.sent_ns),"
            " coalesce(sent.expires_ns, replaced.expires_ns), digest FROM replaced LEFT JOIN sent ON inode = record"
            " WHERE replaced.sender = ? AND path = ? AND size = ? ORDER BY record DESC",
            (sender, path, size),
        ).fetchall()
        return [Replaced(_record((*row[:4], 1)), row[4]) for row in rows]

    def replaced_deliveries(self, record: Record) -> list[Delivery]:
        """Return what is known of the deliveries of a record that gave way."""
        there = {each.inode for each in self.deliveries(record.inode) if each.there}
        rows = self._execute(
            "SELECT number, recipient, state FROM history WHERE sender = ? AND record = ? ORDER BY number",
            (record.sender, record.inode),
        ).fetchall()
        return [
            Delivery(number, record.inode, recipient, DeliveryState(state), number in there)
            for number, recipient, state in rows
        ]

    def revive(self, record: Record, inode: int, deliveries: Sequence[Delivery]) -> Record:
        """Let a record that gave way, with its `replaced_deliveries`, be that of the sender's entry `inode`."""
        self.forget(record.inode)
        chosen = "SELECT number FROM history WHERE sender = ? AND record = ?"
        self._forget_past(record.sender, chosen, (record.sender, record.inode))
        revived = replace(record, inode=inode, ended=False)
        self._execute(
            "INSERT INTO sent VALUES (?, ?, ?, ?, 0)",
            (inode, revived.sender, revived.sent_ns, revived.expires_ns),
        )
        rows = [
            (each.inode, inode, each.recipient, int(each.state) | (0 if each.there else _TAKEN_OUT))
            for each in deliveries
        ]
        self._executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?)", rows)
        return revived

    def forget_replaced(self, sender: int) -> None:
        """Forget what gave way to others: its sender is no person any more."""
        self._execute("DELETE FROM replaced WHERE sender = ?", (sender,))

    def end_untold(self, record: Record) -> int:
        """The sender's entry goes, and nobody is left who would ask about it; return how many rows go with it."""
        deliveries = self.deliveries(record.inode)
        gone = [each.inode for each in deliveries if not each.there]
        self._end(record.inode, len(deliveries) - len(gone), gone)
        return len(gone)

    def _end(self, record: int, left: int, gone: Sequence[int]) -> None:
        """Of a record that ends, forget what is in no inbox any more, and, if that is all, the record."""
        if not left:
            self.forget(record)
            return
        self.remove_deliveries(gone)
        self._execute("UPDATE sent SET ended = 1 WHERE inode = ?", (record,))

    def _forget_empty(self, record: int) -> None:
        if not self._execute("SELECT 1 FROM deliveries WHERE record = ? LIMIT 1", (record,)).fetchone():
            self.forget(record)

    def forget(self, record: int) -> None:
        """Forget a record of which nothing is anywhere."""
        self._execute("DELETE FROM deliveries WHERE record = ?", (record,))
        self._execute("DELETE FROM sent WHERE inode = ?", (record,))

    def _drop_oldest(self, sender: int, count: int) -> None:
        chosen = "SELECT number FROM history WHERE sender = ? ORDER BY number LIMIT ?"
        self._forget_past(sender, chosen, (sender, count))

    def _forget_past(self, sender: int, chosen: str, values: tuple[int, ...]) -> None:
        """Forget ended records of a sender, by numbers that `chosen` gives; of which a part goes does not come back.

        To revive such a one from what is left would lose sight of what is in the inboxes.
        """
        gone = self._execute(
            f"DELETE FROM history WHERE number IN ({chosen}) RETURNING record", values
        ).fetchall()
        self._persons.count_history(sender, -len(gone))
        if self._any_replaced:
            self._executemany("DELETE FROM replaced WHERE record = ?", set(gone))

    # What is looked at.

    def live(self, sender: int, before: tuple[int, int], limit: int) -> list[tuple[Record, Delivery]]:
        """Return deliveries of live records, newest first, behind one (record, delivery) or all that are."""
        rows = self._execute(
            "SELECT sent.inode, sender, sent_ns, expires_ns, deliveries.inode, record, recipient, state"
            " FROM sent JOIN deliveries ON record = sent.inode WHERE sender = ? AND ended = 0"
            " AND sent.inode <= ? AND (sent.inode, deliveries.inode) < (?, ?)"
            " ORDER BY sent.inode DESC, deliveries.inode DESC LIMIT ?",
            (sender, before[0], *before, limit),
        ).fetchall()
        return [(_record((*row[:4], 0)), _delivery(row[4:])) for row in rows]

    def past(self, sender: int, before: int, limit: int) -> list[Past]:
        """Return deliveries of records that have ended, newest first, with lower numbers than `before`."""
        rows = self._execute(
            "SELECT number, path, size, recipient, state, sent_ns, ended_ns FROM history"
            " WHERE sender = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (sender, before, limit),
        ).fetchall()
        return [
            Past(number, path, size, recipient, DeliveryState(state), sent_ns, ended_ns)
            for number, path, size, recipient, state, sent_ns, ended_ns in rows
        ]

    def past_path(self, number: int) -> str | None:
        """Return the path of a delivery whose record has ended; None: that is not kept."""
        row = self._execute("SELECT path FROM history WHERE number = ?", (number,)).fetchone()
        return row[0] if row is not None else None

    # Time.

    def expired(self, until_ns: int) -> Record | None:
        """Return the record that expires first, if that is not after `until_ns`."""
        row = self._execute(
            "SELECT inode, sender, sent_ns, expires_ns, ended FROM sent"
            " WHERE expires_ns > 0 AND expires_ns <= ? ORDER BY expires_ns, inode LIMIT 1",
            (until_ns,),
        ).fetchone()
        return _record(row) if row is not None else None

    def put_off(self, record: Record, sent_ns: int) -> None:
        """Count what a record has left from a later time: while it was sent, the clock stood still."""
        expires = record.expires_ns + sent_ns - record.sent_ns
        self._execute(
            "UPDATE sent SET sent_ns = ?, expires_ns = ? WHERE inode = ?", (sent_ns, expires, record.inode)
        )

    def due(self, until_ns: int) -> int | None:
        """Return when the first ended record is kept no longer, if not after `until_ns`."""
        row = self._execute(
            "SELECT ended_ns FROM history WHERE ended_ns <= ? ORDER BY ended_ns LIMIT 1", (until_ns - KEPT_NS,)
        ).fetchone()
        return row[0] + KEPT_NS if row is not None else None

    def expire(self, at: Context, until_ns: int, budget: Budget) -> None:
        """Forget ended records that are kept no longer."""
        while True:
            row = self._execute(
                "SELECT number, sender, ended_ns FROM history WHERE ended_ns <= ? ORDER BY ended_ns, number LIMIT 1",
                (until_ns - KEPT_NS,),
            ).fetchone()
            if row is None or not budget.take():
                return
            number, sender, ended = row
            counted = self._clock.counted_from(ended)
            if counted > ended:
                self._execute("UPDATE history SET ended_ns = ? WHERE number = ?", (counted, number))
            else:
                self._forget_past(sender, "?", (number,))


def _record(row: Sequence[int]) -> Record:
    inode, sender, sent_ns, expires_ns, ended = row
    return Record(inode, sender, sent_ns, expires_ns, bool(ended))


def _delivery(row: Sequence[int]) -> Delivery:
    inode, record, recipient, number = row
    state = DeliveryState(number & ~_TAKEN_OUT)
    return Delivery(inode, record, recipient, state, state in IN_INBOX and not number & _TAKEN_OUT)
