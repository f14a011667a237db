"""Users: who may log in, what they see and may do, and their limits.

An account is kept as its message. `places` finds the accounts that name a directory, as their home or in a rule: when
the directory is renamed, they follow it. From level 2 on an account that is made has an identity that none had before:
what it puts is not another's who comes to have its name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Self

from raftstore.errors import BadName
from raftstore.metadata.database.database import level_of
from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Schema, Table, Tables
from raftstore.paths import check_name, join, shown, split
from raftstore.rights import Action, Rights
from raftstore.rights.reserved import LEVEL, PEOPLE, is_reserved
from raftstore.types import IDENTITY_MARK, Rule, User, owner_name
from raftstore.wire import commands_pb2 as commands

RIGHTS = frozenset("elradfmwMToA")
"""pyftpdlib's letters (e enter, l list, r read, a append, d delete, f rename, m make directories, w store, M mode,
T times), and two of our own: o over its own files, A whatever the rules of directories say."""

MAX_HASH = 1024
MAX_REPLICAS = 5
"""Copies that an account may ask for."""
MAX_RULES = 64
MAX_KEYS = 32
MAX_KEY_LENGTH = 4096
MAX_SESSIONS = 1_000_000
LONGEST_NS = 100 * 365 * 24 * 3600 * 10**9
"""Longest time after which what is sent expires, or for which trash is kept."""
MAX_KNOWN = 4096
"""Accounts kept in memory."""


def user_to_message(user: User) -> commands.User:
    """Encode an account."""
    return commands.User(
        name=user.name,
        password_hash=user.password_hash,
        home=user.home,
        rights=user.rights,
        quota_bytes=user.quota_bytes,
        quota_files=user.quota_files,
        disabled=user.disabled,
        revision=user.revision,
        replicas=user.replicas,
        rules=[commands.Rule(path=rule.path, rights=rule.rights) for rule in user.rules],
        authorized_keys=user.authorized_keys,
        upload_rate=user.upload_rate,
        download_rate=user.download_rate,
        max_sessions=user.max_sessions,
        identity=user.identity,
        sessions_since=user.sessions_since,
        trash_ns=user.trash_ns,
        person=user.person,
        expires_ns=user.expires_ns,
        inbox_bytes=user.inbox_bytes,
        inbox_files=user.inbox_files,
        sender_bytes=user.sender_bytes,
        sender_files=user.sender_files,
    )


def user_of_message(message: commands.User) -> User:
    """Decode an account."""
    return User(
        name=message.name,
        password_hash=message.password_hash,
        home=message.home,
        rights=message.rights,
        quota_bytes=message.quota_bytes,
        quota_files=message.quota_files,
        disabled=message.disabled,
        revision=message.revision,
        replicas=message.replicas,
        rules=tuple(Rule(rule.path, rule.rights) for rule in message.rules),
        authorized_keys=tuple(message.authorized_keys),
        upload_rate=message.upload_rate,
        download_rate=message.download_rate,
        max_sessions=message.max_sessions,
        identity=message.identity,
        sessions_since=message.sessions_since,
        trash_ns=message.trash_ns,
        person=message.person,
        expires_ns=message.expires_ns,
        inbox_bytes=message.inbox_bytes,
        inbox_files=message.inbox_files,
        sender_bytes=message.sender_bytes,
        sender_files=message.sender_files,
    )


class Accounts(Table):
    """The tables `users` and `places`. `on_change` is told the name of each account that was changed or removed."""

    schemas = (
        Schema(
            "users",
            "name",
            """
CREATE TABLE users (
  name TEXT PRIMARY KEY,
  record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
""",
        ),
        Schema(
            "places",
            "path, user",
            """
CREATE TABLE places (
  path TEXT NOT NULL,
  user TEXT NOT NULL,
  PRIMARY KEY (path, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX places_by_user ON places (user);
""",
        ),
    )

    def __init__(self, database: sqlite3.Connection, level: Callable[[], int] | None = None) -> None:
        """`level` tells the level in force; None: the one that the catalog is at, for a look."""
        super().__init__(database)
        self._executemany = database.cursor().executemany
        at = level_of(database) if level is None else 0
        self._level = level or (lambda: at)
        self._users: dict[str, User | None] = {}
        self._rights: dict[str, Rights] = {}
        self._identities: dict[str, Rights | None] = {}
        self.changes = 0
        """Grows with every account that is changed or removed: what was made of accounts may be kept until then."""
        self.on_change: Callable[[str], object] = lambda name: None

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the level in force."""
        at = tables.at
        return cls(tables.database, lambda: at.level)

    def check_level(self, level: int) -> None:
        """Level 3 reserves /people, and names with an @, and the name requests."""
        if level != LEVEL:
            return
        for user in self.users():
            reason = reserved_name(user.name)
            if reason is not None:
                raise Refusal(
                    commands.CHANGED, f"account {shown(user.name)}: {reason}; give it another name first"
                )
            named = [user.home, *(rule.path for rule in user.rules)]
            if any(map(is_reserved, named)):
                raise Refusal(
                    commands.CHANGED,
                    f"account {user.name} names {PEOPLE}, which is reserved; change that first",
                )

    def migrate(self, level: int) -> None:
        """From level 3 on nobody has rights in /people that are not given for it."""
        super().migrate(level)
        self._rights.clear()
        self._identities.clear()

    def user(self, name: str) -> User | None:
        """Return an account, None when there is none. Asked for at every command: what was asked is kept."""
        try:
            return self._users[name]
        except KeyError:
            pass
        try:
            row = self._execute("SELECT record FROM users WHERE name = ?", (name,)).fetchone()
        except UnicodeEncodeError:
            return None
        if len(self._users) >= MAX_KNOWN:
            self._users.clear()
            self._rights.clear()
            self._identities.clear()
        user = user_of_message(commands.User.FromString(row[0])) if row is not None else None
        self._users[name] = user
        return user

    def load(self, names: Sequence[str]) -> None:
        """Have some accounts at hand, for what is asked next: one statement for all."""
        missing = [name for name in names if name not in self._users]
        if len(missing) < 2:
            return
        rows = self._execute(
            "SELECT users.name, record FROM json_each(?) AS asked CROSS JOIN users ON users.name = asked.value",
            (json.dumps(missing),),
        ).fetchall()
        if len(self._users) + len(missing) > MAX_KNOWN:
            self._users.clear()
            self._rights.clear()
            self._identities.clear()
        self._users |= dict.fromkeys(missing)
        self._users |= {name: user_of_message(commands.User.FromString(record)) for name, record in rows}

    def rights(self, name: str) -> Rights | None:
        """Return what an account may do, None when there is none. The same object until the account changes."""
        found = self._rights.get(name)
        if found is None:
            user = self.user(name)
            if user is None:
                return None
            found = self._rights[name] = Rights(user, reserved=self._level() >= LEVEL)
        return found

    def rights_of(self, owner: str) -> Rights | None:
        """Return what the account may do that has the identity `owner`; None when none has it (any more)."""
        try:
            return self._identities[owner]
        except KeyError:
            pass
        found = self.rights(owner_name(owner))
        if found is not None and found.owner != owner:
            found = None
        if len(self._identities) >= MAX_KNOWN:
            self._identities.clear()
        self._identities[owner] = found
        return found

    def owner(self, owner: str) -> User | None:
        """Return the account that has the identity `owner`; None when none has it (any more)."""
        # Known ones at once: it is asked several times for each file that is put.
        found = self._identities.get(owner) or self.rights_of(owner)
        return None if found is None else found.user

    def replicas(self, owner: str) -> int:
        """Return the copies that an owner wants of its pictures; 0: what the cluster makes, or no such account."""
        found = self._identities.get(owner) or self.rights_of(owner)
        return 0 if found is None else found.user.replicas

    def users(self, after: str = "", limit: int = -1) -> list[User]:
        """Return the accounts behind the name `after`, by name; `limit` -1: all."""
        rows = self._execute(
            "SELECT record FROM users WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        ).fetchall()
        return [user_of_message(commands.User.FromString(record)) for (record,) in rows]

    def untouched(self) -> bool:
        """Whether there is none."""
        return self._execute("SELECT 1 FROM users LIMIT 1").fetchone() is None

    def put(self, put: commands.PutUser, at: Context) -> None:
        """Make or change an account, for the command put_user. Refuses with EXISTS, NOT_FOUND, BAD_NAME, INVALID.

        An update that names the revision it starts from is refused with CHANGED when there is a later one: who sets
        a quota must not enable again what somebody else has just disabled.
        """
        user = put.user
        if put.create and put.update:
            raise Refusal(commands.INVALID, "create and update exclude each other")
        _check(user)
        earlier = self.user(user.name)
        if earlier is not None and put.create:
            raise Refusal(commands.EXISTS, user.name)
        if put.update and earlier is None:
            raise Refusal(commands.NOT_FOUND, user.name)
        if put.update and user.revision and earlier is not None and earlier.revision != user.revision:
            raise Refusal(commands.CHANGED, user.name)
        if at.level >= 2:
            _identify(user, earlier, _number_of(at.index, at.position), at.index)
        self._write(user, at.index)

    def _write(self, user: commands.User, index: int) -> None:
        user.revision = index
        record = user.SerializeToString(deterministic=True)
        self._forget(user.name)
        self._execute("INSERT OR REPLACE INTO users VALUES (?, ?)", (user.name, record))
        self._execute("DELETE FROM places WHERE user = ?", (user.name,))
        places = {user.home, *(rule.path for rule in user.rules)} - {"/"}
        self._executemany("INSERT INTO places VALUES (?, ?)", [(path, user.name) for path in sorted(places)])
        self.on_change(user.name)

    def remove(self, command: commands.RemoveUser, at: Context) -> None:
        """Remove an account, for the command remove_user; what it owns stays. Refuses with NOT_FOUND."""
        name = command.name
        self._forget(name)
        if self._execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 0:
            raise Refusal(commands.NOT_FOUND, name)
        self._execute("DELETE FROM places WHERE user = ?", (name,))
        self.on_change(name)

    def _forget(self, name: str) -> None:
        self.changes += 1
        self._users.pop(name, None)
        self._rights.pop(name, None)
        self._identities.clear()

    def holds(self, path: str, rights: Rights) -> bool:
        """Whether an account may not move, remove or replace what is at `path`, for what is named there or beneath.

        That is a home or rule of another account, or a rule that takes rights from the account itself. The letter A
        allows it.
        """
        if rights.everywhere:
            return False
        rows = self._execute(f"SELECT path, user FROM places WHERE {_BENEATH}", _beneath(path)).fetchall()
        return any(name != rights.user.name or rights.restricted_by(place) for place, name in rows)

    def check_held(self, at: Context, action: Action, path: str) -> None:
        """Refuse with DENIED to shift what holds for others, or the actor itself, at `path` or beneath.

        In the words for a right that is missing, and wherever possible before anything is looked up.
        """
        if at.rights is not None and self.holds(path, at.rights):
            raise Refusal(commands.DENIED, action.value)

    def directory_renamed(self, source: str, target: str, index: int, *, level: int = 1) -> None:
        """Let homes and rules follow a directory that was `source` and is now `target`.

        A rule that stood for the new path, from a directory that was there before, gives way to the one that comes.
        """
        rows = self._execute(
            f"SELECT DISTINCT user FROM places WHERE {_BENEATH} ORDER BY user", _beneath(source)
        ).fetchall()
        for (name,) in rows:
            user = self.user(name)
            assert user is not None
            message = user_to_message(user)
            message.home = _followed(user.home, source, target)
            if level >= 2 and message.home != user.home:
                message.sessions_since = index
            moved = {_followed(rule.path, source, target) for rule in user.rules if _within(rule.path, source)}
            del message.rules[:]
            for rule in user.rules:
                if _within(rule.path, source) or rule.path not in moved:
                    message.rules.add(path=_followed(rule.path, source, target), rights=rule.rights)
            self._write(message, index)


_BENEATH = "path = ? OR (path > ? AND path < ?)"


def _beneath(path: str) -> tuple[str, str, str]:
    return path, path + "/", path + "0"  # what begins with `path/`: 0 is the character after /


def reserved_name(name: str) -> str | None:
    """Say why no account and no group may have a name, from level 3 on; None: it may."""
    if "@" in name:
        return "a name with @ is one at another cluster"
    return "the name is that of a directory in inboxes" if name == REQUESTS else None


REQUESTS = "requests"
"""Directory of an inbox for what came from those who have sent nothing before."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _number_of(index: int, position: int) -> str:
    """Return what stands behind the name in the identity of an account made by an operation: its place in the log."""
    entry = _base36(index)
    return f"{entry}.{_base36(position)}" if position else entry


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _identify(user: commands.User, earlier: User | None, identity: str, index: int) -> None:
    """Set what an account keeps for its life, and whether its sessions end."""
    if earlier is None:
        user.identity, user.sessions_since = f"{user.name}{IDENTITY_MARK}{identity}", index
        return
    user.identity, user.sessions_since = earlier.identity, earlier.sessions_since
    if (
        user.password_hash != earlier.password_hash
        or user.home != earlier.home
        or (user.disabled and not earlier.disabled)
        or user.person != earlier.person
    ):
        user.sessions_since = index


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _followed(path: str, source: str, target: str) -> str:
    return target + path[len(source) :] if _within(path, source) else path


def _check(user: commands.User) -> None:
    try:
        check_name(user.name)
    except BadName as error:
        raise Refusal(commands.BAD_NAME, error.detail) from None
    _check_directory(user.home, "home")
    _check_rights(user.rights)
    if user.replicas > MAX_REPLICAS:
        raise Refusal(commands.INVALID, f"at most {MAX_REPLICAS} copies")
    limits = [user.quota_bytes, user.quota_files, user.upload_rate, user.download_rate]
    limits += [user.inbox_bytes, user.inbox_files, user.sender_bytes, user.sender_files]
    if len(user.password_hash) > MAX_HASH or max(limits) > MAX_INTEGER or user.max_sessions > MAX_SESSIONS:
        raise Refusal(commands.INVALID, "the password hash or a limit is too large")
    if not 0 <= user.expires_ns <= LONGEST_NS:
        raise Refusal(commands.INVALID, "what is sent expires after at most a hundred years")
    if not 0 <= user.trash_ns <= LONGEST_NS:
        raise Refusal(commands.INVALID, "what is removed is kept for at most a hundred years")
    if len(user.rules) > MAX_RULES or len({rule.path for rule in user.rules}) < len(user.rules):
        raise Refusal(commands.INVALID, f"at most {MAX_RULES} directories have rules, each one")
    for rule in user.rules:
        _check_directory(rule.path, "a rule's directory")
        _check_rights(rule.rights)
    keys = user.authorized_keys
    if len(keys) > MAX_KEYS or len(set(keys)) < len(keys):
        raise Refusal(commands.INVALID, f"at most {MAX_KEYS} keys, each once")
    if any(len(key) > MAX_KEY_LENGTH or not key.isprintable() for key in keys):
        raise Refusal(commands.INVALID, f"a key is one line of at most {MAX_KEY_LENGTH} characters")


def _check_directory(path: str, what: str) -> None:
    try:
        split(path)
    except BadName as error:
        raise Refusal(commands.INVALID, f"{what}: {error.detail}") from None
    if join("/", path) != path:
        raise Refusal(commands.INVALID, f"{what} must be a normalised absolute path")


def _check_rights(rights: str) -> None:
    if not RIGHTS.issuperset(rights) or len(set(rights)) != len(rights):
        raise Refusal(commands.INVALID, f"rights are letters of {''.join(sorted(RIGHTS))}, each once")
