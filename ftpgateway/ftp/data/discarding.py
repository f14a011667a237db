"""What a client still sends of an upload that was refused in its middle.

Most clients look for a reply when they have sent everything. A data connection that is reset under their hands is all
that they would tell of, or they would try again; so what comes is thrown away, within bounds, until they are done.
"""

from __future__ import annotations

import asyncio

from ftpgateway.access.login.throttle import Throttle
from ftpgateway.ftp.data.streams import Stream
from ftpgateway.ftp.data.transfers import READ_BUDGET, Host, end_in_order
from ftpgateway.ftp.pyftp import READ, Watched

SIZE_LIMIT = 256 * 1024 * 1024
"""Bytes that are thrown away; who sends more is told by a reset."""
TIME_LIMIT = 60.0
"""Seconds that it may take."""


class Discarding(Watched):
    """A data connection on which everything was decided: read to its end, then closed in order; reset at the bounds."""

    def __init__(self, host: Host, stream: Stream, throttle: Throttle) -> None:
        """`throttle`: of the user's uploads, which this is still a part of."""
        self._host = host
        self._throttle = throttle
        self._stream = stream
        self._fd = stream.fileno()
        self._left = SIZE_LIMIT
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(TIME_LIMIT, self.close)
        self._pause: asyncio.TimerHandle | None = None
        self._go_on()

    def _go_on(self) -> None:
        if not self._over:
            self._host.loop.watch(self._fd, self, READ)
            if self._stream.pending():
                asyncio.get_running_loop().call_soon(self.on_events, READ)

    def on_events(self, events: int) -> None:
        """Throw away what is there."""
        if self._over:
            return
        buffer = self._host.buffer
        buffer = buffer[: self._throttle.portion(len(buffer))]
        turn, seconds = min(self._left, READ_BUDGET), 0.0
        try:
            while turn > 0 and not seconds:
                count = self._stream.recv_into(buffer)
                if not count:
                    self._leave()
                    end_in_order(self._host.loop, self._stream)
                    return
                turn -= count
                self._left -= count
                seconds = self._throttle.take(count)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._left <= 0:
            self.close()
        elif seconds:
            self._host.loop.unwatch(self._fd)
            self._pause = asyncio.get_running_loop().call_later(seconds, self._go_on)
        else:
            self._go_on()

    def close(self) -> None:
        """Reset the connection. Idempotent."""
        if not self._over:
            self._leave()
            self._stream.reset()

    def _leave(self) -> None:
        self._over = True
        self._timer.cancel()
        if self._pause is not None:
            self._pause.cancel()
        self._host.loop.unwatch(self._fd)
