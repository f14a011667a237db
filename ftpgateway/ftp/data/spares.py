"""Passive listeners of sessions that have just used them: the next PASV of the same session takes its own again.

A camera asks for a data connection for each picture. To open and close a listening socket each time costs a tenth of a
small download. A listener is never given to another session: a late connection of one client must not be taken for
that of another.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

REST = 2.0
"""Seconds for which a listener is kept."""

LIMIT = 256
"""Listeners that are kept at most: the oldest one goes."""

_BACKLOG = 16


class Spares:
    """The listeners of a front-end's sessions that wait for nobody now. On the loop."""

    def __init__(
        self, rest: float = REST, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rest = rest
        self._limit = limit
        self._clock = clock
        self._kept: dict[object, tuple[socket.socket, float]] = {}  # in order of age
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, owner: object, sock: socket.socket) -> None:
        """Keep the listener `sock` for `owner`, for a while."""
        if owner in self._kept:
            self.drop(owner)
        if len(self._kept) >= self._limit:
            self.drop(next(iter(self._kept)))
        self._kept[owner] = sock, self._clock()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._rest, self._expire)

    def take(self, owner: object) -> socket.socket | None:
        """Return the owner's listener, if it is still there. Who has connected meanwhile, for no transfer, is reset."""
        found = self._kept.pop(owner, None)
        if found is None:
            return None
        sock = found[0]
        for _ in range(_BACKLOG):
            try:
                stray, _ = sock.accept()
            except BlockingIOError:
                return sock
            except OSError:
                break
            stray.close()
        sock.close()  # somebody is at it
        return None

    def drop(self, owner: object) -> None:
        """Close the owner's listener."""
        found = self._kept.pop(owner, None)
        if found is not None:
            found[0].close()

    def clear(self) -> None:
        """Close all."""
        for owner in list(self._kept):
            self.drop(owner)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._clock()
        for owner, (_, since) in list(self._kept.items()):
            left = since + self._rest - now
            if left > 0:
                self._timer = asyncio.get_running_loop().call_later(left, self._expire)
                return
            self.drop(owner)
