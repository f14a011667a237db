"""The transaction that the log entries of a moment share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import structlog

from raftstore.errors import DiskFailed
from raftstore.metadata.machine import Machine

log = structlog.get_logger()

Later = Callable[[Callable[[], None]], object]
"""Calls what it is given in a moment, on the catalog's thread, and stops the node when that raises."""


class Transaction:
    """Opens and commits transactions of one connection, for the one thread that uses it.

    `lock` is held while one is open: nobody else may change the database or move its write-ahead log then.
    """

    def __init__(self, database: sqlite3.Connection, machine: Machine, lock: threading.Lock) -> None:
        self._database = database
        self._execute = database.cursor().execute
        self._machine = machine
        self._lock = lock
        self._open = False
        self.committed = machine.state.applied
        """Log index of the last entry that other connections see."""

    def begin(self) -> bool:
        """Open a transaction unless one is; return whether it is new. Raises sqlite3.Error, DiskFailed."""
        if self._open:
            self._check_there()
            return False
        self._lock.acquire()
        self._open = True
        self._execute("BEGIN IMMEDIATE")
        self._machine.check_sole_writer()
        return True

    @property
    def lost(self) -> bool:
        """Whether SQLite has undone what is open, as it does when a statement, even one that reads, finds no space.

        What is executed then is committed at once, each statement by itself.
        """
        return self._open and not self._database.in_transaction

    def _check_there(self) -> None:
        if self.lost:
            raise DiskFailed("the transaction is lost")

    def commit(self) -> None:
        """Commit what is open. Raises sqlite3.Error, DiskFailed."""
        if not self._open:
            return
        self._check_there()
        self._machine.finish()
        self._execute("COMMIT")
        self.committed = self._machine.state.applied
        self._end()

    def abandon(self) -> None:
        """After a failure: what is open is lost, so nothing may be read through this connection any more."""
        if not self._open:
            return
        try:
            if self._database.in_transaction:
                self._database.rollback()
        except sqlite3.Error as error:
            log.error("cannot roll back", error=str(error))
        self._database.close()
        self._end()

    def roll_back(self) -> None:
        """Undo what is open; the connection goes on. What the machine has in memory fits the database no more."""
        if self._open:
            if self._database.in_transaction:
                self._database.rollback()
            self._end()

    def _end(self) -> None:
        self._open = False
        self._lock.release()
