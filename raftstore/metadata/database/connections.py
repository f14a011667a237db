"""Connections for threads: reading never waits for the writer, and all can be called back to swap the file."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raftstore.errors import StoreError, Unavailable
from raftstore.metadata.database.database import connect, primary_code, translated

MAX_IDLE = 2
PATIENCE = 30.0
"""Seconds to wait for threads that use a connection to leave it, and for a swap of the file."""


class Readers:
    """A few read connections, lent to threads. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._idle: list[sqlite3.Connection] = []
        self._lent: set[sqlite3.Connection] = set()
        self._paused = False
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection. Raises Unavailable when interrupted by `pause` or closed; Damaged, DiskFailed."""
        database = self._take()
        try:
            yield database
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        finally:
            self._give_back(database)

    def _meaning(self, error: sqlite3.Error) -> StoreError:
        if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
            return Unavailable("the catalog is being replaced or closed")
        return translated(error, self._path)

    def _take(self) -> sqlite3.Connection:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._paused, PATIENCE)
            if self._closed or self._paused:
                raise Unavailable("the catalog is closed")
            try:
                database = self._idle.pop() if self._idle else connect(self._path)
            except sqlite3.Error as error:
                raise self._meaning(error) from error
            self._lent.add(database)
            return database

    def _give_back(self, database: sqlite3.Connection) -> None:
        with self._changed:
            self._lent.discard(database)
            if database.in_transaction:
                database.rollback()
            if self._paused or self._closed or len(self._idle) >= MAX_IDLE:
                database.close()
            else:
                self._idle.append(database)
            self._changed.notify_all()

    def pause(self) -> None:
        """Interrupt what reads, close every connection and lend none until `resume`. Raises Unavailable."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            self._paused = True
            while self._lent:
                # A statement may begin just after an interrupt: ask again until all are back.
                for database in self._lent:
                    database.interrupt()
                self._changed.wait(0.05)
                if time.monotonic() > end:
                    self._paused = False
                    self._changed.notify_all()
                    raise Unavailable("a reader does not leave the catalog")
            while self._idle:
                self._idle.pop().close()

    def resume(self) -> None:
        """Lend connections again."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def close(self) -> None:
        """Close for good. Raises Unavailable when a reader does not leave."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.pause()
