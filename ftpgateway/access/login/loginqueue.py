"""How many passwords of one network are verified at the same time, so that no network keeps others from logging in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ftpgateway.access.refusal import LoginRefused


class _NetworkQueue:
    def __init__(self, width: int) -> None:
        self.gate = asyncio.Semaphore(width)
        self.inside = 0


class LoginQueue:
    """One queue a network, as long as somebody is in it; `width` may be through, `places` with those that wait."""

    def __init__(self, width: int, places: int) -> None:
        self._width = width
        self._places = places
        self._queues: dict[str, _NetworkQueue] = {}

    @contextlib.asynccontextmanager
    async def slot(self, network: str) -> AsyncIterator[None]:
        """Wait for one's turn. Raises LoginRefused when too many wait."""
        queue = self._queues.get(network)
        if queue is None:
            queue = self._queues[network] = _NetworkQueue(self._width)
        if queue.inside >= self._places:
            raise LoginRefused("Too many logins at once from your address; try again in a moment.")
        queue.inside += 1
        try:
            async with queue.gate:
                yield
        finally:
            queue.inside -= 1
            if not queue.inside:
                self._queues.pop(network, None)
