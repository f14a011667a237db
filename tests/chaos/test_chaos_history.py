"""The checker itself: histories known to be good, and known to be bad."""

from __future__ import annotations

import math

import pytest
from history import DIRECTORY, Operation, Outcome, linearizable


def done(kind: str, begin: float, end: float, value: object = None, name: int = 0) -> Operation:
    return Operation(kind, name, value, Outcome.DONE, "", begin, end)


def refused(kind: str, reason: str, begin: float, end: float, name: int = 0) -> Operation:
    return Operation(kind, name, None, Outcome.REFUSED, reason, begin, end)


def unknown(kind: str, begin: float, value: object = None, name: int = 0) -> Operation:
    return Operation(kind, name, value, Outcome.UNKNOWN, "", begin, math.inf)


GOOD = {
    "nothing": [],
    "in turn": [done("STOR", 0, 1, 7), done("RETR", 2, 3, 7), done("DELE", 4, 5), done("READ", 6, 7, None)],
    "a read beside a write sees either": [
        done("STOR", 0, 1, 1),
        done("STOR", 2, 6, 2),
        done("RETR", 3, 4, 1),
        done("RETR", 4.5, 5, 2),
    ],
    "no answer, and done": [unknown("STOR", 0, 5), done("RETR", 9, 10, 5)],
    "no answer, and not done": [unknown("MKD", 0), done("READ", 9, 10, None)],
    "no answer, and done much later": [
        unknown("STOR", 0, 5),
        done("READ", 1, 2, None),
        done("STOR", 3, 4, 6),
        done("READ", 5, 6, 6),
        done("READ", 7, 8, 5),
    ],
    "rename over a file": [
        done("STOR", 0, 1, 1),
        done("STOR", 0, 1, 2, name=1),
        done("RENAME", 2, 3),
        done("LOOK", 4, 5, (None, 1)),
    ],
    "refusals that fit": [
        refused("RMD", "absent", 0, 1),
        done("MKD", 2, 3),
        refused("MKD", "present", 4, 5),
        refused("STOR", "directory", 6, 7),
        done("STOR", 8, 9, 3, name=1),
        refused("RENAME", "present", 10, 11),
        done("LOOK", 12, 13, (DIRECTORY, 3)),
    ],
    "two at once, one wins": [done("MKD", 0, 5), refused("MKD", "present", 1, 3)],
}
BAD = {
    "a write that is lost": [done("STOR", 0, 1, 7), done("READ", 2, 3, None)],
    "a stale read": [done("STOR", 0, 1, 1), done("STOR", 2, 3, 2), done("RETR", 4, 5, 1)],
    "a read goes back": [
        done("STOR", 0, 1, 1),
        unknown("STOR", 2, 2),
        done("RETR", 3, 4, 2),
        done("RETR", 5, 6, 1),
    ],
    "a definite refusal that was done": [refused("MKD", "present", 0, 1), done("READ", 2, 3, DIRECTORY)],
    "done twice": [
        done("MKD", 0, 1),
        done("RMD", 2, 3),
        refused("MKD", "present", 4, 5),
        done("READ", 6, 7, None),
    ],
    "both win": [done("MKD", 0, 5), done("MKD", 1, 3), done("READ", 6, 7, DIRECTORY)],
    "one unknown deed explains one change only": [
        unknown("MKD", 0),
        done("RMD", 1, 2),
        done("RMD", 3, 4),
    ],
    "a value that nobody wrote": [done("STOR", 0, 1, 1), done("RETR", 2, 3, 9)],
}


@pytest.mark.parametrize("name", GOOD)
def test_good_histories_pass(name):
    assert linearizable(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_bad_histories_fail(name):
    assert not linearizable(BAD[name])


def test_many_unknown_outcomes_are_still_decided():
    lost = [unknown("STOR", n, 100 + n) for n in range(12)]
    seen = [done("RETR", 20 + n, 20.5 + n, 100 + n) for n in range(12)]
    assert linearizable([*lost, *seen])
    assert not linearizable([*lost, *seen, done("RETR", 40, 41, 100)])
