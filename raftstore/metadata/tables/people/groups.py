"""Groups: some persons under one name. Its owner and its members can send to all of them at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raftstore.errors import BadName
from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts, reserved_name
from raftstore.metadata.tables.people.persons import Persons
from raftstore.paths import check_name, check_new
from raftstore.rights.reserved import LEVEL
from raftstore.wire import commands_pb2 as commands

MAX_MEMBERS = 1_000
MAX_OF_OWNER = 100
"""Groups of a person; an admin may have any number."""

_NAMED = 10
"""Names that a refusal lists at most."""

_OF = (
    "SELECT members.name FROM members JOIN persons ON persons.number = members.member WHERE identity = ?1"
    " UNION SELECT name FROM groups WHERE owner = ?1"
)
_LIVING = (
    "SELECT DISTINCT persons.name FROM members JOIN persons ON persons.number = members.member"
    " JOIN listed ON listed.name = persons.name"
    f" WHERE members.name IN ({_OF}) AND identity <> ?1 AND NOT EXISTS (SELECT 1 FROM persons AS later"
    " WHERE later.name = persons.name AND later.held = 1 AND later.number > persons.number)"
)
"""Names of those in a group with the identity ?1 who are persons now: `listed`, and nobody has had the name since."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group; `owner` is an identity, or "" for an admin's. `members` are names of accounts that are there."""

    name: str
    owner: str
    members: tuple[str, ...]
    revision: int


class Groups(Table):
    """The tables `groups` and `members`.

    Members are identities, by their numbers as persons. A row whose account is gone counts for nothing, whoever has its
    name now, and goes when the group is changed next.
    """

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
            level=LEVEL,
        ),
        Schema(
            "members",
            "name, member",
            """
CREATE TABLE members (
  name TEXT NOT NULL,
  member INTEGER NOT NULL,
  PRIMARY KEY (name, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_member ON members (member);
""",
            level=LEVEL,
        ),
    )

    def __init__(self, database: sqlite3.Connection, accounts: Accounts, persons: Persons) -> None:
        super().__init__(database)
        self._executemany = database.cursor().executemany
        self._accounts = accounts
        self._persons = persons
        self.revision = 0
        """Grows with every change of a group: what was made of groups may be kept until then."""

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the accounts, which have names of the same space, and the persons among them."""
        return cls(tables.database, tables[Accounts], tables[Persons])

    def find(self, name: str) -> Group | None:
        """Return a group, None when there is none."""
        row = self._execute("SELECT owner, revision FROM groups WHERE name = ?", (name,)).fetchone()
        return Group(name, row[0], self.members(name), row[1]) if row is not None else None

    def is_group(self, name: str) -> bool:
        """Whether there is a group of that name."""
        return self._execute("SELECT 1 FROM groups WHERE name = ?", (name,)).fetchone() is not None

    def size(self, name: str) -> int:
        """Return how many members are noted of a group; 0: there is none of that name."""
        found: tuple[int] = self._execute("SELECT count(*) FROM members WHERE name = ?", (name,)).fetchone()
        return found[0]

    def members(self, name: str) -> tuple[str, ...]:
        """Return the members of a group, by name."""
        rows = self._execute(
            "SELECT persons.name, identity FROM members JOIN persons ON number = member WHERE members.name = ?"
            " ORDER BY persons.name, number",
            (name,),
        ).fetchall()
        self._accounts.load([member for member, _ in rows])
        users = [(self._accounts.user(member), identity) for member, identity in rows]
        return tuple(user.name for user, identity in users if user is not None and user.owner == identity)

    def names(self, after: str = "", limit: int = -1) -> list[str]:
        """Return the names of the groups behind `after`, sorted."""
        rows = self._execute("SELECT name FROM groups WHERE name > ? ORDER BY name LIMIT ?", (after, limit))
        return [name for (name,) in rows.fetchall()]

    def of(self, identity: str) -> list[str]:
        """Return the groups that an account is in, or owns, by name."""
        return [group for (group,) in self._execute(f"{_OF} ORDER BY 1", (identity,)).fetchall()]

    def companions(self, identity: str) -> list[str]:
        """Return the persons who are in a group with an account, or in one that it owns, by name."""
        return [name for (name,) in self._execute(f"{_LIVING} ORDER BY 1", (identity,)).fetchall()]

    def are_companions(self, identity: str, other: str) -> bool:
        """Whether `other` is one of the `companions` of an account."""
        row = self._execute(f"{_LIVING} AND persons.name = ?2 LIMIT 1", (identity, other)).fetchone()
        return row is not None

    @handles("put_group", level=LEVEL)
    def put(self, command: commands.PutGroup, at: Context) -> None:
        """Make or change a group. Refuses with EXISTS, NOT_FOUND, BAD_NAME, INVALID, QUOTA, CHANGED.

        To who does not own it, a group is not there. Who comes into it is a person; who is in it already may be none
        any more.
        """
        wanted = command.group
        earlier = self.find(wanted.name)
        owner = self._owner(wanted.owner, earlier, at)
        foreign = earlier is not None and at.rights is not None and earlier.owner != owner
        if at.rights is not None and not command.update and (foreign or self._taken(wanted.name)):
            raise Refusal(commands.EXISTS, f"{wanted.name} cannot be the name of a group of yours")
        self._check(wanted, earlier, owner, command, foreign=foreign)
        members = self._identities(wanted.members, earlier.members if earlier is not None else ())
        self.revision += 1
        revision = (wanted.name, owner, at.index)
        self._execute("INSERT OR REPLACE INTO groups VALUES (?, ?, ?)", revision)
        self._execute("DELETE FROM members WHERE name = ?", (wanted.name,))
        rows = [(wanted.name, number) for number in sorted(self._persons.given(members))]
        self._executemany("INSERT INTO members VALUES (?, ?)", rows)

    def _identities(self, wanted: Sequence[str], earlier: Sequence[str]) -> list[str]:
        """Return who is meant by the names of members. Refuses with INVALID who is to come in and is no person."""
        self._accounts.load(wanted)
        there = set(earlier)
        users = {name: self._accounts.user(name) for name in wanted}
        found = {
            name: user.owner
            for name, user in users.items()
            if user is not None and (user.person or name in there)
        }
        missing = sorted(set(wanted) - set(found))
        if missing:
            rest = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise Refusal(commands.INVALID, f"only persons are members: {', '.join(missing[:_NAMED])}{rest}")
        return list(found.values())

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
            self._check_new(name)
        elif command.create:
            raise Refusal(commands.EXISTS, name)
        elif foreign:
            raise Refusal(commands.NOT_FOUND, name)  # to be updated: else it is refused already
        elif wanted.revision and wanted.revision != earlier.revision:
            raise Refusal(commands.CHANGED, name)
        if owner and owner != (earlier.owner if earlier is not None else ""):
            self._check_owner(owner)
        if len(members) > MAX_MEMBERS or len(set(members)) < len(members):
            raise Refusal(commands.INVALID, f"a group has at most {MAX_MEMBERS:,} members, each once")
        for member in members:
            _check_name(member)

    def _check_owner(self, owner: str) -> None:
        (count,) = self._execute("SELECT count(*) FROM groups WHERE owner = ?", (owner,)).fetchone()
        if count >= MAX_OF_OWNER:
            raise Refusal(commands.QUOTA, f"a person has at most {MAX_OF_OWNER} groups")

    def _check_new(self, name: str) -> None:
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

    @handles("remove_group", level=LEVEL)
    def remove(self, command: commands.RemoveGroup, at: Context) -> None:
        """Remove a group; what was sent to it stays. Refuses with NOT_FOUND."""
        earlier = self.find(command.name)
        if earlier is None or (at.rights is not None and earlier.owner != at.leave.owner):
            raise Refusal(commands.NOT_FOUND, command.name)
        self.revision += 1
        self._execute("DELETE FROM groups WHERE name = ?", (command.name,))
        self._execute("DELETE FROM members WHERE name = ?", (command.name,))

    def account_removed(self, identity: str) -> None:
        """Make the groups of an account an admin's: at most MAX_OF_OWNER. It is in none any more, by itself."""
        self.revision += 1
        self._execute("UPDATE groups SET owner = '' WHERE owner = ?", (identity,))


def _check_name(name: str) -> None:
    try:
        check_name(name)
        check_new(name)
    except BadName as error:
        raise Refusal(commands.BAD_NAME, error.detail) from None
