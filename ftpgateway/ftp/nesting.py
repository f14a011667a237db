"""pyftpdlib's event loop nested in asyncio (or uvloop).

Its epoll descriptor is itself readable while one of its sockets is ready, so the host loop watches that. Epoll
is level-triggered, inside and outside: an event that is not handled, or made possible by a later change of
registered events outside the pump, shows up again by itself.
"""

from __future__ import annotations

import asyncio
import time

from ftpgateway.ftp.pyftp import NestedIOLoop


class Nest:
    """Runs a pyftpdlib loop as guest of the running asyncio loop. `guest` is that loop."""

    def __init__(self) -> None:
        self.guest = NestedIOLoop(self._deadline)
        self._host: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    def start(self) -> None:
        """Begin to serve the guest's sockets and timers. Call it within the host loop."""
        self._host = asyncio.get_running_loop()
        self._host.add_reader(self.guest.fileno(), self._pump)
        self._run_due()

    def stop(self) -> None:
        """Stop serving and close the guest with all its sockets. Idempotent."""
        if self._host is None:
            return
        self._host.remove_reader(self.guest.fileno())
        self._host = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.guest.close()

    def _pump(self) -> None:
        self.guest.dispatch()

    def _deadline(self, at: float) -> None:
        """Note a new deadline of the guest, on its (monotonic) clock; 0 means at once."""
        if at >= self._timer_at or self._host is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._host.call_later(max(0.0, at - time.monotonic()), self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        delay = self.guest.run_due()
        if delay is not None:
            self._deadline(time.monotonic() + delay)
