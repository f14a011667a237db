"""The bytes of one channel of a client, between its worker and the node's loop.

What comes waits in one buffer of fixed size, and what goes out beyond a bound makes reading stop: neither a client that
only sends nor one that never reads takes more memory than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

from ftpgateway.sftp import packets
from raftstore.util.buffers import Buffer
from raftstore.util.sending import write_all

RECEIVE_BUFFER = 2 * (packets.MAX_PACKET + 4)
SEND_BUFFER = 1024 * 1024
_LEAST_SPACE = 64 * 1024


class SessionOver(Exception):
    """The session has to end, for the reason that is told."""


class Link(asyncio.BufferedProtocol):
    """The protocol of the socket to a worker."""

    def __init__(self, idle_timeout: float) -> None:
        self._idle = idle_timeout
        self._memory = bytearray(RECEIVE_BUFFER)
        self._buffer = memoryview(self._memory)
        self._start = self._end = 0
        self._news = asyncio.Event()  # bytes came, or the connection changed
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._eof = False
        self._full = False  # what was sent is not read
        self._sent = asyncio.Event()
        self._lived = self._moved = 0.0
        self._out: list[Buffer] = []
        self._waiting = 0

    def stop(self) -> None:
        """What takes long ends: nobody waits for it any more."""

    # asyncio's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is watched."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=SEND_BUFFER)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the free space."""
        return self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._end += nbytes
        if self._end == RECEIVE_BUFFER and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """The client has ended; replies may still go out."""
        self._eof = True
        self._news.set()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The worker, or we, have closed."""
        self._transport = None
        self.stop()
        self._eof = True
        self._news.set()
        self._sent.set()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._full = True
        self._sent.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._full = False
        self._sent.set()

    # What is done with them.

    def close(self) -> None:
        """End the session now; `run` returns after the request that is under way, those behind it are dropped."""
        self._start = self._end = 0
        self.stop()
        if self._transport is not None:
            self._transport.abort()
        self._eof = True
        self._news.set()

    def lives(self, *, moving: bool) -> None:
        """The client has sent a keep-alive of SSH, or (`moving`) bytes go through though none of them is seen here."""
        self._lived = asyncio.get_running_loop().time()
        if moving:
            self._moved = self._lived

    async def _more(self, deadline: float) -> None:
        """Wait for news until a time of the loop. Raises SessionOver."""
        self._news.clear()
        while not await _happens(self._news, max(deadline, self._lived + self._idle)):
            if asyncio.get_running_loop().time() >= self._lived + self._idle:
                raise SessionOver("nothing came for too long")

    def _make_space(self) -> None:
        """Move what is left to the front if there is little space behind it; nobody looks at it now."""
        if self._start == self._end:
            self._start = self._end = 0
        elif RECEIVE_BUFFER - self._end < _LEAST_SPACE or self._paused:
            left = self._end - self._start
            self._memory[:left] = self._memory[self._start : self._end]
            self._start, self._end = 0, left
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _put(self, reply: Iterable[Buffer]) -> None:
        """Have something sent with the next `_flush`."""
        reply = list(reply)
        self._out += reply
        self._waiting += sum(map(len, reply))

    def _flush(self) -> None:
        """Send it."""
        out, self._out, self._waiting = self._out, [], 0
        if out and self._transport is not None:
            write_all(self._transport, out)

    async def _drained(self) -> None:
        """Wait until the client reads again. Raises SessionOver."""
        deadline = asyncio.get_running_loop().time() + self._idle
        while not await _happens(self._sent, max(deadline, self._moved + self._idle)):
            if asyncio.get_running_loop().time() >= self._moved + self._idle:
                raise SessionOver("the client does not read")


async def _happens(event: asyncio.Event, deadline: float) -> bool:
    """Whether something happens before a time of the loop."""
    try:
        async with asyncio.timeout_at(deadline):
            await event.wait()
    except TimeoutError:
        return False
    return True
