"""Where events are sent to, how far each has come, and what could not be sent.

Each webhook has a position: the number of the last event that is done with. A message is begun before it is sent, with
the number of its last event: so it is the same message, under the same name, whoever leads and however often it is
sent. The position moves when that is over. What is given up becomes a dead letter, which is sent again when that is
asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.events.events import Events
from raftstore.rights.reserved import LEVEL
from raftstore.types import EventKind
from raftstore.wire import commands_pb2 as commands

MAX_WEBHOOKS = 50
MAX_LETTERS = 1_000
"""Dead letters of a webhook; then the oldest goes."""

URL = 2_048
DETAIL = 500
"""Characters at most."""

MAX_KINDS = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KIND = re.compile(r"[a-z_]{1,64}")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")

_Outcome = commands.EndMessage
_COLUMNS = "name, revision, url, kinds, private, secret, key, position, begun, retried, accepted"

_OF_LETTERS = "webhook, number, first, last, time_ns, detail, asked, lost"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as its row has it.

    `revision`: log entry that made it. `kinds`: names of events, parted by blanks; "": all. `begun`: last event of the
    message that is under way (0: none). `retried`: log entry that asked for another attempt. `accepted`: messages so
    far.
    """

    name: str
    revision: int
    url: str
    kinds: str
    private: bool
    secret: bytes
    key: bytes
    position: int
    begun: int
    retried: int
    accepted: int

    def takes(self, kind: EventKind) -> bool:
        """Whether it gets events of that kind; one that names none gets all but uploads."""
        if not self.kinds:
            return kind is not EventKind.UPLOADED
        return kind.name.lower() in self.kinds.split()

    def message(self, first: int, last: int) -> str:
        """Return the name of the message with these events: the same at all times, and of no other."""
        return "msg_" + hashlib.sha256(b"%b %d %d" % (self.key, first, last)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Events `first` to `last` that were not accepted. `asked`: to be sent once more; `lost`: it cannot be."""

    webhook: str
    number: int
    first: int
    last: int
    time_ns: int
    detail: str
    asked: bool
    lost: bool


class Webhooks(Table):
    """The tables `webhooks` and `dead_letters`."""

    schemas = (
        Schema(
            "webhooks",
            "name",
            """
CREATE TABLE webhooks (
  name TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,
  url TEXT NOT NULL,
  kinds TEXT NOT NULL,
  private INTEGER NOT NULL,
  secret BLOB NOT NULL,
  key BLOB NOT NULL,
  position INTEGER NOT NULL,
  begun INTEGER NOT NULL,
  retried INTEGER NOT NULL,
  accepted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
            level=LEVEL,
        ),
        Schema(
            "dead_letters",
            "webhook, number",
            """
CREATE TABLE dead_letters (
  webhook TEXT NOT NULL,
  number INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  detail TEXT NOT NULL,
  asked INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  PRIMARY KEY (webhook, number)
) STRICT, WITHOUT ROWID;
""",
            level=LEVEL,
        ),
    )

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._clock = tables[Clock]
        self._events = tables[Events]
        self.on_change: Callable[[], object] = lambda: None
        """Called when one came, went, or is to be tried again, while the entry is still applied; must not raise."""

        self.uploads = False
        """Whether one asks for uploads: only then are they events."""
        if tables.at.level >= LEVEL:
            self._look_for_uploads()

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with cluster time and events."""
        return cls(tables)

    def _look_for_uploads(self) -> None:
        self.uploads = any(EventKind.UPLOADED.name.lower() in each.kinds.split() for each in self.all())

    # Commands.

    @handles("add_webhook", level=LEVEL)
    def add(self, command: commands.AddWebhook, at: Context) -> None:
        """Send to it from here on."""
        asked = command.webhook
        check(asked)
        if self.find(asked.name) is not None:
            raise Refusal(commands.EXISTS, f"webhook {asked.name}")
        if self._execute("SELECT count(*) FROM webhooks").fetchone()[0] >= MAX_WEBHOOKS:
            raise Refusal(commands.INVALID, f"at most {MAX_WEBHOOKS} webhooks")
        kinds = " ".join(sorted(set(asked.kinds)))
        self._execute(
            "INSERT INTO webhooks VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)",
            (
                *(asked.name, at.index, asked.url, kinds, int(asked.private), asked.secret, asked.key),
                self._events.last,
            ),
        )
        self._look_for_uploads()
        self.on_change()

    @handles("remove_webhook", level=LEVEL)
    def remove(self, command: commands.RemoveWebhook, at: Context) -> None:
        """Send nothing more there; its dead letters go."""
        self._named(command.name)
        self._execute("DELETE FROM webhooks WHERE name = ?", (command.name,))
        self._execute("DELETE FROM dead_letters WHERE webhook = ?", (command.name,))
        self._look_for_uploads()
        self.on_change()

    @handles("begin_message", level=LEVEL)
    def begin(self, command: commands.BeginMessage, at: Context) -> None:
        """Say which events the next message has."""
        webhook = self._current(command)
        if webhook.begun:
            raise Refusal(commands.CHANGED, "a message is under way")
        self._check_last(webhook.position, command.last)
        self._execute("UPDATE webhooks SET begun = ? WHERE name = ?", (command.last, command.name))

    @handles("end_message", level=LEVEL)
    def end(self, command: commands.EndMessage, at: Context) -> None:
        """Move the position behind what is over."""
        webhook, outcome = self._current(command), command.outcome
        under_way = outcome in (_Outcome.ACCEPTED, _Outcome.GIVEN_UP)
        if (under_way and command.last != webhook.begun) or (outcome == _Outcome.PASSED and webhook.begun):
            raise Refusal(commands.CHANGED, "another message is under way")
        self._check_last(webhook.position, command.last)
        if command.next:
            self._check_last(command.last, command.next)
        self._execute(
            "UPDATE webhooks SET position = ?, begun = ?, accepted = accepted + ? WHERE name = ?",
            (command.last, command.next, int(outcome == _Outcome.ACCEPTED), webhook.name),
        )
        if outcome in (_Outcome.GIVEN_UP, _Outcome.LOST):
            self._bury(webhook, command, at)

    def _bury(self, webhook: Webhook, command: commands.EndMessage, at: Context) -> None:
        (newest,) = self._execute(
            "SELECT coalesce(max(number), 0) FROM dead_letters WHERE webhook = ?", (webhook.name,)
        ).fetchone()
        lost = command.outcome == _Outcome.LOST
        self._execute(
            "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
            (
                *(webhook.name, newest + 1, webhook.position + 1, command.last, self._clock.stamp(at)),
                *(command.detail[:DETAIL], int(lost)),
            ),
        )
        self._execute(
            "DELETE FROM dead_letters WHERE webhook = ? AND number <= ?",
            (webhook.name, newest + 1 - MAX_LETTERS),
        )

    @handles("retry_webhook", level=LEVEL)
    def retry(self, command: commands.RetryWebhook, at: Context) -> None:
        """Have dead letters sent once more, and what waits for another attempt now."""
        self._named(command.name)
        if command.letter:
            found = self._execute(
                "SELECT lost FROM dead_letters WHERE webhook = ? AND number = ?",
                (command.name, min(command.letter, MAX_INTEGER)),
            ).fetchone()
            if found is None:
                raise Refusal(commands.NOT_FOUND, f"dead letter {command.letter} of webhook {command.name}")
            if found[0]:
                raise Refusal(
                    commands.INVALID, f"the events of dead letter {command.letter} are not kept any more"
                )
        self._execute(
            "UPDATE dead_letters SET asked = 1 WHERE webhook = ? AND (number = ?2 OR ?2 = 0) AND NOT lost",
            (command.name, min(command.letter, MAX_INTEGER)),
        )
        self._execute("UPDATE webhooks SET retried = ? WHERE name = ?", (at.index, command.name))
        self.on_change()

    @handles("end_letter", level=LEVEL)
    def end_letter(self, command: commands.EndLetter, at: Context) -> None:
        """A dead letter was sent once more: it goes, or stays with the new reason."""
        webhook = self.find(command.name)
        key = (command.name, min(command.letter, MAX_INTEGER))
        asked = self._execute(
            "SELECT 1 FROM dead_letters WHERE webhook = ? AND number = ? AND asked", key
        ).fetchone()
        if webhook is None or webhook.revision != command.revision or asked is None:
            raise Refusal(commands.CHANGED, "nobody asks for it any more")
        if command.accepted:
            self._execute("DELETE FROM dead_letters WHERE webhook = ? AND number = ?", key)
            self._execute("UPDATE webhooks SET accepted = accepted + 1 WHERE name = ?", (command.name,))
        else:
            self._execute(
                "UPDATE dead_letters SET asked = 0, detail = ? WHERE webhook = ? AND number = ?",
                (command.detail[:DETAIL], *key),
            )

    def _named(self, name: str) -> Webhook:
        found = self.find(name)
        if found is None:
            raise Refusal(commands.NOT_FOUND, f"webhook {name}")
        return found

    def _current(self, command: commands.BeginMessage | commands.EndMessage) -> Webhook:
        found = self.find(command.name)
        if found is None or (found.revision, found.position) != (command.revision, command.position):
            raise Refusal(commands.CHANGED, "the webhook is another, or at another event, by now")
        return found

    def _check_last(self, position: int, last: int) -> None:
        if not position < last <= self._events.last:
            raise Refusal(
                commands.INVALID, f"behind event {position} there are those up to {self._events.last}"
            )

    # Queries.

    def find(self, name: str) -> Webhook | None:
        """Return a webhook."""
        row = self._execute(f"SELECT {_COLUMNS} FROM webhooks WHERE name = ?", (name,)).fetchone()
        return None if row is None else _webhook(row)

    def all(self) -> list[Webhook]:
        """Return all, by name."""
        return [
            _webhook(row) for row in self._execute(f"SELECT {_COLUMNS} FROM webhooks ORDER BY name").fetchall()
        ]

    def letters(self, name: str, limit: int = MAX_LETTERS, *, asked: bool = False) -> list[DeadLetter]:
        """Return dead letters of a webhook, the oldest first; `asked`: those that are to be sent once more."""
        rows = self._execute(
            f"SELECT {_OF_LETTERS} FROM dead_letters WHERE webhook = ? AND asked >= ? ORDER BY number LIMIT ?",
            (name, int(asked), limit),
        ).fetchall()
        return [_letter(row) for row in rows]

    def count_letters(self, name: str) -> int:
        """Return how many dead letters a webhook has."""
        (count,) = self._execute("SELECT count(*) FROM dead_letters WHERE webhook = ?", (name,)).fetchone()
        return int(count)


def _webhook(row: Any) -> Webhook:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Webhook(**fields | {"private": bool(fields["private"])})


def _letter(row: Any) -> DeadLetter:
    fields = dict(zip(_OF_LETTERS.split(", "), row, strict=True))
    return DeadLetter(**fields | {"asked": bool(fields["asked"]), "lost": bool(fields["lost"])})


def check(webhook: commands.Webhook) -> None:
    """Refuse with INVALID what is no webhook."""
    if not _NAME.fullmatch(webhook.name):
        raise Refusal(
            commands.INVALID, "a webhook's name has up to 64 letters, digits, dots, dashes and underscores"
        )
    if not webhook.url or len(webhook.url) > URL or _CONTROL.search(webhook.url):
        raise Refusal(commands.INVALID, f"a webhook's URL has up to {URL} characters, and no blanks")
    if len(webhook.kinds) > MAX_KINDS or not all(_KIND.fullmatch(kind) for kind in webhook.kinds):
        raise Refusal(commands.INVALID, f"a webhook names up to {MAX_KINDS} kinds of events")
    if not 24 <= len(webhook.secret) <= 64 or len(webhook.key) != 16:
        raise Refusal(commands.INVALID, "a webhook's secret has 24 to 64 bytes, and its key 16")
