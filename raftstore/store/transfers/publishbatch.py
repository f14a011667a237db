"""Uploads that end at nearly the same time are published together.

A Raft round costs the nodes much more than a further command in it. So an upload whose bytes are safe waits for those
whose last bytes are on their way to the disks just now: they share a round. One that is alone waits for nobody.
"""

from __future__ import annotations

import asyncio

PATIENCE = 0.005
"""Seconds that an upload waits for others at most."""


class PublishBatch:
    """Who is about to publish. On the loop."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._coming = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        """Within, this one is about to publish and the others wait for it."""
        self._coming += 1

    def __exit__(self, *_: object) -> None:
        self._coming -= 1
        if not self._coming:
            self._go()

    async def together(self) -> None:
        """Wait for those who are coming."""
        if not self._coming:
            return
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(future)
        if self._timer is None:
            self._timer = loop.call_later(self._patience, self._go)
        await future

    def _go(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for future in waiting:
            if not future.done():
                future.set_result(None)
