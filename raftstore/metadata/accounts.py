"""Users, and what each owner has: bytes and files published, bytes in partial uploads."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from raftstore.errors import BadName
from raftstore.metadata.refusal import MAX_BYTES, MAX_INTEGER, Refusal
from raftstore.paths import check_name, join, split
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands

RIGHTS = frozenset("elradfmwMT")
MAX_HASH = 1024
MAX_REPLICAS = 5
"""Copies that an account may ask for."""
MAX_KNOWN = 4096
"""Accounts kept in memory."""

_SELECT = "SELECT name, password_hash, home, rights, quota_bytes, disabled, revision, replicas FROM users"


@dataclass(slots=True)
class Usage:
    """What one owner has; `quota_bytes` 0 means no limit."""

    files: int
    bytes: int
    partial_bytes: int
    quota_bytes: int


class Accounts:
    """The tables `users` and `usage`; usage is gathered in memory within a log entry."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._execute = database.cursor().execute
        self._executemany = database.cursor().executemany
        self._usage: dict[str, Usage] = {}
        self._users: dict[str, User] = {}

    def user(self, name: str) -> User | None:
        """Return an account, None when there is none. Asked for at every command: those seen are kept."""
        user = self._users.get(name)
        if user is None:
            try:
                row = self._execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
            except UnicodeEncodeError:
                return None
            if row is None:
                return None
            if len(self._users) >= MAX_KNOWN:
                self._users.clear()
            user = self._users[name] = _user(row)
        return user

    def replicas(self, name: str) -> int:
        """Return the copies that an account wants of its pictures; 0: what the cluster makes, or no such account."""
        user = self.user(name)
        return user.replicas if user is not None else 0

    def users(self) -> list[User]:
        """Return all accounts by name."""
        return [_user(row) for row in self._execute(f"{_SELECT} ORDER BY name").fetchall()]

    def put(self, put: commands.PutUser, index: int) -> None:
        """Make or change an account. Refuses with EXISTS, NOT_FOUND, BAD_NAME, INVALID.

        An update that names the revision it starts from is refused with CHANGED when there is a later one: who sets
        a quota must not enable again what somebody else has just disabled.
        """
        user = put.user
        if put.create and put.update:
            raise Refusal(commands.INVALID, "create and update exclude each other")
        _check(user)
        earlier = self._execute("SELECT revision FROM users WHERE name = ?", (user.name,)).fetchone()
        known = earlier is not None
        if known and put.create:
            raise Refusal(commands.EXISTS, user.name)
        if put.update and not known:
            raise Refusal(commands.NOT_FOUND, user.name)
        if put.update and user.revision and earlier[0] != user.revision:
            raise Refusal(commands.CHANGED, user.name)
        self._users.pop(user.name, None)
        self._execute(
            "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                user.name,
                user.password_hash,
                user.home,
                user.rights,
                user.quota_bytes,
                int(user.disabled),
                index,
                user.replicas,
            ),
        )
        self._set_quota(user.name, user.quota_bytes)

    def remove(self, name: str) -> None:
        """Remove an account; what it owns stays. Refuses with NOT_FOUND."""
        self._users.pop(name, None)
        if self._execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 0:
            raise Refusal(commands.NOT_FOUND, name)
        self._set_quota(name, 0)

    def _set_quota(self, name: str, quota_bytes: int) -> None:
        if name in self._usage:
            self._usage[name].quota_bytes = quota_bytes

    def usage(self, owner: str) -> int:
        """Return the bytes of the files that `owner` has published."""
        try:
            row = self._execute("SELECT bytes FROM usage WHERE owner = ?", (owner,)).fetchone()
        except UnicodeEncodeError:
            return 0
        return int(row[0]) if row else 0

    def _of(self, owner: str) -> Usage:
        usage = self._usage.get(owner)
        if usage is None:
            row = self._execute(
                "SELECT files, bytes, partial_bytes FROM usage WHERE owner = ?", (owner,)
            ).fetchone()
            quota = self._execute("SELECT quota_bytes FROM users WHERE name = ?", (owner,)).fetchone()
            usage = self._usage[owner] = Usage(*(row or (0, 0, 0)), *(quota or (0,)))
        return usage

    def check_published(self, owner: str, added: int) -> None:
        """Refuse with QUOTA when the owner's files would take more than the quota with `added` more bytes."""
        usage = self._of(owner)
        after = usage.bytes + added
        if added > 0 and (after > (usage.quota_bytes or MAX_BYTES) or after > MAX_BYTES):
            raise Refusal(
                commands.QUOTA, f"{owner} may have {usage.quota_bytes or MAX_BYTES} bytes, not {after}"
            )

    def check_partial(self, owner: str, added: int) -> None:
        """Refuse with QUOTA when the owner's partial uploads would take more than the quota by themselves."""
        usage = self._of(owner)
        after = usage.partial_bytes + added
        if added > 0 and (after > (usage.quota_bytes or MAX_BYTES) or after > MAX_BYTES):
            raise Refusal(
                commands.QUOTA, f"{owner} may have {usage.quota_bytes or MAX_BYTES} bytes begun, not {after}"
            )

    def count(self, owner: str, files: int = 0, size: int = 0, partial_bytes: int = 0) -> None:
        """Add to what an owner has."""
        usage = self._of(owner)
        usage.files += files
        usage.bytes += size
        usage.partial_bytes += partial_bytes

    def flush(self) -> None:
        """Write usage into the current transaction."""
        rows, gone = [], []
        for owner, usage in self._usage.items():
            if usage.files or usage.bytes or usage.partial_bytes:
                rows.append((owner, usage.files, usage.bytes, usage.partial_bytes))
            else:
                gone.append((owner,))
        self._executemany("INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)", rows)
        self._executemany("DELETE FROM usage WHERE owner = ?", gone)
        self._usage.clear()


def _user(row: tuple[str, str, str, str, int, int, int, int]) -> User:
    name, password_hash, home, rights, quota_bytes, disabled, revision, replicas = row
    return User(name, password_hash, home, rights, quota_bytes, bool(disabled), revision, replicas)


def _check(user: commands.User) -> None:
    try:
        check_name(user.name)
    except BadName as error:
        raise Refusal(commands.BAD_NAME, error.detail) from None
    try:
        split(user.home)
    except BadName as error:
        raise Refusal(commands.INVALID, f"home: {error.detail}") from None
    if join("/", user.home) != user.home:
        raise Refusal(commands.INVALID, "home must be a normalised absolute path")
    if not RIGHTS.issuperset(user.rights) or len(set(user.rights)) != len(user.rights):
        raise Refusal(commands.INVALID, f"rights are letters of {''.join(sorted(RIGHTS))}, each once")
    if user.replicas > MAX_REPLICAS:
        raise Refusal(commands.INVALID, f"at most {MAX_REPLICAS} copies")
    if len(user.password_hash) > MAX_HASH or user.quota_bytes > MAX_INTEGER:
        raise Refusal(commands.INVALID, "the password hash or the quota is too large")
