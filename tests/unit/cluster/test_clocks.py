from __future__ import annotations

import pytest

from raftstore.cluster.status import clocks

SECOND = 10**9
DAY = 86_400.0


def test_the_time_that_the_answer_took_counts_for_nothing() -> None:
    assert clocks.ahead(0, 4 * SECOND, 3 * SECOND) == 0.0
    assert clocks.ahead(0, 4 * SECOND, 10 * SECOND) == pytest.approx(6.0)
    assert clocks.ahead(10 * SECOND, 12 * SECOND, 1 * SECOND) == pytest.approx(-9.0)
    assert clocks.ahead(0, SECOND, 0) is None


@pytest.mark.parametrize(
    ("offsets", "wrong"),
    [
        ({"a": 0.0, "b": 0.2, "c": -0.1}, {}),
        ({"a": 0.0, "b": 400 * DAY, "c": 0.0}, {"b": 400 * DAY}),
        ({"a": 0.0, "b": 2 * DAY, "c": 2 * DAY}, {"a": -2 * DAY}),  # the one that asks
        ({"a": 0.0, "b": -29.0, "c": 0.0}, {}),
        ({"a": 0.0, "b": 31.0}, {"b": 31.0}),
        ({"a": 0.0}, {}),
        ({"a": 0.0, "b": -2 * DAY, "c": 2 * DAY}, {"b": -2 * DAY, "c": 2 * DAY}),
    ],
)
def test_who_differs_from_most_is_wrong(offsets: dict[str, float], wrong: dict[str, float]) -> None:
    assert clocks.wrong(offsets, "a") == pytest.approx(wrong)


def test_how_far_is_told_in_words() -> None:
    assert clocks.reported(400 * DAY) == "its clock is 400 days ahead of the others"
    assert clocks.reported(-45.0) == "its clock is 45 seconds behind the others"
    assert clocks.reported(-7200.0) == "its clock is 2 hours behind the others"
