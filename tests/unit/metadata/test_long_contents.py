"""Contents of many chunks: staged a slice at a time, taken over by number, given up a slice at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, chunk, command, digest, put

from raftstore.metadata.tables.contents import longcontents
from raftstore.types import Wanted
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    monkeypatch.setattr(longcontents, "SLICE", 2)
    with Feeder(tmp_path / "catalog.db") as running:
        yield running


def stage(feeder: Feeder, *seeds: int, content: int = 0, offset: int = 0, **fields: object) -> commands.Result:
    chunks = [chunk(seed) for seed in seeds]
    named = {"node": "n2", "boot": 1, "content": content, "offset": offset, "chunks": chunks, **fields}
    return feeder.one(command("stage_content", **named))


def staged(feeder: Feeder, *seeds: int) -> int:
    """Stage a content of so many chunks."""
    content = 0
    for offset in range(0, len(seeds), 2):
        content = stage(feeder, *seeds[offset : offset + 2], content=content, offset=offset).inode
    return content


def publish(path: str, content: int, size: int, **fields: object) -> commands.Command:
    return command("put_file", path=path, owner="ada", size=size, content=content, **fields)


def forget(feeder: Feeder, limit: int = 2) -> None:
    assert feeder.status(command("forget_contents", limit=limit)) == "OK"


def references(feeder: Feeder) -> dict[int, tuple[int, int]]:
    """Return by seed how often each chunk is referred to, and how many files begin with it."""
    database = sqlite3.connect(feeder.path)
    try:
        rows = database.execute("SELECT digest, refs, heads FROM chunks").fetchall()
    finally:
        database.close()
    return {int.from_bytes(name, "big"): (refs, heads) for name, refs, heads in rows}


def content(feeder: Feeder, path: str) -> list[int]:
    return [int.from_bytes(ref.digest, "big") for ref in feeder.catalog.file(path).chunks]


def test_nobody_sees_what_is_staged_but_its_chunks_stay(feeder: Feeder) -> None:
    number = staged(feeder, 1, 2, 3)
    assert references(feeder) == {1: (1, 0), 2: (1, 0), 3: (1, 0)}
    assert feeder.catalog.unlisted([digest(3)], 1) == []
    assert feeder.catalog.listing("/") == [] and feeder.catalog.usage("ada").bytes == 0
    assert [(one.content, one.node, one.boot, one.chunks, one.size) for one in feeder.catalog.staged()] == [
        (number, "n2", 1, 3, 30)
    ]
    feeder.reopen()
    result = feeder.one(publish("/big", number, 30))
    assert (result.status, result.inode) == (commands.OK, number), (
        "a new file is called by its content's number"
    )
    assert content(feeder, "/big") == [1, 2, 3]
    assert references(feeder)[1] == (1, 1)
    assert feeder.catalog.staged() == [] and feeder.catalog.usage("ada").bytes == 30
    assert feeder.status(publish("/again", number, 30)) == "CHANGED"


def test_a_file_keeps_its_inode_when_its_content_is_replaced(feeder: Feeder) -> None:
    inode = feeder.one(put("/f", 1)).inode
    assert feeder.one(publish("/f", staged(feeder, 1, 2, 3), 30)).inode == inode
    assert content(feeder, "/f") == [1, 2, 3] and references(feeder)[1] == (1, 1)
    assert feeder.one(publish("/f", staged(feeder, 4, 5, 6), 30)).inode == inode
    assert content(feeder, "/f") == [4, 5, 6] and feeder.catalog.leftovers == 1
    assert feeder.one(put("/f", 1)).inode == inode
    assert content(feeder, "/f") == [1] and feeder.catalog.leftovers == 2
    assert references(feeder) == {1: (2, 1), 2: (1, 0), 3: (1, 0), 4: (1, 0), 5: (1, 0), 6: (1, 0)}
    feeder.reopen()
    for _ in range(4):
        forget(feeder)
    assert references(feeder) == {1: (1, 1)} and feeder.catalog.leftovers == 0
    assert content(feeder, "/f") == [1]


def test_a_content_that_is_left_is_not_that_of_its_file_any_more(feeder: Feeder) -> None:
    """Also where it was called by the file's inode, and the file is empty now, or short."""
    inode = feeder.one(put("/f", 1, 2, 3)).inode
    assert feeder.one(put("/f")).inode == inode
    assert content(feeder, "/f") == [] and feeder.catalog.leftovers == 1
    assert feeder.status(put("/f")) == "OK" and feeder.catalog.leftovers == 1
    assert feeder.one(put("/f", 2)).inode == inode
    assert content(feeder, "/f") == [2] and references(feeder)[2] == (2, 1)
    assert feeder.status(put("/f", 4)) == "OK"
    assert references(feeder) == {1: (1, 0), 2: (1, 0), 3: (1, 0), 4: (1, 1)}
    assert feeder.status(command("remove_file", path="/f")) == "OK"
    forget(feeder)
    forget(feeder)
    assert references(feeder) == {} and feeder.catalog.leftovers == 0


@pytest.mark.parametrize("how", ["remove", "rename", "partial"])
def test_whatever_ends_a_long_content_leaves_it(feeder: Feeder, how: str) -> None:
    if how == "partial":
        keep = command("put_partial", path="/f", owner="ada", size=30, content=staged(feeder, 1, 2, 3))
        assert feeder.status(keep) == "OK"
        found = feeder.catalog.partial("ada", "/f")
        assert found is not None and [ref.digest for ref in found.chunks] == [digest(n) for n in (1, 2, 3)]
        assert feeder.status(command("drop_partial", path="/f", owner="ada")) == "OK"
    else:
        assert feeder.status(publish("/f", staged(feeder, 1, 2, 3), 30)) == "OK"
        feeder.one(put("/g", 9))
        ended = {"remove": {"path": "/f"}, "rename": {"source": "/g", "target": "/f"}}[how]
        assert feeder.status(command({"remove": "remove_file"}.get(how, how), **ended)) == "OK"
    assert feeder.catalog.leftovers == 1
    assert {heads for seed, (_, heads) in references(feeder).items() if seed < 9} == {0}
    forget(feeder)
    assert len([seed for seed in references(feeder) if seed < 9]) == 1
    forget(feeder)
    assert not [seed for seed in references(feeder) if seed < 9] and feeder.catalog.leftovers == 0
    forget(feeder)


@pytest.mark.parametrize("how", ["unstage", "boot", "members"])
def test_what_nobody_will_publish_is_left(feeder: Feeder, how: str) -> None:
    number, other = staged(feeder, 1, 2, 3), stage(feeder, 4, node="n3").inode
    feeder.status(command("unstage_content", node="n2", boot=2, content=number))
    assert len(feeder.catalog.staged()) == 2, "another boot's"
    if how == "unstage":
        assert feeder.status(command("unstage_content", node="n2", boot=1, content=number)) == "OK"
    elif how == "boot":
        assert stage(feeder, 1, boot=2).status == commands.OK
        assert stage(feeder, 2, boot=1).status == commands.STALE
        feeder.apply(feeder.operation(put("/g", 9), node="n2", boot=3))
    else:
        from raftstore.consensus.membership.configuration import Configuration

        feeder.index += 1
        feeder.catalog.configure(feeder.index, Configuration.of(["n1", "n3"]).encode())
        assert stage(feeder, 1).status == commands.INVALID
    assert [one.content for one in feeder.catalog.staged()] == [other]
    assert feeder.status(publish("/f", number, 30)) == "CHANGED"
    assert feeder.catalog.leftovers == (2 if how == "boot" else 1)


def test_a_slice_is_refused_that_does_not_fit(feeder: Feeder) -> None:
    number = stage(feeder, 1, 2).inode
    refused = commands.Status.Name
    assert refused(stage(feeder, 3, content=number, offset=1).status) == "CHANGED"
    assert refused(stage(feeder, 3, content=number, offset=2, node="n3").status) == "CHANGED"
    assert refused(stage(feeder, 3, content=number + 99, offset=2).status) == "CHANGED"
    assert refused(stage(feeder, content=number, offset=2).status) == "INVALID"
    assert refused(stage(feeder, 3, 4, 5, content=number, offset=2).status) == "INVALID"
    assert refused(stage(feeder, 3, node="").status) == "INVALID"
    nowhere = [chunk(7, stores=())]
    assert refused(stage(feeder, content=number, offset=2, **{"chunks": nowhere}).status) == "CHANGED"
    assert feeder.status(publish("/f", number, 30)) == "INVALID", "another size"
    assert feeder.status(publish("/f", number, 20, chunks=[chunk(1), chunk(2)])) == "INVALID"
    assert references(feeder) == {1: (1, 0), 2: (1, 0)} and len(feeder.catalog.staged()) == 1
    assert feeder.status(command("forget_contents", limit=3)) == "INVALID"


def test_copies_that_are_gone_when_it_is_published_do_not_count(feeder: Feeder) -> None:
    number = staged(feeder, 1, 2, 3)
    assert feeder.status(publish("/f", number, 30, quorum=4)) == "CHANGED"
    feeder.one(command("register_store", node="n3", identity=b"x" * 16))
    assert feeder.status(publish("/f", number, 30, quorum=3)) == "CHANGED"
    assert feeder.status(publish("/f", number, 30, quorum=2)) == "OK"


def test_files_that_are_short_of_copies_are_found_whatever_their_content_is_called(feeder: Feeder) -> None:
    feeder.one(put("/replaced", 8))
    for path, seeds in (("/replaced", (1, 2, 3)), ("/new", (4, 5, 6)), ("/left", (1, 2, 3))):
        assert feeder.status(publish(path, staged(feeder, *seeds), 30)) == "OK"
    assert feeder.status(put("/left", 9)) == "OK"
    staged(feeder, 1, 2, 3)
    change = [commands.ReplicaChange(digest=digest(n), store=1) for n in (3, 6)]
    assert feeder.status(command("change_replicas", removed=change)) == "OK"
    assert feeder.catalog.short_files(Wanted(3), [1, 2, 3], 10) == (2, ["/new", "/replaced"])
