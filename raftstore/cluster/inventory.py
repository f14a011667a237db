"""Inventory: a node looks, at its start, whether it has all chunks that the catalog says it has.

What recovery found damaged, or what somebody removed from the disk, would otherwise count as a copy until somebody
happens to read it here; by then the other copies may be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import structlog

log = structlog.get_logger()

PAUSE = 0.01
"""Seconds between two pages, so that a large store does not take the loop for itself."""


async def take_inventory(
    pages: Iterator[list[bytes]], holds: Callable[[bytes], bool], report: Callable[[bytes], bool]
) -> int:
    """Report every chunk of `pages` that is not here; return how many those are.

    `report` returns False when it takes no more for now: the chunk is told again a moment later.
    """
    count = 0
    for page in pages:
        for digest in page:
            if holds(digest):
                continue
            count += 1
            while not report(digest):  # noqa: ASYNC110 - the proposals before it are what it waits for
                await asyncio.sleep(PAUSE)
        await asyncio.sleep(PAUSE)
    if count:
        log.error("chunks are missing on this node: repair makes them again", chunks=count)
    return count
