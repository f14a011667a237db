"""Makes what was applied survive a power cut: syncs the write-ahead log, moves it into the database."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog

from raftstore.errors import DiskFailed, StoreError
from raftstore.metadata.database.database import primary_code, translated, wants_space

log = structlog.get_logger()

WAL_BYTES = 64 * 1024 * 1024
"""Size of the write-ahead log from which it is moved into the database."""

SMALL_REST = 128
"""Pages left in the write-ahead log with which the writer may be held up for its last step."""

MAX_PASSES = 8

HEADER, FRAME_HEADER = 32, 24
"""Bytes of the headers of a write-ahead log, and of each page in it."""


ENTRIES_A_CHECK = 32
"""Log entries after which the size of the write-ahead log is looked at."""


def used(descriptor: int) -> int:
    """Return how many bytes of an open write-ahead log are in use: it begins anew without being cut.

    From then on its header has another salt, as has each frame that is written after it; what lies behind is of before
    (SQLite's file format, 4). Raises OSError.
    """
    header = os.pread(descriptor, HEADER, 0)
    if len(header) < HEADER:
        return 0
    frame, salt = FRAME_HEADER + int.from_bytes(header[8:12]), header[16:24]
    low, high = 0, (os.fstat(descriptor).st_size - HEADER) // frame
    while low < high:
        middle = (low + high) // 2
        if os.pread(descriptor, len(salt), HEADER + middle * frame + 8) == salt:
            low = middle + 1
        else:
            high = middle
    return HEADER + low * frame


class Durability:
    """Syncs and checkpoints, one thread at a time. After a failed sync it fails for ever: the kernel may have
    dropped the pages, so a later success would prove nothing.
    """

    def __init__(self, path: Path, write_lock: threading.Lock, wal_bytes: int = WAL_BYTES) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._write_lock = write_lock
        self._wal_bytes = wal_bytes
        self._failed: StoreError | None = None
        self.lock = threading.Lock()

    def make_durable(
        self, applied: Callable[[], int], connection: Callable[[], sqlite3.Connection], *, empty: bool = False
    ) -> int:
        """Return an applied index (of those `applied` tells) that survives a power cut. Raises DiskFailed.

        `connection` opens one for a checkpoint, which this closes. `empty`: make one if there is anything to move.
        """
        with self.lock:
            if self._failed is not None:
                raise self._failed
            index = applied()
            try:
                size = self._sync()
                if size >= (1 if empty else self._wal_bytes):
                    database = connection()
                    try:
                        self._checkpoint(database)
                    finally:
                        database.close()
            except OSError as error:
                self._failed = DiskFailed(f"{self._wal}: {error}")
                raise self._failed from error
            except sqlite3.Error as error:
                if primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    log.info("checkpoint of the catalog put off", error=str(error))
                    return index
                if wants_space(error, self._path):
                    # What is in the write-ahead log is synced, and stays there.
                    log.warning("checkpoint of the catalog put off: the disk is full", error=str(error))
                    return index
                self._failed = translated(error, self._path)
                raise self._failed from error
            return index

    def _sync(self) -> int:
        """Sync the write-ahead log (SQLite syncs its name when it makes it); return its bytes in use."""
        try:
            descriptor = os.open(self._wal, os.O_RDONLY)
        except FileNotFoundError:
            return 0
        try:
            size = used(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return size

    def _checkpoint(self, database: sqlite3.Connection) -> None:
        """Move the write-ahead log into the database while the writer goes on; then hold it up for the small
        rest. The writer begins the log anew with its next transaction.

        Not TRUNCATE: when another connection than the writer's begins the log anew, the writer throws its whole cache
        away, which held the loop for 20 to 40 ms, and reads all of it again.

        SQLite syncs the log before it writes the database and the database before it lets go of the log. A
        reader that holds an old state (a snapshot being written) keeps the log from being emptied: the next
        call tries again.
        """
        rest = 0
        for _ in range(MAX_PASSES):
            busy, pages, moved = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            rest = pages - moved
            if busy or rest <= SMALL_REST:
                break
        if rest > SMALL_REST:
            return
        with self._write_lock:
            busy, pages, moved = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or moved < pages:
            log.info("write-ahead log of the catalog kept for a reader", pages=pages)


class LogBound:
    """Keeps the write-ahead log from growing without end, should nobody ask for durability for long.

    `check` runs on the loop, after each log entry; the work in a thread of its own.
    """

    def __init__(self, path: Path, wal_bytes: int, work: Callable[[], object]) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._wal_bytes = wal_bytes
        self._work = work
        self._entries = 0
        self._next_size = wal_bytes
        self._thread = ThreadPoolExecutor(1, "catalog-checkpoint")
        self._running: Future[None] | None = None

    def check(self) -> None:
        """Start to empty the log when it has become too large and that is not under way."""
        self._entries += 1
        if self._entries % ENTRIES_A_CHECK or (self._running is not None and not self._running.done()):
            return
        try:
            descriptor = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = used(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("cannot see the write-ahead log of the catalog", error=str(error))
            return
        if size < self._wal_bytes:
            self._next_size = self._wal_bytes
        elif size >= self._next_size:
            # While a reader keeps the log (a snapshot being written), try again only once it has grown further.
            self._next_size = size + self._wal_bytes
            self._running = self._thread.submit(self._run)

    def _run(self) -> None:
        try:
            self._work()
        except StoreError as error:
            # The next entry is refused with it.
            log.error("cannot make the catalog durable", error=str(error))

    def close(self) -> None:
        """Wait for what is under way."""
        self._thread.shutdown()
