"""How many passwords of one network are verified at the same time, so that no network keeps others from logging in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ftpgateway.access.refusal import LoginRefused


class _Door:
    def __init__(self, width: int) -> None:
        self.gate = asyncio.Semaphore(width)
        self.inside = 0


class Doors:
    """One door a network, as long as somebody is at it; `width` may be within, `room` with those that wait."""

    def __init__(self, width: int, room: int) -> None:
        self._width = width
        self._room = room
        self._doors: dict[str, _Door] = {}

    @contextlib.asynccontextmanager
    async def through(self, network: str) -> AsyncIterator[None]:
        """Wait for one's turn. Raises LoginRefused when too many wait."""
        door = self._doors.get(network)
        if door is None:
            door = self._doors[network] = _Door(self._width)
        if door.inside >= self._room:
            raise LoginRefused("Too many logins at once from your address; try again in a moment.")
        door.inside += 1
        try:
            async with door.gate:
                yield
        finally:
            door.inside -= 1
            if not door.inside:
                self._doors.pop(network, None)
