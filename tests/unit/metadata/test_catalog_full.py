"""A full disk under the catalog: what is not committed is undone, and applied again when there is space."""

from __future__ import annotations

import errno
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, put

from raftstore.errors import DiskFailed, DiskFull, Unavailable
from raftstore.metadata import Catalog
from raftstore.metadata.database import database, durability


class Disk:
    """Makes the catalog find no space: SQLite itself says so, since the database may have no more pages."""

    def __init__(self) -> None:
        self.pieces = 0
        self.asked = 0
        self.catalog: Catalog

    def fill(self) -> None:
        self.catalog._database.execute("PRAGMA max_page_count = 1")  # becomes as many as there are

    def free(self) -> None:
        self.catalog._database.execute("PRAGMA max_page_count = 1000000")

    def free_space(self) -> bool:
        self.asked += 1
        if not self.pieces:
            return False
        self.pieces -= 1
        self.free()
        return True


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture(params=["at once", "together"])
def feeder(request: pytest.FixtureRequest, tmp_path: Path, disk: Disk) -> Iterator[Feeder]:
    """With a transaction an entry, and with one for all."""
    later = None if request.param == "at once" else lambda settle: None
    with Feeder(tmp_path / "catalog" / "catalog.db", later=later, free_space=disk.free_space) as made:
        disk.catalog = made.catalog
        made.catalog.settle()
        yield made


def long(number: int) -> Callable[[], object]:
    """A picture with so long a name that a few of them need a page."""
    return put(f"/{number:04}{'x' * 240}.jpg", number)


def grow(feeder: Feeder, first: int, count: int = 200) -> int:
    """Put pictures until there is no space; return how many were taken."""
    for number in range(count):
        feeder.sequence += 1
        operation = feeder.operation(long(first + number))
        try:
            feeder.apply(operation)
        except DiskFull:
            feeder.index -= 1
            feeder.log.pop()
            return number
    raise AssertionError("the disk is not full")


def replayed(feeder: Feeder, path: Path) -> str:
    """The digest of a catalog that applied the same entries without a full disk."""
    with Feeder(path, stores=False) as other:
        for index, batch in feeder.log:
            other.catalog.apply(index, batch)
        return other.catalog.digest()


def test_what_does_not_fit_is_applied_when_there_is_space(feeder, disk, tmp_path):
    disk.fill()
    taken = grow(feeder, 0)
    catalog = feeder.catalog
    if catalog.behind:
        assert catalog.applied_index < feeder.index
        with pytest.raises(DiskFull):
            feeder.catalog.apply(feeder.index + 1, b"")
        with pytest.raises(DiskFull):
            catalog.settle()
    else:
        assert catalog.applied_index == feeder.index
    disk.free()
    catalog.catch_up()
    assert (catalog.behind, catalog.applied_index) == (False, feeder.index)
    for number in range(taken, taken + 50):
        feeder.one(long(number))
    catalog.settle()
    assert catalog.digest() == replayed(feeder, tmp_path / "other" / "catalog.db")
    feeder.reopen()
    assert feeder.catalog.applied_index == feeder.index


def test_what_is_kept_for_it_is_used_and_nobody_notices(feeder, disk, tmp_path):
    disk.fill()
    disk.pieces = 1
    results = [feeder.one(long(number)) for number in range(200)]
    assert (disk.pieces, feeder.catalog.behind) == (0, False)
    assert {result.status for result in results} == {0}
    feeder.catalog.settle()
    assert feeder.catalog.digest() == replayed(feeder, tmp_path / "other" / "catalog.db")


def test_a_commit_for_which_there_is_no_space_is_made_up_for(tmp_path, disk, monkeypatch):
    """The commit, too, may be what finds no space: it writes the log of the database."""
    from raftstore.metadata.database.transaction import Transaction

    real, full = Transaction.commit, True

    def commit(self: Transaction) -> None:
        if full and self._open:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        real(self)

    with Feeder(tmp_path / "catalog.db", later=lambda settle: None, free_space=disk.free_space) as feeder:
        feeder.catalog.settle()
        start = feeder.index
        feeder.one(put("/a.jpg", 1))
        feeder.one(put("/b.jpg", 2))
        monkeypatch.setattr(Transaction, "commit", commit)
        with pytest.raises(DiskFull):
            feeder.catalog.settle()
        assert (feeder.catalog.behind, feeder.catalog.applied_index) == (True, start)
        for read in (feeder.catalog.lookup, feeder.catalog.file, feeder.catalog.listing, feeder.catalog.page):
            with pytest.raises(Unavailable):  # not NotFound: somebody may have been told that it is there
                read("/a.jpg")
        with pytest.raises(DiskFull):
            feeder.catalog.catch_up()
        full = False
        feeder.catalog.catch_up()
        assert feeder.catalog.lookup("/b.jpg").size == 10
        assert feeder.catalog.applied_index == feeder.index


def test_a_checkpoint_for_which_there_is_no_space_is_put_off(tmp_path, monkeypatch):
    with Feeder(tmp_path / "catalog.db") as feeder:
        feeder.one(put("/a.jpg", 1))

        def checkpoint(self: durability.Durability, connection: sqlite3.Connection) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        monkeypatch.setattr(durability.Durability, "_checkpoint", checkpoint)
        assert feeder.catalog._make_durable(empty=True) == feeder.index
        monkeypatch.undo()
        feeder.one(put("/b.jpg", 2))
        assert feeder.catalog._make_durable(empty=True) == feeder.index


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_CANTOPEN]
)
def test_an_error_that_does_not_tell_is_asked_of_the_disk(tmp_path, monkeypatch, code, number):
    """SQLite has one error for a quota that is used up and for a disk that is broken."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    assert isinstance(database.translated(error, tmp_path / "catalog.db"), DiskFailed)

    def full(**_options: object) -> object:
        raise OSError(number, "no space")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert isinstance(database.translated(error, tmp_path / "catalog.db"), DiskFull)


def test_a_snapshot_for_which_there_is_no_space_is_no_broken_disk(tmp_path, monkeypatch):
    from raftstore.metadata.database import snapshots

    def full(*_arguments: object) -> bytes:
        raise OSError(errno.ENOSPC, "no space")

    with Feeder(tmp_path / "catalog.db") as feeder:
        feeder.catalog.write_snapshot(tmp_path / "snapshot")
        monkeypatch.setattr(snapshots, "_hash", full)
        with pytest.raises(DiskFull):
            feeder.catalog.prepare_snapshot(tmp_path / "snapshot")
        with pytest.raises(DiskFull):
            feeder.catalog.write_snapshot(tmp_path / "another")
        monkeypatch.undo()
        feeder.one(put("/a.jpg", 1))
        assert feeder.catalog.lookup("/a.jpg").size == 10


def test_a_read_that_finds_no_space_undoes_what_is_open_and_it_is_applied_again(tmp_path, disk, monkeypatch):
    """SQLite may have to write changed pages before it can read others, and rolls all back when it cannot."""
    entries = [put(f"/{number:04}{'x' * 240}.jpg", number) for number in range(400)]
    with Feeder(tmp_path / "catalog.db", later=lambda settle: None, free_space=disk.free_space) as feeder:
        for entry in entries[:300]:
            feeder.one(entry)
        catalog = feeder.catalog
        catalog.settle()
        catalog._make_durable(empty=True)
        start = feeder.index
        for entry in entries[300:]:
            feeder.one(entry)
        catalog._database.execute("PRAGMA cache_size = 10")
        monkeypatch.setattr(database, "has_space", lambda directory: False)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
        try:
            with pytest.raises(DiskFull):
                catalog.listing("/")
            assert not catalog._database.in_transaction
            assert (catalog.behind, catalog.applied_index) == (True, start)
            with pytest.raises(DiskFull):
                catalog.apply(feeder.index + 1, feeder.log[-1][1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, before)
        catalog.catch_up()
        assert (catalog.behind, catalog.applied_index) == (False, feeder.index)
        feeder.one(put("/after.jpg", 1))
        catalog.settle()
        assert len(catalog.listing("/")) == 401
        with Feeder(tmp_path / "other" / "catalog.db", level=None, stores=False) as other:
            for index, batch in feeder.log:
                other.catalog.apply(index, batch)
            assert other.catalog.digest() == catalog.digest()


def test_nothing_is_applied_outside_of_a_transaction(tmp_path):
    with Feeder(tmp_path / "catalog.db", later=lambda settle: None) as feeder:
        feeder.catalog.settle()
        feeder.one(put("/a.jpg", 1))
        feeder.catalog._database.rollback()
        with pytest.raises(DiskFailed):
            feeder.one(put("/b.jpg", 2))
    with Feeder(tmp_path / "catalog.db") as again:
        assert again.catalog.listing("/") == []


def test_a_catalog_that_cannot_go_back_takes_nothing_more(tmp_path, monkeypatch):
    with Feeder(tmp_path / "catalog.db", later=lambda settle: None) as feeder:
        catalog = feeder.catalog
        catalog.settle()
        feeder.one(put("/a.jpg", 1))
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL

        def fails(*_arguments: object) -> object:
            raise full

        catalog._database.rollback()
        catalog._row = fails
        monkeypatch.setattr(catalog, "_load", fails)
        with pytest.raises(DiskFull):
            catalog.lookup("/a.jpg")
        with pytest.raises(Unavailable):
            feeder.one(put("/b.jpg", 2))
