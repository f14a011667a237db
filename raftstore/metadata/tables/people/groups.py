"""Groups: some persons under one name. Its owner and its members can send to all of them at once."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Self

from raftstore.errors import BadName
from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.accounts import Accounts, reserved_name
from raftstore.paths import check_name, check_new
from raftstore.wire import commands_pb2 as commands

MAX_MEMBERS = 1_000
MAX_OF_OWNER = 100
"""Groups of a person; an admin may have any number."""

_OF = "SELECT name FROM members WHERE member = ?1 UNION SELECT name FROM groups WHERE owner = ?2"


@dataclass(frozen=True, slots=True)
class Group:
    """A group; `owner` is an identity, or "" for an admin's. `members` are names of accounts, there or not."""

    name: str
    owner: str
    members: tuple[str, ...]
    revision: int


class Groups(Table):
    """The tables `groups` and `members`."""

    schemas = (
        Schema(
            "groups",
            "name",
            """
CREATE TABLE groups (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX groups_by_owner ON groups (owner);
""",
            level=3,
        ),
        Schema(
            "members",
            "name, member",
            """
CREATE TABLE members (
  name TEXT NOT NULL,
  member TEXT NOT NULL,
  PRIMARY KEY (name, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_member ON members (member);
""",
            level=3,
        ),
    )

    def __init__(self, database: sqlite3.Connection, accounts: Accounts) -> None:
        super().__init__(database)
        self._executemany = database.cursor().executemany
        self._accounts = accounts
        self.revision = 0
        """Grows with every change of a group: what was made of groups may be kept until then."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the accounts, which have names of the same space."""
        return cls(tables.database, tables[Accounts])

    def find(self, name: str) -> Group | None:
        """Return a group, None when there is none."""
        row = self._execute("SELECT owner, revision FROM groups WHERE name = ?", (name,)).fetchone()
        return Group(name, row[0], self.members(name), row[1]) if row is not None else None

    def is_group(self, name: str) -> bool:
        """Whether there is a group of that name."""
        return self._execute("SELECT 1 FROM groups WHERE name = ?", (name,)).fetchone() is not None

    def members(self, name: str) -> tuple[str, ...]:
        """Return the members of a group, by name."""
        rows = self._execute("SELECT member FROM members WHERE name = ? ORDER BY member", (name,)).fetchall()
        return tuple(member for (member,) in rows)

    def names(self, after: str = "", limit: int = -1) -> list[str]:
        """Return the names of the groups behind `after`, sorted."""
        rows = self._execute("SELECT name FROM groups WHERE name > ? ORDER BY name LIMIT ?", (after, limit))
        return [name for (name,) in rows.fetchall()]

    def of(self, name: str, identity: str) -> list[str]:
        """Return the groups that an account is in, or owns, by name."""
        rows = self._execute(f"{_OF} ORDER BY name", (name, identity)).fetchall()
        return [group for (group,) in rows]

    def companions(self, name: str, identity: str) -> list[str]:
        """Return who is in a group with an account, or in one that it owns, by name."""
        rows = self._execute(
            f"SELECT DISTINCT member FROM members WHERE name IN ({_OF}) AND member <> ?1 ORDER BY member",
            (name, identity),
        ).fetchall()
        return [member for (member,) in rows]

    def are_companions(self, name: str, identity: str, other: str) -> bool:
        """Whether `other` is one of the `companions` of an account."""
        row = self._execute(
            f"SELECT 1 FROM members WHERE member = ?3 AND name IN ({_OF}) LIMIT 1", (name, identity, other)
        ).fetchone()
        return row is not None

    @handles("put_group", level=3)
    def put(self, command: commands.PutGroup, at: Context) -> None:
        """Make or change a group. Refuses with EXISTS, NOT_FOUND, BAD_NAME, INVALID, QUOTA, CHANGED.

        To who does not own it, a group is not there.
        """
        wanted = command.group
        earlier = self.find(wanted.name)
        owner = self._owner(wanted.owner, earlier, at)
        foreign = earlier is not None and at.rights is not None and earlier.owner != owner
        if at.rights is not None and not command.update and (foreign or self._taken(wanted.name)):
            raise Refusal(commands.EXISTS, f"{wanted.name} cannot be the name of a group of yours")
        self._check(wanted, earlier, owner, command, foreign=foreign)
        self.revision += 1
        revision = (wanted.name, owner, at.index)
        self._execute("INSERT OR REPLACE INTO groups VALUES (?, ?, ?)", revision)
        self._execute("DELETE FROM members WHERE name = ?", (wanted.name,))
        rows = [(wanted.name, member) for member in sorted(wanted.members)]
        self._executemany("INSERT INTO members VALUES (?, ?)", rows)

    def _taken(self, name: str) -> bool:
        """Whether no group can be made under a name, for a reason of which a person is told nothing: who is there."""
        return self._accounts.user(name) is not None or reserved_name(name) is not None

    def _owner(self, wanted: str, earlier: Group | None, at: Context) -> str:
        """Return whose the group is from now on."""
        if at.rights is not None:
            return at.leave.owner
        check_label(wanted, "an owner")
        return wanted or (earlier.owner if earlier is not None else "")

    def _check(
        self,
        wanted: commands.Group,
        earlier: Group | None,
        owner: str,
        command: commands.PutGroup,
        *,
        foreign: bool,
    ) -> None:
        name, members = wanted.name, list(wanted.members)
        if command.create and command.update:
            raise Refusal(commands.INVALID, "create and update exclude each other")
        if earlier is None:
            if command.update:
                raise Refusal(commands.NOT_FOUND, name)
            self._check_new(name, owner)
        elif command.create:
            raise Refusal(commands.EXISTS, name)
        elif foreign:
            raise Refusal(commands.NOT_FOUND, name)  # to be updated: else it is refused already
        elif wanted.revision and wanted.revision != earlier.revision:
            raise Refusal(commands.CHANGED, name)
        if len(members) > MAX_MEMBERS or len(set(members)) < len(members):
            raise Refusal(commands.INVALID, f"a group has at most {MAX_MEMBERS:,} members, each once")
        for member in members:
            _check_name(member)

    def _check_new(self, name: str, owner: str) -> None:
        _check_name(name)
        if name.startswith("."):
            raise Refusal(commands.BAD_NAME, "the name of a group does not begin with a dot")
        reason = reserved_name(name)
        if reason is not None:
            raise Refusal(commands.BAD_NAME, reason)
        if self._accounts.user(name) is not None:
            raise Refusal(
                commands.EXISTS,
                f"{name} is an account, and a group needs a name of its own: `pixraft group members GROUP --add "
                f"{name}` puts the account into a group",
            )
        if owner:
            (count,) = self._execute("SELECT count(*) FROM groups WHERE owner = ?", (owner,)).fetchone()
            if count >= MAX_OF_OWNER:
                raise Refusal(commands.QUOTA, f"a person has at most {MAX_OF_OWNER} groups")

    @handles("remove_group", level=3)
    def remove(self, command: commands.RemoveGroup, at: Context) -> None:
        """Remove a group; what was sent to it stays. Refuses with NOT_FOUND."""
        earlier = self.find(command.name)
        if earlier is None or (at.rights is not None and earlier.owner != at.leave.owner):
            raise Refusal(commands.NOT_FOUND, command.name)
        self.revision += 1
        self._execute("DELETE FROM groups WHERE name = ?", (command.name,))
        self._execute("DELETE FROM members WHERE name = ?", (command.name,))

    def account_removed(self, name: str, identity: str) -> None:
        """Take an account out of all groups: who comes under its name is another. Its own become an admin's."""
        self.revision += 1
        self._execute("DELETE FROM members WHERE member = ?", (name,))
        self._execute("UPDATE groups SET owner = '' WHERE owner = ?", (identity,))


def _check_name(name: str) -> None:
    try:
        check_name(name)
        check_new(name)
    except BadName as error:
        raise Refusal(commands.BAD_NAME, error.detail) from None
