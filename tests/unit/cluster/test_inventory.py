"""A node finds out by itself what its disk has lost, and takes no other disk for its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from raftstore.chunks.placement.placement import place
from raftstore.cluster.membership import bootstrap
from raftstore.cluster.replicas import inventory
from raftstore.cluster.replicas.inventory import take_inventory
from raftstore.cluster.replicas.view import LiveTopology
from raftstore.types import StoreInfo
from raftstore.util.disk import RealDisk


def test_what_is_missing_is_reported_even_when_that_takes_several_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inventory, "PAUSE", 0)
    reported: list[bytes] = []
    attempts = 0

    def report(digest: bytes) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts % 3:
            return False
        reported.append(digest)
        return True

    pages = iter([[b"a", b"b"], [b"c"], [b"d", b"e"]])
    assert asyncio.run(take_inventory(pages, {b"a", b"d"}.__contains__, report)) == 3
    assert reported == [b"b", b"c", b"e"]
    assert attempts == 9


def topology_of(stores: list[StoreInfo], members: Sequence[str]) -> LiveTopology:
    """As n1 sees it, with an empty new disk."""
    return LiveTopology(
        node="n1",
        identity=b"new",
        members=lambda: members,
        leaving=lambda: (),
        replicas=3,
        stores=lambda: stores,
        reachable=lambda name: True,
        free_bytes=lambda name: None,
        local_writable=lambda: True,
    )


def test_until_a_new_disk_is_announced_it_does_not_pass_for_the_old_one() -> None:
    stores = [StoreInfo(1, "n1", b"old", True), StoreInfo(2, "n2", b"other", True)]
    topology = topology_of(stores, ["n1", "n2"])
    assert topology.view().local is None
    assert sorted(topology.view().by_number) == [2]
    assert topology.view().quorum == 2
    stores[0] = StoreInfo(1, "n1", b"old", False)
    stores.append(StoreInfo(3, "n1", b"new", True))
    # Nobody is refused for a view of a moment ago that had too few stores.
    local = topology.view().local
    assert local is not None
    assert local.number == 3
    # One that has all is kept for a moment.
    stores.append(StoreInfo(4, "n2", b"more", True))
    assert sorted(topology.view().by_number) == [2, 3]
    topology.invalidate()
    assert sorted(topology.view().by_number) == [2, 3, 4]


def test_a_store_that_registers_gets_copies_from_then_on() -> None:
    stores = [StoreInfo(1, "n1", b"new", True), StoreInfo(2, "n2", b"n2", True)]
    topology = topology_of(stores, ["n1", "n2", "n3"])
    assert len(place(topology.view(), b"a", 100).order) == 2
    stores.append(StoreInfo(3, "n3", b"n3", True))
    assert len(place(topology.view(), b"a", 100).order) == 3


def test_that_a_node_must_rejoin_survives_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log is synced while it catches up: without the marker beside it, it would vote after a restart."""
    synced: list[tuple[Path, bool]] = []
    marker = tmp_path / "rejoining"
    monkeypatch.setattr(RealDisk, "sync_directory", lambda _, path: synced.append((path, marker.exists())))

    async def ask(name: str) -> bool:
        return False

    assert asyncio.run(bootstrap.must_rejoin(marker, True, lambda: ["n2"], ask))
    assert synced == [(tmp_path, True)]
