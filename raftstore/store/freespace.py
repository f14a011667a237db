"""How much is free, told roughly and late: to whoever may not see all that is stored.

A chunk that is there already takes no room. So an exact figure, before and after an upload, would tell whether anybody
has stored the same picture. It is sampled every PERIOD and rounded to a sixteenth, 64 MiB at least, up or down by
chance as the rest has it: a picture changes it too seldom to be found out.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

PERIOD = 600.0
"""Seconds for which a figure is told."""

LEAST = 64 << 20
"""Bytes to which it is rounded at least."""

_PARTS = 4
"""Binary digits that are left."""


def rounded(free: int, chance: Callable[[int], int] = secrets.randbelow) -> int:
    """Return `free` bytes, rounded; on the average of many it is right. `chance(n)` gives one of 0 to n - 1."""
    step = max(LEAST, 1 << max(0, free.bit_length() - _PARTS))
    return (free + chance(step)) // step * step


class AboutFree:
    """The figures of a node, by the number of copies that they are for."""

    def __init__(
        self,
        free: Callable[[int], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        """`free` returns the exact bytes for a number of copies (0: as the cluster has it)."""
        self._free = free
        self._clock = clock
        self._chance = chance
        self._reported: dict[int, tuple[float, int]] = {}

    def __call__(self, replicas: int) -> int:
        """Return about how many bytes are free. Raises what `free` does."""
        exact = self._free(replicas)  # also when it is not told: it raises NoQuorum
        reported = self._reported.get(replicas)
        if reported is None or self._clock() >= reported[0]:
            reported = self._reported[replicas] = self._clock() + PERIOD, rounded(exact, self._chance)
        return reported[1]
