"""A bound on the bytes that wait to be written."""

from __future__ import annotations

import asyncio
from collections import deque


class WriteBudget:
    """A bound on bytes; whoever finds no room waits, first come, first served. On the loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Take `size` bytes, when there is room; one that is larger than all goes alone."""
        if not self._queue and self._fits(size):
            self._taken += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)
            raise

    def give(self, size: int) -> None:
        """Give `size` bytes back; those whose turn it is now have them."""
        self._taken -= size
        while self._queue and (self._queue[0][1].done() or self._fits(self._queue[0][0])):
            size, turn = self._queue.popleft()
            if not turn.done():
                self._taken += size
                turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return self._taken + size <= self._size or self._taken == 0
