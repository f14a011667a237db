"""Warnings that strangers can cause, at a bounded rate: nobody may fill the log from outside."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class QuietLog:
    """Logs at most `burst` lines of an event at once, then `rate` a second; says how many it left out.

    Events are fixed phrases of the code, so what is remembered is bounded.
    """

    def __init__(
        self, *, burst: int = 10, rate: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._tokens: dict[str, tuple[float, float]] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, event: str, **context: object) -> None:
        """Log the warning unless there were too many like it."""
        now = self._clock()
        tokens, since = self._tokens.get(event, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - since) * self._rate)
        if tokens < 1:
            self._tokens[event] = (tokens, now)
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._tokens[event] = (tokens - 1, now)
        left_out = self._left_out.pop(event, 0)
        if left_out:
            context["left_out"] = left_out
        log.warning(event, **context)
