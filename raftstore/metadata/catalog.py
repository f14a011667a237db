"""The catalog as the rest of the store sees it: a replicated state machine and its reads."""

from __future__ import annotations

import asyncio
import functools
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from raftstore import paths
from raftstore.errors import Damaged, DiskFailed, DiskFull, Invalid, IsADirectory, StoreError, Unavailable
from raftstore.metadata import levels
from raftstore.metadata.database import snapshots
from raftstore.metadata.database.connections import Readers
from raftstore.metadata.database.database import (
    connect,
    level_of,
    open_catalog,
    sync_directory,
    translated,
    wants_space,
)
from raftstore.metadata.database.durability import WAL_BYTES, Durability, LogBound
from raftstore.metadata.database.schemas import fill, schema_at
from raftstore.metadata.database.transaction import Later, Transaction
from raftstore.metadata.levels import batch_refusal, examined
from raftstore.metadata.listing import MAX_SORTED, PAGE, PackedListing, PackingBudget
from raftstore.metadata.machine import Machine
from raftstore.metadata.refusal import MAX_INTEGER
from raftstore.metadata.registry import Table
from raftstore.metadata.reports import Reports, content_digest
from raftstore.metadata.tables.accounts.accounts import Accounts
from raftstore.metadata.tables.accounts.quotas import Quotas
from raftstore.metadata.tables.accounts.secrets import Secrets
from raftstore.metadata.tables.cluster.jobs import Jobs
from raftstore.metadata.tables.cluster.remembered import Remembered
from raftstore.metadata.tables.contents.contents import find_unlisted
from raftstore.metadata.tables.contents.longcontents import LongContents
from raftstore.metadata.tables.contents.staging import Staged, Staging
from raftstore.metadata.tables.contents.stores import Stores
from raftstore.metadata.tables.events.audit import AuditLog
from raftstore.metadata.tables.events.events import Events
from raftstore.metadata.tables.events.webhooks import Webhooks
from raftstore.metadata.tables.names.namespace import Namespace, Row, entry_of
from raftstore.metadata.tables.names.partials import Partials
from raftstore.metadata.tables.names.reservations import Reservation, Reservations
from raftstore.rights import Action, Actor, Rights
from raftstore.types import (
    ChunkRef,
    Entry,
    FileVersion,
    Kind,
    Order,
    Page,
    Partial,
    PartialUpload,
    StoreInfo,
    Usage,
    User,
    Wanted,
    identity_of,
)
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Table = TypeVar("_Table", bound=Table)

CHECK_SECONDS = 2.0
"""Longest structural check of the database at a start."""

READ_THREADS = 2


def _reading(method: Callable[Concatenate[Catalog, _P], _T]) -> Callable[Concatenate[Catalog, _P], _T]:
    """Have a read, over the writer's connection, raise what SQLite's errors mean."""

    @functools.wraps(method)
    def read(self: Catalog, /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        try:
            return method(self, *arguments, **options)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    return read


class Catalog:
    """The replicated state machine (consensus.statemachine.StateMachine) in the SQLite database at `path`.

    Runs on one thread, the loop's, but for `make_durable`, `write_snapshot`, `prepare_snapshot` and `digest`,
    which any thread may call. Reads see every entry applied so far. Raises Damaged (also when opened) when the
    database cannot be trusted, DiskFailed; the node must then stop.

    With `later`, all entries applied until it calls back share one transaction: each page that they change is
    written once. What is not committed when the process dies is applied again from the log; other connections,
    and so `write_snapshot`, `digest` and `make_durable`, do not see it yet.

    A full disk is no failure. What is not committed is undone and applied again, when `free_space` has made some (it
    returns whether there is more now); else `apply` raises DiskFull, and `behind` is true until `catch_up` succeeds.
    """

    def __init__(
        self,
        path: Path,
        *,
        wal_bytes: int = WAL_BYTES,
        check_seconds: float = CHECK_SECONDS,
        later: Later | None = None,
        free_space: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._free_space = free_space
        self._steps: list[tuple[int, Callable[[], object]]] = []
        self.behind = False
        """Whether entries that were applied are undone for want of space: `applied_index` has gone back."""
        self._incoming = path.with_name(path.name + ".incoming")
        self._replaced = path.with_name(path.name + ".replaced")
        self._later = later
        # Held while a transaction is open, by a checkpoint's last step, and while the file is swapped.
        self._write_lock = threading.Lock()
        self._durability = Durability(path, self._write_lock, wal_bytes)
        self._log_bound = LogBound(path, wal_bytes, self.make_durable)
        self._readers = Readers(path)
        self._threads = ThreadPoolExecutor(READ_THREADS, "catalog-read")
        self._packing = PackingBudget()
        # Held by whoever writes or takes the incoming file.
        self._incoming_lock = threading.Lock()
        self._prepared: object = None
        self._failed: BaseException | None = None
        # The command that was examined last is weighed next, as a rule: it is not decoded twice.
        self._examined: tuple[bytes, commands.Command | None] = b"", None
        self._account_changed: Callable[[str | None], object] = lambda name: None
        self._level_changed: Callable[[int], object] = lambda level: None
        self._events_changed: Callable[[], object] = lambda: None
        self._audit_changed: Callable[[], object] = lambda: None
        self._webhooks_changed: Callable[[], object] = lambda: None
        self._open(check_seconds)
        self._replaced.unlink(missing_ok=True)

    def _open(self, check_seconds: float) -> None:
        try:
            self._database = open_catalog(self._path, check_seconds, fill, schema_at)
        except BaseException as error:
            self._failed = error
            raise
        try:
            self._incoming.unlink(missing_ok=True)
            self._load()
        except BaseException as error:
            self._failed = error
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise translated(error, self._path) from error
            raise

    def _load(self) -> None:
        """Begin with what is in the database."""
        self._machine = Machine(self._database)
        self._tables = self._machine.tables
        self._machine.accounts.on_change = lambda name: self._account_changed(name)
        self._machine.on_level = lambda level: self._level_changed(level)
        self._tables[Events].on_change = lambda: self._events_changed()
        self._tables[AuditLog].on_change = lambda: self._audit_changed()
        self._tables[Webhooks].on_change = lambda: self._webhooks_changed()
        self._execute = self._database.cursor().execute
        self._reports = Reports(self._database, self._machine.sets, self._machine.names)
        self._transaction = Transaction(self._database, self._machine, self._write_lock)
        self._applied = self._machine.state.applied
        self._row = self._machine.names.row

    def close(self) -> None:
        """Close the database. Raises Unavailable when a thread still reads after half a minute."""
        if self._failed is None:
            try:
                self.settle()
            except StoreError as error:
                log.error("what was applied last is not in the catalog; the log has it", error=str(error))
        self._transaction.abandon()
        if self._failed is None:
            self._failed = Unavailable("the catalog is closed")
        try:
            self._readers.close()
        finally:
            self._threads.shutdown()
            self._log_bound.close()
            with self._durability.lock, self._write_lock:
                self._database.close()

    def watch_accounts(self, changed: Callable[[str | None], object]) -> None:
        """Call `changed` with the name of each account that an entry changes or removes, while that is applied.

        None: any may have changed. It must not raise.
        """
        self._account_changed = changed

    def watch_level(self, changed: Callable[[int], object]) -> None:
        """Call `changed` with the level in force when an entry or a snapshot has brought another. It must not raise."""
        self._level_changed = changed

    def watch_events(self, changed: Callable[[], object]) -> None:
        """Call `changed` when there are more events, while the entry is applied, or after a snapshot.

        It must not raise.
        """
        self._events_changed = changed

    def watch_audit(self, changed: Callable[[], object]) -> None:
        """Call `changed` when there are more records in the audit log, as `watch_events`."""
        self._audit_changed = changed

    def watch_webhooks(self, changed: Callable[[], object]) -> None:
        """Call `changed` when what is asked of webhooks has changed, as `watch_events`."""
        self._webhooks_changed = changed

    # The state machine.

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied (0: none)."""
        return self._applied

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        """Apply the entry at log `index`; return a serialised Result an operation, never empty but for a
        forgotten one.

        An entry at or below `applied_index` changes nothing. DiskFull: it is not applied, see `behind`. Any other
        exception means that the node must stop.
        """
        if index <= self._applied:
            return self._machine.recall(index, batch)
        return self._apply(index, lambda: self._machine.apply(index, batch))

    @property
    def level(self) -> int:
        """The level in force (metadata.levels): which commands may be proposed, and what they mean."""
        return self._machine.at.level

    def refusal(self, command: bytes) -> str | None:
        """Say why a serialised Command must not be put into the log while this level is in force; None: it may be."""
        decoded, reason = examined(command, self._machine.at.level)
        self._examined = command, decoded
        return reason

    def weight(self, command: bytes) -> int:
        """Return what a serialised Command weighs, one that is not refused; 0 while nothing can be read."""
        if self.behind or self._failed is not None:
            return 0
        known, decoded = self._examined
        if decoded is None or known is not command:
            decoded = commands.Command.FromString(command)
        try:
            return self._machine.weighing.weight(decoded)
        except sqlite3.Error as error:
            self._unreadable(error)
            return 0

    def batch_refusal(self, batch: bytes) -> str | None:
        """Say why a serialised Batch must not be put into the log while this level is in force; None: it may be."""
        return batch_refusal(batch, self._machine.at.level)

    @property
    def opening(self) -> bytes | None:
        """What a new log begins with: the newest level, so that nobody has to raise it. None: it has begun."""
        if self._machine.at.level >= levels.NEWEST or not self._machine.untouched:
            return None
        return commands.Command(
            set_level=commands.SetLevel(level=levels.NEWEST, fresh=True)
        ).SerializeToString()

    @property
    def configuration(self) -> tuple[int, bytes]:
        """The last configuration of the cluster that was applied, and its log index; (0, b"") before the first."""
        return self._machine.intents.configuration

    def configure(self, index: int, configuration: bytes) -> None:
        """Take the entry at log `index`, which says who the members are. Raises as `apply` does.

        An entry at or below `applied_index` changes nothing.
        """
        if index > self._applied:
            self._apply(index, lambda: self._machine.configure(index, configuration))

    def _apply(self, index: int, work: Callable[[], _T]) -> _T:
        self._check_usable()
        self._check_space()
        try:
            while True:
                try:
                    results = self._step(index, work)
                    break
                except sqlite3.Error as error:
                    self._undo(error)
                    self._catch_up()
        except BaseException as error:
            self._break(error)
            raise
        self._log_bound.check()
        return results

    def _step(self, index: int, work: Callable[[], _T]) -> _T:
        """Apply an entry: for good, or so that it can be undone and done again until `settle`."""
        results = self._do(index, work)
        if self._later is None:
            self._transaction.commit()
        else:
            self._steps.append((index, work))
        return results

    def _do(self, index: int, work: Callable[[], _T]) -> _T:
        if self._transaction.begin() and self._later is not None:
            self._later(self.settle)
        results = work()
        self._applied = index
        return results

    def settle(self) -> None:
        """Commit what is applied, so that other connections see it. Raises what `apply` raises."""
        self._check_space()
        try:
            try:
                self._transaction.commit()
            except sqlite3.Error as error:
                self._undo(error)
                self._catch_up()
            self._steps.clear()
        except BaseException as error:
            self._break(error)
            raise

    def _check_space(self) -> None:
        if self.behind:
            raise DiskFull(f"{self._path}: entries wait to be applied again")

    def _check_current(self) -> None:
        """Refuse to read what has gone back: somebody may have been told of what was undone."""
        if self.behind:
            raise Unavailable("the disk of this node is full: what was applied last is not there at the moment")

    def _undo(self, error: sqlite3.Error) -> None:
        """Go back to what was committed last, if the disk is full and something can be done; else raise."""
        if not wants_space(error, self._path):
            raise error
        self._go_back()
        if not self._free_space():
            raise translated(error, self._path) from error

    def _go_back(self) -> None:
        self._transaction.roll_back()
        self._load()
        self.behind = bool(self._steps)

    def catch_up(self) -> None:
        """Apply again what was undone, and commit it. DiskFull: not yet. Otherwise raises what `apply` raises."""
        self._check_usable()
        try:
            self._catch_up()
        except BaseException as error:
            self._break(error)
            raise

    def _catch_up(self) -> None:
        while self.behind:
            try:
                for index, work in self._steps:
                    self._do(index, work)
                self._transaction.commit()
                self._steps.clear()
                self.behind = False
            except sqlite3.Error as error:
                self._undo(error)

    def _break(self, error: BaseException) -> None:
        """After any failure nothing is applied or read: what came last may be gone with its transaction.

        DiskFull is none: what came last has been undone. Raises what an error of SQLite means.
        """
        if isinstance(error, DiskFull):
            return
        self._failed = error
        self._transaction.abandon()
        if isinstance(error, sqlite3.Error):
            raise translated(error, self._path) from error

    def _check_usable(self) -> None:
        if self._failed is not None:
            raise Unavailable(f"the catalog takes no more entries: {self._failed}") from self._failed

    def _unreadable(self, error: sqlite3.Error) -> StoreError:
        """Return what a failed read means. After damage nothing is applied any more, so that the node stops.

        A read that pushes changed pages out of the cache may be what finds the disk full: what was open is undone then.
        """
        meaning = translated(error, self._path)
        if isinstance(meaning, DiskFull) and self._transaction.lost:
            try:
                self._go_back()
            except BaseException as lost:
                self._break(lost)
                raise
        if isinstance(meaning, Damaged | DiskFailed) and self._failed is None:
            self._failed = meaning
            log.error("the catalog cannot be read", error=str(meaning))
        return meaning

    def make_durable(self) -> int:
        """Sync what is applied; return the applied index that a power cut can no longer undo. For a thread.

        Also moves a large write-ahead log into the database. A thread of the catalog's own calls it for that too.
        Raises DiskFailed; nothing is applied any more then.
        """
        return self._make_durable()

    def _make_durable(self, *, empty: bool = False) -> int:
        try:
            return self._durability.make_durable(
                lambda: self._transaction.committed, lambda: connect(self._path, patience=0), empty=empty
            )
        except StoreError as error:
            self._failed = error
            raise

    def write_snapshot(self, target: Path) -> int:
        """Write a sealed, synced copy of one state to `target`; return its applied index. For a thread.

        Raises Unavailable when the catalog is closed or replaced meanwhile.
        """
        with self._readers.connection() as database:
            return snapshots.write(database, target)

    def prepare_snapshot(self, source: Path) -> int:
        """Do what of `install_snapshot` takes long, in a thread: check `source` whole and copy it beside the
        catalog.

        Returns its applied index. Raises Damaged. `install_snapshot` of the unchanged file then takes no time.
        """
        with self._incoming_lock:
            return self._prepare(source)

    def _prepare(self, source: Path) -> int:
        self._prepared = None
        identity = snapshots.identity(source)
        index = snapshots.unpack(source, self._incoming)
        sync_directory(self._path.parent)
        # What is left for `install_snapshot` to move then is next to nothing.
        self._make_durable(empty=True)
        self._prepared = identity
        return index

    def discard_prepared(self) -> None:
        """Remove what `prepare_snapshot` has made and no `install_snapshot` has taken. For a thread."""
        with self._incoming_lock:
            self._prepared = None
            self._incoming.unlink(missing_ok=True)

    def install_snapshot(self, source: Path) -> int:
        """Replace the state by the snapshot `source`, which stays; return its applied index.

        Atomic and durable: a crash leaves the old state or the new one. Raises Damaged when the copy is not
        whole (the state is then as it was), Unavailable when a thread does not stop reading.
        """
        self._check_usable()
        self.settle()
        with self._incoming_lock:
            if self._prepared != snapshots.identity(source):
                self._prepare(source)
            self._prepared = None
            self._readers.pause()
            try:
                with self._durability.lock, self._write_lock:
                    self._swap()
            finally:
                self._readers.resume()
        log.info("catalog replaced by a snapshot", applied=self._applied)
        self._account_changed(None)
        self._level_changed(self.level)
        self._events_changed()
        self._audit_changed()
        self._webhooks_changed()
        return self._applied

    def _swap(self) -> None:
        """Put the prepared file in the place of the database.

        A write-ahead log must never lie beside a database it does not belong to: SQLite would mix them. So the
        old one is moved into its database first, and is gone for good before the new database takes the name.
        """
        try:
            try:
                busy = self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                if busy:
                    raise Unavailable("another process reads the catalog")
            finally:
                self._database.close()
            if self._path.with_name(self._path.name + "-wal").exists():
                # SQLite removes it with the last connection: not to be helped along.
                raise Unavailable("another process has the catalog open")
            # To free the space of a large file takes long: it keeps a name, to be removed by a thread.
            self._replaced.unlink(missing_ok=True)
            os.link(self._path, self._replaced)
            sync_directory(self._path.parent)
            self._incoming.replace(self._path)
            sync_directory(self._path.parent)
            self._threads.submit(self._replaced.unlink, missing_ok=True)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            self._open(0)  # its structure has been checked as a whole

    def digest(self) -> str:
        """Hash the whole state: equal for two catalogs that applied the same entries. Reads everything."""
        with self._readers.connection() as database:
            return content_digest(database)

    # Names.

    @_reading
    def lookup(self, path: str) -> Entry:
        """Return what `path` names. Raises NotFound, NotADirectory, BadName."""
        self._check_current()
        return entry_of(self._row(path))

    @_reading
    def published(self, path: str) -> Entry | None:
        """Return what `path`, not the root, names; None when nothing of that name is in its directory.

        Raises NotFound, NotADirectory (the directory), BadName.
        """
        self._check_current()
        names = self._machine.names
        row = names.at(names.place(path, existing=True))
        return None if row is None else entry_of(row)

    @_reading
    def check_directory(self, path: str) -> None:
        """Raise NotFound, NotADirectory or BadName unless `path` is a directory."""
        self._check_current()
        self._machine.names.directory(path)

    @_reading
    def file(self, path: str) -> FileVersion:
        """Return the published version of a file. Raises NotFound, NotADirectory, IsADirectory, BadName."""
        self._check_current()
        entry = entry_of(self._row(path))
        if entry.kind is Kind.DIRECTORY:
            raise IsADirectory(path)
        return FileVersion(entry, self._machine.contents.chunks(entry.inode))

    @_reading
    def path_of(self, inode: int) -> str | None:
        """Return the path of an inode, None when no entry has that number."""
        return self._machine.names.path_of(inode)

    @_reading
    def listing(self, path: str) -> list[Entry]:
        """Return the entries of a directory by name. Raises NotFound, NotADirectory, BadName."""
        self._check_current()
        names = self._machine.names
        return list(map(entry_of, names.listing(names.directory(path)).fetchall()))

    @_reading
    def page(self, path: str, limit: int = PAGE, *, backwards: bool = False) -> Page:
        """Return the first entries of a directory by name, or the last ones.

        Raises NotFound, NotADirectory, BadName.
        """
        self._check_current()
        return self._page(self._machine.names.directory(path), path, limit, "", backwards)

    @_reading
    def next_page(
        self, directory: int, after: str, limit: int = PAGE, *, backwards: bool = False
    ) -> Page | None:
        """Return the entries that follow the name `after` in the directory with this inode, wherever it is by now.

        None: it was removed. Names that did not change since the first page come exactly once, those that did at most
        once under each name.
        """
        self._check_current()
        path = self._machine.names.path_of(directory)
        return None if path is None else self._page(directory, path, limit, after, backwards)

    def _page(self, directory: int, path: str, limit: int, after: str, backwards: bool) -> Page:
        cursor = self._machine.names.listing(directory, limit + 1, after=after, backwards=backwards)
        rows = cursor.fetchall()
        last = rows[:limit][-1][0] if rows else ""
        return Page(directory, path, list(map(entry_of, rows[:limit])), len(rows) > limit, last)

    async def sorted_listing(self, path: str, order: Order, actor: Actor) -> PackedListing:
        """Return what `actor` is shown of a directory in an order for which all must be seen; by a thread.

        Account, path and entries are of one state, in which all is applied that is applied now. To be closed. Raises
        NotFound, NotADirectory, BadName, Denied; Invalid when there are more than are sorted; Unavailable when too many
        are sorted already, or the catalog is closed or replaced.
        """
        self._check_usable()
        self.settle()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._sort_in_thread, path, order, actor)

    def _sort_in_thread(self, path: str, order: Order, actor: Actor) -> PackedListing:
        with self._readers.connection() as database:
            # One transaction from the account over the path's first name to the last entry: all of one state.
            database.execute("BEGIN")
            rights = actor.rights(Accounts(database).rights, level_of(database))
            rights.require(Action.LIST, path)
            names = Namespace(database)
            directory = names.directory(path)
            if names.has_more_than(directory, MAX_SORTED):
                raise Invalid(f"a directory of more than {MAX_SORTED:,} names is only sorted by name")
            cursor = names.sorted(directory, order)
            pages = iter(lambda: cursor.fetchmany(PAGE), [])
            return PackedListing(directory, path, _shown(rights, path, pages), self._packing)

    @_reading
    def partial(self, owner: str, path: str) -> Partial | None:
        """Return what `owner` can resume at `path`, None when there is nothing. Raises BadName."""
        self._check_current()
        found = self._tables[Partials].of_path(owner, path)
        if found is None:
            return None
        inode, size, mtime_ns = found
        return Partial(path, owner, size, mtime_ns, self._machine.contents.chunks(inode))

    # Accounts, stores, totals.

    def user(self, name: str) -> User | None:
        """Return an account, None when there is none."""
        try:  # not by @_reading: it is asked at every command of a client
            return self._machine.accounts.user(name)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def rights(self, name: str) -> Rights | None:
        """Return what an account may do, None when there is none. The same object until the account changes."""
        try:
            return self._machine.accounts.rights(name)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    @_reading
    def orphans(self) -> list[tuple[str, Usage]]:
        """Return who has something and no account (any more), by identity, and what is published of it."""
        accounts = self._machine.accounts
        owners = self._tables[Quotas].owners()
        return [
            (owner, usage) for owner, usage in owners if owner and accounts.owner(identity_of(owner)) is None
        ]

    @_reading
    def users(self, after: str = "", limit: int = -1) -> list[User]:
        """Return the accounts behind the name `after`, by name; `limit` -1: all."""
        return self._machine.accounts.users(after, limit)

    @_reading
    def usage(self, owner: str) -> Usage:
        """Return what `owner` has published."""
        return self._tables[Quotas].usage(owner)

    def secret(self, name: str) -> bytes | None:
        """Return a secret of the cluster, None when there is none."""
        return self.ask(Secrets, lambda secrets: secrets.find(name))

    def stores(self) -> list[StoreInfo]:
        """Return every store ever registered, by number."""
        return self._tables[Stores].list()

    def superseded(self, node: str, identity: bytes) -> bool:
        """Whether `node` has registered another store since the one with `identity`."""
        return self._tables[Stores].superseded(node, identity)

    def latest_boot(self, node: str) -> int:
        """Return the number of the newest start of `node` that has proposed something; 0: of none."""
        return self._tables[Remembered].boot(node)

    def boot_before(self, node: str, boot: int) -> int:
        """Return the number of the newest start of `node` that has proposed something but for `boot`; 0: none known."""
        return self._tables[Remembered].boot_before(node, boot)

    def swept(self) -> Mapping[int, int]:
        """Return by store number the log index at which each store last began to remove chunks (0: never)."""
        return self._tables[Stores].swept

    def totals(self) -> tuple[int, int]:
        """Return the number of published files and the sum of their sizes in bytes."""
        state = self._machine.state
        return state.files, state.bytes

    def partial_totals(self) -> tuple[int, int]:
        """Return the number of partial uploads and the bytes that they hold."""
        partials = self._tables[Partials]
        return partials.total, partials.bytes

    def partial_tick(self) -> int | None:
        """Return the tick by which partial uploads age now; None before level 2."""
        return self._tables[Partials].tick

    @_reading
    def partials_due(self, keep: int) -> bool:
        """Whether there are partial uploads that nothing was added to for `keep` ticks."""
        return self._tables[Partials].due(keep)

    @_reading
    def partials(self, after: tuple[int, str, str], limit: int) -> list[PartialUpload]:
        """Return up to `limit` partial uploads after one with that `place` (0, "", "": from the first on)."""
        names, found = self._machine.names, self._tables[Partials].page(after, limit)
        return [
            PartialUpload(
                paths.join(names.path_of(parent) or "/", name),
                owner,
                size,
                mtime_ns,
                age,
                (parent, name, owner),
            )
            for parent, name, owner, size, mtime_ns, age in found
        ]

    def intents(self) -> list[commands.Intent]:
        """Return what operators want of the membership, in the order in which they wanted it."""
        return self._machine.intents.list()

    def jobs(self) -> list[commands.Job]:
        """Return the jobs that are open, and those that are kept after their end, by number; not to be changed."""
        return self._tables[Jobs].list()

    def job(self, number: int) -> commands.Job | None:
        """Return a job, not to be changed; None when there is none."""
        return self._tables[Jobs].find(number)

    def reservations(self) -> list[Reservation]:
        """Return the names that are taken for files which are still to be published."""
        return self._tables[Reservations].all()

    def staged(self) -> list[Staged]:
        """Return what is staged of large files that are still to be published, by number."""
        return self._tables[Staging].all()

    @property
    def leftovers(self) -> int:
        """Contents that nobody has any more, and that are to be given up a slice at a time."""
        return self._tables[LongContents].left

    @_reading
    def ask(self, table: type[_Table], question: Callable[[_Table], _T]) -> _T:
        """Return what a table answers, as it is applied."""
        return question(self._tables[table])

    # Copies.

    @_reading
    def unlisted(self, names: Iterable[bytes], store: int) -> list[bytes]:
        """Return those of `names`, digests or the first bytes of them, of which no chunk is said to be on `store`.

        What no file or partial upload refers to is said to be nowhere.
        """
        return self._machine.contents.unlisted(names, store)

    async def find_unlisted(self, names: Sequence[bytes], store: int) -> tuple[list[bytes], list[bytes]]:
        """Return what `unlisted` does, without holding up the loop; and which of these names are listed elsewhere.

        Sees all that is applied now. At most some thousand names. Raises Unavailable when the catalog is closed or
        replaced meanwhile.
        """
        self._check_usable()
        self.settle()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._find_unlisted, names, store)

    def _find_unlisted(self, names: Sequence[bytes], store: int) -> tuple[list[bytes], list[bytes]]:
        with self._readers.connection() as database:
            return find_unlisted(database, names, store)

    @_reading
    def held_by(self, names: Iterable[bytes]) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return digest and stores of the chunks that have one of `names`, as in `unlisted`."""
        return self._machine.contents.held_by(names)

    @_reading
    def chunk_stores(self, digest: bytes) -> tuple[int, ...]:
        """Return the numbers of the stores that hold a chunk; none for an unknown one."""
        return self._machine.contents.stores_of(digest)

    def chunks_on(self, store: int) -> Iterator[list[bytes]]:
        """Yield the digests of the chunks in use that are said to be on a store, some hundred at a time.

        The catalog may change between two of them, but not be replaced: Unavailable then.
        """
        return self._paged(lambda reports: reports.chunks_on(store))

    def store_totals(self, store: int) -> tuple[int, int]:
        """Return the pictures (files whose first chunk is there) and bytes (each chunk once) on a store."""
        return self._reports.store_totals(store)

    @_reading
    def short_files(self, wanted: Wanted, live: Collection[int], limit: int) -> tuple[int, list[str]]:
        """Return how many files have a chunk on fewer stores of `live` than are `wanted`, and up to `limit` paths,
        sorted.

        Costs microseconds when there are none. The count is exact up to some thousand chunks, see reports.
        """
        return self._reports.short_files(wanted, live, limit)

    @_reading
    def short_chunks(
        self,
        wanted: Wanted,
        live: Collection[int],
        limit: int,
        among: Callable[[tuple[int, ...]], bool] = lambda stores: True,
        upto: int = MAX_INTEGER,
    ) -> list[ChunkRef]:
        """Return up to `limit` chunks on fewer stores of `live` than are `wanted`, the most urgent first.

        `among` is asked once for each set of stores: those of which it says False are passed over, and so are
        chunks with a number above `upto` (see `newest_chunk`).
        """
        return self._reports.short_chunks(wanted, live, limit, among, upto)

    def short_pages(
        self, wanted: Wanted, live: Collection[int], among: Callable[[tuple[int, ...]], bool], upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield all that `short_chunks` means, some hundred at a time; as `chunks_on`."""
        return self._paged(lambda reports: reports.short_pages(wanted, live, among, upto))

    def short_count(self, wanted: Wanted, live: Collection[int], on: int | None = None) -> int:
        """Return how many chunks (that are on store `on`) are on fewer stores of `live` than wanted. Microseconds."""
        return self._reports.short_count(wanted, live, on)

    @_reading
    def is_short(self, digest: bytes, wanted: Wanted, live: Collection[int]) -> bool:
        """Whether a chunk that something refers to is on fewer stores of `live` than are `wanted`."""
        copies, stores = self._machine.contents.copies(digest, wanted)
        return len(frozenset(live).intersection(stores)) < copies

    @_reading
    def surplus_chunks(self, wanted: Wanted, live: Collection[int], limit: int, upto: int) -> list[ChunkRef]:
        """Return some chunks, about `limit`, on more stores of `live` than are `wanted`, of all sets of stores."""
        return self._reports.surplus_chunks(wanted, live, limit, upto)

    def surplus_pages(
        self, wanted: Wanted, live: Collection[int], on: int, upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield all that `surplus_chunks` means and is on store `on`, some hundred at a time; as `chunks_on`."""
        return self._paged(lambda reports: reports.surplus_pages(wanted, live, on, upto))

    def absent_pages(self, wanted: Wanted, store: int, upto: int) -> Iterator[list[ChunkRef]]:
        """Yield the chunks that are not on `store`, some hundred at a time; as `chunks_on`."""
        return self._paged(lambda reports: reports.absent_pages(wanted, store, upto))

    @property
    def newest_chunk(self) -> int:
        """Number of the chunk that came last; later ones have higher numbers."""
        return self._machine.contents.next_chunk - 1

    def _paged(self, pages: Callable[[Reports], Iterator[list[_T]]]) -> Iterator[list[_T]]:
        reports = self._reports
        try:
            for page in pages(reports):
                yield page
                if reports is not self._reports:
                    raise Unavailable("the catalog was replaced")
        except sqlite3.Error as error:
            raise self._unreadable(error) from error


def _shown(rights: Rights, path: str, pages: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """Yield the rows that an account is shown, PAGE at a time."""
    if rights.shows_all(path):
        yield from pages
        return
    kept: list[Row] = []
    for rows in pages:
        kept += [row for row in rows if rights.shows(path, row[0])]
        while len(kept) >= PAGE:
            yield kept[:PAGE]
            del kept[:PAGE]
    if kept:
        yield kept
