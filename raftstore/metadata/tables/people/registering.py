"""The commands that make, change and remove accounts, with what from level 3 on makes one of them a person."""

from __future__ import annotations

from typing import Self

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.refusal import Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts, reserved_name
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.metadata.tables.names.trash import Trash
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.groups import Groups
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Records
from raftstore.metadata.tables.people.storing import Storing
from raftstore.rights.reserved import LEVEL, PEOPLE, SHARED, Area, home_of, is_reserved, roots_of
from raftstore.types import EventKind, Kind, User
from raftstore.wire import commands_pb2 as commands


class Registering(Table):
    """Applies PutUser and RemoveUser."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._accounts = tables[Accounts]
        self._names = tables[Namespace]
        self._storing = tables[Storing]
        self._persons = tables[Persons]
        self._groups = tables[Groups]
        self._blocks = tables[Blocks]
        self._trash = tables[Trash]
        self._events = tables[Events]
        self._records = tables[Records]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with accounts, and what belongs to those of persons."""
        return cls(tables)

    @handles("put_user", level=1)
    def put_user(self, command: commands.PutUser, at: Context) -> None:
        """Make or change an account. Refuses as `Accounts.put`, and with EXISTS what is in the way of a new person."""
        if at.level < LEVEL:
            self._accounts.put(command, at)
            return
        user, earlier = command.user, self._accounts.user(command.user.name)
        was_person = earlier is not None and earlier.person
        self._check(user, earlier)
        if user.person and not was_person:
            self._check_places(user.name, earlier)
        elif user.trash_ns and (earlier is None or not earlier.trash_ns):
            self._check_trash(user.name, earlier)
        self._accounts.put(command, at)
        if user.person or was_person:
            self._persons.show(user.name, shown=user.person)
        if user.person and not was_person:
            self._make_places(at, user.name)
        elif earlier is not None and was_person and not user.person:
            self._note_bounced(earlier)

    @handles("remove_user", level=1)
    def remove_user(self, command: commands.RemoveUser, at: Context) -> None:
        """Remove an account; what it owns stays. Refuses with NOT_FOUND."""
        earlier = self._accounts.user(command.name)
        self._accounts.remove(command, at)
        if at.level < LEVEL or earlier is None:
            return
        self._groups.account_removed(earlier.owner)
        self._blocks.account_removed(earlier.name)
        if earlier.person:
            self._persons.show(earlier.name, shown=False)
            self._note_bounced(earlier)

    def _note_bounced(self, earlier: User) -> None:
        """Note that nobody opens any more what `earlier`, who is no person now, has not opened; if there is any."""
        inbox = self._find(Area.INBOX.of(earlier.name))
        if inbox is not None and self._records.any_unopened(inbox[2]):
            self._events.note(EventKind.BOUNCED, owner=earlier.owner)

    def _check(self, user: commands.User, earlier: User | None) -> None:
        if earlier is None:
            reason = reserved_name(user.name)
            if reason is not None:
                raise Refusal(commands.BAD_NAME, reason)
            if self._groups.is_group(user.name):
                raise Refusal(commands.EXISTS, f"{user.name} is a group")
        if user.person:
            if user.name.startswith("."):
                raise Refusal(commands.BAD_NAME, "the name of a person does not begin with a dot")
            if user.home != home_of(user.name):
                raise Refusal(commands.INVALID, f"the home of a person is {home_of(user.name)}")
        elif is_reserved(user.home):
            raise Refusal(commands.INVALID, f"in {PEOPLE} only persons have homes")

    def _check_places(self, name: str, earlier: User | None) -> None:
        """Refuse with EXISTS what is where a new person's places are to be, and is not its own."""
        self._check_trash(name, earlier)
        holder = self._persons.holder(name)
        if holder is None or (earlier is not None and earlier.owner == holder):
            return
        for path in roots_of(name):
            row = self._find(path)
            if row is not None and (row[1] != Kind.DIRECTORY or not self._names.is_empty(row[2])):
                raise Refusal(
                    commands.EXISTS,
                    f"{path} has what an earlier {name} has left: move it, or `pixraft user remove {name} --purge`",
                )

    def _check_trash(self, name: str, earlier: User | None) -> None:
        """Refuse with EXISTS what is in the trash of an earlier account of that name, a person or not."""
        row = self._find(Area.TRASH.of(name))
        if earlier is not None and self._trash.newest(earlier.owner):
            return  # it was empty when that account's first came, and nobody else's comes
        if row is not None and not self._names.is_empty(row[2]):
            raise Refusal(
                commands.EXISTS,
                f"{Area.TRASH.of(name)} has what an earlier {name} has left: "
                f"`pixraft user remove {name} --purge` deletes it",
            )

    def _find(self, path: str) -> tuple[str, int, int, int, int, str, int] | None:
        try:
            return self._names.row(path)
        except (NotFound, NotADirectory, BadName):
            return None

    def _make_places(self, at: Context, name: str) -> None:
        user = self._accounts.user(name)
        assert user is not None
        self._persons.hold(user.owner)
        for path in (*roots_of(name), SHARED):
            self._storing.directory(at, path)
