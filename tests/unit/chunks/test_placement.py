from __future__ import annotations

import os
from collections import Counter

import pytest

from raftstore.chunks.placement.placement import by_zones, capacity, place, read_order, score
from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.errors import DiskFull, NoQuorum


def stores(count: int, **changes: dict[str, object]) -> tuple[StoreState, ...]:
    free = 1 << 40
    return tuple(
        StoreState(number, f"n{number}", number == 1, free_bytes=free) for number in range(1, count + 1)
    )


def numbers(order: tuple[StoreState, ...] | list[StoreState]) -> list[int]:
    return [store.number for store in order]


@pytest.mark.parametrize(
    ("nodes", "replicas", "copies", "quorum"),
    [
        (1, 3, 1, 1),
        (2, 3, 2, 2),
        (3, 3, 3, 2),
        (4, 3, 3, 3),
        (5, 3, 3, 3),
        (5, 5, 5, 3),
        (7, 5, 5, 4),
        (3, 1, 1, 1),
    ],
)
def test_quorum_outlives_any_minority(nodes: int, replicas: int, copies: int, quorum: int) -> None:
    view = ClusterView((), nodes, replicas)
    assert (view.copies, view.quorum) == (copies, quorum)


def test_quorum_counts_members_not_registered_stores() -> None:
    with pytest.raises(NoQuorum):
        place(ClusterView(stores(1), nodes=3), os.urandom(32), 10)


def test_local_store_comes_first_and_the_rest_is_spread_evenly() -> None:
    view = ClusterView(stores(6), nodes=6)
    seen: Counter[int] = Counter()
    for _ in range(2000):
        placement = place(view, os.urandom(32), 1000)
        assert placement.order[0].number == 1
        assert (placement.first, placement.quorum, len(placement.order)) == (3, 3, 6)
        seen.update(numbers(placement.order[1:3]))
    assert set(seen) == {2, 3, 4, 5, 6}
    assert all(600 < count < 1000 for count in seen.values())  # 800 expected, s.d. 22


def test_weight_follows_free_room() -> None:
    members = [StoreState(n, f"n{n}", free_bytes=(1 << 40) if n == 1 else (1 << 38)) for n in range(1, 4)]
    view = ClusterView(tuple(members), nodes=3, replicas=1)
    seen = Counter(place(view, os.urandom(32), 1).order[0].number for _ in range(3000))
    assert 1800 < seen[1] < 2200  # 4 of 6


def test_a_store_that_goes_moves_only_its_own_chunks() -> None:
    members = tuple(StoreState(n, f"n{n}") for n in range(1, 8))
    for _ in range(200):
        digest = os.urandom(32)
        before = numbers(place(ClusterView(members, 7), digest, 1).order)
        after = numbers(place(ClusterView(members[:-1], 7), digest, 1).order)
        assert [number for number in before if number != 7] == after


def test_same_order_at_every_node_but_for_its_own_store() -> None:
    for _ in range(100):
        digest = os.urandom(32)
        for here in (1, 4):
            members = [StoreState(n, f"n{n}", n == here) for n in range(7, 0, -1)]  # as another node lists them
            order = numbers(place(ClusterView(tuple(members), 7), digest, 1).order)
            assert order[0] == here
            by_score = sorted((n for n in range(1, 8) if n != here), key=lambda n: -score(digest, n))
            assert order[1:] == by_score


def test_no_quorum_when_too_few_are_reachable_or_writable() -> None:
    first, second, third = stores(3)
    away = StoreState(second.number, second.node, reachable=False)
    broken = StoreState(third.number, third.node, writable=False)
    view = ClusterView((first, away, broken), nodes=3)
    with pytest.raises(NoQuorum, match="1 of 3"):
        place(view, os.urandom(32), 1)
    placement = place(ClusterView((first, away, third), nodes=3), os.urandom(32), 1)
    assert (numbers(placement.order), placement.first, placement.quorum) == ([1, 3], 2, 2)


def test_disk_full_when_enough_are_there_but_without_room() -> None:
    full = [StoreState(number, f"n{number}", free_bytes=100) for number in (2, 3)]
    view = ClusterView((stores(1)[0], *full), nodes=3)
    assert len(place(view, os.urandom(32), 100).order) == 3
    with pytest.raises(DiskFull):
        place(view, os.urandom(32), 101)


def test_suspects_come_last_and_only_as_needed() -> None:
    view = ClusterView(stores(3), nodes=3)
    placement = place(view, os.urandom(32), 1, {1})
    assert placement.order[-1].number == 1
    assert placement.first == 2
    placement = place(view, os.urandom(32), 1, {1, 2})
    assert placement.order[0].number == 3
    assert placement.first == 2


def test_read_order_prefers_healthy_then_local_then_idle() -> None:
    digest = os.urandom(32)
    order = read_order(stores(4), digest, {2: 3, 3: 1}, {4})
    assert numbers(order) == [1, 3, 2, 4]
    assert numbers(read_order(stores(2), digest, {1: 9}, {1})) == [2, 1]
    spread = Counter(read_order(stores(3)[1:], os.urandom(32), {})[0].number for _ in range(1000))
    assert 400 < spread[2] < 600


def zoned(*zones: str) -> tuple[StoreState, ...]:
    return tuple(
        StoreState(number, f"n{number}", number == 1, free_bytes=1 << 40, zone=zone)
        for number, zone in enumerate(zones, 1)
    )


def test_copies_go_to_different_zones_while_there_are_enough() -> None:
    view = ClusterView(zoned("a", "a", "b", "b", "c", "c"), nodes=6)
    seen: Counter[int] = Counter()
    for _ in range(500):
        placement = place(view, os.urandom(32), 1)
        first = placement.order[: placement.first]
        assert {store.zone for store in first} == {"a", "b", "c"}
        seen.update(numbers(first))
    assert seen[1] == 500 and not seen[2]
    assert all(150 < seen[number] < 350 for number in (3, 4, 5, 6))  # 250 expected, s.d. 11


def test_more_copies_than_zones_are_shared_out_evenly() -> None:
    view = ClusterView(zoned("a", "a", "a", "b", "b", "b"), nodes=6, replicas=4)
    for _ in range(100):
        zones = Counter(store.zone for store in place(view, os.urandom(32), 1).order[:4])
        assert zones == {"a": 2, "b": 2}


def test_a_node_without_a_zone_is_one_of_its_own() -> None:
    view = ClusterView(zoned("", "", "b", "b", "b"), nodes=5)
    for _ in range(100):
        order = numbers(place(view, os.urandom(32), 1).order[:3])
        assert order[0] == 1 and 2 in order


def test_a_store_of_the_same_zone_that_failed_just_now_comes_last_all_the_same() -> None:
    view = ClusterView(zoned("a", "a", "b", "c"), nodes=4)
    for _ in range(100):
        placement = place(view, os.urandom(32), 1, {3})
        assert numbers(placement.order[-1:]) == [3]
        assert placement.first == 3


def test_repair_chooses_a_zone_that_has_no_copy() -> None:
    first, second, third, fourth = zoned("a", "a", "b", "c")
    for _ in range(100):
        digest = os.urandom(32)
        assert by_zones([second, third, fourth], digest, [first])[-1] is second
        assert by_zones([second, fourth], digest, [first, third])[0] is fourth


def test_the_local_store_is_not_filled_up_before_the_others() -> None:
    small = StoreState(1, "n1", local=True, free_bytes=1 << 34)
    others = [StoreState(number, f"n{number}", free_bytes=1 << 40) for number in range(2, 7)]
    view = ClusterView((small, *others), nodes=6)
    firsts = [1 in numbers(place(view, os.urandom(32), 1).order[:3]) for _ in range(1000)]
    assert sum(firsts) < 100


@pytest.mark.parametrize(("replicas", "copies", "quorum"), [(0, 3, 3), (1, 1, 1), (2, 2, 2), (5, 5, 3)])
def test_as_many_copies_as_an_owner_wants(replicas: int, copies: int, quorum: int) -> None:
    placement = place(ClusterView(stores(5), nodes=5).with_replicas(replicas), os.urandom(32), 1)
    assert (placement.first, placement.quorum) == (copies, quorum)


@pytest.mark.parametrize(
    ("free_spaces", "replicas", "fits"),
    [
        ((10,), 3, 10),
        ((10, 10, 10), 3, 10),
        ((10, 5, 3), 3, 5),  # three copies of the first 3, then two
        ((10, 10, 0), 3, 10),
        ((10, 0, 0), 3, 0),
        ((10,) * 6, 3, 20),
        ((100, 10, 10, 10), 3, 15),  # one copy of all on the large one
        ((100, 100, 10, 10), 3, 20),
        ((100, 100, 100, 0), 3, 100),
        ((10, 10, 10), 1, 30),
    ],
)
def test_capacity(free_spaces: tuple[int, ...], replicas: int, fits: int) -> None:
    members = tuple(StoreState(n, f"n{n}", free_bytes=free) for n, free in enumerate(free_spaces, 1))
    assert capacity(ClusterView(members, len(free_spaces), replicas)) == fits


def test_capacity_counts_only_stores_that_take_pictures() -> None:
    away = StoreState(1, "n1", reachable=False)
    drained = StoreState(2, "n2", writable=False)
    here = [StoreState(n, f"n{n}", free_bytes=10) for n in (3, 4)]
    assert capacity(ClusterView((away, *here), 3)) == 10
    with pytest.raises(NoQuorum):
        capacity(ClusterView((away, drained, here[0]), 3))
