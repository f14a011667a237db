"""What commands do to files and directories. A name stands in the table `entries` (see `namespace`), its content, whose
it is and what waits to take its place in others, which change with it.
"""

from __future__ import annotations

from typing import Self

from raftstore.errors import BadName
from raftstore.metadata.database.database import ROOT
from raftstore.metadata.refusal import MAX_INTEGER, Refusal, check_label
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.staging import Copied, Staging
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.events.webhooks import Webhooks
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row, check_stays
from raftstore.metadata.tables.names.partials import Orphans, Partials
from raftstore.metadata.tables.names.reservations import Reservations
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.spans import Spans
from raftstore.metadata.tables.names.trash import Trash
from raftstore.metadata.tables.names.versions import Versions
from raftstore.metadata.tables.people.sending import Sending
from raftstore.metadata.tables.people.storing import Storing
from raftstore.paths import check_name, split
from raftstore.rights import Action
from raftstore.rights.reserved import LEVEL, is_apart, is_reserved
from raftstore.types import EventKind, Kind
from raftstore.wire import commands_pb2 as commands


class Files(Table):
    """Applies the commands that change names. Each handler first checks everything, then writes."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._state = tables[State]
        self._names = tables[Namespace]
        self._spans = tables[Spans]
        self._accounts = tables[Accounts]
        self._quotas = tables[Quotas]
        self._partials = tables[Partials]
        self._orphans = tables[Orphans]
        self._reservations = tables[Reservations]
        self._staging = tables[Staging]
        self._trash = tables[Trash]
        self._retention = tables[Retention]
        self._versions = tables[Versions]
        self._storing = tables[Storing]
        self._sending = tables[Sending]
        self._events = tables[Events]
        self._webhooks = tables[Webhooks]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with all that a name brings along."""
        return cls(tables)

    # Directories and names.

    @handles("make_directory", level=1)
    def make_directory(self, command: commands.MakeDirectory, at: Context) -> commands.Result:
        """Make a directory. Refuses with EXISTS, QUOTA, and as `new_place`."""
        # A home, and the way to it, are nobody's: they were not asked for, and are not on the account's quota.
        owner = "" if command.home and at.level >= 2 else at.leave.owner
        check_label(owner, "an owner")
        place, row = self._names.new_place(at, command.path, commands.EXISTS)
        if row is not None:
            raise Refusal(commands.EXISTS, command.path)
        check_stays(at, command.path)
        self._reservations.check_free(place)
        if _apart(at, command.path) and self._sending.check_directory(at, command.path):
            owner = ""
        if at.level >= 2:
            self._versions.displace(at, self._versions.displaced(at, owner, 1, 0))
            self._quotas.count(owner, files=1)
        inode = self._state.new_inode()
        self._names.insert(place, Kind.DIRECTORY, inode, 0, at.time_ns, owner, at.index)
        self.grown(at, place)
        self._names.touch(place.parent, at.time_ns)
        return commands.Result(inode=inode)

    @handles("remove_directory", level=1)
    def remove_directory(self, command: commands.RemoveDirectory, at: Context) -> commands.Result:
        """Remove an empty directory. Refuses with NOT_EMPTY, INVALID (the root), DENIED, and as `old_place`."""
        check_stays(at, command.path)
        self._accounts.check_held(at, Action.REMOVE_DIRECTORY, command.path)
        place, (_, kind, inode, _, _, owner, _) = self._names.old_place(at, command.path, commands.INVALID)
        if kind != Kind.DIRECTORY:
            raise Refusal(commands.NOT_A_DIRECTORY, command.path)
        if at.leave.source_of and owner != at.leave.source_of:
            raise Refusal(commands.DENIED, Action.REMOVE_DIRECTORY.value)
        if not self._names.is_empty(inode):
            raise Refusal(commands.NOT_EMPTY, command.path)
        self._reservations.check_none_in(inode)
        if at.level >= 2:
            self._quotas.count(owner, files=-1)
            self._orphans.add(inode)
        else:
            self._partials.forget_below(inode)
        self._names.remove(place, directory=True)
        self._retention.directory_removed(inode)
        if at.level >= 2:
            self._spans.forget(inode)
        self._names.touch(place.parent, at.time_ns)
        return commands.Result(inode=inode)

    @handles("rename", level=1)
    def rename(self, command: commands.Rename, at: Context) -> commands.Result:
        """Give a file or directory another name. Refuses with EXISTS, CYCLE, DENIED, BAD_NAME, and as `old_place`."""
        source, target, leave = command.source, command.target, at.leave
        check_stays(at, source)
        check_stays(at, target)
        self._accounts.check_held(at, Action.RENAME, source)
        place, moved = self._names.old_place(at, source, commands.INVALID)
        kind, inode, owner = moved[1], moved[2], moved[5]
        directory = kind == Kind.DIRECTORY
        if source == target:
            return commands.Result(inode=inode)
        if directory and target.startswith(f"{source}/"):
            raise Refusal(commands.CYCLE, f"{source} to {target}")
        check_owner(source, moved, leave.source_of)
        if directory:
            self._accounts.check_held(at, Action.WRITE, target)
        elif leave.directories:
            raise Refusal(commands.DENIED, Action.WRITE.value)
        new_place, row = self._names.new_place(at, target, commands.EXISTS)
        restored = at.level >= LEVEL and self._trash.find(inode) is not None
        if row is not None:
            if directory or row[1] == Kind.DIRECTORY or leave.keeps or command.exclusive or restored:
                raise Refusal(commands.EXISTS, target)
            check_owner(target, row, leave.target_of)
        if _apart(at, target) or (_apart(at, source) and not restored):
            return self._sending.rename(command, at, (place, moved), (new_place, row))
        if directory and at.level >= 2:
            self._spans.check_move(inode, source, target)
        if row is not None:
            self._versions.put_away(at, new_place, row)
        else:
            self._reservations.check_free(new_place)
        if directory:
            self._retention.moves(at, (place.parent, new_place.parent))
        self._names.move(place, new_place, directory=directory)
        self.grown(at, new_place, inode if directory else None)
        if directory:
            self._retention.moved()
            self._accounts.directory_renamed(source, target, at.index, level=at.level)
        else:
            # As after an upload to the new name: its owner has nothing to resume there.
            self._partials.forget(new_place, owner)
            if restored:
                self._trash.restored(inode, owner)
            self._retention.note(new_place, inode, moved[6], moved[3])
        self._names.touch(place.parent, at.time_ns)
        self._names.touch(new_place.parent, at.time_ns)
        return commands.Result(inode=inode)

    def grown(self, at: Context, place: Place, directory: int | None = None) -> None:
        """A name has come to `place`; `directory`: the inode of one that has come with what is in it."""
        if at.level >= 2:
            self._spans.grow(place, directory)

    @handles("set_times", level=1)
    def set_times(self, command: commands.SetTimes, at: Context) -> commands.Result:
        """Set the time of a file or directory. Refuses with DENIED, and as `old_place`."""
        if command.path == "/":
            place, inode = Place(ROOT, ""), ROOT
        else:
            place, row = self._names.old_place(at, command.path, commands.INVALID)
            check_owner(command.path, row, at.leave.source_of)
            inode = row[2]
        self._names.set_modified(place, inode, command.mtime_ns)
        return commands.Result(inode=inode)

    # Files.

    @handles("put_file", level=1)
    def put_file(self, command: commands.PutFile, at: Context) -> commands.Result:
        """Publish a version of a file.

        Refuses with EXISTS, IS_A_DIRECTORY, CHANGED, DENIED, QUOTA, and as `plan` and `new_place`.
        """
        done = self._put(command, at)
        if self._webhooks.uploads and done.inode and not is_apart(at.path or command.path):
            self._events.note(EventKind.UPLOADED, inode=done.inode, owner=at.leave.owner)
        if 0 < command.kept <= MAX_INTEGER and done.inode and not is_apart(at.path or command.path):
            source = self._names.of_inode(command.kept)
            if source is not None:
                self._sending.copied_out(at, source[1])
        return done

    @handles("copy_file", level=LEVEL)
    def copy_file(self, command: commands.CopyFile, at: Context) -> commands.Result:
        """Publish the content of a file as another one. Refuses as `old_place` and `put_file`."""
        source = self._names.old_place(at, command.source, commands.IS_A_DIRECTORY)[1]
        if source[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.source)
        if command.source == command.target:
            raise Refusal(commands.DENIED, "a file is not copied onto itself")
        put = commands.PutFile(
            path=command.target,
            size=source[3],
            mtime_ns=command.mtime_ns,
            exclusive=command.exclusive,
            draft=command.draft,
            expires_ns=command.expires_ns,
        )
        done = self._put(put, at, source[2] if source[3] else 0)
        if not is_apart(command.target):
            self._sending.copied_out(at, source)
        return done

    def _put(self, command: commands.PutFile, at: Context, source: int = 0) -> commands.Result:
        """Publish a version of a file; `source`: the inode of the one whose content it gets.

        Nearly all commands are of this kind, for a name that is new: so what has nothing to say is mostly not called.
        """
        owner, size = at.leave.owner, command.size
        check_label(owner, "an owner")
        found = self._published_at(command, at)
        if found is None:
            self._staging.discard(command.content)
            return commands.Result()  # it was removed while it was open
        place, row, anew = found
        path = at.path or command.path
        if at.level >= LEVEL and is_reserved(path):
            check_stays(at, path)
            if is_apart(path):
                return self._sending.put(command, at, place, row, source)
        user = self._accounts.owner(owner) if command.of_account else None
        if command.of_account and (user is None or user.disabled):
            raise Refusal(commands.DENIED, f"{owner} was disabled or removed")
        content = Copied(source) if source else self._staging.content(command, command.quorum)
        displaced, kept = self._versions.displaced_beside(at, owner, size, place, row)
        mtime_ns = command.mtime_ns or at.time_ns
        if source:
            content = self._staging.hold(content, owner)
        if displaced:
            self._versions.displace(at, displaced)
        if row is not None:
            self._versions.release(at, row, kept)
        fresh = row is None or anew
        if row is not None and not fresh:
            inode = row[2]
            self._names.replace(place, size, mtime_ns, owner, at.index)
        else:
            inode = self._staging.new_inode(content)
            if row is not None:
                self._names.remove(place, directory=False)
            self._names.insert(place, Kind.FILE, inode, size, mtime_ns, owner, at.index)
            if at.level >= 2:
                self._spans.grow(place)
        self._staging.give(inode, content, owner, published=True, fresh=fresh)
        if self._reservations.by_place:
            self._reservations.end(place)
        self._storing.count(owner, 1, size)
        self._names.touch(place.parent, at.time_ns)
        if self._partials.total:
            self._partials.forget(place, owner)
        if self._retention.by_directory:
            self._retention.note(place, inode, at.index, size)
            self._retention.shed(at, place, inode)
        return commands.Result(inode=inode)

    def _published_at(self, command: commands.PutFile, at: Context) -> tuple[Place, Row | None, bool] | None:
        """Return where a file is to be published, what is there, and whether that gives way to another inode.

        None: nowhere, since its inode is gone.
        """
        if not command.HasField("handle"):
            place, row = self._names.new_place(at, command.path, commands.IS_A_DIRECTORY)
            if row is not None or command.base_inode or command.base_version:
                self._check_target(command, at, row)
            if self._reservations.by_place:
                self._reservations.check_free(place)
            return place, row, False
        handle = command.handle
        if max(handle.inode, handle.directory, handle.version, handle.reservation) > MAX_INTEGER:
            raise Refusal(commands.INVALID, "no handle has such a number")
        if not handle.new:
            found = self._names.of_inode(handle.inode)
            if found is None:
                return None
            self._check_target(command, at, found[1])
            _check_version(command, found[1])
            return *found, False
        if not self._names.is_directory(handle.directory):
            raise Refusal(commands.NO_PARENT, f"the directory of {command.path} was removed")
        try:
            check_name(handle.name)
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None
        place = Place(handle.directory, handle.name)
        if handle.reservation:
            self._reservations.check_held(place, handle.reservation)
        else:
            self._reservations.check_free(place)
        row = self._names.at(place)
        if row is not None or handle.inode:
            _check_version(command, row)
            self._check_target(command, at, row)
        return place, row, True

    def find_path(self, put: commands.PutFile) -> str:
        """Say where the file of a handle is now: by that it is judged. Where it is gone, nothing is published.

        Returns the path by which it was opened.
        """
        handle, reported = put.handle, put.path
        inode = handle.directory if handle.new else handle.inode
        path = self._names.path_of(min(inode, MAX_INTEGER))
        if path is not None:
            put.path = f"{path.rstrip('/')}/{handle.name}" if handle.new else path
        return reported

    def _check_target(self, command: commands.PutFile, at: Context, row: Row | None) -> None:
        if row is not None and row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        if row is not None and (command.exclusive or at.leave.keeps):
            raise Refusal(commands.EXISTS, command.path)
        if row is not None:
            check_owner(command.path, row, at.leave.target_of)
        if at.level >= 2 and command.append and row is not None and not command.base_inode:
            raise Refusal(commands.CHANGED, command.path)  # it came meanwhile: nothing of it would be kept
        if (command.base_inode or command.base_version) and (
            row is None or row[2] != command.base_inode or row[6] != command.base_version
        ):
            raise Refusal(commands.CHANGED, command.path)

    @handles("remove_file", level=1)
    def remove_file(self, command: commands.RemoveFile, at: Context) -> commands.Result:
        """Remove a file. Refuses with IS_A_DIRECTORY, DENIED, and as `old_place`."""
        place, row = self._names.old_place(at, command.path, commands.IS_A_DIRECTORY)
        if row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        check_owner(command.path, row, at.leave.source_of)
        if _apart(at, command.path):
            self._sending.remove(at, command.path, place, row)
        else:
            self._versions.put_away(at, place, row)
        self._names.touch(place.parent, at.time_ns)
        return commands.Result(inode=row[2])


def _apart(at: Context, path: str) -> bool:
    """Whether a path is where names mean more than a file: what is sent, what came, what was deleted."""
    return at.level >= LEVEL and is_apart(path)


def check_reach(put: commands.PutFile) -> None:
    """Refuse with BAD_NAME a new file whose directory has been moved to where its path is too long."""
    if not put.handle.new:
        return
    try:
        split(put.path)
    except BadName as error:
        raise Refusal(commands.BAD_NAME, error.detail) from None


def _check_version(command: commands.PutFile, row: Row | None) -> None:
    """Refuse with CHANGED unless what is there is what the handle was opened on."""
    there = (row[2], row[6]) if row is not None else (0, 0)
    if there != (command.handle.inode, command.handle.version):
        raise Refusal(commands.CHANGED, command.path)


def check_owner(path: str, row: Row, owner: str) -> None:
    """Refuse with DENIED unless it is a file of `owner` ("": whoever's, directories too)."""
    if owner and (row[1] == Kind.DIRECTORY or row[5] != owner):
        raise Refusal(commands.DENIED, path)
