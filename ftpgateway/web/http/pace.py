"""How slow a client may be while a body comes or goes: some bytes must move in the time that is waited for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

LEAST = 4096
"""Bytes that have to move within the time."""


class TooSlow(Exception):
    """The client has moved too little for too long."""


class Pace:
    """One direction of one request. `seconds`: longest that may be waited for LEAST bytes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = seconds
        self._moved = 0

    async def wait(self, what: Awaitable[T]) -> T:
        """Wait for the client. Raises TooSlow."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(self._left):
                return await what
        except TimeoutError:
            raise TooSlow from None
        finally:
            self._left = max(0.0, self._left - (loop.time() - begun))

    def moved(self, count: int) -> None:
        """So many bytes have moved."""
        self._moved += count
        if self._moved >= LEAST:
            self._moved, self._left = 0, self._seconds
