"""Partial uploads age by ticks of the log, and go by a command of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, command, partial, put

from raftstore.metadata.tables.names import partials as module
from raftstore.types import Wanted
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog" / "catalog.db") as made:
        yield made


def expire(feeder: Feeder, tick: int, keep: int = 3, limit: int = 256) -> int:
    built = command("expire_partials", tick=tick, keep=keep, limit=limit)
    return feeder.one(built).status


def left(feeder: Feeder) -> list[str]:
    return [found.path for found in feeder.catalog.partials((0, "", ""), 1000)]


def test_what_nothing_was_added_to_for_long_enough_goes(feeder: Feeder) -> None:
    feeder.all(partial("/old", 1, 2), partial("/again", 3), put("/published", 1))
    assert expire(feeder, 1) == commands.OK
    feeder.all(partial("/young", 4), partial("/again", 3, 5))
    assert feeder.catalog.partial_totals() == (3, 20 + 20 + 10)
    for tick in (2, 3):
        assert not feeder.catalog.partials_due(3)
        assert expire(feeder, tick) == commands.OK
    assert left(feeder) == ["/again", "/young"], "three ticks have begun since /old was put"
    assert feeder.catalog.partial("ada", "/old") is None
    assert feeder.catalog.partial_totals() == (2, 30)
    assert expire(feeder, 4) == commands.OK
    assert left(feeder) == []
    assert feeder.catalog.partial_totals() == (0, 0)
    assert feeder.catalog.lookup("/published").size == 10
    assert feeder.catalog.usage("ada").files == 1
    assert feeder.catalog.short_count(Wanted(1, 1), [1, 2, 3]) == 0


def test_the_time_of_day_makes_nothing_older(feeder: Feeder) -> None:
    """A proposer's clock that is a year behind, or ahead, changes neither what goes nor when."""
    for year in (-1, 1):
        operation = feeder.operation(partial(f"/of{year}", 1))
        operation.time_ns = NOW + year * 365 * 86_400 * 10**9
        feeder.apply(operation)
    for tick in (1, 2):
        assert expire(feeder, tick) == commands.OK
        assert left(feeder) == ["/of-1", "/of1"]
    assert expire(feeder, 3) == commands.OK
    assert left(feeder) == []


def test_a_tick_begins_once_whoever_says_so(feeder: Feeder) -> None:
    feeder.one(partial("/a", 1))
    for tick, status in ((0, "OK"), (1, "OK"), (1, "OK"), (3, "CHANGED"), (0, "CHANGED"), (2, "OK")):
        before = feeder.catalog.partial_tick()
        assert expire(feeder, tick) == commands.Status.Value(status), tick
        assert feeder.catalog.partial_tick() == (tick if status == "OK" else before)
    assert left(feeder) == ["/a"]


@pytest.mark.parametrize(("keep", "limit"), [(0, 1), (1, 0), (1, 257)])
def test_senseless_commands_are_refused_and_count_nothing(feeder: Feeder, keep: int, limit: int) -> None:
    feeder.one(partial("/a", 1))
    assert expire(feeder, 1, keep, limit) == commands.INVALID
    assert feeder.catalog.partial_tick() == 0
    assert left(feeder) == ["/a"]


def test_one_command_is_bounded_by_names_and_by_bytes(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    feeder.all(*(partial(f"/{number}", number) for number in range(5)))
    assert expire(feeder, 1, 1, 2) == commands.OK
    assert left(feeder) == ["/2", "/3", "/4"], "the first two by name"
    assert feeder.catalog.partials_due(1)
    monkeypatch.setattr(module, "MAX_EXPIRED_BYTES", 15)
    assert expire(feeder, 1, 1) == commands.OK
    assert left(feeder) == ["/3", "/4"]
    monkeypatch.setattr(module, "MAX_EXPIRED_BYTES", 5)
    assert expire(feeder, 1, 1) == commands.OK, "the first goes, however large it is"
    assert left(feeder) == ["/4"]


def test_they_age_from_the_level_on_that_brings_it(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", level=1) as feeder:
        feeder.one(partial("/before", 1))
        assert feeder.catalog.partial_tick() is None
        assert not feeder.catalog.partials_due(1)
        assert expire(feeder, 1) == commands.INVALID, "an unknown command, to every version of then"
        assert left(feeder) == ["/before"]
        assert feeder.one(command("set_level", level=2)).status == commands.OK
        assert feeder.catalog.partial_tick() == 0
        feeder.one(partial("/after", 2))
        feeder.reopen()
        assert feeder.catalog.partial_totals() == (2, 20)
        assert expire(feeder, 1, 2) == commands.OK
        assert left(feeder) == ["/after", "/before"]
        feeder.reopen()
        assert expire(feeder, 2, 2) == commands.OK
        assert left(feeder) == []


def test_they_are_told_a_page_at_a_time(feeder: Feeder) -> None:
    feeder.all(command("make_directory", path="/d", owner="ada"))
    paths = ["/a", "/b", "/d/c", "/d/e"]
    feeder.all(*(partial(path, 1, owner=owner) for path in paths for owner in ("ada", "bob")))
    expire(feeder, 1)
    found, after = [], (0, "", "")
    while page := feeder.catalog.partials(after, 3):
        found += page
        after = page[-1].place
    assert [(one.path, one.owner) for one in found] == [(p, o) for p in paths for o in ("ada", "bob")]
    assert {(one.size, one.age) for one in found} == {(10, 1)}
    assert all(NOW < one.mtime_ns < NOW + 100 for one in found)
