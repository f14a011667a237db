"""Ticks: the time by which partial uploads age, counted by the leader (`expiry`)."""

from __future__ import annotations

import time
from collections.abc import Callable

TICKS = 168
"""Into which the time for which partial uploads are kept is cut: hours of a week."""

KEEP = TICKS + 1
"""Ticks after which one goes; the first has begun before it was put."""


class Ticks:
    """When the next tick begins, as far as this leader knows; decides on nothing but its own clock."""

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._present: int | None = None
        self._since = 0.0

    def forget(self) -> None:
        """It does not lead, or there is nothing that ages: count anew from the next look on."""
        self._present = None

    def due(self, present: int) -> bool:
        """Whether the tick after the `present` one begins now; look at each."""
        now = self._clock()
        if present != self._present:
            self._present, self._since = present, now
        return now - self._since >= self._period
