"""When partial uploads expire: what a leader tells the log, by its own clock that nobody sets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, partial

from raftstore.cluster.expiry import PartialExpiry
from raftstore.cluster.ticks import KEEP, TICKS, Ticks
from raftstore.errors import Changed
from raftstore.metadata.results import accepted
from raftstore.wire import commands_pb2 as commands


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_tick_is_due_a_period_after_it_was_first_seen() -> None:
    clock = Clock()
    ticks = Ticks(10.0, clock)
    assert not ticks.due(7)
    clock.now += 9.9
    assert not ticks.due(7)
    clock.now += 0.1
    assert ticks.due(7) and ticks.due(7), "until it has begun"
    assert not ticks.due(8)
    clock.now += 9.9
    assert not ticks.due(9), "another leader was faster: its tick counts from when it was seen"
    clock.now += 10
    assert ticks.due(9)


def test_a_new_leader_counts_anew() -> None:
    clock = Clock()
    ticks = Ticks(10.0, clock)
    ticks.due(7)
    clock.now += 1e6
    ticks.forget()
    assert not ticks.due(7), "nobody knows how long the other one has led"
    clock.now += 10
    assert ticks.due(7)


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


class Leader:
    """An expiry over a real catalog; proposals are applied at once."""

    def __init__(self, feeder: Feeder, kept: float) -> None:
        self.feeder = feeder
        self.leads = True
        self.proposed: list[commands.ExpirePartials] = []
        self.expiry = PartialExpiry(
            kept, catalog=feeder.catalog, leads=lambda: self.leads, propose=self.propose
        )
        self.clock = Clock()
        self.expiry._ticks = Ticks(kept / TICKS, self.clock)

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed.append(command.expire_partials)
        return accepted(self.feeder.one(command).SerializeToString())

    def look(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        asyncio.run(self.expiry.look())


def test_what_is_kept_long_enough_goes_and_not_a_tick_earlier(feeder: Feeder) -> None:
    leader = Leader(feeder, kept=168.0)
    feeder.one(partial("/a", 1))
    leader.look()
    for _ in range(TICKS):
        leader.look(1.0)
    assert feeder.catalog.partial_tick() == TICKS
    assert feeder.catalog.partial_totals() == (1, 10)
    assert {(command.keep, command.limit) for command in leader.proposed} == {(KEEP, 256)}
    leader.look(1.0)
    assert feeder.catalog.partial_totals() == (0, 0)
    leader.look(1.0)
    assert len(leader.proposed) == KEEP, "with nothing that ages nothing is written to the log"


def test_much_that_is_due_goes_command_by_command(feeder: Feeder) -> None:
    leader = Leader(feeder, kept=168.0)
    feeder.all(*(partial(f"/{number:03}", 1) for number in range(600)))
    leader.look()
    for _ in range(KEEP):
        leader.look(1.0)
    assert feeder.catalog.partial_totals()[0] == 600 - 256
    leader.look()
    leader.look()
    assert feeder.catalog.partial_totals()[0] == 0
    assert [command.tick for command in leader.proposed[-3:]] == [KEEP] * 3


def test_who_does_not_lead_tells_nothing_and_begins_anew(feeder: Feeder) -> None:
    leader = Leader(feeder, kept=168.0)
    feeder.one(partial("/a", 1))
    leader.look()
    leader.leads = False
    leader.look(1e6)
    leader.leads = True
    leader.look(0.9)
    assert not leader.proposed
    leader.look(1.0)
    assert len(leader.proposed) == 1


def test_at_level_1_nothing_is_told(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db", level=1) as feeder:
        leader = Leader(feeder, kept=168.0)
        feeder.one(partial("/a", 1))
        for _ in range(3):
            leader.look(1e6)
        assert not leader.proposed


def test_another_leader_that_was_faster_is_no_failure(feeder: Feeder) -> None:
    leader = Leader(feeder, kept=168.0)
    feeder.one(partial("/a", 1))
    leader.look()

    async def refused(_: commands.Command) -> object:
        raise Changed("tick 1 is the present one")

    leader.expiry._propose = refused
    leader.look(1.0)
    assert feeder.catalog.partial_tick() == 0
