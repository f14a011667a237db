"""What a node with a failed disk says of itself, and what the others make of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raftstore.chunks.placement.placement import place
from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs.repair import plan
from raftstore.store.opendisk import OpenDisk
from raftstore.types import ChunkRef

FREE, RESERVE = 1 << 40, 1000


def free_space(*, failed: bool) -> int:
    volumes = SimpleNamespace(stats=lambda: SimpleNamespace(failed=failed, disk_free=FREE))
    return OpenDisk.free_space(SimpleNamespace(volumes=volumes, settings=SimpleNamespace(reserve=RESERVE)))  # type: ignore[arg-type]


def view(of: str, failed: str) -> ClusterView:
    """The view of node `of`, as LiveTopology has it: that a store is not writable is known at home only."""
    names = ("n1", "n2", "n3", "n4")
    stores = tuple(
        StoreState(
            number,
            name,
            local=name == of,
            free_bytes=free_space(failed=name == failed),
            writable=not (name == of == failed),
        )
        for number, name in enumerate(names, 1)
    )
    return ClusterView(stores, nodes=4)


def test_a_disk_has_no_room_when_it_failed() -> None:
    assert free_space(failed=False) == FREE - RESERVE
    assert free_space(failed=True) == 0


@pytest.mark.parametrize("seed", range(8))
def test_all_agree_who_makes_the_copies_that_a_failed_disk_cannot_take(seed: int) -> None:
    """The leader hands the job to whom it takes for the target; that node makes only what is its own."""
    chunk = ChunkRef(bytes([seed]) * 32, 1000, (1, 2), 3)
    targets = [[copy.target.node for copy in plan(view(of, "n3"), [chunk])] for of in ("n1", "n2", "n3", "n4")]
    assert targets == [["n4"]] * 4
    assert "n3" not in {store.node for store in place(view("n1", "n3"), chunk.digest, 1000).order}
