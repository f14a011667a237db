"""Whose clock is wrong. Pure: from what each node's clock says to the ones that differ from the others.

Expiry dates, certificates and the times of files rest on clocks; nothing that must be safe does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

LIMIT = 30.0
"""Seconds by which a clock may differ from the others. NTP keeps to milliseconds; a busy node answers late."""

_UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def ahead(sent_ns: int, received_ns: int, theirs_ns: int) -> float | None:
    """Return by how many seconds another clock is ahead of this one (behind: below zero); None: it was not told.

    It was read at some moment between `sent_ns` and `received_ns` of this clock: half of that time counts for nothing.
    """
    if not theirs_ns:
        return None
    difference = theirs_ns - (sent_ns + received_ns) / 2
    doubt = max(0, received_ns - sent_ns) / 2
    if abs(difference) <= doubt:
        return 0.0
    return (difference - doubt if difference > 0 else difference + doubt) / 1e9


def wrong(offsets: Mapping[str, float], own: str) -> dict[str, float]:
    """Return those of the nodes whose clocks differ from the others' by more than LIMIT, and by how many seconds.

    `offsets` tells by how many seconds each clock is ahead of that of `own`, which is among them with 0. The median is
    right as long as most are. Two clocks that differ do not tell which is wrong: the other one is named.
    """
    if len(offsets) == 2:
        return {name: by for name, by in offsets.items() if name != own and abs(by) > LIMIT}
    middle = statistics.median(offsets.values()) if offsets else 0.0
    return {name: by - middle for name, by in offsets.items() if abs(by - middle) > LIMIT}


def agreed(readings: Sequence[int | None]) -> int | None:
    """Return the time, in ns since the epoch, on which the clocks of the members agree now; None: they do not.

    `readings`: what each voter's clock says now, None for one not heard of. It is the lower median, where a majority,
    counting those not heard of against it, is within LIMIT of it. So at least a majority of clocks are that far, and a
    minority of clocks that are wrong, this node's own among them or not, neither moves it on nor holds it back.
    """
    if not readings:
        return None
    behind_all = min((each for each in readings if each is not None), default=0) - 1
    median = sorted(behind_all if each is None else each for each in readings)[(len(readings) - 1) // 2]
    near = sum(each is not None and abs(each - median) <= LIMIT * 1e9 for each in readings)
    return median if median > behind_all and near > len(readings) // 2 else None


def reported(by: float) -> str:
    """Say for people how far a clock is off."""
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(by) >= 2 * size), _UNITS[-1])
    return f"its clock is {abs(by) / size:.0f} {unit} {'ahead of' if by > 0 else 'behind'} the others"
