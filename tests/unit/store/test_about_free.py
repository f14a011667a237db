"""How much is free, told roughly and late."""

from __future__ import annotations

import random

import pytest

from raftstore.errors import NoQuorum
from raftstore.store.freespace import LEAST, PERIOD, AboutFree, rounded

GIB = 1 << 30


def test_a_figure_is_right_to_a_sixteenth_and_on_the_average() -> None:
    chance = random.Random(1).randrange
    for free in (0, 1, LEAST - 1, LEAST, 5 * GIB + 12_345, 70_000 * GIB + 1):
        reported = [rounded(free, chance) for _ in range(2000)]
        step = max(LEAST, free // 8)
        assert all(abs(one - free) <= step for one in reported), free
        assert len(set(reported)) <= 2
        assert abs(sum(reported) / len(reported) - free) < step / 10
    assert rounded(0) == 0, "nothing is nothing"


def test_a_picture_does_not_show() -> None:
    """With the same chance, a MiB more or less changes one figure of some hundred."""
    free, changed = 100 * GIB, 0
    for seed in range(2000):
        before = rounded(free + 1, random.Random(seed).randrange)
        changed += rounded(free + 1 - (1 << 20), random.Random(seed).randrange) != before
    assert changed < 10


def test_a_figure_holds_for_a_while_for_each_number_of_copies() -> None:
    now, free = [0.0], [100 * GIB]
    about = AboutFree(lambda copies: free[0] // (copies or 3), clock=lambda: now[0], chance=lambda _: 0)
    first = about(0), about(1)
    assert first[0] < first[1]
    free[0] //= 2
    now[0] = PERIOD - 1
    assert (about(0), about(1)) == first
    now[0] = PERIOD
    assert about(0) < first[0] and about(1) < first[1]


def test_that_too_few_nodes_are_there_is_told_at_once() -> None:
    def free(_: int) -> int:
        raise NoQuorum()

    with pytest.raises(NoQuorum):
        AboutFree(free)(0)
