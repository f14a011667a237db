"""Who asks: an account's session, the anonymous user of a node, or the system."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from raftstore.errors import Denied
from raftstore.rights.account import Rights
from raftstore.rights.reserved import LEVEL
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands

KEY_SIZE = 16
"""Bytes of a key's digest in a command."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for something. Make one by `session`, `anonymous_user` or `system`.

    `user` is the account as it was when its session was opened, `key` the line of the authorized key that opened it
    ("" for a password). For the system there is no account, but a `reason`.
    """

    user: User | None
    key: str = ""
    anonymous: bool = False
    reason: str = ""
    owner: str = field(init=False, repr=False, compare=False)
    """The identity to which belongs what it puts; "" when it owns nothing."""
    _message: commands.Actor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "owner", "" if self.user is None or self.anonymous else self.user.owner)
        object.__setattr__(self, "_message", self._encoded())

    @classmethod
    def session(cls, user: User, key: str = "") -> Actor:
        """Return the actor of a session that was opened with this state of an account."""
        return cls(user, key)

    @classmethod
    def anonymous_user(cls, user: User) -> Actor:
        """Return the actor of a session without an account; `user` says what it may see. It owns nothing."""
        return cls(user, anonymous=True)

    @classmethod
    def system(cls, reason: str) -> Actor:
        """Return the actor of what the store does by itself, or an operator has it do. It has every right."""
        return cls(None, reason=reason)

    def rights(self, find: Callable[[str], Rights | None], level: int) -> Rights:
        """Return what it may do by the account that `find` has now under its name, by the rules of a level.

        Raises Denied when the account is gone or disabled, or was changed in a way that ends its sessions.
        """
        if self.user is None:
            raise Denied("the system does not read as an account")
        if self.anonymous:
            return Rights(self.user, owner="", reserved=level >= LEVEL)
        now = find(self.user.name)
        reason = why_ended(self.user, now.user if now is not None else None, self.key)
        if reason is not None or now is None:
            raise Denied(reason or "")
        return now

    def message(self) -> commands.Actor:
        """Return it as a command has it; not to be changed."""
        return self._message

    def _encoded(self) -> commands.Actor:
        if self.user is None:
            return commands.Actor(system=self.reason)
        if self.anonymous:
            return commands.Actor(anonymous=self.user.home)
        key = key_digest(self.key) if self.key else b""
        return commands.Actor(account=self.user.owner, opened=self.user.revision, key=key)


def key_digest(line: str) -> bytes:
    """Return what stands for an authorized key in a command."""
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).digest()[:KEY_SIZE]


def why_refused(actor: commands.Actor, user: User | None) -> str | None:
    """Return why a command of a session is refused where the account is `user` now; None: it is not.

    The same reasons that end the session, but for what only its node knows.
    """
    if user is None or user.owner != actor.account or user.disabled:
        return "Your account was disabled or removed."
    if user.sessions_since > actor.opened:
        return "Your account was changed; log in again."
    if actor.key and all(key_digest(key) != actor.key for key in user.authorized_keys):
        return "Your key was removed; log in with another one."
    return None


def why_ended(before: User, after: User | None, key: str = "") -> str | None:
    """Return why a session that was opened as `before` must end now that the account is `after`; None: it goes on.

    `key`: the authorized key that it was opened with, if any.
    """
    if after is before:
        return None
    if after is None or after.disabled or after.owner != before.owner:
        return "Your account was disabled or removed."
    if after.password_hash != before.password_hash:
        return "Your password was changed; log in again."
    if after.home != before.home:
        return "Your home directory was changed; log in again."
    if after.sessions_since > before.revision:
        return "Your account was changed; log in again."
    if key and key not in after.authorized_keys:
        return "Your key was removed; log in with another one."
    return None
