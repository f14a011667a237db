"""One SFTP session as bytes: packets from a worker to requests, replies back, on the node's loop."""

from __future__ import annotations

import asyncio
import struct

from ftpgateway.serving.opensessions import Operation
from ftpgateway.sftp import packets
from ftpgateway.sftp.link import SEND_BUFFER, Link, SessionOver
from ftpgateway.sftp.requests import Requests
from raftstore.util.limits.slices import Slice, next_slice

TURN = 64
"""Requests after which other sessions have their turn: tens of thousands of small ones fit into the buffer."""

TURN_SECONDS = 0.005
"""Seconds after which they have it in any case: a request can take as long as sixty others."""

_LENGTH = struct.Struct("!I")
_HEAD = struct.Struct("!BI")


class Stream(Link):
    """The protocol of the socket to a worker; `run` is the session."""

    def __init__(self, requests: Requests, idle_timeout: float) -> None:
        super().__init__(idle_timeout)
        self._requests = requests
        self._turn = Slice(TURN_SECONDS)

    def stop(self) -> None:
        """What takes long ends."""
        self._requests.stop()

    @property
    def busy(self) -> bool:
        """Whether a file or a directory is open, or a request is being answered."""
        return self._requests.busy

    def operations(self) -> list[Operation]:
        """See `Requests.operations`."""
        return self._requests.operations()

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
            self._turn = Slice(TURN_SECONDS)
