"""The catalog's database file: opening, checks, and what SQLite's errors mean to the store."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raftstore.errors import Damaged, DiskFailed, DiskFull, StoreError, Unavailable
from raftstore.metadata import levels
from raftstore.metadata.levels import OLDEST, too_new
from raftstore.util.disk import has_space, is_full

Statements = list[tuple[str, str]]
"""What a database consists of: names, and the statements that made them."""
SchemaAt = Callable[[int], Statements]
"""Tells what a catalog of a level consists of."""
Fill = Callable[[sqlite3.Connection], None]
"""Makes what a new catalog has, within the current transaction."""

APPLICATION_ID = 0x50785266
SCHEMA_VERSION = 6
"""Of a catalog at level 1; each level has the next one. It is where the level in force is kept: as part of the
transaction like everything else, and in snapshots. A program that does not know a level refuses its catalogs by it."""
ROOT = 1
"""Inode number of the root directory."""

CACHE_KIB = 64 * 1024
PAGE_SIZE = 4096
JOURNAL_LIMIT = 128 * 1024 * 1024
"""Bytes of disk that a WAL keeps when it begins anew; a snapshot under way can make it grow past this for a while."""

_UNTOLD = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_CANTOPEN,
}
"""Errors in which SQLite does not tell a full disk, or a quota on it, from a broken one."""
_DISK = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}


def damaged(path: Path, what: str) -> Damaged:
    """Return the error for a catalog that cannot be trusted, with what to do about it."""
    return Damaged(
        f"{path}: {what}; stop the node and delete the directory {path.parent}: "
        "it is rebuilt from the log, or from another node's snapshot"
    )


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """Return what an error of SQLite on the catalog at `path` means: DiskFull, DiskFailed, Damaged or Unavailable."""
    primary = primary_code(error)
    if wants_space(error, path):
        return DiskFull(f"{path}: {error}")
    if primary in _DISK:
        return DiskFailed(f"{path}: {error}")
    if primary in _PASSING or primary is None:  # None: misuse of the module, which is a closed catalog
        return Unavailable(f"{path}: {error}")
    return damaged(path, str(error))


def wants_space(error: sqlite3.Error, path: Path) -> bool:
    """Whether an error on the catalog at `path` means that the disk is full: nothing is broken."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF == sqlite3.SQLITE_FULL:
        return code is not None
    return code in _UNTOLD and not has_space(path.parent)


def primary_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code of an error; None when it is not SQLite's."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


class Connection(sqlite3.Connection):
    """A connection that is closed once `close` returns.

    A cursor that is still referenced keeps SQLite's handle open behind a closed sqlite3.Connection. When it
    goes at last, SQLite deletes the write-ahead log by its name, which may be another database's by then.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Make a cursor, which `close` will close."""
        cursor = super().cursor(factory)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """Close every cursor and the connection."""
        while self._cursors:
            self._cursors.pop().close()
        super().close()


def connect(path: Path, *, writer: bool = False, patience: float = 5.0) -> sqlite3.Connection:
    """Open a connection to the catalog at `path`; only the one `writer` changes it. Raises sqlite3.Error.

    `patience` is how many seconds it waits for a lock of another connection.

    A commit is not synced, and readers never wait for the writer (WAL). NORMAL still syncs the WAL's header
    when the WAL starts over, and data before what depends on it in a checkpoint: a power cut can only take
    the last transactions away, never mix states.
    """
    database = sqlite3.connect(
        path,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=Connection,
    )
    try:
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("PRAGMA temp_store = MEMORY")
        database.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT}")
        if writer:
            database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            database.execute("PRAGMA secure_delete = OFF")
        else:
            database.execute("PRAGMA query_only = ON")
    except BaseException:
        database.close()
        raise
    return database


def level_of(database: sqlite3.Connection) -> int:
    """Return the level in force in a catalog."""
    return int(database.execute("PRAGMA user_version").fetchone()[0]) - SCHEMA_VERSION + OLDEST


def set_level(database: sqlite3.Connection, level: int) -> None:
    """Note the level in force, within the current transaction."""
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + level - OLDEST}")


def open_catalog(path: Path, check_seconds: float, fill: Fill, schema_at: SchemaAt) -> sqlite3.Connection:
    """Open the writer's connection, making the database when there is none.

    Raises Damaged when it is not a whole catalog, TooNew when it is one of a later version, DiskFailed or DiskFull.
    `check_seconds` bounds the structural check, so that a huge catalog does not hold up a start.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wal = path.with_name(path.name + "-wal")
    if not path.exists() and wal.exists() and wal.stat().st_size:
        raise damaged(path, "is missing beside its write-ahead log")
    if not path.exists():
        # Before SQLite does it, for the mode: its log gets that of the file. Never one that is there already: to close
        # any descriptor of a file gives up all locks that the process has on it.
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            kind = DiskFull if is_full(error) else DiskFailed
            raise kind(f"{path}: {error}") from error
    try:
        database = connect(path, writer=True)
        try:
            if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                _create(database, fill)
                sync_directory(path.parent)
            check(database, path, check_seconds, schema_at)
        except BaseException:
            database.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return database


def _create(database: sqlite3.Connection, fill: Fill) -> None:
    database.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("BEGIN IMMEDIATE")
    try:
        fill(database)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def check(database: sqlite3.Connection, path: Path, seconds: float | None, schema_at: SchemaAt) -> None:
    """Raise Damaged unless `database` is a catalog and structurally whole, TooNew if its level is not known here.

    The walk through all pages ends after `seconds` (0: before it begins; None: never) and counts as passed then.
    """
    application = database.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise damaged(path, "is not a pixraft catalog")
    level = level_of(database)
    if level > levels.NEWEST:
        raise too_new(level, f"{path} is")
    if level < OLDEST:
        raise damaged(path, f"is of level {level}, this program reads level {OLDEST} to {levels.NEWEST}")
    if schema_of(database) != schema_at(level):
        raise damaged(path, "has an unknown schema")
    if database.execute("SELECT count(*) FROM state").fetchone()[0] != 1:
        raise damaged(path, "has no state")
    verdict = _quick_check(database, seconds)
    if verdict != "ok":
        raise damaged(path, verdict)


def _quick_check(database: sqlite3.Connection, seconds: float | None) -> str:
    if seconds == 0:
        return "ok"  # SQLite would look at the clock after the first table only
    if seconds is not None:
        end = time.monotonic() + seconds
        database.set_progress_handler(lambda: time.monotonic() > end, 100_000)
    try:
        return str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return "ok"
        raise
    finally:
        database.set_progress_handler(None, 0)


def schema_of(database: sqlite3.Connection) -> Statements:
    """Return what a database consists of."""
    rows = database.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    return [(str(name), str(sql)) for name, sql in rows]


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
