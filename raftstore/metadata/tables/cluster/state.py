"""What the catalog counts: how far it is in the log, the numbers given so far, and totals. One row."""

from __future__ import annotations

import sqlite3

from raftstore.errors import DiskFailed
from raftstore.metadata.database.database import ROOT
from raftstore.metadata.registry import Schema, Table

COLUMNS = ("applied", "next_inode", "next_chunk", "next_job", "files", "bytes", "partials")
_READ = f"SELECT {', '.join(COLUMNS)} FROM state"
_WRITE = f"UPDATE state SET {', '.join(f'{column} = ?' for column in COLUMNS)}"


class State(Table):
    """The table `state`, in memory; written by `write`, last of all before each commit."""

    schemas = (
        Schema(
            "state",
            "only",
            """
CREATE TABLE state (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  applied INTEGER NOT NULL,
  next_inode INTEGER NOT NULL,
  next_chunk INTEGER NOT NULL,
  next_job INTEGER NOT NULL,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  partials INTEGER NOT NULL
) STRICT;
""",
            rows=((1, 0, ROOT + 1, 1, 1, 0, 0, 0),),
        ),
    )

    applied: int
    """Log index of the last entry applied."""
    next_inode: int
    next_chunk: int
    next_job: int
    files: int
    bytes: int
    """Published files, and their sizes together."""
    partials: int

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        row = self._execute(_READ).fetchone()
        self.applied, self.next_inode, self.next_chunk, self.next_job = row[:4]
        self.files, self.bytes, self.partials = row[4:]
        self._stored = self.applied

    def new_inode(self) -> int:
        """Return a number that no file or directory had before."""
        inode = self.next_inode
        self.next_inode += 1
        return inode

    def new_inodes(self, count: int) -> list[int]:
        """Return so many numbers that no file or directory had before, one behind the other."""
        first = self.next_inode
        self.next_inode += count
        return list(range(first, first + count))

    def check_sole_writer(self) -> None:
        """At the start of a transaction: make sure that the database is as it was left here."""
        if self._execute("SELECT applied FROM state").fetchone()[0] != self._stored:
            raise DiskFailed("another process changes this catalog: two nodes run on the same directory")

    def write(self) -> None:
        """Write the row into the current transaction."""
        numbers = (self.applied, self.next_inode, self.next_chunk, self.next_job)
        self._execute(_WRITE, (*numbers, self.files, self.bytes, self.partials))
        self._stored = self.applied

    def untouched(self) -> bool:
        """Whether no file or directory was made, and no job."""
        return self.next_inode == ROOT + 1 and self.next_job == 1
