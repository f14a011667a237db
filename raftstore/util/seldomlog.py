"""Log lines that somebody else's behaviour can cause at any rate: one a while, with the number of those left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

PERIOD = 10.0
"""Seconds between two lines about the same peer."""
_PEERS = 1024

log = structlog.get_logger()


class SeldomLog:
    """Warnings by peer, of which there may be up to 1024: beyond that they are counted as one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, event: str, *, peer: str, **fields: Any) -> None:
        """Write the line, or only count it (`left_out` in the next one about this peer)."""
        about = peer if peer in self._next or len(self._next) < _PEERS else ""
        now = self._clock()
        if now < self._next.get(about, now):
            self._left_out[about] = self._left_out.get(about, 0) + 1
            return
        self._next[about] = now + PERIOD
        left_out = self._left_out.pop(about, 0)
        log.warning(event, peer=peer, **fields, **({"left_out": left_out} if left_out else {}))
