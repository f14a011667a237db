"""One connection between two authenticated ends: frames in and out, liveness, and a definite end."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field, replace
from typing import cast

from raftstore.errors import Refused, StoreError, Unavailable
from raftstore.peers.connections.framing import BadFrame, BufferPool, FrameReader, encode
from raftstore.peers.model import Limits, Peer
from raftstore.peers.security.seal import Seals
from raftstore.peers.security.tls import failure, peer_of
from raftstore.util.buffers import Buffer
from raftstore.util.limits.ratelimitedlog import RateLimitedLog
from raftstore.util.sending import write_all
from raftstore.wire import peer_pb2

VERSION = 1
"""Of the protocol; both ends must have the same."""

MAX_DETAIL = 4096
"""Characters of an error's detail that travel."""

GATHER_BYTES = 128 * 1024
"""Frames written in one turn of the loop leave together, or as soon as there are so many bytes of them."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all channels of a process share."""

    limits: Limits
    quiet: RateLimitedLog = field(default_factory=RateLimitedLog)
    pool: BufferPool = field(default_factory=BufferPool)


class Channel(asyncio.BufferedProtocol):
    """What both ends have in common. Once `drop` was called, nothing more is delivered or sent.

    A TLS channel learns who the peer is from its certificate; a sealed one is told (`peer`).
    """

    def __init__(self, shared: Shared, *, seals: Seals | None = None, peer: Peer | None = None) -> None:
        self.limits = limits = shared.limits
        self.peer = peer
        self.theirs = peer_pb2.Hello()
        """What the peer has said of itself, once the connection is in use."""
        self.sealed = seals is not None
        self.reason = ""
        """Why the channel was dropped."""
        self.finished = asyncio.Event()
        """Set when the transport is gone too."""
        self._quiet = shared.quiet
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader(
            header_limit=limits.header_bytes,
            payload_limit=limits.payload_bytes,
            seal=seals.receiving if seals else None,
            pool=shared.pool,
        )
        self._seal = seals.sending if seals else None
        self._allocate = shared.pool.take
        self._open = True
        self._frames: list[Buffer] = []  # written in this turn of the loop, not yet handed to the transport
        self._gathered = 0  # bytes of them
        self._writable = asyncio.Event()
        self._writable.set()
        self._turn = asyncio.Lock()
        self._heard = False
        self._silent_ticks = 0
        self._ticker: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether it was not dropped; before the connection is made, too."""
        return self._open

    @property
    def name(self) -> str:
        """The peer's name for logs and errors."""
        return self.peer.name if self.peer else "stranger"

    @property
    def address(self) -> str:
        """The other end's IP address; "" when there is none (any more)."""
        found = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(found[0]) if found else ""

    # What the two ends do differently.

    def identified(self) -> None:
        """Check who the peer is and say hello; a StoreError drops the channel before anything is decoded."""
        raise NotImplementedError

    def deliver(self, header: peer_pb2.Header, payload: memoryview) -> None:
        """Take a frame that is not of the channel's own; a BadFrame drops the channel."""
        raise NotImplementedError

    def dropped(self) -> None:
        """The channel was just dropped: let go of everything that hangs on it."""
        raise NotImplementedError

    # Writing.

    def write(self, header: peer_pb2.Header, payload: Buffer = b"", *, urgent: bool = False) -> None:
        """Write a frame. Raises TooLarge, or Unavailable on a dropped channel; a stuck one is dropped.

        It leaves at the end of this turn of the loop, together with all others of this turn: with TLS, every
        write to the transport is a record, a system call and a wake-up of the peer of its own. An `urgent` one
        leaves at once, with those that are there.
        """
        if not self._open or self._transport is None:
            raise Unavailable(f"the connection to {self.name} is down: {self.reason}")
        limits = self.limits
        if self.buffered() > limits.stuck_buffer:
            self.drop("it does not read what it is sent")
            raise Unavailable(f"the connection to {self.name} is down: {self.reason}")
        buffers = encode(
            header,
            payload,
            header_limit=limits.header_bytes,
            payload_limit=limits.payload_bytes,
            seal=self._seal,
            allocate=self._allocate,
        )
        if not self._frames and not urgent:
            self._loop.call_soon(self._flush)
        self._frames += buffers
        self._gathered += sum(map(len, buffers))
        if urgent or self._gathered >= GATHER_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Hand what was gathered to the transport."""
        frames, self._frames, self._gathered = self._frames, [], 0
        if not frames or not self._open or self._transport is None:
            return
        write_all(self._transport, frames)

    async def transmit(self, header: peer_pb2.Header, payload: Buffer = b"") -> None:
        """Write a frame when the transport has room, first come, first served. Raises as `write`."""
        if self._writable.is_set() and not self._turn.locked():
            self.write(header, payload)
            return
        async with self._turn:
            await self._writable.wait()
            self.write(header, payload)

    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        if self._transport is None or not self._open:
            return 0
        return self._gathered + self._transport.get_write_buffer_size()

    # The end.

    def drop(self, reason: str, *, warn: str = "") -> None:
        """End the connection at once; `warn` is the event to log, at a bounded rate. Harmless when repeated."""
        if self._end(reason, warn) and self._transport is not None:
            self._transport.abort()

    def abort(self) -> None:
        """Drop, and do not even wait for what is still to be sent."""
        self.drop("stopped")
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, error: StoreError) -> None:
        """Tell the peer why it is refused, then end the connection; nothing more is delivered."""
        try:
            self.write(error_header(0, error))
        except StoreError:
            pass
        self._flush()
        if self._end(str(error), "peer refused") and self._transport is not None:
            self._transport.close()

    def _end(self, reason: str, warn: str) -> bool:
        if not self._open:
            return False
        self._open = False
        self._frames, self._gathered = [], 0
        self.reason = reason
        if self._ticker is not None:
            self._ticker.cancel()
        self._writable.set()
        if self._transport is None:
            self.finished.set()
        if warn:
            address = self._transport.get_extra_info("peername") if self._transport else None
            self._quiet.warning(warn, peer=self.name, address=address, reason=reason)
        self.dropped()
        return True

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who the peer is, before anything of it is decoded."""
        self._transport = cast(asyncio.Transport, transport)
        self.finished.clear()
        if not self._open:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self.limits.write_buffer)
        try:
            if not self.sealed:
                self.peer = replace(peer_of(transport.get_extra_info("ssl_object")), address=self.address)
            self.identified()
        except Refused as error:
            self.drop(error.detail, warn="peer refused")
        except StoreError as error:
            self.drop(str(error))
        else:
            self._ticker = self._loop.call_later(self.limits.ping_interval, self._tick)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give asyncio the place for what comes next; once dropped, one that nobody looks at."""
        return self._reader.buffer() if self._open else memoryview(bytearray(4096))

    def buffer_updated(self, nbytes: int) -> None:
        """Deliver the frames that are complete now."""
        self._heard = True
        if not self._open:
            return
        try:
            for header, payload in self._reader.received(nbytes):
                if not self._take(header, payload):
                    return
        except BadFrame as error:
            self.drop(error.detail, warn="garbage from peer")
        except StoreError as error:
            self.drop(str(error))

    def _take(self, header: peer_pb2.Header, payload: memoryview) -> bool:
        """Deliver one frame; whether the channel is still there for the next."""
        if header.kind == peer_pb2.PING:
            self.write(peer_pb2.Header(kind=peer_pb2.PONG))
        elif header.kind != peer_pb2.PONG:
            self.deliver(header, payload)
        return self._open

    def eof_received(self) -> bool:
        """Half-closed is closed."""
        self.drop("closed by the peer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        # In TLS 1.3 a certificate is refused after the handshake of the side that showed it (RFC 8446, 4.4.2.4).
        reason = (
            failure(exc) if isinstance(exc, ssl.SSLError) else f"lost: {exc}" if exc else "closed by the peer"
        )
        self.drop(reason)
        self.finished.set()

    def pause_writing(self) -> None:
        """The transport buffers enough: calls and replies wait."""
        if self._open:
            self._writable.clear()

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._writable.set()

    def _tick(self) -> None:
        """Look once an interval whether the peer is heard.

        Ticks are counted, not time: a process that slept itself does not blame its peers.
        """
        interval = self.limits.ping_interval
        self._silent_ticks = 0 if self._heard else self._silent_ticks + 1
        self._heard = False
        if self._silent_ticks * interval >= self.limits.ping_timeout:
            self.drop(f"silent for {self._silent_ticks * interval:g} s", warn="half-open connection dropped")
            return
        self._ticker = self._loop.call_later(interval, self._tick)
        if self._silent_ticks:
            try:
                self.write(peer_pb2.Header(kind=peer_pb2.PING))
            except StoreError:
                pass  # dropped: the ticker is cancelled


def error_header(call: int, error: StoreError) -> peer_pb2.Header:
    """Make the frame that tells of an error; only the kinds of raftstore.errors arrive as themselves."""
    return peer_pb2.Header(kind=peer_pb2.ERROR, call=call, error=error.code, detail=error.detail[:MAX_DETAIL])
