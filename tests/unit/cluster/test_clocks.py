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


NOW = 1_700_000_000 * SECOND
WRONG = 10 * 86_400 * SECOND


@pytest.mark.parametrize(
    ("readings", "agreed"),
    [
        ([NOW], NOW),
        ([NOW, NOW + SECOND, NOW - SECOND], NOW),
        ([NOW, NOW - WRONG, NOW + SECOND], NOW),
        ([NOW, NOW + WRONG, NOW + SECOND], NOW + SECOND),
        ([NOW - WRONG, NOW, None], None),
        ([NOW + WRONG, NOW, None], None),
        ([NOW, NOW + 2 * SECOND, None], NOW),
        ([NOW, NOW + 2 * SECOND], NOW),
        ([NOW, NOW + 31 * SECOND], None),
        ([NOW, None], None),
        ([NOW, None, None], None),
        ([None], None),
        ([], None),
        ([NOW - WRONG, NOW, NOW + WRONG], None),
        ([NOW, NOW, NOW + WRONG, NOW + WRONG, None], None),
        ([NOW, NOW, NOW, NOW + WRONG, NOW + WRONG], NOW),
        ([NOW, NOW, NOW, NOW - WRONG, NOW - WRONG], NOW),
        ([NOW, NOW, NOW + WRONG, NOW + WRONG], None),
    ],
)
def test_time_is_what_a_majority_of_the_clocks_say(readings: list[int | None], agreed: int | None) -> None:
    assert clocks.agreed(readings) == agreed
    assert clocks.agreed(list(reversed(readings))) == agreed


def test_no_minority_of_clocks_moves_time_beyond_the_others() -> None:
    for right in range(1, 6):
        for wrong in range(right):
            for away in range(3):
                for by in (WRONG, -WRONG, 20 * SECOND):
                    readings = [NOW] * right + [NOW + by] * wrong + [None] * away
                    found = clocks.agreed(readings)
                    assert found is None or abs(found - NOW) <= 30 * SECOND, readings
                    if right > (right + wrong + away) // 2:
                        assert found is not None, "a majority is right"
