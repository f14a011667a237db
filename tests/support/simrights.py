"""Clients with accounts and rules, and the order that must explain what they see.

A member reads and writes a file in a directory for which it has a rule. An admin renames what that directory lies in,
to and fro, so that the rule and the names move; an operator changes the member's rule and role. Everything goes through
`raftstore.store.names`, as in production.

The system claims an order: that of its log, and for a read, or a refusal that was never proposed, what was applied when
it was judged. Every answer and every effect must follow from that order, and it must respect real time. A command is
found in the log by a number of its own, also when its client was never told how it went.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed

from raftstore.rights import ROLES
from raftstore.wire import commands_pb2 as commands

INFINITY = float("inf")
MARK = 1 << 40
"""Numbers of commands begin here: they are revisions that no account has, quotas that nobody comes near."""

SLOTS = ("a", "b")
LETTERS = {
    "full": ROLES["member"],
    "read": ROLES["read-only"],
    "none": "",
}


class Kind(enum.Enum):
    """What is done by whom."""

    FLIP = "rename"
    RULE = "rule"
    PUT = "put"
    READ = "read"
    REMOVE = "remove"


class Answer(enum.Enum):
    """What the client was told."""

    OK = "ok"
    DENIED = "denied"
    ABSENT = "absent"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class State:
    """Where the directory is, where the member's rule is and what it says, its role, and what the file holds."""

    where: str = "a"
    rule: str = "a"
    letters: str = "none"
    role: str = "full"
    value: int | None = None

    def allowed(self, slot: str) -> str:
        """Return what the member may do in the directory when that is at `slot`."""
        return LETTERS[self.letters if self.rule == slot else self.role]


@dataclass(slots=True)
class Operation:
    """What a client did. `slot`: where it took the directory to be; a rename takes it to the other one."""

    kind: Kind
    slot: str
    number: int
    called: float
    letters: str = ""
    role: str = ""
    value: int | None = None
    returned: float = INFINITY
    answer: Answer = Answer.UNKNOWN
    place: float = INFINITY
    """Where it comes in the claimed order: entry, and behind the point the place in it."""
    node: str = ""

    def __str__(self) -> str:
        until = f"{self.returned:.4f}" if self.returned < INFINITY else "?"
        what = f"{self.letters}/{self.role}" if self.kind is Kind.RULE else self.value
        return (
            f"{self.called:.4f}..{until} at {self.node}: {self.kind.value} {self.slot} {what}:"
            f" {self.answer.value} (entry {self.place:.4f})"
        )


def step(state: State, operation: Operation) -> tuple[Answer, int | None, State]:
    """Return what the operation is answered in this state, what it reads, and the state after it."""
    slot, there = operation.slot, operation.slot == state.where
    match operation.kind:
        case Kind.RULE:
            rule = changed(state, rule=slot, letters=operation.letters, role=operation.role)
            return Answer.OK, None, rule
        case Kind.FLIP:
            if not there:
                return Answer.ABSENT, None, state
            other = SLOTS[slot == SLOTS[0]]
            return (
                Answer.OK,
                None,
                changed(state, where=other, rule=other if state.rule == slot else state.rule),
            )
        case Kind.READ:
            if "r" not in state.allowed(slot):
                return Answer.DENIED, None, state
            found = state.value if there else None
            return (Answer.OK if found is not None else Answer.ABSENT), found, state
        case Kind.PUT:
            if "w" not in state.allowed(slot):
                return Answer.DENIED, None, state
            return (
                (Answer.OK, None, changed(state, value=operation.value))
                if there
                else (Answer.ABSENT, None, state)
            )
        case Kind.REMOVE:
            if "d" not in state.allowed(slot):
                return Answer.DENIED, None, state
            if not there or state.value is None:
                return Answer.ABSENT, None, state
            return Answer.OK, None, changed(state, value=None)


def fault(history: Sequence[Operation], start: State = State()) -> str:
    """Return what of a history the claimed order does not explain; "" when it explains everything."""
    order = sorted(history, key=lambda o: (o.place, o.called))
    earliest = INFINITY
    for operation in reversed(order):
        if earliest < operation.called:
            return (
                f"an operation that returned at {earliest:.4f} comes behind one that began later: {operation}"
            )
        earliest = min(earliest, operation.returned)
    state = start
    for operation in order:
        answer, value, after = step(state, operation)
        wrong = operation.answer is not answer or (operation.kind is Kind.READ and operation.value != value)
        if operation.answer is not Answer.UNKNOWN and wrong:
            return f"in {state} the answer is {answer.value} {value}, and not as here: {operation}"
        state = after
    return ""


STATUSES = {
    commands.OK: Answer.OK,
    commands.DENIED: Answer.DENIED,
    commands.NOT_FOUND: Answer.ABSENT,
    commands.NO_PARENT: Answer.ABSENT,
}


def number_of(command: commands.Command) -> int:
    """Return the number of a client's command, 0 of any other."""
    number: int = command.put_user.user.quota_bytes or command.actor.opened
    return number if number >= MARK else 0


def settled(
    history: Iterable[Operation], log: Mapping[int, tuple[float, commands.Result]]
) -> tuple[list[Operation], str]:
    """Return the operations with their places and what happened, and what contradicts the log ("": nothing).

    `log` has place and result of each numbered command that was applied. An operation of unknown outcome that is not in
    it was not done, as one that failed.
    """
    found = []
    for operation in history:
        known = log.get(operation.number)
        if known is not None:
            place, result = known
            applied = STATUSES.get(result.status)
            if operation.answer is Answer.UNKNOWN and applied is not None:
                operation.answer = applied
            if operation.answer is not applied:
                name = commands.Status.Name(result.status)
                return [], f"the log says {name} {result.detail!r} of what was answered otherwise: {operation}"
            operation.place = place
        elif operation.answer in (Answer.UNKNOWN, Answer.FAILED):
            continue
        found.append(operation)
    return found, ""
