"""The level of a node's log, and changing it for a while as the node runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger()

LEVELS = ("debug", "info", "warning", "error")

_METHODS = tuple(
    f"{prefix}{name}"
    for prefix in ("", "a")
    for name in ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log", "msg")
)
_OTHERS = ("is_enabled_for", "get_effective_level")


class LogLevel:
    """Which lines are logged: those of `configured` and above, or for a while of another level."""

    def __init__(self, configured: str = "info") -> None:
        self.configured = self.current = configured
        self.wrapper_class: type[Any] = type("NodeLogger", (_class_of(configured),), {})
        """For `structlog.configure`. Loggers are kept by who logs, so that it is this class that changes."""
        self.on_change: Callable[[int], None] = lambda _level: None
        """Called with the number of a new level: for what logs without structlog."""
        self._back: asyncio.TimerHandle | None = None

    def set(self, level: str, seconds: float) -> None:
        """Log at another level for so many seconds, on the running loop; in place of what was set before."""
        self._take(level)
        self._back = asyncio.get_running_loop().call_later(seconds, self.reset)
        log.warning("log level changed", to=level, seconds=round(seconds))

    def reset(self) -> None:
        """Log at the configured level again."""
        changed = self.current != self.configured
        if changed:
            log.warning("log level as configured again", to=self.configured)
        self._take(self.configured)

    @property
    def left(self) -> float:
        """Seconds until the configured level is back; 0: it is in force."""
        if self._back is None:
            return 0.0
        return max(0.0, self._back.when() - asyncio.get_running_loop().time())

    def _take(self, level: str) -> None:
        if self._back is not None:
            self._back.cancel()
            self._back = None
        self.current = level
        like = _class_of(level)
        for name in (*_METHODS, *_OTHERS):
            if (method := getattr(like, name, None)) is not None:
                setattr(self.wrapper_class, name, method)
        self.on_change(_number(level))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _class_of(level: str) -> type[Any]:
    """Return structlog's class that drops what is below a level without looking at it."""
    made: type[Any] = structlog.make_filtering_bound_logger(_number(level))
    return made
