"""What a store should hold, which copies are too many, and when one may be dropped: pure decisions."""

from __future__ import annotations

import itertools

import pytest
from blake3 import blake3

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs.repair import plan
from raftstore.cluster.replicas import balance
from raftstore.metadata.surplus import may_drop
from raftstore.types import ChunkRef

MIB = 1024**2
FREE_SPACE = 1000 * MIB


def view(*stores: StoreState, local: int = 0) -> ClusterView:
    chosen = tuple(
        StoreState(
            s.number, s.node, s.number == local, s.reachable, s.free_bytes, s.writable, s.leaving, s.zone
        )
        for s in stores
    )
    return ClusterView(chosen, nodes=len(chosen), replicas=3)


def store(number: int, **changes: object) -> StoreState:
    values = {"free_bytes": FREE_SPACE, **changes}
    return StoreState(number, f"n{number}", **values)  # type: ignore[arg-type]


def chunks(count: int, *stores: int) -> list[ChunkRef]:
    return [ChunkRef(blake3(b"%d" % n).digest(), MIB, stores, 3) for n in range(count)]


def test_who_lacks_what_of_its_share() -> None:
    four = view(*(store(n) for n in (1, 2, 3, 4)))
    joined = {1: 100 * MIB, 2: 100 * MIB, 3: 100 * MIB}
    lacks = balance.lacking(four, joined, balance.sizes(four, joined))
    assert lacks.keys() == {"n4"}
    assert 65 * MIB < lacks["n4"] < 75 * MIB
    # Whatever clients prefer, the others have more than three quarters of their shares.
    preferred = {1: 100 * MIB, 2: 67 * MIB, 3: 67 * MIB, 4: 66 * MIB}
    assert balance.lacking(four, preferred, balance.sizes(four, preferred)) == {}
    # Everything is everywhere.
    three = view(*(store(n) for n in (1, 2, 3)))
    held = {1: 100 * MIB, 2: 10 * MIB, 3: 0}
    assert balance.lacking(three, held, balance.sizes(three, held)) == {}
    # A little is not worth while, and who takes no pictures lacks none.
    tiny = {1: MIB, 2: MIB, 3: MIB}
    assert balance.lacking(four, tiny, balance.sizes(four, tiny)) == {}
    for change in ({"writable": False}, {"reachable": False}, {"leaving": True}):
        other = view(*(store(n) for n in (1, 2, 3, 5)), store(4, **change))
        assert "n4" not in balance.lacking(other, joined, balance.sizes(other, joined))


@pytest.mark.slow
def test_moving_pictures_changes_nobodys_share_and_ends() -> None:
    """A store that joins gets its share, what it got displaces other copies, and then nothing is left to move."""
    refs = chunks(400, 1, 2, 3)
    where = {ref.digest: {1, 2, 3} for ref in refs}

    def known() -> list[ChunkRef]:
        return [ChunkRef(ref.digest, MIB, tuple(sorted(where[ref.digest])), 3) for ref in refs]

    def cluster(local: int = 0) -> ClusterView:
        held = {n: sum(n in stores for stores in where.values()) * MIB for n in (1, 2, 3, 4, 5)}
        return view(*(store(n, free_bytes=2000 * MIB - held[n]) for n in held), local=local)

    held = dict.fromkeys((1, 2, 3), 400 * MIB)
    sizes = balance.sizes(cluster(), held)
    assert set(sizes.values()) == {2000 * MIB}
    for joined in (4, 5):
        for copy in balance.moves(cluster(joined), known(), sizes):
            where[copy.chunk.digest].add(joined)
    for ref in known():
        for surplus in balance.too_many(cluster(), ref, sizes):
            where[ref.digest].discard(surplus.number)
    assert {len(stores) for stores in where.values()} == {3}
    held = {n: sum(n in stores for stores in where.values()) * MIB for n in (1, 2, 3, 4, 5)}
    assert balance.sizes(cluster(), held) == sizes
    assert all(200 * MIB < bytes_ < 280 * MIB for bytes_ in held.values())
    assert balance.lacking(cluster(), held, sizes) == {}
    for joined in (4, 5):
        assert balance.moves(cluster(joined), known(), sizes) == []
    assert not any(balance.too_many(cluster(), ref, sizes) for ref in known())


def test_zones_are_kept_apart() -> None:
    zoned = view(*(store(n, zone=zone) for n, zone in ((1, "a"), (2, "a"), (3, "b"), (4, "c"))), local=4)
    sizes = dict.fromkeys((1, 2, 3, 4), FREE_SPACE)
    for ref in chunks(50, 1, 2, 3):
        assert [copy.target.number for copy in balance.moves(zoned, [ref], sizes)] == [4]
        full = ChunkRef(ref.digest, ref.length, (1, 2, 3, 4), 3)
        assert {surplus.number for surplus in balance.too_many(zoned, full, sizes)} <= {1, 2}


def test_copies_that_do_not_count_are_no_surplus() -> None:
    ref = chunks(1, 1, 2, 3, 4)[0]
    sizes = dict.fromkeys((1, 2, 3, 4), FREE_SPACE)
    assert len(balance.too_many(view(*(store(n) for n in (1, 2, 3, 4))), ref, sizes)) == 1
    for change in ({"reachable": False}, {"leaving": True}):
        assert balance.too_many(view(*(store(n) for n in (1, 2, 3)), store(4, **change)), ref, sizes) == []
    assert balance.too_many(view(*(store(n) for n in (1, 2, 3, 4))), ref, sizes, without=[2]) == []
    assert balance.too_many(view(*(store(n) for n in (1, 2, 3))), ref, sizes) == []


def test_leader_and_node_agree_on_who_repairs_though_they_see_different_room() -> None:
    """Free room is told by each node now and then: near a power of two it may weigh half, or double."""
    near = [store(n, free_bytes=(1 << 30) - 1) for n in (1, 2, 3, 4)]
    later = [store(n, free_bytes=(1 << 30) + (n > 2)) for n in (1, 2, 3, 4)]
    refs = [ChunkRef(ref.digest, ref.length, (1, 2), 3) for ref in chunks(300)]
    decided = [copy.target.number for copy in plan(view(*near), refs)]
    own = [copy.target.number for copy in plan(view(*later[:3], near[3]), refs)]
    assert own != decided
    free_spaces = {each.number: each.free_bytes for each in near}
    reported = plan(view(*later[:3], near[3]), refs, free_spaces=free_spaces)
    assert [copy.target.number for copy in reported] == decided


ZONES = {1: "a", 2: "a", 3: "b", 4: "c"}


@pytest.mark.parametrize(
    ("store", "listed", "keepers", "zones", "copies", "expected"),
    [
        (4, {1, 2, 3, 4}, {1, 2, 3}, {1: "1", 2: "2", 3: "3", 4: "4"}, 3, True),
        (4, {1, 2, 3}, {1, 2, 3}, {1: "1", 2: "2", 3: "3", 4: "4"}, 2, False),
        (4, {2, 3, 4}, {1, 2, 3}, {1: "1", 2: "2", 3: "3", 4: "4"}, 3, False),
        (4, {1, 2, 3, 4}, {2, 3}, {1: "1", 2: "2", 3: "3", 4: "4"}, 3, False),
        (4, {1, 2, 3, 4}, {1, 2, 3}, {2: "2", 3: "3", 4: "4"}, 3, False),
        (4, {1, 2, 3, 4}, {1, 2, 4}, {1: "1", 2: "2", 3: "3", 4: "4"}, 3, False),
        (1, {1, 2, 3, 4}, {2, 3, 4}, ZONES, 3, True),
        (4, {1, 2, 3, 4}, {1, 2, 3}, ZONES, 3, False),
        (3, {1, 2, 3}, {1, 2}, ZONES, 2, False),
        (3, {1, 3, 4}, {1, 4}, ZONES, 2, True),
        (1, {1}, set(), ZONES, 0, False),
    ],
)
def test_when_a_copy_may_be_dropped(
    store: int, listed: set[int], keepers: set[int], zones: dict[int, str], copies: int, expected: bool
) -> None:
    assert may_drop(store, listed, keepers, zones, copies) is expected


def test_whoever_drops_in_whatever_order_enough_copies_are_left() -> None:
    zones = {n: str(n) for n in range(1, 6)}
    for order in itertools.permutations(range(1, 6)):
        listed = set(range(1, 6))
        for number in order:
            if may_drop(number, listed, set(range(1, 6)), zones, 3):
                listed.discard(number)
        assert len(listed) == 3
