"""Timers of sessions, on the host's loop, with the face of pyftpdlib's.

pyftpdlib's own keep their place in its heap when they are reset, so one active session near the top keeps those behind
it from ever being due: nobody's login or idle timeout would hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

log = structlog.get_logger()


class Timer:
    """Calls `target` once, `seconds` after it was made or last reset. To reset it costs no more than a comparison."""

    __slots__ = ("__weakref__", "_errback", "_handle", "_loop", "_seconds", "_target", "cancelled", "timeout")

    def __init__(
        self, seconds: float, target: Callable[[], object], errback: Callable[[], object] | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._target: Callable[[], object] | None = target
        self._errback = errback
        self.cancelled = False
        """Whether it will not be called (any more)."""
        self.timeout = self._loop.time() + seconds
        """When it is due, on the loop's clock."""
        self._handle = self._loop.call_later(seconds, self._due)

    def reset(self) -> None:
        """Begin anew."""
        self.timeout = self._loop.time() + self._seconds

    def cancel(self) -> None:
        """Call nothing. Idempotent."""
        self.cancelled = True
        self._target = self._errback = None
        self._handle.cancel()

    def _due(self) -> None:
        left = self.timeout - self._loop.time()
        if left > 0:  # it was reset since
            self._handle = self._loop.call_later(left, self._due)
            return
        target, errback = self._target, self._errback
        self.cancel()
        try:
            if target is not None:
                target()
        except Exception:
            if errback is None:
                log.exception("timer failed")
            else:
                errback()


def timer(
    seconds: float, target: Callable[..., object], arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> Timer:
    """Make a timer from what pyftpdlib's `call_later` takes."""
    named = dict(named)
    errback = named.pop("_errback", None)
    return Timer(seconds, lambda: target(*arguments, **named), errback)
