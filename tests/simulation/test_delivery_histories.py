"""What must be in an inbox after what was done with a picture: right ends pass, wrong ones do not."""

from __future__ import annotations

import pytest
from simcalls import INFINITY, Call
from simdeliveries import MINUTE, Picture

from raftstore.metadata.tables.cluster.clock import STEP

DONE = Call(1, 2, True)
UNKNOWN = Call(1, INFINITY, None)
NOT = Call(1, 2, False)
LATER = Call(3, 4, True)
LATER_UNKNOWN = Call(3, INFINITY, None)
LAST = Call(5, 6, True)


def picture(*puts: Call, to: str = "bob", **after: object) -> Picture:
    made = Picture("anna", to, "1.jpg", (1,), list(puts))
    for name, value in after.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("done", "counts"),
    [
        (picture(DONE), {1}),
        (picture(UNKNOWN), {0, 1}),
        (picture(UNKNOWN, DONE), {1}),
        (picture(NOT), {0}),
        (picture(NOT, UNKNOWN), {0, 1}),
        (picture(DONE, DONE), {1}),
        (picture(DONE, recalls=[LATER]), {0}),
        (picture(DONE, recalls=[LATER_UNKNOWN]), {0, 1}),
        (picture(DONE, recalls=[Call(3, 4, False)]), {1}),
        (picture(DONE, recalls=[LAST], reads={"bob": [LATER]}), {1}),
        (picture(DONE, recalls=[LAST], reads={"bob": [LATER_UNKNOWN]}), {0, 1}),
        (picture(DONE, recalls=[LATER], reads={"bob": [LAST]}), {0, 1}),
        (picture(DONE, recalls=[LAST], reads={"carl": [LATER]}), {0}),
        (picture(DONE, deletions={"bob": [LATER]}), {0}),
        (picture(DONE, deletions={"bob": [LATER_UNKNOWN]}), {0, 1}),
        (picture(DONE, reads={"bob": [LATER]}, deletions={"bob": [LAST]}), {0}),
        (picture(DONE, to="all"), {1}),
    ],
)
def test_how_often_it_may_be_in_the_inbox(done: Picture, counts: set[int]) -> None:
    assert {count for count in range(4) if not done.wrong("bob", count)} == counts


def test_who_blocks_the_sender_has_nothing() -> None:
    assert picture(DONE, to="all").wrong("carl", 0) == ""
    assert picture(DONE, to="all").wrong("carl", 1) == "delivered, but refused"


@pytest.mark.parametrize(
    ("done", "count", "kept", "now", "says"),
    [
        (picture(DONE, keeps={"bob": [LATER]}), 0, 1, 0, ""),
        (picture(DONE, keeps={"bob": [LATER]}), 1, 0, 0, "kept, and gone"),
        (picture(DONE, keeps={"bob": [LATER]}, recalls=[LAST]), 0, 1, 0, ""),
        (picture(DONE, keeps={"bob": [LATER_UNKNOWN]}), 1, 0, 0, ""),
        (picture(DONE, keeps={"bob": [LATER_UNKNOWN]}), 0, 1, 0, ""),
        (picture(DONE, keeps={"bob": [LATER_UNKNOWN]}), 0, 0, 0, "accepted, but not delivered"),
        (picture(DONE), 0, 1, 0, "kept by nobody"),
        (picture(DONE, keeps={"bob": [LATER]}), 1, 1, 0, "delivered more than once"),
        (picture(DONE, lasts_ns=MINUTE, earliest=5), 0, 0, MINUTE + 4, "accepted, but not delivered"),
        (picture(DONE, lasts_ns=MINUTE, earliest=5), 0, 0, MINUTE + 5, ""),
        (picture(DONE, lasts_ns=MINUTE, latest=9, finished=True), 1, 0, STEP + MINUTE + 8, ""),
        (picture(DONE, lasts_ns=MINUTE, latest=9), 1, 0, STEP + MINUTE + 9, ""),
        (picture(UNKNOWN, lasts_ns=MINUTE, latest=9, finished=True), 1, 0, STEP + MINUTE + 9, ""),
        (
            picture(DONE, lasts_ns=MINUTE, latest=9, finished=True),
            *(1, 0, STEP + MINUTE + 9, "there, but its time is over"),
        ),
        (picture(DONE, lasts_ns=MINUTE, keeps={"bob": [LATER]}), 0, 1, 9 * STEP, ""),
    ],
)
def test_what_is_kept_stays_and_what_is_over_goes(
    done: Picture, count: int, kept: int, now: int, says: str
) -> None:
    assert done.wrong("bob", count, kept, now, asked=now) == says
