"""How fast a user's sessions may move bytes: a rate that they share. Pure but for its clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from raftstore.util.buffers import Buffer

BURST = 0.25
"""Seconds' worth of bytes that may go at once after a pause."""

LEAST = 64 * 1024
"""Bytes that may be moved at once, however low the rate: a few TLS records, which are received whole."""


class Throttle:
    """Tells how long to wait after bytes were moved, so that all users of it together keep to `rate` (bytes/s, 0: any).

    Who waits holds back the other end by TCP's flow control; nothing is buffered here.
    """

    def __init__(self, rate: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._paid = 0.0

    def portion(self, most: int) -> int:
        """Return how many bytes should be moved at once, at most `most`."""
        return min(most, max(LEAST, int(self.rate * BURST / 2))) if self.rate else most

    def take(self, count: int) -> float:
        """Say that `count` bytes were moved; return the seconds to wait before the next."""
        if not self.rate:
            return 0.0
        now = self._clock()
        self._paid = max(self._paid, now - BURST) + count / self.rate
        return max(0.0, self._paid - now)


async def paced(blocks: AsyncIterator[Buffer], throttle: Throttle) -> AsyncIterator[Buffer]:
    """Yield what `blocks` yields, in portions and no faster than `throttle` lets it."""
    try:
        async for block in blocks:
            left = memoryview(block)
            while left:
                portion = left[: throttle.portion(len(left))]
                yield portion
                left = left[len(portion) :]
                await asyncio.sleep(throttle.take(len(portion)))
    finally:
        if isinstance(blocks, AsyncGenerator):
            await blocks.aclose()
