"""The catalog on disk: restarts, power cuts, damage, snapshots, and a large directory."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import WHOEVER, Feeder, chunk, command, digest, partial, put
from cursors import paged

from raftstore.errors import (
    Damaged,
    DiskFailed,
    DiskFull,
    Invalid,
    NotADirectory,
    NotFound,
    StoreError,
    TooNew,
    Unavailable,
)
from raftstore.metadata import Catalog
from raftstore.metadata import catalog as catalog_module
from raftstore.metadata.database import database, durability, snapshots
from raftstore.metadata.database.schemas import fill, schema_at
from raftstore.metadata.levels import NEWEST
from raftstore.metadata.listing import MAX_PACKED, PAGE
from raftstore.types import Order


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog" / "catalog.db") as made:
        yield made


def some(feeder: Feeder, entries: int = 20, start: int = 0) -> None:
    """Apply some log entries of several pictures each."""
    for entry in range(start, start + entries):
        feeder.all(*(put(f"/{entry:04}-{n}.jpg", 10 * entry + n) for n in range(5)))


@pytest.fixture
def asked_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint but by make_durable: these tests look at the files meanwhile."""
    monkeypatch.setattr(durability, "ENTRIES_A_CHECK", 10**9)


def copy(feeder: Feeder, target: Path) -> Path:
    """Copy the files as a killed process leaves them."""
    target.mkdir()
    for suffix in ("", "-wal"):
        source = feeder.path.with_name(feeder.path.name + suffix)
        if source.exists():
            shutil.copyfile(source, target / source.name)
    return target / feeder.path.name


def replay(path: Path, feeder: Feeder) -> tuple[int, str]:
    """Open the catalog at `path`, feed it the whole log; return its index at the start and its final digest."""
    catalog = Catalog(path)
    try:
        start = catalog.applied_index
        for index, batch in feeder.log:
            catalog.apply(index, batch)
        return start, catalog.digest()
    finally:
        catalog.close()


def test_a_restart_goes_on_where_it_was(feeder: Feeder) -> None:
    feeder.make("/a")
    feeder.all(put("/a/f", 1, 2), partial("/p", 3), command("put_user", user={"name": "u", "home": "/"}))
    before, index = feeder.catalog.digest(), feeder.catalog.applied_index
    feeder.reopen()
    assert (feeder.catalog.digest(), feeder.catalog.applied_index) == (before, index)
    feeder.one(put("/a/g", 4))
    assert len(feeder.catalog.listing("/a")) == 2


def test_a_killed_process_loses_nothing_applied(feeder: Feeder, tmp_path: Path) -> None:
    some(feeder)
    start, after = replay(copy(feeder, tmp_path / "copy"), feeder)
    assert (start, after) == (feeder.index, feeder.catalog.digest())


@pytest.mark.slow
def test_a_power_cut_takes_only_what_was_not_made_durable(feeder: Feeder, tmp_path: Path) -> None:
    some(feeder, 10)
    durable = feeder.catalog.make_durable()
    assert durable == feeder.index
    synced = feeder.path.with_name("catalog.db-wal").stat().st_size
    some(feeder, 10, start=10)
    expected = feeder.catalog.digest()
    generator = random.Random(5)
    for number in range(12):
        path = copy(feeder, tmp_path / f"copy{number}")
        wal = path.with_name("catalog.db-wal")
        size = wal.stat().st_size
        cut = synced + generator.randrange(size - synced + 1)
        os.truncate(wal, cut)
        if number % 2:
            # Blocks that never reached the disk may hold anything, and later ones may have reached it.
            with wal.open("r+b") as file:
                file.seek(cut)
                file.write(bytes(min(4096, size - cut)))
                file.seek(size)
                file.write(generator.randbytes(3000))
        start, after = replay(path, feeder)
        assert durable <= start <= feeder.index
        assert after == expected


@pytest.mark.usefixtures("asked_only")
def test_a_power_cut_within_a_checkpoint(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog" / "catalog.db", wal_bytes=1) as feeder:
        some(feeder, 10)
        feeder.catalog.make_durable()
        some(feeder, 10, start=10)
        before = copy(feeder, tmp_path / "before")
        feeder.catalog.make_durable()
        after, expected = feeder.path.read_bytes(), feeder.catalog.digest()
    generator = random.Random(6)
    old = before.read_bytes()
    for number in range(6):
        # Any of the pages may have been written, while the log is still whole.
        pages = [
            (after if generator.random() < 0.5 else old.ljust(len(after), b"\0"))[at : at + 4096]
            for at in range(0, len(after), 4096)
        ]
        path = tmp_path / f"mixed{number}" / "catalog.db"
        path.parent.mkdir()
        path.write_bytes(b"".join(pages))
        shutil.copyfile(before.with_name("catalog.db-wal"), path.with_name("catalog.db-wal"))
        start, digested = replay(path, feeder)
        assert (start, digested) == (feeder.index, expected)


def in_use(wal: Path) -> int:
    with wal.open("rb") as file:
        return durability.used(file.fileno())


def test_what_is_used_of_a_write_ahead_log(tmp_path: Path) -> None:
    wal = tmp_path / "wal"
    frame = (4096).to_bytes(4, "big")
    for salts in ([], [1], [1, 1, 1], [2, 2, 1, 1, 1], [2] * 7, [3, 2, 1]):
        header = b"\0" * 8 + frame + b"\0" * 4 + bytes([salts[0] if salts else 9]) * 8 + b"\0" * 8
        frames = [b"\0" * 8 + bytes([salt]) * 8 + b"\0" * (8 + 4096) for salt in salts]
        wal.write_bytes(header + b"".join(frames))
        assert in_use(wal) == 32 + salts.count(salts[0] if salts else 9) * 4120
    wal.write_bytes(b"")
    assert in_use(wal) == 0


@pytest.mark.usefixtures("asked_only")
def test_the_write_ahead_log_stays_small(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", wal_bytes=100_000) as feeder:
        wal = tmp_path / "catalog.db-wal"
        for round_ in range(5):
            some(feeder, 20, start=20 * round_)
            assert in_use(wal) > 100_000
            assert feeder.catalog.make_durable() == feeder.index
            size = wal.stat().st_size
            some(feeder, 1, start=20 * round_)
            assert in_use(wal) < 50_000, "it has begun anew"
            assert wal.stat().st_size == size, "and was not cut: the writer's cache is still good"


def test_the_write_ahead_log_is_bounded_though_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "ENTRIES_A_CHECK", 1)
    with Feeder(
        tmp_path / "catalog.db", wal_bytes=400_000
    ) as feeder:  # the tables alone take more than 300,000
        for entry in range(100):
            some(feeder, 1, start=entry)
            running = feeder.catalog._log_bound._running
            if running is not None:
                running.result(60)
            assert (tmp_path / "catalog.db-wal").stat().st_size < 500_000


def test_a_failed_checkpoint_stops_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durability, "ENTRIES_A_CHECK", 1)
    with Feeder(tmp_path / "catalog.db", wal_bytes=1, stores=False, level=1) as feeder:
        with monkeypatch.context() as patched:
            patched.setattr(durability.os, "fsync", broken)
            feeder.make("/a")
            running = feeder.catalog._log_bound._running
            assert running is not None
            running.result(60)
        with pytest.raises(Unavailable, match="Input/output error"):
            feeder.make("/b")


@pytest.mark.usefixtures("asked_only")
def test_a_reader_of_an_old_state_keeps_the_log_only_for_a_while(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", wal_bytes=1) as feeder:
        some(feeder, 5)
        with feeder.catalog._readers.connection() as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT applied FROM state").fetchone()
            some(feeder, 5, start=5)
            assert feeder.catalog.make_durable() == feeder.index
            some(feeder, 5, start=10)
            kept = in_use(tmp_path / "catalog.db-wal")
        assert feeder.catalog.make_durable() == feeder.index
        some(feeder, 1, start=15)
        assert in_use(tmp_path / "catalog.db-wal") < kept


def test_a_checkpoint_does_not_wait_for_readers_with_the_writer_held_up(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []

    def noting(_: object, connection: sqlite3.Connection) -> None:
        waits.append(connection.execute("PRAGMA busy_timeout").fetchone()[0])

    monkeypatch.setattr(durability.Durability, "_checkpoint", noting)
    monkeypatch.setattr(feeder.catalog._durability, "_wal_bytes", 1)
    feeder.catalog.make_durable()
    assert waits == [0]


def test_a_closed_connection_lets_go_of_the_file_though_cursors_remain(feeder: Feeder) -> None:
    some(feeder, 1)
    kept = feeder.catalog._execute
    feeder.catalog.close()
    assert [path.name for path in feeder.path.parent.iterdir()] == ["catalog.db"]
    with pytest.raises(sqlite3.ProgrammingError):
        kept("SELECT 1")


def test_a_snapshot_is_not_installed_while_another_process_has_the_catalog_open(
    feeder: Feeder, tmp_path: Path
) -> None:
    some(feeder, 3)
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    some(feeder, 3, start=3)
    before = feeder.catalog.digest()
    other = database.connect(feeder.path)
    other.execute("SELECT count(*) FROM users").fetchone()
    try:
        with pytest.raises(Unavailable):
            feeder.catalog.install_snapshot(tmp_path / "snapshot")
        assert feeder.catalog.digest() == before
        some(feeder, 1, start=6)
    finally:
        other.close()
    feeder.catalog.install_snapshot(tmp_path / "snapshot")
    assert feeder.catalog.digest() != before


@pytest.mark.usefixtures("asked_only")
def test_make_durable_beside_apply(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", wal_bytes=50_000) as feeder:
        failures: list[BaseException] = []
        done = threading.Event()

        def sync() -> None:
            try:
                last = 0
                while not done.is_set():
                    index = feeder.catalog.make_durable()
                    assert index >= last
                    last = index
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=sync)
        thread.start()
        some(feeder, 100)
        done.set()
        thread.join()
        assert failures == []
        assert replay(copy(feeder, tmp_path / "copy"), feeder) == (feeder.index, feeder.catalog.digest())


def test_a_failed_sync_is_never_followed_by_a_promise(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    some(feeder, 1)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(durability.os, "fsync", broken)
        with pytest.raises(DiskFailed):
            feeder.catalog.make_durable()
    with pytest.raises(DiskFailed):
        feeder.catalog.make_durable()


# Damage.


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(Damaged, match="delete the directory"):
        Catalog(path)
    assert path.read_bytes() == b"nonsense" * 1000


def test_a_database_of_something_else_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(Damaged, match="not a pixraft catalog"):
        Catalog(path)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA user_version = 5", "level 0, this program reads level 1 to"),
        ("DROP TABLE usage", "unknown schema"),
        ("CREATE INDEX extra ON users (record)", "unknown schema"),
        ("DELETE FROM state", "no state"),
    ],
)
def test_another_schema_is_damaged(feeder: Feeder, statement: str, message: str) -> None:
    feeder.catalog.close()
    other = sqlite3.connect(feeder.path, isolation_level=None)
    other.execute(statement)
    other.close()
    with pytest.raises(Damaged, match=message):
        Catalog(feeder.path)


def test_a_catalog_of_a_later_version_is_refused_and_left_alone(feeder: Feeder) -> None:
    feeder.catalog.close()
    other = sqlite3.connect(feeder.path, isolation_level=None)
    other.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + NEWEST}")
    other.close()
    before = feeder.path.read_bytes()
    with pytest.raises(TooNew, match=f"is at level {NEWEST + 1}; this is pixraft .* levels 1 to {NEWEST}"):
        Catalog(feeder.path)
    assert feeder.path.read_bytes() == before


def test_damaged_pages_are_found_at_the_start(feeder: Feeder) -> None:
    some(feeder, 40)
    feeder.catalog.close()
    content = bytearray(feeder.path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = b"\xa5" * 512
    feeder.path.write_bytes(content)
    with pytest.raises(Damaged, match="delete the directory"):
        Catalog(feeder.path, check_seconds=60)


def test_damaged_pages_met_while_running_are_damage(feeder: Feeder) -> None:
    some(feeder, 200)
    feeder.catalog.close()
    content = bytearray(feeder.path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = b"\xa5" * 512
    feeder.path.write_bytes(content)
    try:
        catalog = Catalog(feeder.path, check_seconds=-1)
    except Damaged:
        return
    try:
        with pytest.raises(Damaged):
            catalog.listing("/")
        with pytest.raises(Damaged):
            catalog.lookup("/0001-1.jpg")
        # What cannot be read must not be built upon: the node stops with the next entry.
        with pytest.raises(Unavailable, match="delete the directory"):
            catalog.apply(catalog.applied_index + 1, b"")
    finally:
        catalog.close()


def test_a_missing_database_beside_its_log_is_damaged(feeder: Feeder, tmp_path: Path) -> None:
    some(feeder, 3)
    path = copy(feeder, tmp_path / "copy")
    path.unlink()
    with pytest.raises(Damaged, match="missing"):
        Catalog(path)


def test_a_creation_cut_short_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    half = sqlite3.connect(path)
    half.execute("PRAGMA journal_mode = WAL")
    half.close()
    Catalog(path).close()
    path.unlink()
    path.touch()
    Catalog(path).close()


def test_an_unusable_directory_is_a_failed_disk(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").mkdir()
    with pytest.raises(DiskFailed):
        Catalog(tmp_path / "catalog.db")


def test_what_errors_of_sqlite_mean(tmp_path: Path) -> None:
    small = database.open_catalog(tmp_path / "catalog.db", 1.0, fill, schema_at)
    try:
        small.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            while True:
                small.execute("INSERT INTO users VALUES (hex(randomblob(100)), x'00')")
        assert isinstance(database.translated(full.value, tmp_path), DiskFull)
        small.execute("BEGIN IMMEDIATE")
        other = database.connect(tmp_path / "catalog.db", writer=True, patience=0)
        with pytest.raises(sqlite3.OperationalError) as busy:
            other.execute("BEGIN IMMEDIATE")
        other.close()
        assert isinstance(database.translated(busy.value, tmp_path), Unavailable)
        with pytest.raises(sqlite3.IntegrityError) as twice:
            small.execute("INSERT INTO state SELECT * FROM state")
        assert isinstance(database.translated(twice.value, tmp_path), Damaged)
    finally:
        small.close()


def test_a_closed_catalog_cannot_be_read(feeder: Feeder) -> None:
    feeder.catalog.close()
    with pytest.raises(Unavailable):
        feeder.catalog.lookup("/")
    with pytest.raises(Unavailable):
        feeder.catalog.page("/")
    with pytest.raises(Unavailable):
        feeder.catalog.next_page(1, "a")
    with pytest.raises(Unavailable):
        asyncio.run(feeder.catalog.sorted_listing("/", Order.TIME, WHOEVER))


def test_a_checkpoint_that_another_process_prevents_is_put_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: object, __: object) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    with Feeder(tmp_path / "catalog.db", wal_bytes=1) as feeder:
        with monkeypatch.context() as patched:
            patched.setattr(durability.Durability, "_checkpoint", busy)
            assert feeder.catalog.make_durable() == feeder.index
        feeder.make("/a")
        assert feeder.catalog.make_durable() == feeder.index


# Snapshots.


def test_a_snapshot_restores_an_equal_catalog(feeder: Feeder, tmp_path: Path) -> None:
    feeder.make("/a")
    some(feeder)
    feeder.all(partial("/a/p", 1), command("put_user", user={"name": "u", "home": "/"}), put("/x/y", 1))
    index = feeder.catalog.write_snapshot(tmp_path / "snapshot")
    expected = feeder.catalog.digest()
    assert index == feeder.index
    log = list(feeder.log)
    some(feeder, 3, start=30)
    with Feeder(tmp_path / "other" / "catalog.db", stores=False) as other:
        other.one(put("/old", 77, chunks=[], size=0))
        assert other.catalog.install_snapshot(tmp_path / "snapshot") == index
        assert other.catalog.applied_index == index
        assert other.catalog.digest() == expected
        with pytest.raises(NotFound):
            other.catalog.lookup("/old")
        for later, batch in feeder.log[len(log) :]:
            other.catalog.apply(later, batch)
        assert other.catalog.digest() == feeder.catalog.digest()
        other.reopen()
        assert other.catalog.digest() == feeder.catalog.digest()
    assert (tmp_path / "snapshot").exists()
    assert sorted(p.name for p in (tmp_path / "other").iterdir()) == ["catalog.db"]


def test_a_prepared_snapshot_is_taken_only_while_it_is_the_same(feeder: Feeder, tmp_path: Path) -> None:
    some(feeder, 3)
    first = feeder.catalog.write_snapshot(tmp_path / "snapshot")
    with Feeder(tmp_path / "other" / "catalog.db", stores=False) as other:
        assert other.catalog.prepare_snapshot(tmp_path / "snapshot") == first
        some(feeder, 3, start=3)
        second = feeder.catalog.write_snapshot(tmp_path / "snapshot")
        assert other.catalog.install_snapshot(tmp_path / "snapshot") == second
        assert other.catalog.digest() == feeder.catalog.digest()


def test_what_was_prepared_in_vain_leaves_nothing(feeder: Feeder, tmp_path: Path) -> None:
    some(feeder, 3)
    index = feeder.catalog.write_snapshot(tmp_path / "snapshot")
    with Feeder(tmp_path / "other" / "catalog.db", stores=False) as other:
        assert other.catalog.prepare_snapshot(tmp_path / "snapshot") == index
        assert (tmp_path / "other" / "catalog.db.incoming").exists()
        other.catalog.discard_prepared()
        assert not (tmp_path / "other" / "catalog.db.incoming").exists()
        assert other.catalog.install_snapshot(tmp_path / "snapshot") == index
        assert other.catalog.digest() == feeder.catalog.digest()
        other.catalog.discard_prepared()


def test_a_snapshot_is_of_one_state_while_entries_are_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PAGES_A_STEP", 1)
    with Feeder(tmp_path / "catalog.db") as feeder:
        some(feeder, 20)
        results: list[int] = []
        thread = threading.Thread(
            target=lambda: results.append(feeder.catalog.write_snapshot(tmp_path / "snapshot"))
        )
        thread.start()
        entry = 20
        while thread.is_alive():
            some(feeder, 1, start=entry)
            entry += 1
        thread.join()
        log = feeder.log
    with Feeder(tmp_path / "a" / "catalog.db", stores=False) as restored:
        restored.catalog.install_snapshot(tmp_path / "snapshot")
        with Feeder(tmp_path / "b" / "catalog.db", stores=False) as replayed:
            for index, batch in log:
                if index <= results[0]:
                    replayed.catalog.apply(index, batch)
            assert restored.catalog.digest() == replayed.catalog.digest()


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "tail", "bare", "missing", "other"])
def test_a_snapshot_that_is_not_whole_is_refused(feeder: Feeder, tmp_path: Path, harm: str) -> None:
    some(feeder)
    path = tmp_path / "snapshot"
    feeder.catalog.write_snapshot(path)
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    whole = {
        "cut": content[:-1],
        "flip": content,
        "empty": b"",
        "tail": bytes(content) + b"x",
        "bare": content[: -snapshots.SEAL_BYTES],
        "missing": b"",
        "other": b"hello" * 5000,
    }
    path.write_bytes(whole[harm])
    if harm == "missing":
        path.unlink()
    some(feeder, 2, start=20)
    before = feeder.catalog.digest()
    with pytest.raises(Damaged):
        feeder.catalog.install_snapshot(path)
    assert feeder.catalog.digest() == before
    some(feeder, 2, start=22)
    assert not feeder.path.with_name("catalog.db.incoming").exists()


def test_a_sealed_file_that_is_no_catalog_is_refused(feeder: Feeder, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
    other.execute("CREATE TABLE state (applied)")
    other.execute("INSERT INTO state VALUES (3)")
    assert snapshots.write(other, tmp_path / "snapshot") == 3
    other.close()
    with pytest.raises(Damaged, match="not a pixraft catalog"):
        feeder.catalog.install_snapshot(tmp_path / "snapshot")
    some(feeder, 1)


@pytest.mark.parametrize("step", ["prepare", "pause", "unlinked", "renamed"])
def test_a_crash_at_any_step_of_an_installation_leaves_one_state(
    feeder: Feeder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with Feeder(tmp_path / "source" / "catalog.db") as source:
        some(source, 30)
        source.catalog.write_snapshot(tmp_path / "snapshot")
        new = source.catalog.digest()
    some(feeder, 5)
    old = feeder.catalog.digest()
    copies: list[Path] = []

    def crash(*_: object) -> None:
        copies.append(copy_directory(feeder.path.parent, tmp_path / f"crash{len(copies)}"))

    if step == "prepare":
        feeder.catalog.prepare_snapshot(tmp_path / "snapshot")
        crash()
    elif step == "pause":
        pause = feeder.catalog._readers.pause
        monkeypatch.setattr(feeder.catalog._readers, "pause", lambda: (crash(), pause()))
    else:
        sync = catalog_module.sync_directory

        def noting(directory: Path) -> None:
            sync(directory)
            crash()

        monkeypatch.setattr(catalog_module, "sync_directory", noting)
    feeder.catalog.install_snapshot(tmp_path / "snapshot")
    assert feeder.catalog.digest() == new
    assert copies
    for number, directory in enumerate(copies):
        catalog = Catalog(directory / "catalog.db")
        try:
            expected = new if step in ("unlinked", "renamed") and number == len(copies) - 1 else old
            assert catalog.digest() == expected
        finally:
            catalog.close()
        assert [p.name for p in directory.iterdir()] == ["catalog.db"]


def copy_directory(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        if not path.name.endswith("-shm"):
            shutil.copyfile(path, target / path.name)
    return target


def test_readers_make_way_for_a_snapshot(
    feeder: Feeder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PAGES_A_STEP", 1)
    some(feeder, 30)
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    begun = threading.Event()
    release = threading.Event()
    heed = snapshots._heed_interrupt
    ended: list[StoreError] = []

    def slowly(connection: sqlite3.Connection) -> None:
        begun.set()
        release.wait(60)
        heed(connection)

    def write() -> None:
        try:
            feeder.catalog.write_snapshot(tmp_path / "second")
        except StoreError as error:
            ended.append(error)

    monkeypatch.setattr(snapshots, "_heed_interrupt", slowly)
    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(60)
    interrupt = threading.Timer(0.2, release.set)
    interrupt.start()
    try:
        feeder.catalog.install_snapshot(tmp_path / "snapshot")
    finally:
        interrupt.join()
        thread.join()
    assert feeder.catalog.lookup("/0001-1.jpg")
    # Either the copy was complete by then, or it was given up without leaving a file.
    assert (tmp_path / "second").exists() == (not ended)


def test_a_closed_catalog_refuses(feeder: Feeder, tmp_path: Path) -> None:
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    feeder.catalog.close()
    with pytest.raises(Unavailable):
        feeder.one(put("/f", 1))
    with pytest.raises(Unavailable):
        feeder.catalog.write_snapshot(tmp_path / "second")
    with pytest.raises(Unavailable):
        feeder.catalog.install_snapshot(tmp_path / "snapshot")
    feeder.catalog.close()


# Large directories.


@pytest.mark.slow
def test_a_directory_of_twenty_thousand_entries(feeder: Feeder) -> None:
    feeder.make("/a", "/small")
    names = [f"IMG_{n * 7919 % 20_000:05}.jpg" for n in range(20_000)]
    for start in range(0, len(names), 1000):
        feeder.all(*(put(f"/a/{n}", size=10, chunks=[chunk(1)]) for n in names[start : start + 1000]))
    feeder.make("/a/ZZ")

    everything = feeder.catalog.listing("/a")
    assert [entry.name for entry in everything] == [*sorted(names), "ZZ"]
    for limit in (1_000, PAGE, 20_000, 20_001, 30_000):
        assert paged(feeder.catalog, "/a", limit=limit) == everything
        assert paged(feeder.catalog, "/a", limit=limit, backwards=True) == everything[::-1]
    empty = feeder.catalog.page("/small")
    assert (empty.path, empty.entries, empty.more) == ("/small", [], False)
    with pytest.raises(NotFound):
        feeder.catalog.page("/b")
    with pytest.raises(NotADirectory):
        feeder.catalog.page("/a/IMG_00001.jpg")
    assert feeder.catalog.chunk_stores(digest(1)) == (1, 2, 3)


def test_a_cursor_follows_its_directory(feeder: Feeder) -> None:
    feeder.make("/a", "/b")
    feeder.all(*(put(f"/a/{number}", 1) for number in range(6)))
    first = feeder.catalog.page("/a", 2)
    assert [entry.name for entry in first.entries] == ["0", "1"]
    feeder.all(command("rename", source="/a", target="/b/c"), command("remove_file", path="/b/c/1"))
    second = feeder.catalog.next_page(first.directory, "1", 3)
    assert second is not None
    assert (second.path, [entry.name for entry in second.entries], second.more) == (
        "/b/c",
        ["2", "3", "4"],
        True,
    )
    feeder.all(*(command("remove_file", path=f"/b/c/{number}") for number in (0, 2, 3, 4, 5)))
    feeder.all(command("remove_directory", path="/b/c"))
    assert feeder.catalog.next_page(first.directory, "4") is None


def test_a_sorted_listing_is_small_bounded_and_given_back(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeder.make("/a")
    count = 3 * PAGE + 1
    feeder.all(*(put(f"/a/{n:05}", size=n % 7 + 1, chunks=[chunk(n % 7, n % 7 + 1)]) for n in range(count)))

    def sorted_names(order: Order, *, backwards: bool) -> list[str]:
        packed = asyncio.run(feeder.catalog.sorted_listing("/a", order, WHOEVER))
        pages = [packed.page(number, backwards=backwards) for number in range(packed.pages)]
        assert [page.more for page in pages] == [True] * 3 + [False]
        packed.close()
        packed.close()
        return [entry.name for page in pages for entry in page.entries]

    everything = feeder.catalog.listing("/a")
    for order, key in ((Order.SIZE, lambda e: -e.size), (Order.TIME, lambda e: -e.mtime_ns)):
        expected = [entry.name for entry in sorted(everything, key=key)]
        assert sorted_names(order, backwards=False) == expected
        assert sorted_names(order, backwards=True) == expected[::-1]
    assert feeder.catalog._packing.taken == 0
    monkeypatch.setattr(catalog_module, "MAX_SORTED", count - 1)
    with pytest.raises(Invalid, match="only sorted by name"):
        asyncio.run(feeder.catalog.sorted_listing("/a", Order.SIZE, WHOEVER))
    monkeypatch.setattr(catalog_module, "MAX_SORTED", count)
    feeder.catalog._packing.take(MAX_PACKED - count + 1)
    with pytest.raises(Unavailable, match="too many"):
        asyncio.run(feeder.catalog.sorted_listing("/a", Order.SIZE, WHOEVER))
    assert feeder.catalog._packing.taken == MAX_PACKED - count + 1
