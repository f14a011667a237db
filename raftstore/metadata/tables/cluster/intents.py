"""Who the members are, and what operators want of that: tokens to join with, removals, moves."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from google.protobuf.message import DecodeError

from raftstore.errors import Damaged
from raftstore.metadata.refusal import MAX_INTEGER, Refusal, check_label, no_node
from raftstore.metadata.registry import Context, Schema, Table, handles
from raftstore.wire import commands_pb2 as commands
from raftstore.wire import raft_pb2

ID_SIZE = 16
KEY_SIZE = 32
MAX_SEALED = 16_384
MAX_INTENTS = 64
"""That stand at a time, used tokens that have not expired among them."""
MAX_VALID_NS = 31 * 24 * 3600 * 10**9
"""Longest time for which a token is good."""

Intent = commands.Intent


class Intents(Table):
    """The tables `membership` and `intents`, both whole in memory."""

    schemas = (
        Schema(
            "membership",
            "only",
            """
CREATE TABLE membership (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  entry INTEGER NOT NULL,
  configuration BLOB NOT NULL
) STRICT;
""",
        ),
        Schema(
            "intents",
            "id",
            """
CREATE TABLE intents (
  id BLOB PRIMARY KEY,
  intent BLOB NOT NULL
) STRICT, WITHOUT ROWID;
""",
        ),
    )

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        row = self._execute("SELECT entry, configuration FROM membership").fetchone()
        self.configuration: tuple[int, bytes] = (row[0], row[1]) if row else (0, b"")
        self.members: Collection[str] = _names(self.configuration[1])
        rows = self._execute("SELECT intent FROM intents").fetchall()
        intents = sorted((Intent.FromString(row[0]) for row in rows), key=lambda intent: intent.index)
        self._intents = {intent.id: intent for intent in intents}

    def list(self) -> list[Intent]:
        """Return all in the order of their coming; not to be changed."""
        return list(self._intents.values())

    def staying(self) -> set[str]:
        """Return the members that are not to leave."""
        going: set[str] = set()
        for intent in self._intents.values():
            if intent.kind == Intent.REMOVE and not intent.done:
                going.add(intent.node)
            elif intent.nonce and not intent.done:
                going.add(intent.replaces)
        return set(self.members) - going

    def check_boot(self, node: str, boot: int, what: str) -> None:
        """Refuse with INVALID what is not of a member in one of its boots. `what` says what is done so."""
        if not node or not 0 < boot <= MAX_INTEGER or (self.members and node not in self.members):
            raise Refusal(commands.INVALID, f"{what} by a node in one of its boots")

    def untouched(self) -> bool:
        """Whether nobody wants anything of the membership."""
        return not self._intents

    def configure(self, index: int, configuration: bytes) -> None:
        """Take a new configuration."""
        self.members = _names(configuration)
        self.configuration = (index, configuration)
        self._execute("INSERT OR REPLACE INTO membership VALUES (1, ?, ?)", (index, configuration))

    @handles("put_intent", level=1)
    def put(self, command: commands.PutIntent, at: Context) -> None:
        """Take a new intent. Refuses what cannot be carried out, or contradicts another one."""
        intent = command.intent
        if len(intent.id) != ID_SIZE or intent.id in self._intents or not intent.node:
            raise Refusal(commands.INVALID, f"an intent has a node and a new identity of {ID_SIZE} bytes")
        for label in (intent.node, intent.address, intent.replaces):
            check_label(label, "a node's name or address")
        for old in [old for old in self._intents.values() if _over(old, at.time_ns)]:
            self._forget(old)
        self._check(intent, at.time_ns)
        stored = Intent()
        stored.CopyFrom(intent)
        stored.ClearField("nonce")
        stored.done, stored.index = False, at.index
        self._keep(stored)

    def _check(self, intent: Intent, time_ns: int) -> None:
        if len(self._intents) >= MAX_INTENTS:
            raise Refusal(commands.INVALID, "too many tokens and changes are open; cancel some")
        concerned = {intent.node, intent.replaces} - {""}
        for other in self._intents.values():
            if not other.done and not concerned.isdisjoint((other.node, other.replaces)):
                raise Refusal(commands.EXISTS, f"{_reported(other)} is open already; cancel it first")
        if intent.kind == Intent.JOIN:
            self._check_join(intent, time_ns)
        elif intent.node not in self.members:
            raise no_node(intent.node, self.members)
        elif intent.kind == Intent.MOVE and not intent.address:
            raise Refusal(commands.INVALID, "a node moves to an address")
        elif intent.kind == Intent.RENEW and len(intent.certificate) != KEY_SIZE:
            raise Refusal(commands.INVALID, "not the hash of a certificate")

    def _check_join(self, intent: Intent, time_ns: int) -> None:
        if (
            len(intent.token_key) != KEY_SIZE
            or len(intent.certificate) != KEY_SIZE
            or not 0 < len(intent.sealed) <= MAX_SEALED
            or not time_ns < intent.expires_ns <= min(time_ns + MAX_VALID_NS, MAX_INTEGER)
        ):
            raise Refusal(commands.INVALID, "not a usable token")
        if intent.node in self.members and intent.node != intent.replaces:
            raise Refusal(commands.EXISTS, f"{intent.node} is a member already")
        if intent.replaces and intent.replaces not in self.members:
            raise no_node(intent.replaces, self.members)

    @handles("redeem_token", level=1)
    def redeem(self, command: commands.RedeemToken, at: Context) -> None:
        """Use a token, for good. Refuses an unknown, used or expired one; the same request again is taken."""
        intent = self._intents.get(command.id)
        if intent is None or intent.kind != Intent.JOIN:
            raise Refusal(commands.INVALID, "the cluster does not know this token; it may have been cancelled")
        check_label(command.address, "an address")
        if len(command.nonce) != ID_SIZE or not command.address:
            raise Refusal(commands.INVALID, "not a join request")
        if intent.nonce:
            if intent.nonce != command.nonce or intent.address != command.address:
                raise Refusal(commands.INVALID, "the token was used already; ask for a new one")
            return
        if at.time_ns >= intent.expires_ns:
            raise Refusal(commands.INVALID, "the token has expired; ask for a new one")
        changed = Intent()
        changed.CopyFrom(intent)
        changed.nonce, changed.address = command.nonce, command.address
        self._keep(changed)

    @handles("finish_intent", level=1)
    def finish(self, command: commands.FinishIntent, at: Context) -> None:
        """Forget an intent, or a token that was used up: mark it so. Refuses an unknown one."""
        intent = self._intents.get(command.id)
        if intent is None:
            raise Refusal(commands.INVALID, "there is no such change")
        if intent.kind == Intent.JOIN and intent.nonce:
            changed = Intent()
            changed.CopyFrom(intent)
            changed.done = True
            changed.ClearField("sealed")
            self._keep(changed)
        else:
            self._forget(intent)

    def _keep(self, intent: Intent) -> None:
        self._intents[intent.id] = intent
        data = intent.SerializeToString(deterministic=True)
        self._execute("INSERT OR REPLACE INTO intents VALUES (?, ?)", (intent.id, data))

    def _forget(self, intent: Intent) -> None:
        del self._intents[intent.id]
        self._execute("DELETE FROM intents WHERE id = ?", (intent.id,))


def _over(intent: Intent, time_ns: int) -> bool:
    """Whether it is a token that nobody can use any more, and that nothing is left to do for."""
    return intent.kind == Intent.JOIN and time_ns >= intent.expires_ns and (intent.done or not intent.nonce)


def _reported(intent: Intent) -> str:
    match intent.kind:
        case Intent.JOIN:
            return f"a token for {intent.node}"
        case Intent.REMOVE:
            return f"the removal of {intent.node}"
        case _:
            return f"the move of {intent.node}"


def _names(configuration: bytes) -> frozenset[str]:
    try:
        return frozenset(member.name for member in raft_pb2.Configuration.FromString(configuration).members)
    except DecodeError:
        raise Damaged("a configuration that cannot be read was applied") from None
