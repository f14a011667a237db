"""What accounts that are gone have left, and how an operator hands it over to another: some names a command."""

from __future__ import annotations

from typing import Self

from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.names.namespace import Place
from raftstore.metadata.tables.names.partials import Partials
from raftstore.metadata.tables.names.trash import Trash
from raftstore.types import Kind, identity_of
from raftstore.wire import commands_pb2 as commands

MAX_LOOKED_AT = 2_000
"""Names that one command looks at: some milliseconds of the loop."""

_NEXT = "SELECT inode, parent, name, kind, size, owner FROM entries WHERE inode > ? ORDER BY inode LIMIT ?"
_BEGUN = "SELECT parent, name FROM partials WHERE owner = ? ORDER BY parent, name LIMIT ?"


class Adoptions(Table):
    """Changes owners. What is handed over counts for its new owner, beyond the quota too: nothing is thrown away."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._accounts = tables[Accounts]
        self._quotas = tables[Quotas]
        self._partials = tables[Partials]
        self._trash = tables[Trash]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the tables that say whose something is."""
        return cls(tables)

    @handles("adopt_owner", level=2)
    def adopt(self, command: commands.AdoptOwner, at: Context) -> commands.Result:
        """Hand over what is behind inode `command.after`. Refuses with NOT_FOUND, INVALID."""
        user = self._accounts.user(command.name)
        if user is None:
            raise Refusal(commands.NOT_FOUND, command.name)
        if not command.owner or command.after > MAX_INTEGER or not 0 < command.limit <= MAX_LOOKED_AT:
            raise Refusal(commands.INVALID, "an adoption names an owner, and a limit")
        if self._accounts.owner(identity_of(command.owner)) is not None:
            raise Refusal(
                commands.INVALID, f"{command.owner} is an account: only what nobody has can be adopted"
            )
        rows = self._execute(_NEXT, (command.after, command.limit)).fetchall()
        adopted = 0
        for inode, parent, name, kind, size, owner in rows:
            if owner == command.owner:
                self._trash.give(inode, user.owner)
                self._adopt(Place(parent, name), command.owner, user.owner, kind == Kind.FILE, size)
                adopted += 1
        if len(rows) == command.limit:
            return commands.Result(after=rows[-1][0], adopted=adopted)
        begun = self._execute(_BEGUN, (command.owner, command.limit)).fetchall()
        for parent, name in begun:
            self._partials.give(Place(parent, name), command.owner, user.owner)
        after = rows[-1][0] if rows else command.after
        return commands.Result(after=after, adopted=adopted + len(begun), finished=len(begun) < command.limit)

    def _adopt(self, place: Place, before: str, owner: str, file: bool, size: int) -> None:
        self._execute(
            "UPDATE entries SET owner = ? WHERE parent = ? AND name = ?", (owner, place.parent, place.name)
        )
        size = size if file else 0
        self._quotas.count(before, files=-1, size=-size)
        self._quotas.count(owner, files=1, size=size)
