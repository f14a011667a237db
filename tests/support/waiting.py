"""Waiting for what has no event to wait for: `eventually` in a thread, `until` on a loop, whatever its clock."""

from __future__ import annotations

import asyncio
import ftplib
import time
from collections.abc import Callable
from typing import TypeVar

from raftstore.errors import StoreError

T = TypeVar("T")

PATIENCE = 180.0
"""Seconds for what processes do, however busy the machine is."""
DEADLINE = 30.0
"""Seconds for what is done within this process."""
_SHORTEST, _LONGEST = 0.005, 0.1
_NOT_YET = (OSError, EOFError, ftplib.Error, StoreError)


def eventually(condition: Callable[[], T | None], timeout: float = PATIENCE) -> T:
    """Call `condition` until it returns something true, and return that; fail after `timeout` seconds.

    A refusal, or a connection that breaks, counts as not yet.
    """
    deadline = time.monotonic() + timeout
    pause = _SHORTEST
    while True:
        try:
            value = condition()
            if value:
                return value
            last: object = value
        except _NOT_YET as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s; last: {last!r}")
        time.sleep(pause)
        pause = min(_LONGEST, pause * 1.5)


async def until(condition: Callable[[], T | None], what: str = "it", *, within: float = DEADLINE) -> T:
    """Ask `condition` on the running loop until it returns something true, and return that; fail after `within` s."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (value := condition()):
        assert loop.time() < deadline, f"{what} did not come true within {within} s"
        await asyncio.sleep(_SHORTEST)
    return value
