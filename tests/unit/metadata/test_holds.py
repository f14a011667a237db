"""Holds: while one is in force no store begins to remove chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, command, put

from raftstore.metadata.tables.contents.holds import MAX_HOLDS, Holds
from raftstore.wire import commands_pb2 as commands

MINUTE = 60 * 10**9


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        made.one(put("/a.jpg", 1, 2))
        made.one(command("advance_clock", time_ns=NOW, limit=16))
        yield made


def hold(number: int = 1, minutes: int = 5, *, renew: bool = False) -> commands.Command:
    return command("hold_chunks", id=bytes([number]) * 16, lease_ns=minutes * MINUTE, renew=renew)


SWEEP = command("begin_sweep", store=1)


def advance(feeder: Feeder, minutes: int) -> None:
    """Move the clock in steps that are no standstill."""
    for minute in range(minutes):
        now = feeder.catalog.ask(Holds, lambda holds: holds._clock.now_ns)
        assert feeder.one(command("advance_clock", time_ns=now + MINUTE, limit=16)).finished, minute


def test_no_sweep_begins_while_one_is_in_force(feeder: Feeder) -> None:
    assert feeder.status(SWEEP) == "OK"
    swept = feeder.catalog.swept()[1]
    assert feeder.status(hold()) == "OK"
    assert feeder.status(SWEEP) == "CHANGED"
    assert feeder.catalog.swept()[1] == swept
    assert feeder.status(command("end_hold", id=bytes([1]) * 16)) == "OK"
    assert feeder.status(SWEEP) == "OK"
    assert feeder.catalog.swept()[1] == feeder.index


def test_a_lease_that_is_over_ends_with_the_sweep_that_finds_it(feeder: Feeder) -> None:
    assert feeder.status(hold(minutes=5)) == "OK"
    advance(feeder, 4)
    assert feeder.status(SWEEP) == "CHANGED"
    assert feeder.status(hold(minutes=5, renew=True)) == "OK"
    advance(feeder, 4)
    assert feeder.status(SWEEP) == "CHANGED"
    advance(feeder, 4)
    assert not feeder.catalog.ask(Holds, Holds.in_force)
    # Nothing was removed since: who is late may still renew it.
    assert feeder.status(hold(minutes=5, renew=True)) == "OK"
    advance(feeder, 8)
    assert feeder.status(SWEEP) == "OK"
    assert feeder.status(hold(renew=True)) == "NOT_FOUND"


def test_a_standstill_of_the_clock_does_not_count(feeder: Feeder) -> None:
    assert feeder.status(hold(minutes=5)) == "OK"
    feeder.one(command("advance_clock", time_ns=NOW + 3600 * 10**9, limit=16))
    assert feeder.status(SWEEP) == "CHANGED"
    advance(feeder, 6)
    assert feeder.status(SWEEP) == "OK"


def test_bounds(feeder: Feeder) -> None:
    for number in range(MAX_HOLDS):
        assert feeder.status(hold(number)) == "OK"
    assert feeder.status(hold(99)) == "QUOTA"
    assert feeder.status(hold(0)) == "OK"
    assert feeder.status(hold(0, minutes=61)) == "INVALID"
    assert feeder.status(command("hold_chunks", id=b"short", lease_ns=1)) == "INVALID"
    assert feeder.status(command("begin_sweep", store=9)) == "INVALID"
