"""Publishing, partial uploads, quotas and the chunks behind them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogs import NOW, Feeder, chunk, command, digest, partial, put

from raftstore.errors import IsADirectory, NotFound
from raftstore.metadata.tables.names import partials
from raftstore.types import ChunkRef, Entry, Kind, Partial
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


@pytest.fixture
def level_1(tmp_path: Path) -> Iterator[Feeder]:
    """With owners that are names."""
    with Feeder(tmp_path / "catalog.db", level=1) as made:
        yield made


def remove(path: str) -> commands.Command:
    return command("remove_file", path=path)


def user(name: str, quota: int) -> commands.Command:
    return command("put_user", user=commands.User(name=name, home="/", rights="elr", quota_bytes=quota))


def chunk_rows(feeder: Feeder) -> dict[int, tuple[int, int]]:
    """Return refs and heads of every chunk by its seed."""
    database = sqlite3.connect(feeder.path)
    try:
        rows = database.execute("SELECT digest, refs, heads FROM chunks")
        return {int.from_bytes(row[0], "big"): row[1:] for row in rows}
    finally:
        database.close()


def test_put_file(feeder: Feeder) -> None:
    feeder.make("/a")
    result = feeder.one(put("/a/f", 1, 2, mtime_ns=77))
    version = feeder.catalog.file("/a/f")
    assert version.entry == Entry("f", Kind.FILE, result.inode, 20, 77, "ada", feeder.index)
    assert version.chunks == (ChunkRef(digest(1), 10, (1, 2, 3)), ChunkRef(digest(2), 10, (1, 2, 3)))
    assert feeder.catalog.lookup("/a/f") == version.entry
    assert feeder.catalog.totals() == (1, 20)
    assert feeder.catalog.usage("ada").bytes == 20


def test_a_file_without_time_takes_the_operations_time(feeder: Feeder) -> None:
    feeder.one(put("/f"))
    version = feeder.catalog.file("/f")
    assert (version.entry.mtime_ns, version.entry.size, version.chunks) == (NOW + feeder.index - 1, 0, ())


def test_replacing_keeps_the_inode_and_numbers_the_version(feeder: Feeder) -> None:
    first = feeder.one(put("/f", 1, 2))
    second = feeder.one(put("/f", 2, 3, 3, owner="bob"))
    assert first.inode == second.inode
    version = feeder.catalog.file("/f")
    assert version.entry.version == feeder.index == second.index
    assert [ref.digest for ref in version.chunks] == [digest(2), digest(3), digest(3)]
    assert (version.entry.owner, version.entry.size) == ("bob", 30)
    assert (feeder.catalog.usage("ada").bytes, feeder.catalog.usage("bob").bytes) == (0, 30)
    assert feeder.catalog.totals() == (1, 30)


def test_a_version_looked_up_before_stays_as_it_was(feeder: Feeder) -> None:
    feeder.one(put("/f", 1))
    version = feeder.catalog.file("/f")
    feeder.all(put("/f", 2), remove("/f"))
    assert version.chunks[0].digest == digest(1)


def test_files_of_many_chunks_share_them(feeder: Feeder) -> None:
    """New ones and known ones in one file, some of them several times, and all of them replaced by the same again."""
    first, second = [*range(1, 40), 7, 7, 1], [*range(50, 60), *range(30, 40), 7, 50]
    feeder.all(put("/f", *first), partial("/f", *second), put("/g", *second))
    feeder.all(put("/f", *second), put("/g", *first), put("/g", *first, 60))
    assert [ref.digest for ref in feeder.catalog.file("/f").chunks] == [*map(digest, second)]
    assert [ref.digest for ref in feeder.catalog.file("/g").chunks] == [*map(digest, [*first, 60])]
    content = Counter([*second, *first, 60])
    heads = {second[0]: 1, first[0]: 1}
    assert chunk_rows(feeder) == {seed: (refs, heads.get(seed, 0)) for seed, refs in content.items()}
    feeder.all(remove("/g"), put("/f", *second[::-1]))
    assert chunk_rows(feeder) == {
        seed: (refs, int(seed == second[-1])) for seed, refs in Counter(second).items()
    }
    feeder.one(remove("/f"))
    assert chunk_rows(feeder) == {}
    assert not any(group.chunks or group.heads or group.bytes for group in feeder.catalog._machine.sets.all())


def test_the_first_chunk_that_is_wrong_decides(feeder: Feeder) -> None:
    good = [chunk(seed) for seed in range(1, 20)]
    feeder.one(put("/f", 30))
    nowhere, other_length = chunk(25, 10, (4,)), chunk(30, 11)
    for wrong, detail in (
        ([nowhere, other_length], "no store has number 4"),
        ([other_length, nowhere], f"chunk {digest(30).hex()} has 10 bytes, not 11"),
    ):
        result = feeder.one(put("/g", chunks=[*good, *wrong], size=211))
        assert (result.status, result.detail) == (commands.INVALID, detail)
    assert [*chunk_rows(feeder)] == [30]


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/", {}, "IS_A_DIRECTORY"),
        ("/a", {}, "IS_A_DIRECTORY"),
        ("/x/f", {}, "NO_PARENT"),
        ("/f/f", {}, "NOT_A_DIRECTORY"),
        ("/a/..", {}, "BAD_NAME"),
        ("/f", {"exclusive": True}, "EXISTS"),
        ("/g", {"size": 11}, "INVALID"),
        ("/g", {"size": 2**64 - 1}, "INVALID"),
        ("/g", {"chunks": []}, "INVALID"),
        ("/g", {"chunks": [chunk(9, 0)], "size": 0}, "INVALID"),
        ("/g", {"chunks": [commands.Chunk(digest=b"short", length=10, stores=[1])]}, "INVALID"),
        ("/g", {"chunks": [chunk(9, 10, ())]}, "CHANGED"),
        ("/g", {"chunks": [chunk(9, 10, (1, 4))]}, "INVALID"),
        ("/g", {"chunks": [chunk(9, 10), chunk(9, 10, (4,))], "size": 20}, "INVALID"),
        ("/g", {"chunks": [chunk(1, 11)], "size": 11}, "INVALID"),
        ("/g", {"chunks": [chunk(9, 10), chunk(9, 11)], "size": 21}, "INVALID"),
        ("/g", {"owner": "x" * 256}, "INVALID"),
        ("/g", {"owner": "a\nb"}, "INVALID"),
        ("/f", {"base_inode": 99, "base_version": 3}, "CHANGED"),
        ("/f", {"base_version": 99}, "CHANGED"),
        ("/g", {"base_inode": 3, "base_version": 3}, "CHANGED"),
        ("/g", {"exclusive": True}, "OK"),
        ("/g", {"chunks": [chunk(1, 10, ())]}, "OK"),
    ],
)
def test_put_file_refused_without_a_trace(
    feeder: Feeder, path: str, fields: dict[str, Any], status: str
) -> None:
    feeder.make("/a")
    feeder.one(put("/f", 1))
    before, chunks = feeder.catalog.listing("/"), chunk_rows(feeder)
    assert feeder.status(put(path, 1, **fields)) == status
    if status != "OK":
        assert (feeder.catalog.listing("/"), chunk_rows(feeder)) == (before, chunks)
        assert feeder.catalog.totals() == (1, 10)


def test_a_refused_operation_leaves_the_others_of_its_entry_alone(feeder: Feeder) -> None:
    results = feeder.all(put("/f", 1), put("/x/y", 2), put("/g", 3, size=5), remove("/h"), put("/g", 4))
    assert [commands.Status.Name(result.status) for result in results] == [
        "OK",
        "NO_PARENT",
        "INVALID",
        "NOT_FOUND",
        "OK",
    ]
    assert [entry.name for entry in feeder.catalog.listing("/")] == ["f", "g"]
    assert set(chunk_rows(feeder)) == {1, 4}


def test_append_to_a_base_that_is_still_there(feeder: Feeder) -> None:
    feeder.one(put("/f", 1))
    base = feeder.catalog.lookup("/f")
    grown = put("/f", 1, 2, base_inode=base.inode, base_version=base.version)
    assert feeder.status(grown) == "OK"
    assert feeder.status(grown) == "CHANGED"
    assert feeder.catalog.lookup("/f").size == 20


def test_remove_file(feeder: Feeder) -> None:
    feeder.make("/a")
    feeder.one(put("/a/f", 1))
    assert feeder.status(remove("/")) == "IS_A_DIRECTORY"
    assert feeder.status(remove("/a")) == "IS_A_DIRECTORY"
    assert feeder.status(remove("/x")) == "NOT_FOUND"
    assert feeder.status(remove("/x/y")) == "NOT_FOUND"
    assert feeder.status(remove("/a/f/g")) == "NOT_A_DIRECTORY"
    assert feeder.status(remove("/a/f")) == "OK"
    with pytest.raises(NotFound):
        feeder.catalog.file("/a/f")
    with pytest.raises(IsADirectory):
        feeder.catalog.file("/a")
    assert feeder.catalog.totals() == (0, 0)


def test_an_owner_has_so_many_partial_uploads(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partials, "MAX_PARTIALS", 3)
    feeder.all(*(partial(f"/{name}", 1) for name in "abc"))
    assert feeder.status(partial("/d", 1)) == "QUOTA"
    assert feeder.status(partial("/d", 1, owner="bob")) == "OK"
    assert feeder.status(partial("/c", 1, 2)) == "OK"
    feeder.one(command("drop_partial", path="/a", owner="ada"))
    assert feeder.status(partial("/d", 1)) == "OK"


def test_equal_chunks_are_counted_and_released_with_the_last_reference(feeder: Feeder) -> None:
    feeder.all(put("/f", 1, 2, 1), put("/g", 2, 1), partial("/h", 1))
    assert chunk_rows(feeder) == {1: (4, 1), 2: (2, 1)}
    feeder.one(remove("/f"))
    assert chunk_rows(feeder) == {1: (2, 0), 2: (1, 1)}
    feeder.all(remove("/g"), command("drop_partial", path="/h", owner="ada"))
    assert chunk_rows(feeder) == {}


def test_a_chunk_that_comes_twice_is_on_the_stores_of_both(feeder: Feeder) -> None:
    feeder.one(put("/f", chunks=[chunk(1, 10, (1,)), chunk(1, 10, ()), chunk(1, 10, (3, 1))], size=30))
    assert [ref.stores for ref in feeder.catalog.file("/f").chunks] == [(1, 3)] * 3


def test_a_chunk_of_which_all_copies_are_lost_must_be_named_anew(feeder: Feeder) -> None:
    """By a refusal that is no fault of the client's: it may send the picture again."""
    feeder.one(put("/f", 1))
    removed = [commands.ReplicaChange(digest=digest(1), store=store) for store in (1, 2, 3)]
    feeder.one(command("change_replicas", removed=removed))
    assert feeder.status(put("/g", 1, chunks=[chunk(1, 10, ())])) == "CHANGED"
    assert feeder.status(put("/g", 1, chunks=[chunk(1, 10, (2,))])) == "OK"


def test_what_was_known_of_a_released_chunk_proves_nothing(feeder: Feeder) -> None:
    feeder.one(put("/f", 1))
    feeder.one(remove("/f"))
    assert feeder.catalog.chunk_stores(digest(1)) == ()
    assert feeder.status(put("/g", 1, chunks=[chunk(1, 10, ())])) == "CHANGED"
    assert feeder.status(put("/g", 1, chunks=[chunk(1, 10, (2,))])) == "OK"
    assert feeder.catalog.file("/g").chunks[0].stores == (2,)


def test_a_chunk_that_stays_in_a_replaced_version_keeps_its_copies(feeder: Feeder) -> None:
    feeder.one(put("/f", 1, 2))
    assert feeder.status(put("/f", 1, chunks=[chunk(1, 10, (2,))])) == "OK"
    assert feeder.catalog.file("/f").chunks[0].stores == (1, 2, 3)
    assert chunk_rows(feeder) == {1: (1, 1)}


def test_partial_uploads_are_their_owners(feeder: Feeder) -> None:
    feeder.make("/a")
    time_ns = NOW + feeder.index
    feeder.all(partial("/a/f", 1, 2), partial("/a/f", 3, owner="bob"))
    stores = (1, 2, 3)
    refs = (ChunkRef(digest(1), 10, stores), ChunkRef(digest(2), 10, stores))
    assert feeder.catalog.partial("ada", "/a/f") == Partial("/a/f", "ada", 20, time_ns, refs)
    assert feeder.catalog.partial("bob", "/a/f") == Partial(
        "/a/f", "bob", 10, time_ns, (ChunkRef(digest(3), 10, stores),)
    )
    for path in ("/a/g", "/x/f", "/a/f/g", "/", "/a"):
        assert feeder.catalog.partial("ada", path) is None
    assert feeder.catalog.partial("eve", "/a/f") is None
    assert feeder.catalog.listing("/a") == []
    assert feeder.catalog.totals() == (0, 0)
    assert feeder.catalog.usage("ada").bytes == 0


def test_a_partial_upload_replaces_the_earlier_one(feeder: Feeder) -> None:
    feeder.one(partial("/f", 1, 2))
    feeder.one(partial("/f", 2, 3))
    kept = feeder.catalog.partial("ada", "/f")
    assert kept is not None
    assert [ref.digest for ref in kept.chunks] == [digest(2), digest(3)]
    assert {seed: row[0] for seed, row in chunk_rows(feeder).items()} == {2: 1, 3: 1}


def test_publishing_ends_the_owners_partial_upload_only(feeder: Feeder) -> None:
    feeder.all(partial("/f", 1), partial("/f", 2, owner="bob"), partial("/g", 3))
    feeder.one(put("/f", 1, 4))
    assert feeder.catalog.partial("ada", "/f") is None
    assert feeder.catalog.partial("bob", "/f") is not None
    assert feeder.catalog.partial("ada", "/g") is not None
    assert {seed: row[0] for seed, row in chunk_rows(feeder).items()} == {1: 1, 2: 1, 3: 1, 4: 1}


@pytest.mark.parametrize(
    ("built", "status"),
    [
        (partial("/", 1), "IS_A_DIRECTORY"),
        (partial("/a", 1), "IS_A_DIRECTORY"),
        (partial("/x/f", 1), "NO_PARENT"),
        (partial("/f/f", 1), "NOT_A_DIRECTORY"),
        (partial("/a//f", 1), "BAD_NAME"),
        (command("put_partial", path="/g", owner="ada", size=1), "INVALID"),
        (command("drop_partial", path="/g", owner="ada"), "NOT_FOUND"),
        (command("drop_partial", path="/x/g", owner="ada"), "NO_PARENT"),
        (command("drop_partial", path="/", owner="ada"), "IS_A_DIRECTORY"),
        (partial("/f", 1), "OK"),
    ],
)
def test_partial_uploads_refused(feeder: Feeder, built: commands.Command, status: str) -> None:
    feeder.make("/a")
    feeder.one(put("/f", 1))
    assert feeder.status(built) == status


def test_partial_uploads_follow_their_directory_and_go_with_it(feeder: Feeder) -> None:
    feeder.make("/a")
    feeder.all(partial("/a/f", 1), partial("/a/f", 1, owner="bob"), put("/a/g", 2))
    feeder.all(command("rename", source="/a", target="/b"), command("rename", source="/b/g", target="/g"))
    assert feeder.catalog.partial("ada", "/b/f") is not None
    assert feeder.catalog.partial("ada", "/a/f") is None
    assert feeder.status(command("remove_directory", path="/b")) == "OK"
    feeder.make("/b")
    assert feeder.catalog.partial("ada", "/b/f") is None
    assert 1 not in chunk_rows(feeder)


def test_renaming_to_a_name_ends_what_the_files_owner_had_begun_there(feeder: Feeder) -> None:
    feeder.all(put("/t", 1), partial("/f", 2), partial("/f", 3, owner="bob"), partial("/t", 4))
    feeder.one(command("rename", source="/t", target="/f"))
    assert feeder.catalog.partial("ada", "/f") is None
    assert feeder.catalog.partial("bob", "/f") is not None
    assert feeder.catalog.partial("ada", "/t") is not None


def test_removing_or_renaming_a_file_leaves_the_partial_upload_at_its_path(feeder: Feeder) -> None:
    feeder.all(put("/f", 1), partial("/f", 2), command("rename", source="/f", target="/g"))
    assert feeder.catalog.partial("ada", "/f") is not None
    assert feeder.catalog.partial("ada", "/g") is None
    feeder.all(put("/h", 1), partial("/h", 2), remove("/h"))
    assert feeder.catalog.partial("ada", "/h") is not None


def test_quota_of_the_owner(level_1: Feeder) -> None:
    level_1.one(user("ada", 30))
    assert level_1.status(put("/f", 1, 2)) == "OK"
    assert level_1.status(put("/g", 3, 4)) == "QUOTA"
    assert level_1.status(put("/g", 3)) == "OK"
    assert level_1.status(put("/h", 5)) == "QUOTA"
    assert level_1.status(put("/f", 6, 7)) == "OK"
    assert level_1.status(put("/f", 6, 7, 8)) == "QUOTA"
    assert level_1.status(put("/h", 5, owner="bob")) == "OK"
    assert level_1.status(put("/h", 5)) == "QUOTA"
    assert level_1.status(put("/empty")) == "OK"
    assert level_1.catalog.usage("ada").bytes == 30
    level_1.one(remove("/g"))
    assert level_1.status(put("/h", 5)) == "OK"
    assert level_1.catalog.usage("bob").bytes == 0


def test_quota_within_one_log_entry_and_changed_in_it(level_1: Feeder) -> None:
    results = level_1.all(
        user("ada", 20), put("/1", 1), put("/2", 2), put("/3", 3), user("ada", 30), put("/4", 4), user("ada", 0)
    )
    assert [commands.Status.Name(result.status) for result in results][1:6] == ["OK", "OK", "QUOTA", "OK", "OK"]
    assert level_1.status(put("/5", 5)) == "OK"


def test_files_above_a_lowered_quota_may_shrink_but_not_grow(level_1: Feeder) -> None:
    level_1.all(put("/f", 1, 2, 3), user("ada", 10))
    assert level_1.status(put("/f", 1, 2)) == "OK"
    assert level_1.status(put("/f", 1, 2, 3)) == "QUOTA"


def test_partial_uploads_have_an_allowance_of_the_same_size(level_1: Feeder) -> None:
    level_1.one(user("ada", 20))
    assert level_1.status(put("/f", 1, 2)) == "OK"
    assert level_1.status(partial("/f", 1)) == "OK"
    assert level_1.status(partial("/g", 2)) == "OK"
    assert level_1.status(partial("/h", 3)) == "QUOTA"
    assert level_1.status(partial("/g", 3)) == "OK"
    assert level_1.status(partial("/g", 3, 4)) == "QUOTA"
    assert level_1.catalog.usage("ada").bytes == 20


def test_sizes_too_large_to_add_up_are_refused(feeder: Feeder) -> None:
    huge = 2**32 - 1
    chunks = [chunk(1, huge)] * 2**10
    assert feeder.status(put("/f", chunks=chunks, size=huge * 2**10)) == "OK"
    assert feeder.catalog.usage("ada").bytes == huge * 2**10


def test_names_outside_ascii(feeder: Feeder) -> None:
    feeder.make("/Bilder ü")
    feeder.one(put("/Bilder ü/日本 🎉.jpg", 1))
    assert feeder.catalog.lookup("/Bilder ü/日本 🎉.jpg").name == "日本 🎉.jpg"
