"""A file open for reading: its first block is on its way before it is asked for, and nothing of that is left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from ftpgateway.sftp.files.reading import FileReader
from raftstore.errors import Damaged, StoreError
from raftstore.types import Entry, Kind

DATA = bytes(range(256)) * 8
BLOCK = 512


class Download:
    """Gives blocks; the first `failures` times none, and never one before `gate` is open."""

    def __init__(self, failures: int = 0) -> None:
        self.entry = Entry("a", Kind.FILE, 1, len(DATA), 0, "alice", 1)
        self.size = len(DATA)
        self.failures = failures
        self.gate = asyncio.Event()
        self.open = 0
        self.closed = False

    async def blocks(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        self.open += 1
        try:
            await self.gate.wait()
            if self.failures:
                self.failures -= 1
                raise Damaged("no good copy")
            for first in range(start, len(DATA), BLOCK):
                yield DATA[first : first + BLOCK]
        finally:
            self.open -= 1

    async def close(self) -> None:
        self.closed = True


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_first_block_comes_by_itself() -> None:
    async def main() -> None:
        download = Download()
        download.gate.set()
        reader = FileReader(download)
        reader.begin()
        await settled()
        assert reader.at_hand(100, 50) == [DATA[100:150]]
        assert b"".join(await reader.fetch(0, BLOCK + 7)) == DATA[: BLOCK + 7]
        assert b"".join(await reader.fetch(1_500, 5_000)) == DATA[1_500:]
        await reader.close()
        assert not download.open and download.closed

    asyncio.run(main())


def test_its_failure_is_told_to_who_reads_and_is_not_the_last_word() -> None:
    async def main() -> None:
        download = Download(failures=1)
        download.gate.set()
        reader = FileReader(download)
        reader.begin()
        await settled()
        with pytest.raises(StoreError):
            await reader.fetch(0, 10)
        assert b"".join(await reader.fetch(0, 10)) == DATA[:10]
        await reader.close()
        assert not download.open

    asyncio.run(main())


@pytest.mark.parametrize("failures", [0, 1])
def test_who_closes_without_reading_leaves_nothing(failures: int) -> None:
    async def main() -> None:
        for opened in (False, True):
            download = Download(failures)
            reader = FileReader(download)
            reader.begin()
            await settled()
            if opened:
                download.gate.set()
                await settled()
            await reader.close()
            assert not download.open and download.closed

    asyncio.run(main())
