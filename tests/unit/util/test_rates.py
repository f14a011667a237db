"""Buckets of tokens, one a key."""

from __future__ import annotations

from raftstore.util.limits.rates import Rates


def test_a_burst_then_the_rate_for_each_key() -> None:
    now = 0.0
    rates: Rates[str] = Rates(2.0, 3, clock=lambda: now)
    assert [rates.take("a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert rates.take("b")
    now = 0.5
    assert [rates.take("a") for _ in range(2)] == [True, False]
    now = 100.0
    assert [rates.take("a") for _ in range(4)] == [True] * 3 + [False]


def test_what_is_remembered_is_bounded() -> None:
    rates: Rates[int] = Rates(1.0, 1, entries=10, clock=lambda: 0.0)
    for number in range(1000):
        rates.take(number)
    assert len(rates) == 10
    assert not rates.take(999)
    assert rates.take(0)
