"""Where chunks lie is fixed: a cluster's pictures are where earlier versions put them, and nodes of two versions agree.

`placement_vectors.json` was made once, by the code before version 0.2.0. It is not made anew: another result means that
every cluster would move its pictures. A store is its number, its node, whether it is the local one, its free bytes and
its zone. A vector is, for a digest, the stores by number: as `place` orders them; as `by_zones` orders those behind the
first when that has a copy (repair); as `read_order` does at a node that has no reads under way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from raftstore.chunks.placement import placement
from raftstore.chunks.placement.topology import ClusterView, StoreState

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("placement_vectors.json").read_text())


def numbers(order: Any) -> list[int]:
    return [store.number for store in order]


def placed(case: dict[str, Any], digest: bytes) -> list[list[int]]:
    stores = tuple(
        StoreState(number, node, local, free_bytes=free, zone=zone)
        for number, node, local, free, zone in case["stores"]
    )
    chosen = placement.place(ClusterView(stores, len(stores), case["replicas"]), digest, 1000)
    assert (chosen.first, chosen.quorum) == (case["first"], case["quorum"])
    return [
        numbers(chosen.order),
        numbers(placement.by_zones(stores[1:], digest, stores[:1])),
        numbers(placement.read_order(stores, digest, {})),
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_chunks_lie_where_they_always_did(case: dict[str, Any]) -> None:
    assert {digest: placed(case, bytes.fromhex(digest)) for digest in case["vectors"]} == case["vectors"]


def test_there_are_vectors_enough() -> None:
    assert len(CASES) == 7
    assert all(len(case["vectors"]) == 24 for case in CASES)


Change = Callable[[pytest.MonkeyPatch], None]


def another_hash(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "blake3", lambda data: blake3(data + b"."))


def another_end_of_the_hash(patch: pytest.MonkeyPatch) -> None:
    class Backwards:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def digest(self, length: int) -> bytes:
            return blake3(self.data).digest(length)[::-1]

    patch.setattr(placement, "blake3", Backwards)


def another_order(patch: pytest.MonkeyPatch) -> None:
    score = placement.score
    patch.setattr(placement, "score", lambda *about: -score(*about))


def no_weights(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "weight", lambda free_bytes: 1.0)


def weights_as_they_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "weight", float)


def weights_rounded_the_other_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "weight", lambda free_bytes: 2.0 ** (free_bytes - 1).bit_length())


def no_zones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "_zone_by_zone", lambda ranked, present=(): ranked)


def the_local_store_first_whatever_its_free_space(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "_near", lambda stores: next((store for store in stores if store.local), None))


@pytest.mark.parametrize(
    "change",
    [
        another_hash,
        another_end_of_the_hash,
        another_order,
        no_weights,
        weights_as_they_are,
        weights_rounded_the_other_way,
        no_zones,
        the_local_store_first_whatever_its_free_space,
    ],
)
def test_the_vectors_notice_a_change(change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch)
    assert any(
        placed(case, bytes.fromhex(digest)) != vector
        for case in CASES
        for digest, vector in case["vectors"].items()
    )
