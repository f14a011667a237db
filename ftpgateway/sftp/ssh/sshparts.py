"""What packets of SSH are made of: buffers, keys of AES-GCM, and who takes and gives the bytes of a channel."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any, Protocol


def memory(size: int) -> memoryview:
    """Return a buffer that takes memory only as far as it is used."""
    return memoryview(mmap.mmap(-1, size))


class GcmKey:
    """AES-GCM in one direction (RFC 5647): a packet's number counts up in the nonce."""

    def __init__(self, engine: Any, nonce: bytes) -> None:
        self._engine = engine
        self._fixed = nonce[:4]
        self._counter = int.from_bytes(nonce[4:], "big")

    def _nonce(self) -> bytes:
        counter = self._counter
        self._counter = (counter + 1) & 0xFFFFFFFFFFFFFFFF
        return self._fixed + counter.to_bytes(8, "big")

    def seal(self, plain: memoryview, length: memoryview, out: memoryview) -> None:
        """Encrypt a packet; `out` has room for its tag."""
        self._engine.encrypt_into(self._nonce(), plain, length, out)

    def open(self, sealed: memoryview, length: memoryview, out: memoryview) -> None:
        """Decrypt a packet with its tag. Raises InvalidTag: nothing of it may be used."""
        self._engine.decrypt_into(self._nonce(), sealed, length, out)


class Outgoing:
    """Bytes of one channel, for which its window has room; stands where paramiko passes a message on."""

    __slots__ = ("channel", "data", "most")

    def __init__(self, channel: int, data: memoryview, most: int) -> None:
        self.channel = channel
        self.data = data
        self.most = most  # bytes in one packet


class Taker(Protocol):
    """Takes the bytes of a channel."""

    def feed(self, data: Sequence[memoryview]) -> None:
        """Take all; the buffers are used again afterwards."""
        ...
