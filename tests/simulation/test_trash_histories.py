"""The simulator's checks of trash and retention: what they take for wrong, and what not."""

from __future__ import annotations

import pytest
from simcalls import Call
from simtrash import KEPT, Content, missing

DONE, NOT, UNKNOWN = (Call(1.0, 2.0, True), Call(1.0, 2.0, False), Call(1.0))


def content(put: Call, *copies: Call, seed: int = 0) -> Content:
    return Content(seed, "/desk/a", put, list(copies))


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        (content(DONE), {1}),
        (content(UNKNOWN), {0, 1}),
        (content(NOT), {0}),
        (content(DONE, UNKNOWN), {1, 2}),
        (content(DONE, NOT), {1}),
        (content(UNKNOWN, UNKNOWN), {0, 1, 2}),
    ],
)
def test_in_how_many_places_it_may_be(seen: Content, counts: set[int]) -> None:
    assert {count for count in range(4) if not seen.wrong(count)} == counts


def test_the_last_pictures_must_be_there() -> None:
    pictures = [content(DONE, seed=seed) for seed in range(KEPT + 2)]
    assert missing(pictures, set(range(2, KEPT + 2))) == []
    assert missing(pictures, set(range(KEPT + 1))) == [pictures[-1]]
    assert missing([content(UNKNOWN, seed=9), *pictures], set(range(3, KEPT + 2))) == []
    # What may have come counts as if it had; what was refused has not.
    assert missing([*pictures, content(UNKNOWN, seed=9)], set(range(3, KEPT + 2))) == []
    assert missing([*pictures, content(NOT, seed=9)], set(range(3, KEPT + 2))) == [pictures[2]]
