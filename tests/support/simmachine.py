"""The production catalog as the simulator runs it: on a RAM disk, watched, and cut off at a loss of power."""

from __future__ import annotations

import functools
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from simchecks import Checks

from raftstore.errors import NotFound
from raftstore.metadata import Catalog, catalog, levels
from raftstore.metadata.database.transaction import Transaction
from raftstore.wire import commands_pb2

DATABASE = "catalog.db"
WAL = DATABASE + "-wal"


FULL: dict[str, Callable[[], bool]] = {}
"""Whether the disk under a database is full, by its path."""


class FullTransaction(Transaction):
    """A transaction whose commit fails as on a full disk."""

    def commit(self) -> None:
        full = FULL.get(self._database.execute("PRAGMA database_list").fetchone()[2])
        if self._open and full is not None and full():
            error = sqlite3.OperationalError("simulated: database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        super().commit()


catalog.Transaction = FullTransaction  # type: ignore[attr-defined]


class Storage:
    """A node's catalog files over its lives. Each life works in a directory of its own."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self._directory = directory
        self._rng = rng
        self._life = 0
        self._synced = 0
        self._current().mkdir(parents=True)
        self._create()

    def _current(self) -> Path:
        return self._directory / str(self._life)

    def _create(self) -> None:
        """An empty catalog: always the same one, to save the time of making it."""
        (self._current() / DATABASE).write_bytes(_empty_catalog())

    def path(self) -> Path:
        return self._current() / DATABASE

    def synced(self) -> None:
        """What is in the write-ahead log now survives a loss of power."""
        self._synced = self._size()

    def replaced(self) -> None:
        """A snapshot was installed, durably."""
        self._synced = 0

    def _size(self) -> int:
        wal = self._current() / WAL
        return wal.stat().st_size if wal.exists() else 0

    def die(self) -> None:
        """The process dies: the kernel has everything. To be called before the catalog is closed."""
        old = self._current()
        self._life += 1
        new = self._current()
        new.mkdir()
        for name in (DATABASE, WAL):
            if (old / name).exists():
                shutil.copyfile(old / name, new / name)

    def bury(self) -> None:
        """Remove what the previous life has left."""
        shutil.rmtree(self._directory / str(self._life - 1), ignore_errors=True)

    def lose_power(self) -> None:
        """The write-ahead log ends somewhere between what was synced and its present end."""
        size = self._size()
        if size:
            synced = min(self._synced, size)
            keep = self._rng.choice((synced, size, self._rng.randint(synced, size)))
            with (self._current() / WAL).open("r+b") as file:
                file.truncate(keep)
            self._synced = keep

    def wipe(self) -> None:
        """A new, empty disk."""
        for name in (DATABASE, WAL):
            (self._current() / name).unlink(missing_ok=True)
        self._synced = 0
        self._create()


@functools.cache
def _empty_catalog() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / DATABASE
        Catalog(file).close()
        return file.read_bytes()


@contextmanager
def program(newest: int) -> Iterator[None]:
    """Work as a version of the program would that knows no level above `newest`."""
    if newest == levels.NEWEST:
        yield
        return
    with mock.patch.object(levels, "NEWEST", newest):
        yield


class WatchedCatalog:
    """A Catalog whose every step is compared with those of other nodes."""

    def __init__(
        self,
        node: str,
        storage: Storage,
        checks: Checks,
        every: int,
        later: Callable[[Callable[[], None]], object] | None,
        *,
        newest: int,
        old_cluster: bool,
        full: Callable[[], bool],
        free_space: Callable[[], bool],
    ) -> None:
        """`newest`: the highest level that the node's program knows. `old_cluster`: the log began without levels."""
        self._program = functools.partial(program, newest)
        self._old_cluster = old_cluster
        self._node = node
        self._storage = storage
        self._checks = checks
        self._every = every
        FULL[str(storage.path())] = full
        with self._program():
            self.catalog = Catalog(storage.path(), later=later, free_space=free_space)
        self._closed = False

    @property
    def applied_index(self) -> int:
        return self.catalog.applied_index

    def apply(self, index: int, batch: bytes) -> list[bytes]:
        new = index > self.catalog.applied_index
        if new:
            self._checks.fits(index, batch, self.catalog.level)
        with self._program():
            results = self.catalog.apply(index, batch)
        if new:
            self._checks.apply(self._node, index, batch, results)
            if index % self._every == 0:
                self.compare()
        return results

    @property
    def level(self) -> int:
        return self.catalog.level

    @property
    def opening(self) -> bytes | None:
        return None if self._old_cluster else self.catalog.opening

    def refusal(self, command: bytes) -> str | None:
        with self._program():
            return self.catalog.refusal(command)

    def weight(self, command: bytes) -> int:
        return self.catalog.weight(command)

    def batch_refusal(self, batch: bytes) -> str | None:
        with self._program():
            return self.catalog.batch_refusal(batch)

    @property
    def configuration(self) -> tuple[int, bytes]:
        return self.catalog.configuration

    def configure(self, index: int, configuration: bytes) -> None:
        new = index > self.catalog.applied_index
        self.catalog.configure(index, configuration)
        if new:
            self._checks.apply(self._node, index, configuration, [])

    @property
    def behind(self) -> bool:
        return self.catalog.behind

    def catch_up(self) -> None:
        self.catalog.catch_up()

    def compare(self) -> None:
        """Compare the whole state with that of others."""
        self.catalog.settle()
        self._checks.state(self._node, self.catalog.applied_index, self.catalog.digest())

    def make_durable(self) -> int:
        index = self.catalog.make_durable()
        self._storage.synced()
        return index

    def write_snapshot(self, target: Path) -> int:
        return self.catalog.write_snapshot(target)

    def discard_prepared(self) -> None:
        self.catalog.discard_prepared()

    def prepare_snapshot(self, source: Path) -> int:
        # A real thread would wait here until the loop has ended its transaction.
        self.catalog.settle()
        with self._program():
            return self.catalog.prepare_snapshot(source)

    def install_snapshot(self, source: Path) -> int:
        with self._program():
            index = self.catalog.install_snapshot(source)
        self._storage.replaced()
        self.compare()
        return index

    def value(self, key: int) -> tuple[int, int, int] | None:
        """The token that a key holds, with inode and version; None when it holds nothing."""
        try:
            entry = self.catalog.lookup(path(key))
        except NotFound:
            return None
        return entry.mtime_ns, entry.inode, entry.version

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.catalog.close()
            del FULL[str(self.catalog._path)]


def path(key: int) -> str:
    return f"/key-{key}"


def put(
    key: int, token: int, owner: str, *, exclusive: bool = False, base: tuple[int, int] | None = None
) -> commands_pb2.Command:
    """The command that makes `key` hold `token`; `base` are the inode and version that it must have."""
    inode, version = base or (0, 0)
    return commands_pb2.Command(
        put_file=commands_pb2.PutFile(
            path=path(key),
            owner=owner,
            mtime_ns=token,
            exclusive=exclusive,
            base_inode=inode,
            base_version=version,
        )
    )


def remove(key: int) -> commands_pb2.Command:
    """The command that makes `key` hold nothing."""
    return commands_pb2.Command(remove_file=commands_pb2.RemoveFile(path=path(key)))
