"""A bound on the rate of work in the background: a bucket of tokens that fills with time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST = 0.25
"""Seconds worth of tokens that are kept for work that comes in bursts."""

LONGEST_REST = 0.25
"""Seconds that follow one piece of work at most: however slow the machine, the work gets on."""


class Throttle:
    """At most `rate` bytes a second, over all who share it; first come, first served.

    `busy` tells whether somebody in the foreground waits for the same disks and links now: then the rate is
    `yielding` of it, and the work takes no more than `share` of the time either. The slower everything is, the
    longer a piece of work takes and the longer the rest that follows it: so the foreground keeps its share of a machine
    that is busy with other things too.
    """

    def __init__(
        self,
        rate: float,
        *,
        busy: Callable[[], bool] = lambda: False,
        yielding: float = 1.0,
        share: float = 1.0,
    ) -> None:
        self._rate = rate
        self._busy = busy
        self._yielding = yielding
        self._share = share
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    async def take(self, amount: int) -> None:
        """Wait until `amount` bytes may be moved. More than a burst is never refused, what comes next waits longer."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            now = loop.time()
            self._free_at = max(self._free_at, now - LONGEST)
            if self._free_at > now:
                await asyncio.sleep(self._free_at - now)
            rate = self._rate * (self._yielding if self._busy() else 1.0)
            self._free_at += amount / rate

    @contextmanager
    def working(self, parallel: int = 1) -> Iterator[None]:
        """Around a piece of work; while somebody waits in the foreground, as much rest follows as is due.

        `parallel` pieces are done at a time: the rest that follows each is for all of them.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            if self._busy():
                now = loop.time()
                rest = (now - began) * (1 / self._share - 1)
                self._free_at = max(self._free_at, now) + min(rest, LONGEST_REST) / parallel
