"""Frames on the wire, without I/O: `u32 header length, u32 payload length, header, payload`; sealed: see `seal`.

The reader has a small buffer in which many short frames arrive at once, and gives a large frame a buffer of its
own, into which the rest is received directly: a payload is copied at most once, and only its beginning.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from raftstore.errors import StoreError, TooLarge
from raftstore.peers.security.seal import JOIN_BELOW, LENGTHS_TAG_SIZE, Allocate, BrokenSeal, Seal
from raftstore.util.buffers import Buffer
from raftstore.wire import peer_pb2

SCRATCH_SIZE = 64 * 1024
_BARE = 0x80000000
"""In a header's length: the payload is as it is."""
POOLED_SIZE = 1024 * 1024 + SCRATCH_SIZE
"""Room for a chunk with its header."""
POOLED_COUNT = 32

_LENGTHS = struct.Struct("!II")

Frame = tuple[peer_pb2.Header, memoryview]
_NOTHING = memoryview(b"")


def _fresh(size: int) -> memoryview:
    return memoryview(bytearray(size))


class BadFrame(StoreError):
    """The bytes of a peer are no frame of this protocol."""

    code = "BadFrame"
    message = "A peer sent what is not a frame of this protocol"


def encode(
    header: peer_pb2.Header,
    payload: Buffer,
    *,
    header_limit: int,
    payload_limit: int,
    seal: Seal | None = None,
    allocate: Allocate = _fresh,
) -> list[Buffer]:
    """Make the buffers to write for a frame; a long payload is in there as it is, not copied, unless it is encrypted.

    Raises TooLarge when a part is over its limit. With a seal, frames must be written in the order made; one that may
    leaves out a payload that its receiver compares with a digest. `room`: where encrypted payloads go.
    """
    encoded = header.SerializeToString()
    body = payload if isinstance(payload, bytes) else memoryview(payload).cast("B")
    if len(encoded) > header_limit:
        raise TooLarge(f"a message of {len(encoded)} bytes; the limit between nodes is {header_limit}")
    if len(body) > payload_limit:
        raise TooLarge(f"a payload of {len(body)} bytes; the limit between nodes is {payload_limit}")
    if seal is not None:
        bare = seal.bares and header.by_digest
        lengths = _LENGTHS.pack(len(encoded) | _BARE if bare else len(encoded), len(body))
        return seal.seal(lengths, encoded, body, allocate, bare=bare)
    lengths = _LENGTHS.pack(len(encoded), len(body))
    if len(body) < JOIN_BELOW:
        return [b"".join((lengths, encoded, body))]
    return [b"".join((lengths, encoded)), body]


class BufferPool:
    """Buffers for large frames, used again once nobody looks at them any more.

    A fresh buffer a chunk costs more than the rest of receiving it: the allocator gives such memory back to the
    system and every page of it faults again. A buffer belongs to its receiver as long as a view of it exists.
    """

    def __init__(self, size: int = POOLED_SIZE, count: int = POOLED_COUNT) -> None:
        self._size = size
        self._count = count
        self._buffers: list[bytearray] = []

    def take(self, size: int) -> memoryview:
        """Give a view of `size` bytes that nobody else has; what is in there is left over and means nothing."""
        if size > self._size:
            return memoryview(bytearray(size))
        buffer = next(filter(_unseen, self._buffers), None)
        if buffer is None:
            buffer = bytearray(self._size)
            if len(self._buffers) < self._count:
                self._buffers.append(buffer)
        return memoryview(buffer)[:size]


def _unseen(buffer: bytearray) -> bool:
    """Whether no view of the buffer exists: only then does Python let its size be changed."""
    try:
        buffer.pop()
    except BufferError:
        return False
    buffer.append(0)
    return True


class FrameReader:
    """Turns received bytes into frames: ask for `buffer()`, fill some of it, call `received(count)`."""

    def __init__(
        self,
        *,
        header_limit: int,
        payload_limit: int,
        seal: Seal | None = None,
        pool: BufferPool | None = None,
    ) -> None:
        self._pool = pool or BufferPool()
        self._header_limit = header_limit
        self._payload_limit = payload_limit
        self._seal = seal
        self._prefix = _LENGTHS.size + (LENGTHS_TAG_SIZE if seal else 0)
        self._scratch = memoryview(bytearray(SCRATCH_SIZE))
        self._start = 0  # scratch[start:end] is received and not yet decoded
        self._end = 0
        self._large: memoryview | None = None  # a whole frame that is longer than the scratch buffer
        self._filled = 0

    def buffer(self) -> memoryview:
        """Give the free space for the next bytes; never empty."""
        if self._large is not None:
            return self._large[self._filled :]
        return self._scratch[self._end :]

    def received(self, count: int) -> Iterator[Frame]:
        """Take `count` bytes that are now in the buffer; yield every frame that is complete.

        Raises BadFrame for lengths over the limits, a wrong tag or an undecodable header. To be consumed
        before `buffer()` is called again; whoever stops early has given up the connection.
        """
        if self._large is not None:
            self._filled += count
            if self._filled < len(self._large):
                return
            frame, self._large = self._large, None
            yield self._decode(frame)
            return
        self._end += count
        while (available := self._end - self._start) >= self._prefix:
            size = self._size()
            if available < size:
                self._arrange(size)
                return
            frame = self._scratch[self._start : self._start + size]
            self._start += size
            yield self._decode(frame.toreadonly())
        self._arrange(self._prefix)

    def _size(self) -> int:
        """Return the bytes of the next frame, whose lengths are here."""
        prefix = self._scratch[self._start : self._start + self._prefix]
        if self._seal is not None:
            try:
                self._seal.check(prefix[: _LENGTHS.size], prefix[_LENGTHS.size :])
            except BrokenSeal as error:
                raise BadFrame(str(error)) from None
        header, payload = _LENGTHS.unpack_from(prefix)
        bare = self._seal is not None and self._seal.bares and header & _BARE != 0
        if bare:
            header &= ~_BARE
        if header > self._header_limit:
            raise BadFrame(f"header of {header} bytes, at most {self._header_limit} are taken")
        if payload > self._payload_limit:
            raise BadFrame(f"payload of {payload} bytes, at most {self._payload_limit} are taken")
        behind = header + payload if self._seal is None else self._seal.size(header, payload, bare=bare)
        return int(_LENGTHS.size + behind)

    def _arrange(self, size: int) -> None:
        """Arrange buffers for a frame of `size` bytes whose beginning is in the scratch buffer."""
        rest = self._scratch[self._start : self._end]
        if size > SCRATCH_SIZE:
            self._large = self._pool.take(size)
            self._large[: len(rest)] = rest
            self._filled = len(rest)
            self._start = self._end = 0
        elif self._start == self._end:
            self._start = self._end = 0
        elif SCRATCH_SIZE - self._start < size:
            self._scratch[: len(rest)] = rest  # overlapping is fine: it moves as if through a copy
            self._start, self._end = 0, len(rest)

    def _decode(self, frame: memoryview) -> Frame:
        """Decode a frame. A read-only one is in the scratch buffer, which is used again: what is in it must last."""
        length = _LENGTHS.unpack_from(frame)[0]
        bare = length & _BARE != 0
        encoded: Buffer
        if self._seal is None:
            content = memoryview(bytes(frame)) if frame.readonly else frame
            encoded, payload = (
                content[_LENGTHS.size : _LENGTHS.size + length],
                content[_LENGTHS.size + length :],
            )
        else:
            lengths, sealed = frame[: _LENGTHS.size], frame[_LENGTHS.size :]
            try:
                encoded, payload = self._seal.open(lengths, sealed, length & ~_BARE, bare=bare)
            except BrokenSeal as error:
                raise BadFrame(str(error)) from None
        try:
            header = peer_pb2.Header.FromString(bytes(encoded))
        except DecodeError:
            raise BadFrame("a header does not decode") from None
        if bare and not header.by_digest:
            raise BadFrame("a payload that nothing covers")
        return header, payload if len(payload) else _NOTHING
