"""One line in the log for each thing that a client was refused, of FTP and SFTP alike, bounded for each session."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

BURST = 200
"""Refusals of a session that are logged at once, be they as many as they may."""
PERIOD = 10.0
"""Seconds after which one more is logged: who sends nonsense all day does not fill the disk."""


class _Allowance:
    """So many lines at once, then one a period."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._looked = clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(float(BURST), self._left + (now - self._looked) / PERIOD)
        self._looked = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RefusalLog:
    """The refusals of one session. `total` is how many there were, logged or not."""

    def __init__(self, events: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        """`events` gives the log, bound to what tells whose session it is."""
        self._events = events
        self._real, self._probes = _Allowance(clock), _Allowance(clock)
        self._left_out = 0
        self.total = 0

    def refused(
        self, *, command: str, path: str, reason: str, probe: bool = False, again: bool = False
    ) -> None:
        """Log a refusal. The texts are one line each and may come from the client.

        `probe`: the question whether a name is there was answered with no. Clients ask that all the time, so it is told
        at level debug and does not count. `again`: the same was told in this session; level debug will do.
        """
        self.total += not probe
        if probe or again:
            if self._probes.take():
                self._events().debug("refused", command=command, path=path, reason=reason)
            return
        if not self._real.take():
            self._left_out += 1
            return
        more = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        self._events().info("refused", command=command, path=path, reason=reason, **more)
