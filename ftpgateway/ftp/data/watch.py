"""Finds transfers that stall: one timer for all of them instead of one each."""

from __future__ import annotations

import asyncio
from typing import Protocol

_CHECKS = 8
"""How often within the limit progress is looked at: a stall is found up to an eighth of the limit late."""


LEAST = 4096
"""Bytes within the limit that count as progress: who sends a byte a second holds a place for nothing."""


class Watchable(Protocol):
    """What is watched of a transfer."""

    moved: int
    """Bytes so far."""

    @property
    def stallable(self) -> bool:
        """Whether lack of progress now is the client's doing."""
        ...

    def stalled(self) -> None:
        """Nothing moved for too long."""
        ...


class Watch:
    """Tells transfers that moved less than `LEAST` bytes for `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self._period = limit / _CHECKS
        self._seen: dict[Watchable, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transfer: Watchable) -> None:
        """Begin to watch."""
        self._seen[transfer] = (transfer.moved, 0)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._check)

    def discard(self, transfer: Watchable) -> None:
        """Watch no more."""
        self._seen.pop(transfer, None)

    def close(self) -> None:
        """Stop."""
        self._seen.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        for transfer, (moved, checks) in list(self._seen.items()):
            if transfer.moved - moved >= LEAST or not transfer.stallable:
                self._seen[transfer] = (transfer.moved, 0)
            elif checks + 1 < _CHECKS:
                self._seen[transfer] = (moved, checks + 1)
            else:
                self._seen.pop(transfer)
                transfer.stalled()
        if self._seen:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._check)
