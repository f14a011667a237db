"""The checker of histories, on ones that are known to be good and bad, and beside an exhaustive one."""

from __future__ import annotations

import itertools

import pytest
import simhistory
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from simhistory import INFINITY, Answer, Kind, Operation, check, linearizable, step

READ, WRITE, CREATE, SWAP, REMOVE = Kind.READ, Kind.WRITE, Kind.CREATE, Kind.SWAP, Kind.REMOVE
OK, REFUSED, UNKNOWN, FAILED = Answer.OK, Answer.REFUSED, Answer.UNKNOWN, Answer.FAILED


def op(kind, value, called, returned=INFINITY, answer=OK, expected=None, key=0):
    return Operation(0, key, kind, value, called, expected, returned, answer)


GOOD = {
    "nothing": [],
    "a read of nothing": [op(READ, None, 0, 1)],
    "a read after a write": [op(WRITE, 1, 0, 1), op(READ, 1, 2, 3)],
    "reads around a write under way": [op(WRITE, 1, 0, 9), op(READ, None, 1, 2), op(READ, 1, 3, 4)],
    "two writes at once, either first": [op(WRITE, 1, 0, 5), op(WRITE, 2, 0, 5), op(READ, 1, 6, 7)],
    "a write of unknown outcome is seen late": [
        op(WRITE, 1, 0, answer=UNKNOWN),
        op(READ, None, 5, 6),
        op(READ, 1, 7, 8),
    ],
    "a write of unknown outcome is never seen": [op(WRITE, 1, 0, answer=UNKNOWN), op(READ, None, 5, 6)],
    "a read that failed says nothing": [op(WRITE, 1, 0, 1), op(READ, None, 2, 3, FAILED), op(READ, 1, 4, 5)],
    "create, refused create, remove, create": [
        op(CREATE, 1, 0, 1),
        op(CREATE, 2, 2, 3, REFUSED),
        op(REMOVE, None, 4, 5),
        op(CREATE, 3, 6, 7),
        op(READ, 3, 8, 9),
    ],
    "one of two swaps wins": [
        op(WRITE, 1, 0, 1),
        op(SWAP, 2, 2, 5, OK, expected=1),
        op(SWAP, 3, 2, 5, REFUSED, expected=1),
        op(READ, 2, 6, 7),
    ],
    "a refused remove": [op(REMOVE, None, 0, 1, REFUSED), op(WRITE, 1, 2, 3)],
    "a create refused because of a write of unknown outcome": [
        op(WRITE, 1, 0, answer=UNKNOWN),
        op(CREATE, 2, 1, 2, REFUSED),
        op(READ, 1, 3, 4),
    ],
}

BAD = {
    "a read of nothing after a write": [op(WRITE, 1, 0, 1), op(READ, None, 2, 3)],
    "a read of what was never written": [op(WRITE, 1, 0, 1), op(READ, 2, 2, 3)],
    "a read goes back": [op(WRITE, 1, 0, 9), op(READ, 1, 1, 2), op(READ, None, 3, 4)],
    "two readers see two orders": [
        op(WRITE, 1, 0, 1),
        op(WRITE, 2, 0, 1),
        op(READ, 1, 2, 3),
        op(READ, 2, 4, 5),
        op(READ, 1, 6, 7),
    ],
    "a write of unknown outcome comes and goes": [
        op(WRITE, 1, 0, answer=UNKNOWN),
        op(READ, 1, 1, 2),
        op(READ, None, 3, 4),
    ],
    "a write is done twice": [
        op(WRITE, 1, 0, 1),
        op(WRITE, 2, 2, 3),
        op(READ, 1, 4, 5),
    ],
    "both swaps win": [
        op(WRITE, 1, 0, 1),
        op(SWAP, 2, 2, 5, OK, expected=1),
        op(SWAP, 3, 2, 5, OK, expected=1),
    ],
    "both creations win": [op(CREATE, 1, 0, 5), op(CREATE, 2, 0, 5)],
    "a create refused where there was nothing": [op(CREATE, 1, 0, 1, REFUSED)],
    "a remove refused where there was something": [op(WRITE, 1, 0, 1), op(REMOVE, None, 2, 3, REFUSED)],
    "an answer before the operation it depends on was called": [op(READ, 1, 0, 1), op(WRITE, 1, 2, 3)],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_is_linearizable(name):
    assert linearizable(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_not(name):
    assert not linearizable(BAD[name])


def test_keys_are_judged_apart_and_failed_operations_not_at_all():
    history = [
        op(WRITE, 1, 0, 1, key=1),
        op(READ, None, 2, 3, key=2),
        op(WRITE, 9, 2, 3, FAILED, key=1),
        op(READ, 1, 4, 5, key=1),
        op(WRITE, 5, 6, 7, key=2),
        op(READ, None, 8, 9, key=2),
    ]
    assert [(key, fault) for key, fault, _ in check(history)] == [(2, "not linearizable")]


def test_a_search_that_is_given_up_is_told_as_that(monkeypatch):
    monkeypatch.setattr(simhistory, "MAX_STEPS", 3)
    ((key, fault, _),) = check([op(WRITE, number, 0, 9) for number in range(6)] + [op(READ, 3, 10, 11)])
    assert key == 0
    assert "in 3 steps" in fault


def exhaustive(history):
    """Try every order of every choice of the operations that may not have happened."""
    must = [o for o in history if o.answer is not UNKNOWN]
    may = [o for o in history if o.answer is UNKNOWN and o.kind is not READ]
    for size in range(len(may) + 1):
        for chosen in itertools.combinations(may, size):
            for order in itertools.permutations([*must, *chosen]):
                if _explains(order):
                    return True
    return False


def _explains(order):
    state = None
    for position, operation in enumerate(order):
        if any(later.returned < operation.called for later in order[position + 1 :]):
            return False
        possible, state = step(state, operation)
        if not possible:
            return False
    return True


@st.composite
def histories(draw):
    history = []
    for token in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(list(Kind)))
        called = draw(st.integers(0, 8))
        answers = [OK] if kind is READ else [OK, UNKNOWN] if kind is WRITE else [OK, REFUSED, UNKNOWN]
        answer = draw(st.sampled_from(answers))
        seen = draw(st.sampled_from([None, 0, 1, 2, 3]))
        value = seen if kind is READ else None if kind is REMOVE else token
        returned = INFINITY if answer is UNKNOWN else called + draw(st.integers(0, 5)) + 0.5
        history.append(op(kind, value, called, returned, answer, seen if kind is SWAP else None))
    return history


@examples(400)
@given(histories())
def test_it_agrees_with_trying_everything(history):
    assert linearizable(history) == exhaustive(history)
