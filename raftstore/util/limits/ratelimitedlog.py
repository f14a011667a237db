"""Log lines that others can cause at any rate: a few, with the number of those left out. Nobody may fill the log."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from raftstore.util.limits.rates import Rates

_KEYS = 1024
"""Lines are counted apart for so many keys; beyond that they are counted as one."""

log = structlog.get_logger()


class RateLimitedLog:
    """Writes `burst` lines at once, then `rate` a second, and says in the next one how many it left out (`left_out`).

    Lines are counted apart by event, or by their field named `by`, whatever the event: that is for lines about peers.
    """

    def __init__(
        self,
        *,
        burst: int = 10,
        rate: float = 0.2,
        by: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._by = by
        self._rates: Rates[str] = Rates(rate, burst, entries=_KEYS + 1, clock=clock)
        self._left_out: dict[str, int] = {}

    @classmethod
    def per_peer(cls, clock: Callable[[], float] = time.monotonic) -> RateLimitedLog:
        """Make one that writes a line about each peer every ten seconds."""
        return cls(burst=1, rate=0.1, by="peer", clock=clock)

    def warning(self, event: str, **fields: object) -> None:
        """Write the warning, or only count it."""
        key = event if self._by is None else str(fields[self._by])
        if key not in self._left_out and len(self._left_out) >= _KEYS:
            key = ""
        left_out = self._left_out.get(key, 0)
        if not self._rates.take(key):
            self._left_out[key] = left_out + 1
            return
        self._left_out[key] = 0
        if left_out:
            fields["left_out"] = left_out
        log.warning(event, **fields)
