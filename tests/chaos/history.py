"""What clients did and were told, and whether one order of all of it explains every answer.

Names are checked in cells: two names that are renamed to each other and to no other, so that a cell is a small
object of its own. A cell's state is what its two names hold: nothing, a directory, or a file with a number.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

DIRECTORY = "directory"
Held = None | str | int
"""Nothing, DIRECTORY, or the number that is the file's content."""
State = tuple[Held, Held]
EMPTY: State = (None, None)


class Outcome(enum.Enum):
    """What a client knows of its command. Reads are DONE with what they saw."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One command. `name` is 0 or 1; RENAME goes from it to the other one.

    `value` is the number of a STOR, what a READ saw, the State of a LOOK (both names at once), for a DELE whether
    there may have been the rest of a broken upload to remove; else None.
    `reason` is the refusal's: absent, present, file, directory. `respond` is infinite when there was no answer.
    """

    kind: str
    name: int
    value: object
    outcome: Outcome
    reason: str
    invoke: float
    respond: float
    node: str = ""
    reply: str = ""

    def __str__(self) -> str:
        about = f"{self.reason}" if self.outcome is Outcome.REFUSED else ""
        return (
            f"{self.invoke:9.3f}-{self.respond:9.3f} {self.node} {self.kind} {'ab'[self.name]} "
            f"{self.value!r} {self.outcome.value} {about} {self.reply!r}"
        )


def step(state: State, operation: Operation) -> State | None:
    """Return the state after `operation`, or None when it cannot have happened like this in `state`."""
    held, other = state[operation.name], state[1 - operation.name]
    if operation.outcome is Outcome.REFUSED:
        return state if _holds(operation, held, other) else None
    match operation.kind:
        case "LOOK":
            return state if operation.value == state else None
        case "READ":
            return state if operation.value == held else None
        case "FOUND":
            return state if held is not None else None
        case "RETR":
            return state if isinstance(held, int) and operation.value == held else None
        case "MKD":
            return _with(state, operation.name, DIRECTORY) if held is None else None
        case "RMD":
            return _with(state, operation.name, None) if held == DIRECTORY else None
        case "STOR":
            assert isinstance(operation.value, int)
            return _with(state, operation.name, operation.value) if held != DIRECTORY else None
        case "DELE":
            left_over = held is None and operation.value is True
            return _with(state, operation.name, None) if isinstance(held, int) or left_over else None
        case "RENAME":
            if held is None or other == DIRECTORY or (held == DIRECTORY and other is not None):
                return None
            return _with(_with(state, operation.name, None), 1 - operation.name, held)
    raise ValueError(operation.kind)


def _holds(operation: Operation, held: Held, other: Held) -> bool:
    match operation.reason:
        case "absent":
            return held is None
        case "present":
            if operation.kind == "RENAME":
                return held is not None and (other == DIRECTORY or (held == DIRECTORY and other is not None))
            return held is not None
        case "file":
            return isinstance(held, int)
        case "directory":
            return held == DIRECTORY
    raise ValueError(f"no refusal of {operation.kind}: {operation.reason}")


def _with(state: State, name: int, held: Held) -> State:
    return (held, state[1]) if name == 0 else (state[0], held)


def linearizable(history: Sequence[Operation], initial: State = EMPTY) -> bool:
    """Whether an order of the operations exists that explains every answer and in which none that began after
    another was answered comes before it. Those without an answer may be anywhere later, or nowhere.

    A depth-first search that meets no (set of operations done, state) twice (Wing and Gong, Lowe).
    """
    operations = sorted(history, key=lambda operation: operation.invoke)
    open_ended = [operation.outcome is Outcome.UNKNOWN for operation in operations]
    answered = sum(1 << n for n, unknown in enumerate(open_ended) if not unknown)
    ends = [math.inf if u else o.respond for u, o in zip(open_ended, operations, strict=True)]
    start = (0, initial)
    stack, seen = [start], {start}
    while stack:
        done, state = stack.pop()
        if done & answered == answered:
            return True
        waiting = [n for n in range(len(operations)) if not done >> n & 1]
        first_end = min(ends[n] for n in waiting)
        for n in reversed(waiting):
            if operations[n].invoke > first_end:
                continue
            after = step(state, operations[n])
            if after is None:
                continue
            following = (done | 1 << n, after)
            if following not in seen:
                seen.add(following)
                stack.append(following)
    return False
