"""Histories of what clients saw, and whether they are linearizable.

A key holds a token (an int) or nothing. The checker searches for an order of the operations that explains every
answer and respects real time (Wing and Gong's search with Lowe's memory of states seen). Keys are independent,
so each is searched by itself, and histories of a hundred operations a key take milliseconds.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

INFINITY = float("inf")


class Kind(enum.Enum):
    READ = "read"
    WRITE = "write"
    CREATE = "create"
    """Writes where there is nothing."""
    SWAP = "swap"
    """Writes over `expected`."""
    REMOVE = "remove"


class Answer(enum.Enum):
    OK = "ok"
    REFUSED = "refused"
    """A definite answer: there was something (create), something else (swap), nothing (remove)."""
    FAILED = "failed"
    """Surely not done."""
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Operation:
    """What a client did. `value`: the token written or, once answered, read."""

    client: int
    key: int
    kind: Kind
    value: int | None
    called: float
    expected: int | None = None
    returned: float = INFINITY
    answer: Answer = Answer.UNKNOWN
    node: str = ""

    def __str__(self) -> str:
        expected = f" over {self.expected}" if self.kind is Kind.SWAP else ""
        until = f"{self.returned:.4f}" if self.returned < INFINITY else "?"
        return (
            f"{self.called:.4f}..{until} client {self.client} at {self.node}: {self.kind.value} key {self.key}"
            f" {self.value}{expected}: {self.answer.value}"
        )


def step(state: int | None, operation: Operation) -> tuple[bool, int | None]:
    """Whether the operation can have had its answer in this state, and the state after it."""
    known, done = operation.answer is not Answer.UNKNOWN, operation.answer is Answer.OK
    match operation.kind:
        case Kind.READ:
            return state == operation.value, state
        case Kind.WRITE:
            return (not known) or done, operation.value
        case Kind.CREATE:
            possible = state is None
        case Kind.SWAP:
            possible = state is not None and state == operation.expected
        case Kind.REMOVE:
            possible = state is not None
    after = None if operation.kind is Kind.REMOVE else operation.value
    return (not known) or done == possible, after if possible else state


def linearizable(history: Iterable[Operation], start: int | None = None) -> bool:
    """Whether one key's history is linearizable. Operations that surely failed must not be in it.

    One whose outcome is unknown may be done at any time after its call, or never.
    """
    wanted = [o for o in history if not (o.kind is Kind.READ and o.answer is not Answer.OK)]
    operations = sorted(wanted, key=lambda o: (o.called, o.returned))
    total = len(operations)
    must = 0
    for position, operation in enumerate(operations):
        if operation.answer is not Answer.UNKNOWN:
            must |= 1 << position
    seen: set[tuple[int, int | None]] = set()
    stack: list[tuple[int, int | None]] = [(0, start)]
    while stack:
        done, state = stack.pop()
        if done & must == must:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        candidates: list[tuple[int, int | None]] = []
        first_return = INFINITY
        for position in range(_first_open(done), total):
            if done >> position & 1:
                continue
            operation = operations[position]
            if operation.called > first_return:
                break
            first_return = min(first_return, operation.returned)
            possible, after = step(state, operation)
            if possible and (after != state or must >> position & 1):
                candidates.append((done | 1 << position, after))
        # Searched from the top of the stack: what returned first is tried first, unknown ones last.
        candidates.sort(key=lambda c: -operations[(c[0] ^ done).bit_length() - 1].returned)
        stack += candidates
    return False


def _first_open(done: int) -> int:
    """The lowest bit that is not set."""
    return (~done & (done + 1)).bit_length() - 1


def check(history: Sequence[Operation]) -> list[tuple[int, list[Operation]]]:
    """Return the keys whose histories are not linearizable, with these."""
    keys: dict[int, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.answer is not Answer.FAILED:
            keys[operation.key].append(operation)
    return [(key, operations) for key, operations in sorted(keys.items()) if not linearizable(operations)]
