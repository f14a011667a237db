"""Histories of what clients saw, and whether they are linearizable.

A key holds a token (an int) or nothing. The checker searches for an order of the operations that explains every
answer and respects real time (Wing and Gong's search with Lowe's memory of states seen). Keys are independent,
so each is searched by itself. The system under test claims to know such an order, that of its log: operations carry
it as a hint of what to try first. So an order that exists is found in about as many steps as there are operations;
it is judged by the answers and times alone.
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
    hint: float = INFINITY
    """Where it comes in the order that the system claims, if that is known."""

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


MAX_STEPS = 200_000


class Undecided(Exception):
    """The search was given up: neither is the claimed order one, nor is another found in reasonable time."""


def linearizable(history: Iterable[Operation], start: int | None = None) -> bool:
    """Whether one key's history is linearizable. Operations that surely failed must not be in it.

    One whose outcome is unknown may be done at any time after its call, or never. Raises Undecided.
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
        if len(seen) > MAX_STEPS:
            raise Undecided
        seen.add((done, state))
        removed = False
        candidates: list[tuple[int, int | None]] = []
        first_return = INFINITY
        for position in range(_first_open(done), total):
            if done >> position & 1:
                continue
            operation = operations[position]
            if operation.called > first_return:
                break
            first_return = min(first_return, operation.returned)
            if operation.kind is Kind.REMOVE and operation.answer is Answer.UNKNOWN:
                # They are all alike: whatever a later one explains, the earliest explains too.
                if removed:
                    continue
                removed = True
            possible, after = step(state, operation)
            if possible and (after != state or must >> position & 1):
                candidates.append((done | 1 << position, after))
        # Searched from the top of the stack: what comes first in the claimed order, then what returned first.
        candidates.sort(key=lambda c: _turn(operations[(c[0] ^ done).bit_length() - 1]), reverse=True)
        stack += candidates
    return False


def _turn(operation: Operation) -> tuple[float, float]:
    return operation.hint, operation.returned


def _first_open(done: int) -> int:
    """The lowest bit that is not set."""
    return (~done & (done + 1)).bit_length() - 1


def check(history: Sequence[Operation]) -> list[tuple[int, str, list[Operation]]]:
    """Return the keys whose histories are not known to be linearizable, what they are instead, and these."""
    keys: dict[int, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.answer is not Answer.FAILED:
            keys[operation.key].append(operation)
    return [
        (key, fault, operations) for key, operations in sorted(keys.items()) if (fault := _fault(operations))
    ]


def _fault(operations: Sequence[Operation]) -> str:
    try:
        return "" if linearizable(operations) else "not linearizable"
    except Undecided:
        return f"not explained by the log's order, nor by another found in {MAX_STEPS} steps"
