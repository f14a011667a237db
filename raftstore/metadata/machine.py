"""Decides and applies replicated commands. Each handler first checks everything, then writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import structlog

from raftstore.errors import BadName, DiskFailed, NotADirectory, NotFound
from raftstore.metadata.adoption import Adoptions
from raftstore.metadata.database.database import ROOT, level_of
from raftstore.metadata.drops import Drops
from raftstore.metadata.judging import ANYTHING, judged
from raftstore.metadata.levels import OLDEST, raised
from raftstore.metadata.migrations import migrate
from raftstore.metadata.operations import command_of, operations_of, plain
from raftstore.metadata.orphans import Orphans
from raftstore.metadata.refusal import Refusal, check_label
from raftstore.metadata.tables.accounts import Accounts, number_of
from raftstore.metadata.tables.contents import Contents
from raftstore.metadata.tables.intents import Intents
from raftstore.metadata.tables.jobs import Jobs
from raftstore.metadata.tables.namespace import Namespace, Place, Row
from raftstore.metadata.tables.partials import Partials
from raftstore.metadata.tables.quotas import Quotas
from raftstore.metadata.tables.remembered import Remembered
from raftstore.metadata.tables.replicas import DEFAULT, ReplicaSets
from raftstore.metadata.tables.reservations import Reservations
from raftstore.metadata.tables.secrets import Secrets
from raftstore.metadata.tables.spans import Spans
from raftstore.metadata.tables.stores import Stores
from raftstore.paths import check_name, split
from raftstore.rights import Action, Rights
from raftstore.rights.looks import sees
from raftstore.types import Entry, Kind
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


@dataclass(slots=True)
class Counters:
    """The columns of the table `state`."""

    applied: int
    next_inode: int
    next_chunk: int
    next_job: int
    files: int
    bytes: int
    partials: int


class Machine:
    """The state machine's state over one connection, and its transitions. Knows nothing of transactions.

    After an exception out of `apply` (not a refusal) its memory no longer matches the database: make a new one.
    `level` is the one in force at this point of the log: rules that came with a level are behind `if self.level >= N`.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.level = level_of(database)
        self._execute = database.cursor().execute
        names = ", ".join(field.name for field in fields(Counters))
        self.counters = Counters(*self._execute(f"SELECT {names} FROM state").fetchone())
        self._stored = self.counters.applied
        self.sets = ReplicaSets(database)
        self.stores = Stores(database)
        self.contents = Contents(database, self.sets, self.stores, self.counters.next_chunk)
        self.names = Namespace(database)
        self.spans = Spans(database)
        self.accounts = Accounts(database)
        self.quotas = Quotas(database, self.accounts.owner, lambda: self.level)
        self.partials = Partials(database, self.contents, self.quotas, self.counters.partials)
        self.orphans = Orphans(database, self.partials)
        self.remembered = Remembered(database)
        self.intents = Intents(database)
        self.secrets = Secrets(database)
        self.jobs = Jobs(database, self.counters.next_job)
        self.reservations = Reservations(database)
        self._drops = Drops(self.jobs, self.intents, self.stores, self.contents)
        self.on_level: Callable[[int], object] = lambda level: None
        """Told the level in force when an entry has raised it; must not raise."""
        self._index = 0
        self._position = 0
        self._time_ns = 0
        self._leave = ANYTHING
        self._rights: Rights | None = None
        self._adoptions = Adoptions(database, self.accounts, self.quotas, self.partials)
        self._handlers: dict[str, Callable[[Any], commands.Result]] = {
            "make_directory": self._make_directory,
            "remove_directory": self._remove_directory,
            "put_file": self._put_file,
            "remove_file": self._remove_file,
            "rename": self._rename,
            "set_times": self._set_times,
            "put_partial": self._put_partial,
            "drop_partial": self._drop_partial,
            "put_user": plain(lambda c: self.accounts.put(c, self._index, self._identity())),
            "remove_user": plain(lambda c: self.accounts.remove(c.name)),
            "register_store": self._register_store,
            "change_replicas": plain(lambda c: self.contents.change_replicas(c.added, c.removed)),
            "put_intent": plain(lambda c: self.intents.put(c.intent, self._index, self._time_ns)),
            "redeem_token": plain(lambda c: self.intents.redeem(c, self._time_ns)),
            "finish_intent": plain(lambda c: self.intents.finish(c)),
            "begin_sweep": plain(lambda c: self.stores.sweep(c.store, self._index)),
            "drop_replicas": plain(lambda c: self._drops.apply(c, self._index, self._time_ns)),
            "put_job": self._put_job,
            "take_job": self._job(self.jobs.take),
            "report_job": self._job(self.jobs.report),
            "finish_job": self._job(self.jobs.finish),
            "cancel_job": self._job(self.jobs.cancel),
            "adopt_owner": self._adopt_owner,
            "expire_partials": plain(lambda c: self.partials.expire(c.tick, c.keep, c.limit)),
            "agree_on_secret": plain(lambda c: self.secrets.agree(c.name, c.value, c.replaces)),
            "set_level": plain(self._set_level),
            "reserve_name": self._reserve_name,
            "renew_names": plain(lambda c: self.reservations.renew(c, self._index)),
            "release_name": plain(lambda c: self.reservations.release(c)),
        }

    # Log entries.

    def check_sole_writer(self) -> None:
        """At the start of a transaction: make sure that the database is as this machine left it."""
        if self._execute("SELECT applied FROM state").fetchone()[0] != self._stored:
            raise DiskFailed("another process changes this catalog: two nodes run on the same directory")

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        """Apply the entry at log `index` within the current transaction; return a Result an operation.

        Raises TooNew for what this version does not know, before anything of that operation is done.
        """
        self._index = index
        results = []
        for position, operation in enumerate(operations_of(index, batch, self.level)):
            self._position = position
            results.append(self._operation(operation))
        self.names.flush()
        self.counters.applied = index
        return results

    def configure(self, index: int, configuration: bytes) -> None:
        """Take who the members are, as of log `index`, within the current transaction."""
        self.intents.configure(index, configuration)
        self.stores.keep_of(self.intents.members)
        self.jobs.keep_of(self.intents.members)
        self.reservations.keep_of(self.intents.members)
        self.counters.applied = index

    def finish(self) -> None:
        """Before the commit: write what is kept in memory meanwhile."""
        self._flush()
        counters = self.counters
        counters.partials = self.partials.total
        counters.next_chunk = self.contents.next_chunk
        counters.next_job = self.jobs.next_job
        self._execute(
            "UPDATE state SET applied = ?, next_inode = ?, next_chunk = ?, next_job = ?, files = ?, bytes = ?,"
            " partials = ?",
            (
                counters.applied,
                counters.next_inode,
                counters.next_chunk,
                counters.next_job,
                counters.files,
                counters.bytes,
                counters.partials,
            ),
        )
        self._stored = counters.applied

    def _flush(self) -> None:
        self.names.flush()
        self.sets.flush()
        self.quotas.flush()
        self.remembered.flush()

    def recall(self, index: int, batch: bytes) -> list[bytes]:
        """Return the remembered results of the entry at log `index`, applied before (empty: forgotten)."""
        return [self.remembered.find(operation.id) for operation in operations_of(index, batch, OLDEST)]

    @property
    def untouched(self) -> bool:
        """Whether nothing was put into the catalog yet: the cluster is new."""
        new = self.counters.next_inode == ROOT + 1 and self.jobs.next_job == 1
        return new and not (self.stores.list() or self.intents.list()) and self._empty("users", "secrets")

    def _empty(self, *tables: str) -> bool:
        return not any(
            self._execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0] for table in tables
        )

    def _set_level(self, command: commands.SetLevel) -> None:
        level = raised(command, self.level, self.intents.configuration[0], untouched=self.untouched)
        self._flush()
        migrate(self._database, self, level)
        log.info("level raised", level=level, entry=self._index)
        self.on_level(level)

    def _operation(self, operation: commands.Operation) -> bytes:
        try:
            remembered = self.remembered.recall(operation.id)
        except Refusal as refusal:
            return self._refused(refusal)
        if remembered is not None:
            return remembered
        self.reservations.booted(operation.id.node, operation.id.boot)
        self._time_ns = operation.time_ns
        if self.orphans:
            self.orphans.drop_some()
            self.contents.forget_unreferenced()
        try:
            kind, command = command_of(self._index, operation.command, self.level, self._handlers)
            reported = None
            if kind == "put_file" and command.put_file.HasField("handle"):
                reported = self._find_path(command.put_file)
            self._leave, self._rights = judged(kind, command, self.level, self.accounts)
            if reported is not None:
                _check_reach(command.put_file)
                # Where it is now may be hidden from who has opened it: refusals tell of the name that it was opened by.
                command.put_file.path = reported
            done = self._handlers[kind](getattr(command, kind))
            self.contents.forget_unreferenced()
            done.index = self._index
            result = done.SerializeToString()
        except Refusal as refusal:
            result = self._refused(refusal)
        self.remembered.remember(operation.id, result)
        return result

    def _refused(self, refusal: Refusal) -> bytes:
        result = commands.Result(status=refusal.status, detail=refusal.detail, index=self._index)
        return result.SerializeToString(deterministic=True)

    def partial(self, owner: str, path: str) -> tuple[int, int, int] | None:
        """Return inode, size and time of what `owner` can resume at `path`, or None. Raises BadName."""
        if path == "/":
            return None
        try:
            return self.partials.find(self.names.place(path), owner)
        except (NotFound, NotADirectory, UnicodeEncodeError):
            return None

    # Places.

    def _new_place(
        self, path: str, at_root: commands.Status, *, existing: bool = False
    ) -> tuple[Place, Row | None]:
        """Return where to put something, and what is there. Refuses with `at_root`, NO_PARENT, ..."""
        if path == "/":
            raise Refusal(at_root, path)
        try:
            place = self.names.place(path, existing=existing and self.level >= 2)
        except NotFound as error:
            raise Refusal(commands.NO_PARENT, error.detail) from None
        except NotADirectory as error:
            if self._rights is not None and not self._rights.lists(path):
                raise Refusal(commands.NO_PARENT, path) from None  # what is there is not to be seen
            raise Refusal(commands.NOT_A_DIRECTORY, error.detail) from None
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None
        return place, self.names.at(place)

    def _old_place(self, path: str, at_root: commands.Status) -> tuple[Place, Row]:
        """Return where `path` is, and its row. Refuses with `at_root`, NOT_FOUND, NOT_A_DIRECTORY, BAD_NAME."""
        try:
            place, row = self._new_place(path, at_root, existing=True)
        except Refusal as refusal:
            if refusal.status == commands.NO_PARENT:
                raise Refusal(commands.NOT_FOUND, path) from None
            raise
        if row is None or self._hidden(path, row):
            raise Refusal(commands.NOT_FOUND, path)
        return place, row

    def _hidden(self, path: str, row: Row) -> bool:
        """Whether the actor, who may touch only its own files there, is not to know that this is there."""
        if self._rights is None or not self._leave.source_of:
            return False
        return not sees(self._rights, path, directory=row[1] == Kind.DIRECTORY, owner=row[5])

    def _check_held(self, action: Action, path: str) -> None:
        """Refuse with DENIED to shift what holds for others, or the actor itself, at `path` or beneath.

        In the words for a right that is missing, and wherever possible before anything is looked up.
        """
        if self._rights is not None and self.accounts.holds(path, self._rights):
            raise Refusal(commands.DENIED, action.value)

    def _new_inode(self) -> int:
        inode = self.counters.next_inode
        self.counters.next_inode += 1
        return inode

    # Directories and names.

    def _make_directory(self, command: commands.MakeDirectory) -> commands.Result:
        # A home, and the way to it, are nobody's: they were not asked for, and are not on the account's quota.
        owner = "" if command.home and self.level >= 2 else self._leave.owner
        check_label(owner, "an owner")
        place, row = self._new_place(command.path, commands.EXISTS)
        if row is not None:
            raise Refusal(commands.EXISTS, command.path)
        self.reservations.check_free(place)
        if self.level >= 2:
            self.quotas.check_published(owner, 1, 0)
            self.quotas.count(owner, files=1)
        inode = self._new_inode()
        entry = Entry(place.name, Kind.DIRECTORY, inode, 0, self._time_ns, owner, self._index)
        self.names.insert(place, entry)
        self._grown(place)
        self.names.touch(place.parent, self._time_ns)
        return commands.Result(inode=inode)

    def _remove_directory(self, command: commands.RemoveDirectory) -> commands.Result:
        self._check_held(Action.REMOVE_DIRECTORY, command.path)
        place, (_, kind, inode, _, _, owner, _) = self._old_place(command.path, commands.INVALID)
        if kind != Kind.DIRECTORY:
            raise Refusal(commands.NOT_A_DIRECTORY, command.path)
        if not self.names.is_empty(inode):
            raise Refusal(commands.NOT_EMPTY, command.path)
        self.reservations.check_none_in(inode)
        if self.level >= 2:
            self.quotas.count(owner, files=-1)
            self.orphans.add(inode)
        else:
            self.partials.forget_below(inode)
        self.names.remove(place, directory=True)
        if self.level >= 2:
            self.spans.forget(inode)
        self.names.touch(place.parent, self._time_ns)
        return commands.Result(inode=inode)

    def _rename(self, command: commands.Rename) -> commands.Result:
        source, target, leave = command.source, command.target, self._leave
        self._check_held(Action.RENAME, source)
        place, moved = self._old_place(source, commands.INVALID)
        kind, inode, owner = moved[1], moved[2], moved[5]
        directory = kind == Kind.DIRECTORY
        if source == target:
            return commands.Result(inode=inode)
        if directory and target.startswith(f"{source}/"):
            raise Refusal(commands.CYCLE, f"{source} to {target}")
        _check_owner(source, moved, leave.source_of)
        if directory:
            self._check_held(Action.WRITE, target)
        elif leave.directories:
            raise Refusal(commands.DENIED, Action.WRITE.value)
        new_place, row = self._new_place(target, commands.EXISTS)
        if row is not None:
            if directory or row[1] == Kind.DIRECTORY or leave.keeps or command.exclusive:
                raise Refusal(commands.EXISTS, target)
            _check_owner(target, row, leave.target_of)
        if directory and self.level >= 2:
            self.spans.check_move(inode, source, target)
        if row is not None:
            self._remove(new_place, row)
        else:
            self.reservations.check_free(new_place)
        self.names.move(place, new_place, directory=directory)
        self._grown(new_place, inode if directory else None)
        if directory:
            self.accounts.directory_renamed(source, target, self._index, level=self.level)
        else:
            # As after an upload to the new name: its owner has nothing to resume there.
            self.partials.forget(new_place, owner)
        self.names.touch(place.parent, self._time_ns)
        self.names.touch(new_place.parent, self._time_ns)
        return commands.Result(inode=inode)

    def _grown(self, place: Place, directory: int | None = None) -> None:
        """A name has come to `place`; `directory`: the inode of one that has come with what is in it."""
        if self.level >= 2:
            self.spans.grow(place, directory)

    def _set_times(self, command: commands.SetTimes) -> commands.Result:
        if command.path == "/":
            place, inode = Place(1, ""), 1
        else:
            place, row = self._old_place(command.path, commands.INVALID)
            _check_owner(command.path, row, self._leave.source_of)
            inode = row[2]
        self.names.set_modified(place, inode, command.mtime_ns)
        return commands.Result(inode=inode)

    # Files.

    def _put_file(self, command: commands.PutFile) -> commands.Result:
        owner, size = self._leave.owner, command.size
        check_label(owner, "an owner")
        found = self._published_at(command)
        if found is None:
            return commands.Result()  # it was removed while it was open
        place, row, anew = found
        user = self.accounts.owner(owner) if command.of_account else None
        if command.of_account and (user is None or user.disabled):
            raise Refusal(commands.DENIED, f"{owner} was disabled or removed")
        plan = self.contents.plan(command.chunks, size, command.since)
        self.contents.check_quorum(plan, command.quorum)
        own = row is not None and row[5] == owner
        self.quotas.check_published(owner, 0 if own else 1, size - (row[3] if row is not None and own else 0))
        mtime_ns = command.mtime_ns or self._time_ns
        demand = self.accounts.replicas(owner) or DEFAULT
        if row is not None:
            self._release(row)
        if row is not None and not anew:
            inode = row[2]
            self.names.replace(place, size, mtime_ns, owner, self._index)
        else:
            inode = self._new_inode()
            if row is not None:
                self.names.remove(place, directory=False)
            self.names.insert(place, Entry("", Kind.FILE, inode, size, mtime_ns, owner, self._index))
            self._grown(place)
        self.contents.acquire(inode, plan, demand, published=True)
        self.reservations.end(place)
        self._count(owner, 1, size)
        self.names.touch(place.parent, self._time_ns)
        self.partials.forget(place, owner)
        return commands.Result(inode=inode)

    def _published_at(self, command: commands.PutFile) -> tuple[Place, Row | None, bool] | None:
        """Return where a file is to be published, what is there, and whether that gives way to another inode.

        None: nowhere, since its inode is gone.
        """
        if not command.HasField("handle"):
            place, row = self._new_place(command.path, commands.IS_A_DIRECTORY)
            self._check_target(command, row)
            self.reservations.check_free(place)
            return place, row, False
        handle = command.handle
        if not handle.new:
            found = self.names.of_inode(handle.inode)
            if found is None:
                return None
            self._check_target(command, found[1])
            _check_version(command, found[1])
            return *found, False
        if not self.names.is_directory(handle.directory):
            raise Refusal(commands.NO_PARENT, f"the directory of {command.path} was removed")
        try:
            check_name(handle.name)
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None
        place = Place(handle.directory, handle.name)
        if handle.reservation:
            self.reservations.check_held(place, handle.reservation)
        else:
            self.reservations.check_free(place)
        row = self.names.at(place)
        if row is not None or handle.inode:
            _check_version(command, row)
            self._check_target(command, row)
        return place, row, True

    def _find_path(self, put: commands.PutFile) -> str:
        """Say where the file of a handle is now: by that it is judged. Where it is gone, nothing is published.

        Returns the path by which it was opened.
        """
        handle, reported = put.handle, put.path
        inode = handle.directory if handle.new else handle.inode
        path = self.names.path_of(inode)
        if path is not None:
            put.path = f"{path.rstrip('/')}/{handle.name}" if handle.new else path
        return reported

    def _reserve_name(self, command: commands.ReserveName) -> commands.Result:
        place, row = self._new_place(command.path, commands.IS_A_DIRECTORY)
        if row is not None:
            raise Refusal(commands.EXISTS, command.path)
        owner = self._leave.owner
        self.reservations.add(
            place, owner, self.counters.next_inode, command, self._index, self.intents.members
        )
        return commands.Result(inode=place.parent, reservation=self._new_inode())

    def _check_target(self, command: commands.PutFile, row: Row | None) -> None:
        if row is not None and row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        if row is not None and (command.exclusive or self._leave.keeps):
            raise Refusal(commands.EXISTS, command.path)
        if row is not None:
            _check_owner(command.path, row, self._leave.target_of)
        if self.level >= 2 and command.append and row is not None and not command.base_inode:
            raise Refusal(commands.CHANGED, command.path)  # it came meanwhile: nothing of it would be kept
        if (command.base_inode or command.base_version) and (
            row is None or row[2] != command.base_inode or row[6] != command.base_version
        ):
            raise Refusal(commands.CHANGED, command.path)

    def _remove_file(self, command: commands.RemoveFile) -> commands.Result:
        place, row = self._old_place(command.path, commands.IS_A_DIRECTORY)
        if row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        _check_owner(command.path, row, self._leave.source_of)
        self._remove(place, row)
        self.names.touch(place.parent, self._time_ns)
        return commands.Result(inode=row[2])

    def _remove(self, place: Place, row: Row) -> None:
        self._release(row)
        self.names.remove(place, directory=False)

    def _release(self, row: Row) -> None:
        """Take the content of a file away, and from its owner's usage."""
        self.contents.release(row[2], published=True)
        self._count(row[5], -1, -row[3])

    def _count(self, owner: str, files: int, size: int) -> None:
        self.quotas.count(owner, files=files, size=size)
        self.counters.files += files
        self.counters.bytes += size

    # Partial uploads.

    def _put_partial(self, command: commands.PutPartial) -> commands.Result:
        owner, size = self._leave.owner, command.size
        check_label(owner, "an owner")
        place, row = self._new_place(command.path, commands.IS_A_DIRECTORY)
        if row is not None and row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        plan = self.contents.plan(command.chunks, size, command.since)

        def acquire() -> int:
            inode = self._new_inode()
            self.contents.acquire(inode, plan, self.accounts.replicas(owner) or DEFAULT, published=False)
            return inode

        return commands.Result(inode=self.partials.put(place, owner, size, self._time_ns, acquire))

    def _drop_partial(self, command: commands.DropPartial) -> commands.Result:
        place, _ = self._new_place(command.path, commands.IS_A_DIRECTORY, existing=True)
        if not self.partials.forget(place, self._leave.owner):
            raise Refusal(commands.NOT_FOUND, command.path)
        return commands.Result()

    # Accounts.

    def _identity(self) -> str | None:
        """Return what tells an account that is made now from all others."""
        if self.level < 2:
            return None
        return number_of(self._index, self._position)

    def _adopt_owner(self, command: commands.AdoptOwner) -> commands.Result:
        return self._adoptions.apply(command)

    # Stores.

    def _register_store(self, command: commands.RegisterStore) -> commands.Result:
        return commands.Result(store=self.stores.register(command.node, command.identity, command.zone))

    # Jobs.

    def _put_job(self, command: commands.PutJob) -> commands.Result:
        return commands.Result(job=self.jobs.put(command.job, self.intents.members, self._time_ns))

    def _job(self, change: Callable[[Any, int], None]) -> Callable[[Any], commands.Result]:
        """Return the handler of a command that changes the job `id`."""

        def handler(command: Any) -> commands.Result:
            change(command, self._time_ns)
            return commands.Result(job=command.id)

        return handler


def _check_reach(put: commands.PutFile) -> None:
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


def _check_owner(path: str, row: Row, owner: str) -> None:
    """Refuse with DENIED unless it is a file of `owner` ("": whoever's, directories too)."""
    if owner and (row[1] == Kind.DIRECTORY or row[5] != owner):
        raise Refusal(commands.DENIED, path)
