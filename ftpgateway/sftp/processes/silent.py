"""SSH connections that have not sent a byte: they wait in the node, where they cost a descriptor and no thread.

Clients send their version at once, without waiting for the server's (RFC 4253, 4.2: both sides must send it). So who
is silent is a scanner, somebody who only holds the connection, or one of the few that wait for the server's version
all the same: after a moment a silent one gets a worker, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from raftstore.util.sockets import first_byte

PATIENCE = 0.5
"""Seconds after which a connection goes to a worker although nothing came."""


class Silent:
    """One connection. `heard` is called once: with True when something came, False after PATIENCE, None at its end."""

    def __init__(self, client: socket.socket, heard: Callable[[Silent, bool | None], None]) -> None:
        self._client = client
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look whether something is there already, and wait if not."""
        self._client.setblocking(False)
        self._timer = self._loop.call_later(PATIENCE, self._over, False)
        self._loop.add_reader(self._client.fileno(), self._readable)
        self._readable()

    def _readable(self) -> None:
        first = first_byte(self._client)
        if first:
            self._over(True)
        elif first is not None:
            self.end()

    def _over(self, spoke: bool) -> None:
        self._stop()
        self._heard(self, spoke)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            with contextlib.suppress(OSError, ValueError):
                self._loop.remove_reader(self._client.fileno())

    def let_go(self) -> socket.socket:
        """Wait no more; return the socket."""
        self._stop()
        return self._client

    def end(self) -> None:
        """Close it; `heard` is told."""
        self._stop()
        self._client.close()
        self._heard(self, None)
