"""A cluster of real node processes for integration tests."""

from __future__ import annotations

import ftplib
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def eventually(condition: Callable[[], _T], timeout: float = 120, every: float = 0.1) -> _T:
    """Call `condition` until it returns something true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = condition()
            if value:
                return value
            last: object = value
        except (OSError, EOFError, ftplib.Error) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s; last: {last!r}")
        time.sleep(every)
