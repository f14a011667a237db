"""One file open for reading: any offset, mostly in order, with the next megabyte on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ftpgateway.access.backend import Download
from raftstore.types import CHUNK_SIZE
from raftstore.util.buffers import Buffer

KEPT = 2
"""Blocks that are kept: a read may begin in one and end in the next."""


class FileReader:
    """Reads one version of a file. At most one call at a time."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._blocks: list[tuple[int, memoryview]] = []  # (offset, bytes), one behind the other
        self._source: AsyncGenerator[Buffer, None] | None = None
        self._first: asyncio.Task[None] | None = None

    @property
    def download(self) -> Download:
        """What is read."""
        return self._download

    def begin(self) -> None:
        """Get the first block, while the client hears that the file is open."""
        if self.size:
            self._first = asyncio.create_task(self._more(0, 1))

    @property
    def holds(self) -> bool:
        """Whether it has bytes in memory, or gets some."""
        return self._first is not None or bool(self._blocks)

    @property
    def most_held(self) -> int:
        """Bytes in memory at most: the blocks that are kept, and one that comes."""
        return min(self.size, (KEPT + 1) * CHUNK_SIZE)

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self._download.size

    def at_hand(self, offset: int, length: int) -> list[memoryview] | None:
        """Return the bytes from `offset` if they are in memory, fewer at the end of the file; None: `fetch` them."""
        end = min(offset + length, self.size)
        parts = []
        for first, block in self._blocks:
            if first <= offset < first + len(block):
                part = block[offset - first : end - first]
                parts.append(part)
                offset += len(part)
                if offset >= end:
                    return parts
        return None

    async def fetch(self, offset: int, length: int) -> list[memoryview]:
        """Return the bytes from `offset`, fewer at the end of the file, none beyond. Raises StoreError."""
        if offset >= self.size or not length:
            return []
        first, self._first = self._first, None
        if first is not None:
            await first
        while (parts := self.at_hand(offset, length)) is None:
            await self._more(offset, length)
        return parts

    async def _more(self, offset: int, length: int) -> None:
        """Get the block that comes next, or begin at `offset` when what is wanted does not follow."""
        after = self._after()
        if self._source is None or not offset <= after <= offset + length or not self._has(offset, after):
            await self._stop()
            self._source = self._download.blocks(offset)
            after = offset
        block = await anext(self._source)
        self._blocks = [*self._blocks[1 - KEPT :], (after, memoryview(block))]

    def _after(self) -> int:
        if not self._blocks:
            return -1
        first, block = self._blocks[-1]
        return first + len(block)

    def _has(self, offset: int, after: int) -> bool:
        """Whether the bytes from `offset` to `after` are in memory."""
        return offset == after or self.at_hand(offset, after - offset) is not None

    async def _stop(self) -> None:
        source, self._source = self._source, None
        self._blocks = []
        if source is not None:
            await source.aclose()

    async def put_down(self) -> None:
        """Let go of the bytes in memory; the next read gets them again."""
        first, self._first = self._first, None
        if first is not None:
            first.cancel()
            await asyncio.wait([first])
            if not first.cancelled():
                first.exception()  # of a block that nobody wanted
        await self._stop()

    async def close(self) -> None:
        """Release what it holds."""
        await self.put_down()
        await self._download.close()
