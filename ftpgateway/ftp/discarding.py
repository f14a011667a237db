"""What a client still sends of an upload that was refused in its middle.

Most clients look for a reply when they have sent everything. A data connection that is reset under their hands is all
that they would tell of, or they would try again; so what comes is thrown away, within bounds, until they are done.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ftpgateway.ftp.pyftp import READ, Watched
from ftpgateway.ftp.streams import Stream
from ftpgateway.ftp.transfers import READ_BUDGET, end_in_order

if TYPE_CHECKING:
    from ftpgateway.ftp.transfers import Host

SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes that are thrown away; who sends more is told by a reset."""
TIME_LIMIT = 60.0
"""Seconds that it may take."""


class Discarding(Watched):
    """A data connection on which everything was decided: read to its end, then closed in order; reset at the bounds."""

    def __init__(self, host: Host, stream: Stream) -> None:
        self._host = host
        self._stream = stream
        self._fd = stream.fileno()
        self._left = SIZE_LIMIT
        self._over = False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TIME_LIMIT, self.close)
        host.loop.watch(self._fd, self, READ)
        if stream.pending():
            loop.call_soon(self.on_events, READ)

    def on_events(self, events: int) -> None:
        """Throw away what is there."""
        if self._over:
            return
        turn = min(self._left, READ_BUDGET)
        try:
            while turn > 0:
                count = self._stream.recv_into(self._host.buffer)
                if not count:
                    self._leave()
                    end_in_order(self._host.loop, self._stream)
                    return
                turn -= count
                self._left -= count
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._left <= 0:
            self.close()
        elif self._stream.pending():
            asyncio.get_running_loop().call_soon(self.on_events, READ)

    def close(self) -> None:
        """Reset the connection. Idempotent."""
        if not self._over:
            self._leave()
            self._stream.reset()

    def _leave(self) -> None:
        self._over = True
        self._timer.cancel()
        self._host.loop.unwatch(self._fd)
