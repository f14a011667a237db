"""Inventory: a node looks, at its start, whether it has all chunks that the catalog says it has.

What recovery found damaged, or what somebody removed from the disk, would otherwise count as a copy until somebody
happens to read it here; by then the other copies may be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import structlog

from raftstore.util.limits.slices import Pace

log = structlog.get_logger()

PAUSE = 0.01
"""Seconds to wait while no more is taken."""

SHARE = 0.1
"""Of the loop's time: a large store does not take it for itself."""


async def take_inventory(
    pages: Iterator[list[bytes]], holds: Callable[[bytes], bool], report: Callable[[bytes], bool]
) -> int:
    """Report every chunk of `pages` that is not here; return how many those are.

    `report` returns False when it takes no more for now: the chunk is told again a moment later.
    """
    count = 0
    pace = Pace(SHARE)
    while True:
        with pace:
            page = next(pages, None)
            missing = [digest for digest in page or () if not holds(digest)]
        if page is None:
            break
        for digest in missing:
            count += 1
            while not report(digest):  # noqa: ASYNC110 - the proposals before it are what it waits for
                await asyncio.sleep(PAUSE)
        await pace.rest()
    if count:
        log.error("chunks are missing on this node: repair makes them again", chunks=count)
    return count
