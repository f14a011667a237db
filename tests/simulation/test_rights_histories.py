"""The order that must explain what clients with accounts see: good histories pass, bad ones do not."""

from __future__ import annotations

import pytest
from simrights import INFINITY, Answer, Kind, Operation, fault, settled

from raftstore.wire import commands_pb2 as commands

OK, DENIED, ABSENT = Answer.OK, Answer.DENIED, Answer.ABSENT


def done(
    kind: Kind,
    slot: str,
    place: float,
    answer: Answer = OK,
    *,
    value: int | None = None,
    rule: str = "",
    during: tuple[float, float] | None = None,
) -> Operation:
    called, returned = during or (place, place + 0.1)
    operation = Operation(kind, slot, int(place * 10), called, rule, "full", value, returned, answer)
    operation.place = place
    return operation


GOOD = [
    done(Kind.READ, "a", 1.5, DENIED),
    done(Kind.RULE, "a", 2, rule="full"),
    done(Kind.PUT, "a", 3, value=7),
    done(Kind.FLIP, "a", 4),
    done(Kind.READ, "a", 4.5, ABSENT),
    done(Kind.READ, "b", 4.5, value=7),
    done(Kind.FLIP, "a", 5, ABSENT),
    done(Kind.RULE, "b", 6, rule="none"),
    done(Kind.PUT, "b", 7, DENIED, value=8),
    done(Kind.FLIP, "b", 8),
    done(Kind.REMOVE, "a", 9, DENIED),
    done(Kind.REMOVE, "b", 9.5, ABSENT),
    done(Kind.RULE, "b", 10, rule="none"),
    done(Kind.READ, "a", 10.5, value=7),
]


def test_a_history_that_fits() -> None:
    assert fault(GOOD) == ""
    assert fault(list(reversed(GOOD))) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        done(Kind.PUT, "b", 7, OK, value=8),  # the rule has come with the directory
        done(Kind.READ, "b", 7.5, OK, value=7),
        done(Kind.READ, "a", 4.5, DENIED),  # the rule is not there any more
        done(Kind.READ, "a", 10.5, OK, value=8),
        done(Kind.READ, "a", 10.5, ABSENT),
        done(Kind.REMOVE, "a", 9, ABSENT),
        done(Kind.FLIP, "a", 5, OK),
        done(Kind.READ, "a", 1.5, DENIED, during=(20, 21)),  # of a state that is long past
    ],
)
def test_a_history_that_does_not(wrong: Operation) -> None:
    others = [operation for operation in GOOD if operation.place != wrong.place]
    assert fault([*others, wrong]) != ""


def test_what_a_client_was_not_told_is_taken_from_the_log() -> None:
    put = done(Kind.PUT, "a", 3, Answer.UNKNOWN, value=7)
    put.place, put.returned = INFINITY, INFINITY
    history = [done(Kind.RULE, "a", 2, rule="full"), put, done(Kind.READ, "a", 3.5, value=7)]
    log = {20: (2.0, commands.Result()), 30: (3.0, commands.Result())}
    found, wrong = settled(history, log)
    assert (wrong, fault(found)) == ("", "")
    put.answer = Answer.UNKNOWN
    found, wrong = settled(history, {20: (2.0, commands.Result())})
    assert (wrong, len(found)) == ("", 2)
    assert fault(found) != "", "read, but never done"
    put.answer = Answer.FAILED
    assert settled(history, log)[1] != "", "told not done, but done"
    put.answer = Answer.DENIED
    assert settled(history, log)[1] != ""
