"""Directories, renames and times: what each command does and when it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, command, put

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.types import Entry, Kind
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


def mkdir(path: str) -> commands.Command:
    return command("make_directory", path=path, owner="ada")


def names(feeder: Feeder, path: str) -> list[str]:
    return [entry.name for entry in feeder.catalog.listing(path)]


def test_a_new_catalog_has_an_empty_root(feeder: Feeder) -> None:
    root = feeder.catalog.lookup("/")
    assert root == Entry("", Kind.DIRECTORY, 1, 0, 0, "", 0)
    assert feeder.catalog.listing("/") == []
    assert feeder.catalog.totals() == (0, 0)


def test_make_directory(feeder: Feeder) -> None:
    result = feeder.one(command("make_directory", path="/a", owner="ada"))
    entry = feeder.catalog.lookup("/a")
    assert entry == Entry("a", Kind.DIRECTORY, result.inode, 0, NOW + feeder.index - 1, "ada", feeder.index)
    assert feeder.catalog.listing("/") == [entry]
    assert result.index == feeder.index


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", "EXISTS"),
        ("/a", "EXISTS"),
        ("/f", "EXISTS"),
        ("/x/y", "NO_PARENT"),
        ("/f/y", "NOT_A_DIRECTORY"),
        ("/a/..", "BAD_NAME"),
        ("/a/", "BAD_NAME"),
        ("//b", "BAD_NAME"),
        ("a", "BAD_NAME"),
        ("", "BAD_NAME"),
        ("/a/b\nc", "BAD_NAME"),
        ("/a/" + "x" * 256, "BAD_NAME"),
        ("/a" * 129, "BAD_NAME"),
        ("/a/" + "é" * 128, "BAD_NAME"),
    ],
)
def test_make_directory_refused(feeder: Feeder, path: str, status: str) -> None:
    feeder.make("/a")
    feeder.one(put("/f", 1))
    before = names(feeder, "/")
    assert feeder.status(mkdir(path)) == status
    assert names(feeder, "/") == before


def test_the_deepest_path_is_taken_and_one_more_level_is_not(feeder: Feeder) -> None:
    path = ""
    for _ in range(128):
        path += "/d"
        feeder.make(path)
    assert feeder.catalog.lookup(path).is_directory
    assert feeder.status(mkdir(path + "/d")) == "BAD_NAME"


def test_remove_directory(feeder: Feeder) -> None:
    feeder.make("/a", "/a/b")
    assert feeder.status(command("remove_directory", path="/a")) == "NOT_EMPTY"
    assert feeder.status(command("remove_directory", path="/")) == "INVALID"
    assert feeder.status(command("remove_directory", path="/c")) == "NOT_FOUND"
    assert feeder.status(command("remove_directory", path="/c/d")) == "NOT_FOUND"
    feeder.one(put("/a/f", 1))
    assert feeder.status(command("remove_directory", path="/a/f")) == "NOT_A_DIRECTORY"
    assert feeder.status(command("remove_directory", path="/a/f/g")) == "NOT_A_DIRECTORY"
    assert feeder.status(command("remove_directory", path="/a/b")) == "OK"
    assert feeder.status(mkdir("/a/b/c")) == "NO_PARENT"
    with pytest.raises(NotFound):
        feeder.catalog.lookup("/a/b")


def test_a_directory_made_again_is_another_one(feeder: Feeder) -> None:
    feeder.make("/a")
    first = feeder.catalog.lookup("/a").inode
    feeder.all(command("remove_directory", path="/a"), mkdir("/a"))
    assert feeder.catalog.lookup("/a").inode > first


def test_rename_moves_a_whole_directory_by_one_row(feeder: Feeder) -> None:
    feeder.make("/a", "/a/b", "/z")
    feeder.one(put("/a/b/f", 1))
    file = feeder.catalog.lookup("/a/b/f")
    assert feeder.status(command("rename", source="/a", target="/z/n")) == "OK"
    assert feeder.catalog.lookup("/z/n/b/f") == file
    for path in ("/a", "/a/b", "/a/b/f"):
        with pytest.raises(NotFound):
            feeder.catalog.lookup(path)
    feeder.make("/a")
    assert names(feeder, "/a") == []


def test_rename_of_a_file_replaces_a_file(feeder: Feeder) -> None:
    feeder.make("/a")
    feeder.all(put("/f", 1), put("/a/g", 2, 3, owner="bob"))
    source = feeder.catalog.file("/f")
    assert feeder.status(command("rename", source="/f", target="/a/g")) == "OK"
    target = feeder.catalog.file("/a/g")
    assert (target.entry.inode, target.chunks) == (source.entry.inode, source.chunks)
    assert names(feeder, "/") == ["a"]
    assert feeder.catalog.totals() == (1, 10)
    assert feeder.catalog.usage("bob").bytes == 0


@pytest.mark.parametrize(
    ("source", "target", "status"),
    [
        ("/", "/x", "INVALID"),
        ("/x", "/y", "NOT_FOUND"),
        ("/x", "/x", "NOT_FOUND"),
        ("/f/x", "/y", "NOT_A_DIRECTORY"),
        ("/f", "/", "EXISTS"),
        ("/f", "/a", "EXISTS"),
        ("/a", "/f", "EXISTS"),
        ("/a", "/b", "EXISTS"),
        ("/a", "/a/x", "CYCLE"),
        ("/a", "/a/a2/x", "CYCLE"),
        ("/f", "/x/y", "NO_PARENT"),
        ("/f", "/g/y", "NOT_A_DIRECTORY"),
        ("/f", "/f/y", "NOT_A_DIRECTORY"),
        ("/f", "/a/.", "BAD_NAME"),
        ("/f", "/f", "OK"),
        ("/a", "/a", "OK"),
        ("/a", "/ab", "OK"),
    ],
)
def test_rename_refused_or_nothing_to_do(feeder: Feeder, source: str, target: str, status: str) -> None:
    feeder.make("/a", "/a/a2", "/b")
    feeder.all(put("/f", 1), put("/g", 2))
    before = feeder.catalog.listing("/")
    assert feeder.status(command("rename", source=source, target=target)) == status
    if status != "OK" or source == target:
        assert feeder.catalog.listing("/") == before


def test_set_times(feeder: Feeder) -> None:
    feeder.make("/a")
    feeder.one(put("/a/f", 1))
    version = feeder.catalog.lookup("/a/f").version
    assert feeder.status(command("set_times", path="/a/f", mtime_ns=-5)) == "OK"
    entry = feeder.catalog.lookup("/a/f")
    assert (entry.mtime_ns, entry.version) == (-5, version)
    for path in ("/a", "/"):
        assert feeder.status(command("set_times", path=path, mtime_ns=7)) == "OK"
        assert feeder.catalog.lookup(path).mtime_ns == 7
    assert feeder.status(command("set_times", path="/x", mtime_ns=7)) == "NOT_FOUND"


def test_directories_take_the_time_of_the_change_of_their_entries(feeder: Feeder) -> None:
    feeder.make("/a", "/b")
    for built, changed in (
        (put("/a/f", 1), ["/a"]),
        (put("/a/f", 2), ["/a"]),
        (command("rename", source="/a/f", target="/b/f"), ["/a", "/b"]),
        (command("remove_file", path="/b/f"), ["/b"]),
        (mkdir("/a/c"), ["/a"]),
        (command("remove_directory", path="/a/c"), ["/a"]),
    ):
        time_ns = NOW + feeder.index
        assert feeder.status(built) == "OK"
        assert [path for path in ("/a", "/b") if feeder.catalog.lookup(path).mtime_ns == time_ns] == changed


def test_times_set_after_a_change_in_the_same_entry_stay(feeder: Feeder) -> None:
    feeder.make("/a")
    feeder.all(put("/a/f", 1), command("set_times", path="/a", mtime_ns=5))
    assert feeder.catalog.lookup("/a").mtime_ns == 5
    feeder.all(command("set_times", path="/a", mtime_ns=6), put("/a/g", 1))
    assert feeder.catalog.lookup("/a").mtime_ns == NOW + feeder.index - 1


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/x", NotFound),
        ("/x/y", NotFound),
        ("/f/y", NotADirectory),
        ("/f/", BadName),
        ("/a/", BadName),
        ("//", BadName),
        ("", BadName),
        ("f", BadName),
        ("/a/\udcff", BadName),
        ("/\udcff/a", BadName),
    ],
)
def test_lookup_refuses(feeder: Feeder, path: str, error: type[Exception]) -> None:
    feeder.make("/a")
    feeder.one(put("/f", 1))
    with pytest.raises(error):
        feeder.catalog.lookup(path)
    with pytest.raises(error):
        feeder.catalog.listing(path)
    with pytest.raises(error):
        feeder.catalog.file(path)


def test_listing_is_in_the_order_of_names(feeder: Feeder) -> None:
    made = ["b", "a", "Z", "é", "z", "a b", "日本", "~", "0"]
    feeder.make(*(f"/{name}" for name in made))
    assert names(feeder, "/") == sorted(made)
    with pytest.raises(NotADirectory):
        feeder.one(put("/file", 1))
        feeder.catalog.listing("/file")
