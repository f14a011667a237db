"""Background tasks: how they are ended."""

from __future__ import annotations

import asyncio


async def cancel_and_wait(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait until they are over, however they end. None stands for one that was not started."""
    started = [task for task in tasks if task is not None]
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)
