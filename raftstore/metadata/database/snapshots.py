"""Snapshot files: a copy of the database followed by a seal, the BLAKE3 hash of the copy."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import BinaryIO

import blake3

from raftstore.errors import Damaged, DiskFailed, DiskFull
from raftstore.metadata.database.database import check, sync_directory, translated
from raftstore.metadata.database.schemas import schema_at
from raftstore.util.disk import is_full

SEAL_MAGIC = b"pixraft catalog snapshot"
SEAL_BYTES = len(SEAL_MAGIC) + 32
BLOCK = 4 * 1024 * 1024
PAGES_A_STEP = 1024
"""Pages copied at a time, then synced: an interrupt is heeded between two steps, and the log's next sync does not
have to wait for a whole snapshot to be written."""


def write(database: sqlite3.Connection, target: Path) -> int:
    """Copy the state that `database` now sees to `target`, sealed and synced; return its applied index.

    The writer is not held up. Raises sqlite3.Error, DiskFailed, DiskFull; `target` is then removed.
    """
    target.unlink(missing_ok=True)
    try:
        index = _copy(database, target)
        with target.open("r+b") as file:
            seal = _hash(file, os.fstat(file.fileno()).st_size)
            file.seek(0, os.SEEK_END)
            file.write(SEAL_MAGIC + seal)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(target.parent)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise (DiskFull if is_full(error) else DiskFailed)(f"{target}: {error}") from error
        raise
    return index


def _copy(database: sqlite3.Connection, target: Path) -> int:
    copy = sqlite3.connect(target, isolation_level=None)
    descriptor = os.open(target, os.O_RDONLY)

    def step(*_: int) -> None:
        _heed_interrupt(database)
        os.fdatasync(descriptor)

    try:
        # Synced as a whole afterwards; a copy that a crash cuts short has no seal.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        # The read transaction fixes one state for all steps.
        database.execute("BEGIN")
        try:
            index = int(database.execute("SELECT applied FROM state").fetchone()[0])
            database.backup(copy, pages=PAGES_A_STEP, progress=step, sleep=0)
        finally:
            database.execute("ROLLBACK")
    finally:
        os.close(descriptor)
        copy.close()
    return index


def _heed_interrupt(database: sqlite3.Connection) -> None:
    """Raise sqlite3.OperationalError when `database` was interrupted: a backup itself does not notice."""
    database.execute("SELECT count(*) FROM state").fetchone()


def _hash(file: BinaryIO, size: int, copy: BinaryIO | None = None) -> bytes:
    """Hash the first `size` bytes of `file`, writing them to `copy` too, synced but for what it buffers."""
    hasher = blake3.blake3()
    file.seek(0)
    left = size
    while left:
        block = file.read(min(BLOCK, left))
        if not block:
            break
        left -= len(block)
        hasher.update(block)
        if copy is not None:
            copy.write(block)
            os.fdatasync(copy.fileno())
    return hasher.digest()


def unpack(source: Path, target: Path) -> int:
    """Check the snapshot `source` and copy its database, synced, to `target`; return its applied index.

    Raises Damaged when it is not whole or not a catalog, TooNew when it is one of a later version, DiskFailed,
    DiskFull; `target` is then removed.
    """
    target.unlink(missing_ok=True)
    try:
        with source.open("rb") as file, target.open("xb") as copy:
            size = os.fstat(file.fileno()).st_size - SEAL_BYTES
            seal = SEAL_MAGIC + _hash(file, max(size, 0), copy)
            if size <= 0 or file.read() != seal:
                raise Damaged(f"{source}: the snapshot is not whole")
            copy.flush()
            os.fsync(copy.fileno())
        return _check(target, source)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise (DiskFull if is_full(error) else DiskFailed)(f"{source}: {error}") from error
        raise


def _check(target: Path, source: Path) -> int:
    """Raise Damaged unless `target` is a whole catalog; return its applied index. Leaves no files beside it."""
    try:
        database = sqlite3.connect(f"{target.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None)
        try:
            check(database, source, None, schema_at)
            return int(database.execute("SELECT applied FROM state").fetchone()[0])
        finally:
            database.close()
    except sqlite3.Error as error:
        raise translated(error, source) from error


def identity(source: Path) -> object:
    """Tell one file from another, and from itself once rewritten. Raises Damaged when there is none."""
    try:
        status = source.stat()
    except FileNotFoundError:
        raise Damaged(f"{source}: there is no such snapshot") from None
    return (source.absolute(), status.st_ino, status.st_size, status.st_mtime_ns)
