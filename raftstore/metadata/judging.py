"""Whose command it is, and what of it the account may do: asked at each command, where it stands in the log."""

from __future__ import annotations

from raftstore.errors import Denied
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import ANYTHING
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.rights import ROLES, Rights
from raftstore.rights.actor import why_refused
from raftstore.rights.changes import JUDGED, Leave, read
from raftstore.rights.reserved import LEVEL
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands


def judged(kind: str, command: commands.Command, level: int, accounts: Accounts) -> tuple[Leave, Rights | None]:
    """Return what a command may do, and the rights of its account, if one's are to be asked further.

    At level 1 the command says so itself. Refuses with DENIED, INVALID (it does not say whose it is).
    """
    if kind not in JUDGED:
        return ANYTHING, None
    actor = command.actor
    who = actor.WhichOneof("who") if level >= 2 else None
    if level < 2 or (who == "system" and actor.system):
        return read(command), None
    if who == "account":
        found = accounts.rights_of(actor.account)
        reason = why_refused(actor, found.user if found is not None else None)
        if reason is not None:
            raise Refusal(commands.DENIED, reason)
        assert found is not None
    elif who == "anonymous":
        found = Rights(
            User("anonymous", "", home=actor.anonymous, rights=ROLES["read-only"]),
            owner="",
            reserved=level >= LEVEL,
        )
    else:
        raise Refusal(commands.INVALID, "a command that changes names must say who wants it")
    try:
        return JUDGED[kind](found, getattr(command, kind)), found
    except Denied as error:
        raise Refusal(commands.DENIED, error.detail) from None
