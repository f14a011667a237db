"""Repair goes on with what it can help while something else cannot be helped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from catalogs import Feeder, chunk, command, digest

from raftstore.chunks.topology import ClusterView, StoreState
from raftstore.cluster import repair
from raftstore.cluster.repair import BATCH, Copy, Repairer, promising
from raftstore.types import ChunkRef


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


def test_chunks_that_cannot_be_helped_do_not_stand_before_those_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Store 2 was away for a moment, and since then store 3: what lies on 1 and 3 has a single copy left to read."""
    monkeypatch.setattr(repair, "PERIOD", 0.001)
    copied: list[Copy] = []

    async def scenario(feeder: Feeder) -> None:
        done = asyncio.Event()

        async def copy(wanted: Copy) -> None:
            copied.append(wanted)
            done.set()

        repairer = Repairer(
            leads=lambda: True,
            view=lambda: view(store(1), store(2), store(3, reachable=False)),
            short=feeder.catalog.short_chunks,
            copy=copy,
            done=lambda digest, number: None,
        )
        repairer.start()
        await asyncio.wait_for(done.wait(), 60)
        await repairer.stop()

    with Feeder(tmp_path / "catalog.db") as feeder:
        for seed in range(2 * BATCH):
            feeder.one(command("put_file", path=f"/{seed}", size=10, chunks=[chunk(seed, stores=(1, 2))]))
        feeder.one(command("put_file", path="/early", size=10, chunks=[chunk(1000, stores=(1, 3))]))
        asyncio.run(scenario(feeder))
    assert [(one.chunk.digest, one.target.number) for one in copied] == [(digest(1000), 2)]


def test_repair_survives_what_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "PERIOD", 0.001)

    async def scenario() -> None:
        again = asyncio.Event()
        rounds = 0

        def short(*_: object) -> list[ChunkRef]:
            nonlocal rounds
            rounds += 1
            if rounds == 1:
                raise KeyError("unforeseen")
            again.set()
            return []

        async def copy(wanted: Copy) -> None:
            raise AssertionError(wanted)

        repairer = Repairer(
            leads=lambda: True,
            view=lambda: view(store(1)),
            short=short,
            copy=copy,
            done=lambda digest, number: None,
        )
        repairer.start()
        await asyncio.wait_for(again.wait(), 60)
        await repairer.stop()

    asyncio.run(scenario())
