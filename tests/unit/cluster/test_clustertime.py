"""When the leader moves cluster time, and to where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder

from raftstore.cluster.clustertime import IDLE, ClusterTime, due
from raftstore.cluster.status.health import Report
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.cluster.clock import STEP, Clock
from raftstore.types import NodeStatus
from raftstore.util.space import Space
from raftstore.wire import commands_pb2 as commands

SECOND = 10**9
DAY = 86_400 * SECOND


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


class Leader:
    """The leader's part over a real catalog; proposals are applied at once."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.leads = True
        self.readings: list[int | None] = [NOW, NOW, NOW]
        self.proposed: list[int] = []
        self.time = ClusterTime(
            catalog=feeder.catalog,
            leads=lambda: self.leads,
            readings=lambda: self.readings,
            propose=self.propose,
        )

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed.append(command.advance_clock.time_ns)
        return accepted(self.feeder.one(command).SerializeToString())

    def look(self, *readings: int | None) -> int:
        """Look with these clocks; return cluster time."""
        self.readings = list(readings)
        asyncio.run(self.time.look())
        return self.feeder.catalog.ask(Clock, lambda clock: clock.now_ns)


def test_one_wrong_clock_also_the_leaders_moves_nothing(feeder: Feeder) -> None:
    leader = Leader(feeder)
    for wrong in (10 * DAY, -10 * DAY):
        for place in range(3):
            readings: list[int | None] = [NOW, NOW, NOW]
            readings[place] = NOW + wrong
            assert leader.look(*readings) == NOW


def test_it_stands_still_while_the_clocks_disagree_and_goes_on_afterwards(feeder: Feeder) -> None:
    leader = Leader(feeder)
    leader.look(NOW, NOW, NOW)
    later = NOW + 5 * DAY
    assert leader.look(later, later + 10 * DAY, None) == NOW
    assert leader.look(later, None, None) == NOW
    assert leader.look(later, later, None) == later


def test_it_never_goes_back(feeder: Feeder) -> None:
    leader = Leader(feeder)
    leader.look(NOW, NOW, NOW)
    assert leader.look(NOW - DAY, NOW - DAY, NOW - DAY) == NOW
    assert leader.proposed == [NOW]
    feeder.one(commands.Command(advance_clock=commands.AdvanceClock(time_ns=NOW - DAY, limit=1)))
    assert feeder.catalog.ask(Clock, lambda clock: clock.now_ns) == NOW


def test_with_nothing_to_expire_it_is_a_command_a_minute(feeder: Feeder) -> None:
    leader = Leader(feeder)
    for second in range(301):
        leader.look(*[NOW + second * SECOND] * 3)
    assert leader.proposed == [NOW + minute * 60 * SECOND for minute in range(6)]
    assert IDLE < STEP, "or each of these would be a standstill"


def test_who_does_not_lead_and_who_is_of_an_earlier_level_tells_nothing(tmp_path: Path, feeder: Feeder) -> None:
    leader = Leader(feeder)
    leader.leads = False
    assert leader.look(NOW, NOW, NOW) == 0
    with Feeder(tmp_path / "level2" / "catalog.db", level=2) as earlier:
        leader = Leader(earlier)
        leader.look(NOW, NOW, NOW)
        assert not leader.proposed


def test_when_it_is_due() -> None:
    assert due(NOW, NOW + 1, something_due=True)
    assert not due(NOW, NOW, something_due=True)
    assert not due(NOW, NOW + IDLE - 1, something_due=False)
    assert due(NOW, NOW + IDLE, something_due=False)


def test_a_reading_goes_on_by_a_clock_that_nobody_sets() -> None:
    """Were the others' clocks kept as differences from this node's, setting that one would move them all."""
    heard = Report(NodeStatus("n2", ""), "", (), b"", 0, Space.ENOUGH, 1000.0, 0.0, NOW)
    assert heard.reading(1004.5) == NOW + 4_500_000_000
    untold = Report(NodeStatus("n2", ""), "", (), b"", 0, Space.ENOUGH, time.monotonic())
    assert untold.reading(time.monotonic()) is None
