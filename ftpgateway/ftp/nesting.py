"""pyftpdlib's event loop nested in asyncio (or uvloop).

Its epoll descriptor is itself readable while one of its sockets is ready, so the host loop watches that. Epoll
is level-triggered, inside and outside: an event that is not handled, or made possible by a later change of
registered events outside the pump, shows up again by itself.
"""

from __future__ import annotations

import asyncio

from ftpgateway.ftp.pyftp import NestedIOLoop


class Nest:
    """Runs a pyftpdlib loop as guest of the running asyncio loop. `guest` is that loop."""

    def __init__(self) -> None:
        self.guest = NestedIOLoop()
        self._host: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to serve the guest's sockets. Call it within the host loop."""
        self._host = asyncio.get_running_loop()
        self._host.add_reader(self.guest.fileno(), self._pump)

    def stop(self) -> None:
        """Stop serving and close the guest with all its sockets. Idempotent."""
        if self._host is None:
            return
        self._host.remove_reader(self.guest.fileno())
        self._host = None
        self.guest.close()

    def _pump(self) -> None:
        self.guest.dispatch()
