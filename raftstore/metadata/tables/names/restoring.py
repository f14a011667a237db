"""How a file comes back from the trash: never over something that is there, unless that was asked for."""

from __future__ import annotations

from typing import Self

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.names.files import check_owner
from raftstore.metadata.tables.names.namespace import Namespace, Place
from raftstore.metadata.tables.names.partials import Partials
from raftstore.metadata.tables.names.reservations import Reservations
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.spans import Spans
from raftstore.metadata.tables.names.trash import Trash
from raftstore.metadata.tables.names.versions import Versions
from raftstore.metadata.tables.people.storing import Storing
from raftstore.paths import free_name, join, parent, split
from raftstore.rights import Action
from raftstore.rights.reserved import LEVEL, is_apart, stays
from raftstore.types import Kind
from raftstore.wire import commands_pb2 as commands


class Restores(Table):
    """Applies RestoreTrash."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._names = tables[Namespace]
        self._quotas = tables[Quotas]
        self._partials = tables[Partials]
        self._reservations = tables[Reservations]
        self._storing = tables[Storing]
        self._trash = tables[Trash]
        self._versions = tables[Versions]
        self._spans = tables[Spans]
        self._retention = tables[Retention]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with the trash, and what a name brings along."""
        return cls(tables)

    @handles("restore_trash", level=LEVEL)
    def restore(self, command: commands.RestoreTrash, at: Context) -> commands.Result:
        """Move a file out of the trash.

        Refuses with NOT_FOUND, EXISTS, DENIED, INVALID, QUOTA (for the directories that are made), and as `new_place`.
        """
        path, owner = command.to, at.leave.source_of
        inode = min(command.inode, MAX_INTEGER)
        found = self._names.of_inode(inode) if self._trash.find(inode) is not None else None
        if found is None or (owner and found[1][5] != owner):
            raise Refusal(commands.NOT_FOUND, "it is not in the trash any more")
        if is_apart(path) or stays(path) or (command.beside and command.replace):
            raise Refusal(
                commands.INVALID, "it is restored to a place of yours, beside what is there or over it"
            )
        source, row = found
        missing = self._missing(at, path)
        directory, name = parent(path)
        if missing:
            self._quotas.check_published(at.leave.owner, len(missing), 0)
            target = Place(self._storing.directory(at, directory, at.leave.owner), name)
        else:
            target = self._target(command, at)
        self._names.move(source, target, directory=False)
        self._spans.grow(target)
        self._trash.restored(command.inode, row[5])
        self._partials.forget(target, row[5])
        self._retention.note(target, row[2], row[6], row[3])
        self._names.touch(source.parent, at.time_ns)
        self._names.touch(target.parent, at.time_ns)
        return commands.Result(inode=command.inode)

    def _missing(self, at: Context, path: str) -> list[str]:
        """Return the directories on the way to `path` that are to be made. Refuses what cannot be, or may not."""
        try:
            names = split(path)
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None
        if not names:
            raise Refusal(commands.IS_A_DIRECTORY, path)
        ways = ["/" + "/".join(names[:count]) for count in range(1, len(names))]
        for number, way in enumerate(ways):
            try:
                self._names.directory(way)
            except NotADirectory:
                raise Refusal(commands.NOT_A_DIRECTORY, way) from None
            except NotFound:
                if any(map(stays, ways[number:])):
                    raise Refusal(commands.NOT_FOUND, way) from None
                self._check_missing(at, ways[number:])
                return ways[number:]
        return []

    def _check_missing(self, at: Context, ways: list[str]) -> None:
        if at.rights is not None and not all(at.rights.may(Action.MAKE_DIRECTORY, way) for way in ways):
            raise Refusal(commands.DENIED, Action.MAKE_DIRECTORY.value)
        self._reservations.check_free(self._names.place(ways[0]))

    def _target(self, command: commands.RestoreTrash, at: Context) -> Place:
        """Return where it goes, in a directory that is there; what is to give way has gone then."""
        target, there = self._names.new_place(at, command.to, commands.IS_A_DIRECTORY)
        if command.beside:
            return self._beside(command.to, target, at)
        self._reservations.check_free(target)
        if there is not None:
            if there[1] == Kind.DIRECTORY or not command.replace or at.leave.keeps:
                raise Refusal(commands.EXISTS, command.to)
            check_owner(command.to, there, at.leave.target_of)
            self._versions.put_away(at, target, there)
        return target

    def _beside(self, path: str, target: Place, at: Context) -> Place:
        def taken(name: str) -> bool:
            place = Place(target.parent, name)
            return self._names.at(place) is not None or self._reservations.at(place) is not None

        free = Place(target.parent, free_name(target.name, taken))
        if at.rights is not None and not at.rights.may(Action.WRITE, join(parent(path)[0], free.name)):
            raise Refusal(commands.DENIED, Action.WRITE.value)
        return free
