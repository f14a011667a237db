"""Signals that ask the demo to end, taken only where nothing can be torn.

An exception that a signal handler raises at any instruction may be lost (in a finalizer) or leave an event loop
whose tasks wait for ever. So the handler only notes the signal, and raises within `allowed()` alone: around sleeps,
polls and plain socket calls. What is noted elsewhere is raised at the next `allowed()`.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """A signal asked for the end; the code is the shell's for it."""


class _Noted:
    """The signal that came, and whether it may raise where the program is now."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.open = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Note the first signal; raise it where that is allowed."""
        if self.number is None:
            self.number = number
        if self.open:
            self.open = False
            self.check()

    def check(self) -> None:
        """Raise Stopped if a signal has come."""
        if self.number is not None:
            raise Stopped(128 + self.number)


_noted = _Noted()


@contextlib.contextmanager
def caught() -> Iterator[None]:
    """Note SIGINT, SIGTERM and SIGHUP until the end, where the former handlers are put back. Main thread only."""
    before = {number: signal.signal(number, _noted.handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _noted.number = None


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """Raise Stopped here for a signal that has come before, or comes until the end."""
    _noted.check()
    outer, _noted.open = _noted.open, True
    try:
        _noted.check()
        yield
    finally:
        _noted.open = outer
    _noted.check()


def sleep(seconds: float) -> None:
    """Sleep; a signal ends it with Stopped."""
    with allowed():
        time.sleep(seconds)
