"""Log entries that share a transaction: what reads see meanwhile, what a crash or a failed commit leaves."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from catalogs import WHOEVER, Feeder, put
from cursors import paged

from raftstore.errors import NotFound, StoreError
from raftstore.metadata import Catalog
from raftstore.metadata.listing import PAGE
from raftstore.types import Order


class Later:
    """Keeps what is to be called in a moment until a test lets that moment come."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, action: Callable[[], None]) -> None:
        self.waiting.append(action)

    def come(self) -> None:
        """Call all that waits."""
        waiting, self.waiting = self.waiting, []
        for action in waiting:
            action()


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def feeder(tmp_path, later) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog" / "catalog.db", later=later) as made:
        yield made


def committed(path: Path) -> int:
    """Return the applied index that another connection sees."""
    with_database = sqlite3.connect(path)
    try:
        return int(with_database.execute("SELECT applied FROM state").fetchone()[0])
    finally:
        with_database.close()


def test_entries_share_a_transaction_and_reads_see_them_at_once(feeder, later):
    later.come()
    before = feeder.index
    feeder.one(put("/a.jpg", 1))
    feeder.one(put("/b.jpg", 2))
    assert feeder.catalog.lookup("/b.jpg").size == 10
    assert feeder.catalog.applied_index == before + 2
    assert feeder.catalog.usage("ada").bytes == 20
    assert committed(feeder.path) == before
    assert len(later.waiting) == 1
    later.come()
    assert committed(feeder.path) == before + 2
    # The next entry opens the next one.
    feeder.one(put("/c.jpg", 3))
    assert len(later.waiting) == 1


def test_what_is_durable_or_written_to_a_snapshot_is_committed(feeder, later, tmp_path):
    later.come()
    before = feeder.index
    feeder.one(put("/a.jpg", 1))
    assert feeder.catalog.make_durable() == before
    assert feeder.catalog.write_snapshot(tmp_path / "snapshot") == before
    later.come()
    assert feeder.catalog.make_durable() == before + 1


def test_a_killed_process_applies_again_what_was_not_committed(feeder, later, tmp_path):
    feeder.one(put("/a.jpg", 1))
    later.come()
    results = feeder.one(put("/b.jpg", 2)), feeder.one(put("/c.jpg", 1, 3))
    killed = tmp_path / "killed"
    shutil.copytree(feeder.path.parent, killed)
    later.come()
    catalog = Catalog(killed / feeder.path.name)
    try:
        assert catalog.applied_index == feeder.index - 2
        with pytest.raises(NotFound):
            catalog.lookup("/b.jpg")
        again = [catalog.apply(index, batch)[0] for index, batch in feeder.log[-2:]]
        assert again == [result.SerializeToString() for result in results]
        assert catalog.digest() == feeder.catalog.digest()
    finally:
        catalog.close()


def test_closing_commits(feeder):
    feeder.one(put("/a.jpg", 1))
    feeder.reopen()
    assert feeder.catalog.applied_index == feeder.index
    assert feeder.catalog.lookup("/a.jpg").size == 10


def test_a_large_directory_is_listed_and_sorted_with_what_was_just_applied(feeder, later):
    feeder.all(*(put(f"/{number:04}.jpg", 1) for number in range(PAGE + 1)))
    later.come()
    feeder.one(put("/last.jpg", 2))
    names = [entry.name for entry in paged(feeder.catalog, "/")]
    assert len(names) == PAGE + 2
    assert names[-1] == "last.jpg"
    packed = asyncio.run(feeder.catalog.sorted_listing("/", Order.TIME, WHOEVER))
    assert sum(len(packed.page(number).entries) for number in range(packed.pages)) == PAGE + 2


def test_a_snapshot_replaces_also_what_was_not_committed(feeder, later, tmp_path):
    later.come()
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    feeder.one(put("/a.jpg", 1))
    feeder.catalog.install_snapshot(tmp_path / "snapshot")
    with pytest.raises(NotFound):
        feeder.catalog.lookup("/a.jpg")
    later.come()
    feeder.one(put("/b.jpg", 2))
    later.come()
    assert feeder.catalog.lookup("/b.jpg").size == 10


def test_nothing_is_read_after_a_commit_that_failed(feeder, later):
    later.come()
    feeder.one(put("/a.jpg", 1))
    # What a full or broken disk does: the transaction is gone, and with it what was applied.
    feeder.catalog._database.execute("ROLLBACK")
    with pytest.raises(StoreError):
        later.come()
    with pytest.raises(StoreError):
        feeder.catalog.lookup("/a.jpg")
    with pytest.raises(StoreError):
        feeder.one(put("/b.jpg", 2))
    assert committed(feeder.path) == feeder.index - 2
