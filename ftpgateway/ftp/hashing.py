"""Checksums of files for HASH, XCRC and the like: streamed from the store, computed by threads, broken off at will."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import Protocol

from ftpgateway.access.backend import Download
from raftstore.errors import Invalid
from raftstore.util.buffers import Buffer

PORTION = 5.0
"""Seconds after which `Hashing.some` returns though it has not finished: a wait for the store is bounded."""


class Checksum(Protocol):
    """What hashlib's objects have."""

    def update(self, data: Buffer, /) -> None:
        """Take bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the checksum of all bytes so far."""
        ...


class Crc32:
    """CRC-32 as zip and Ethernet have it, in the shape of hashlib's objects."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        """Take bytes."""
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        """Return the eight digits."""
        return f"{self._value:08x}"


def _md5() -> Checksum:
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> Checksum:
    return hashlib.sha1(usedforsecurity=False)


ALGORITHMS: dict[str, Callable[[], Checksum]] = {
    "SHA-256": hashlib.sha256,
    "SHA-512": hashlib.sha512,
    "SHA-1": _sha1,
    "MD5": _md5,
    "CRC32": Crc32,
}
"""What HASH knows, the default first."""


def checked_range(size: int, start: int, stop: int | None) -> tuple[int, int]:
    """Return the first byte and the byte after the last one of what is asked for. Raises Invalid."""
    end = size if stop is None else min(stop, size)
    if start > end:
        raise Invalid(f"the file has {size} bytes, there is nothing from {start} to {end}")
    return start, end


class Hashing:
    """The checksum of the bytes from `start` to before `stop` of an open download, a portion at a time.

    Each block is read while no other one is in memory for it, and goes through a thread of `threads`.
    """

    def __init__(self, source: Download, algorithm: str, start: int, stop: int, threads: Executor) -> None:
        self._source = source
        self._checksum = ALGORITHMS[algorithm]()
        self._blocks = source.blocks(start, stop - start)
        self._threads = threads

    async def some(self) -> str | None:
        """Go on for a while; return the checksum in hexadecimal digits when done. Raises StoreError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PORTION
        while True:
            block = await anext(self._blocks, None)
            if block is None:
                return self._checksum.hexdigest()
            await loop.run_in_executor(self._threads, self._checksum.update, block)
            if loop.time() >= until:
                return None

    async def close(self) -> None:
        """Let go of the download, at any time."""
        try:
            if isinstance(self._blocks, AsyncGenerator):
                await self._blocks.aclose()
        finally:
            await self._source.close()
