"""Repair: who makes which copies, and that it goes on with what it can help while something else cannot be helped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from catalogs import Feeder, chunk, command, digest

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs.repair import Repair, plan, promising, still_lost
from raftstore.cluster.jobs.task import Task
from raftstore.cluster.replicas.copier import Copier
from raftstore.errors import Unavailable
from raftstore.types import ChunkRef
from raftstore.util.limits.throttle import Throttle
from raftstore.wire import commands_pb2 as commands


def view(*stores: StoreState) -> ClusterView:
    return ClusterView(stores, nodes=len(stores), replicas=3)


def store(number: int, **changes: object) -> StoreState:
    return StoreState(number, f"n{number}", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("third", "stores", "expected"),
    [
        (store(3), (1, 2), True),
        (store(3), (1, 2, 3), False),
        (store(3), (9,), False),
        (store(3), (), False),
        (store(3, reachable=False), (1, 2), False),
        (store(3, reachable=False), (3,), False),
        (store(3, writable=False), (1, 2), False),
        (store(3, free_bytes=1000), (1, 2), False),
    ],
)
def test_what_can_be_helped(third: StoreState, stores: tuple[int, ...], expected: bool) -> None:
    assert promising(view(store(1), store(2), third), stores) is expected


def targets(cluster: ClusterView, stores: tuple[int, ...], lost: tuple[int, ...] = ()) -> set[int]:
    return {
        copy.target.number for copy in plan(cluster, [ChunkRef(digest(1), 10, stores, cluster.copies)], lost)
    }


def test_who_gets_a_copy() -> None:
    four = view(store(1), store(2), store(3), store(4))
    assert targets(four, (1, 2, 3)) == set()
    assert len(targets(four, (1, 2))) == 1
    assert targets(four, (1, 2, 3), lost=(2,)) == {4}
    assert targets(view(store(1), store(2), store(3), store(4, leaving=True, writable=False)), (1, 2, 4)) == {3}
    assert targets(view(store(1, reachable=False), store(2)), (1,)) == set()


class Notes:
    """Takes note of copies."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, int]] = []

    def added(self, name: bytes, number: int, since: int) -> None:
        assert since > 0
        self.taken.append((name, number))

    async def flushed(self, timeout: float) -> None:
        assert timeout > 0


def repaired(
    feeder: Feeder, cluster: ClusterView, bad: Sequence[int] = (), upto: int = 10**6
) -> tuple[Notes, Task]:
    """Do a repair at the local store of `cluster`; copies of the chunks `bad` fail."""

    async def copy(name: bytes, length: int, sources: Sequence[int]) -> None:
        await asyncio.sleep(0)
        if name in {digest(seed) for seed in bad}:
            raise Unavailable("no source")

    async def scenario() -> tuple[Notes, Task]:
        notes, task = Notes(), Task()
        copier = Copier(
            applied_index=lambda: feeder.catalog.applied_index,
            copy=copy,
            recorder=notes,
            throttle=Throttle(1e12),
        )
        await Repair(lambda: cluster, feeder.catalog, copier).run(commands.Job(upto=upto), task)
        return notes, task

    return asyncio.run(scenario())


@pytest.mark.slow
def test_chunks_that_cannot_be_helped_do_not_stand_before_those_that_can(tmp_path: Path) -> None:
    """Store 2 was away for a moment, and since then store 3: what lies on 1 and 3 has a single copy left to read."""
    with Feeder(tmp_path / "catalog.db") as feeder:
        for seed in range(600):
            feeder.one(command("put_file", path=f"/{seed}", size=10, chunks=[chunk(seed, stores=(1, 2))]))
        feeder.one(command("put_file", path="/early", size=10, chunks=[chunk(1000, stores=(1, 3))]))
        notes, task = repaired(feeder, view(store(1), store(2, local=True), store(3, reachable=False)))
    assert notes.taken == [(digest(1000), 2)]
    assert (task.counts["copied"], task.counts["failed"], task.done) == (1, 0, task.total)


def test_a_copy_that_fails_is_counted_and_holds_nobody_up(tmp_path: Path) -> None:
    with Feeder(tmp_path / "catalog.db") as feeder:
        for seed in range(20):
            feeder.one(command("put_file", path=f"/{seed}", size=10, chunks=[chunk(seed, stores=(1, 2))]))
        cluster = view(store(1), store(2), store(3, local=True))
        notes, task = repaired(feeder, cluster, bad=(3, 4))
        assert len(notes.taken) == 18
        assert (task.counts["copied"], task.counts["failed"]) == (18, 2)
        # Younger chunks may have copies on their way.
        assert len(repaired(feeder, cluster, upto=5)[0].taken) == 5


def test_what_was_lost_and_has_come_back_counts_again() -> None:
    job = commands.Job(without=[2, 3, 9])
    assert still_lost(job, view(store(1), store(2), store(3, reachable=False))) == {3, 9}
