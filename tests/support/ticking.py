"""A clock for slices of the loop's time that does not depend on how fast a machine is."""

from __future__ import annotations

import itertools

from raftstore.util.limits.slices import SHARED_SLICE, SLICE


class TickingClock:
    """Stands for the module `time`: a millisecond goes by whenever somebody looks."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)

    def perf_counter(self) -> float:
        """Return seconds."""
        return next(self._ticks) / 1000


MOST_IN_A_TURN = int((SHARED_SLICE + SLICE) * 1000) + 2
"""Commands, each of which looks once: those that came in this turn, and those that waited for their slice."""
