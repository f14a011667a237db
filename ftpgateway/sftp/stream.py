"""One SFTP session as bytes: packets from a worker to requests, replies back, on the node's loop.

What comes waits in one buffer of fixed size, and what goes out beyond a bound makes reading stop: neither a client that
only sends nor one that never reads takes more memory than that.
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

import structlog

from ftpgateway.sftp import packets
from ftpgateway.sftp.requests import Reply, Requests
from raftstore.util.buffers import Buffer
from raftstore.util.limits.slices import Slice, next_slice
from raftstore.util.sending import write_all

log = structlog.get_logger()

RECEIVE_BUFFER = 2 * (packets.MAX_PACKET + 4)
SEND_BUFFER = 1024 * 1024
TURN = 64
"""Requests after which other sessions have their turn: tens of thousands of small ones fit into the buffer."""

TURN_SECONDS = 0.005
"""Seconds after which they have it in any case: a request can take as long as sixty others."""

_LEAST_SPACE = 64 * 1024
_LENGTH = struct.Struct("!I")
_HEAD = struct.Struct("!BI")


class SessionOver(Exception):
    """The session has to end, for the reason that is told."""


class Stream(asyncio.BufferedProtocol):
    """The protocol of the socket to a worker; `run` is the session."""

    def __init__(self, requests: Requests, idle_timeout: float) -> None:
        self._requests = requests
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
        self._turn = Slice(TURN_SECONDS)
        self._waiting = 0

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
        self._requests.stop()
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

    # The session.

    def close(self) -> None:
        """End the session now; `run` returns after the request that is under way, those behind it are dropped."""
        self._start = self._end = 0
        self._requests.stop()
        if self._transport is not None:
            self._transport.abort()
        self._eof = True
        self._news.set()

    def lives(self, *, moving: bool) -> None:
        """The client has sent a keep-alive of SSH, or (`moving`) bytes go through though none of them is seen here."""
        self._lived = asyncio.get_running_loop().time()
        if moving:
            self._moved = self._lived

    @property
    def busy(self) -> bool:
        """Whether a file or a directory is open."""
        return self._requests.open_handles > 0

    async def run(self) -> None:
        """Serve until the client or the connection ends. Raises SessionOver. Nothing open is published then."""
        try:
            await self._hello()
            handled = 0
            while (packet := await self._next()) is not None:
                await self._handle(packet)
                handled += 1
                if handled % TURN == 0 or self._turn.used:
                    self._flush()
                    await next_slice()
                    self._turn = Slice(TURN_SECONDS)
        finally:
            await self._requests.abandon()
            if self._transport is not None:
                self._flush()
                self._transport.close()

    async def _hello(self) -> None:
        packet = await self._next()
        if packet is None:
            raise SessionOver("the client left without a word")
        if packet[:1] != bytes([packets.INIT]) or len(packet) < 5:
            raise SessionOver("not SFTP")
        self._put([packets.version()])

    async def _handle(self, packet: memoryview) -> None:
        if len(packet) < _HEAD.size:
            raise SessionOver("a packet without a number")
        kind, request = _HEAD.unpack_from(packet)
        content = packet[_HEAD.size :]
        reply = self._requests.at_once(kind, request, content)
        if reply is None:
            self._flush()
            reply = await self._requests.answer(kind, request, content)
            self._turn = Slice(TURN_SECONDS)
        self._put(reply)
        if self._waiting >= SEND_BUFFER // 4:
            self._flush()
        if self._full:
            await self._drained()
        if pause := self._requests.pause():
            self._flush()
            await asyncio.sleep(pause)

    async def _next(self) -> memoryview | None:
        """Return the next packet; None at the end. A packet has to come whole within the idle time."""
        deadline = asyncio.get_running_loop().time() + self._idle
        while True:
            have = self._end - self._start
            if have >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(self._memory, self._start)
                if not 0 < size <= packets.MAX_PACKET:
                    raise SessionOver(f"a packet of {size} bytes")
                if have >= _LENGTH.size + size:
                    first = self._start + _LENGTH.size
                    self._start = first + size
                    return self._buffer[first : self._start]
            self._flush()
            if self._eof:
                return None
            self._make_space()
            await self._more(deadline)

    async def _more(self, deadline: float) -> None:
        self._news.clear()
        while not await _happens(self._news, max(deadline, self._lived + self._idle)):
            if asyncio.get_running_loop().time() >= self._lived + self._idle:
                raise SessionOver("nothing came for too long")
        self._turn = Slice(TURN_SECONDS)

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

    def _put(self, reply: Reply) -> None:
        self._out += reply
        self._waiting += sum(map(len, reply))

    def _flush(self) -> None:
        out, self._out, self._waiting = self._out, [], 0
        if out and self._transport is not None:
            write_all(self._transport, out)

    async def _drained(self) -> None:
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
