"""Chunks sent straight from the volumes' files: only what was verified lately, never what anybody has changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from blake3 import blake3
from chunknodes import chunk_nodes

from raftstore.chunks.transfer.download import Download, Part
from raftstore.chunks.transfer.upload import Upload
from raftstore.chunks.volumes.shelf import SMALL, Shelf, Verified, in_memory
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import Damaged, NotFound, Unavailable
from raftstore.types import CHUNK_SIZE, Span

LARGE = 300_000


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Local:
    """Volumes with a shelf, and one chunk in them."""

    def __init__(self, volumes: VolumeSet, data: bytes) -> None:
        self.volumes = volumes
        self.data = data
        self.digest = blake3(data).digest()
        self.clock = Clock()
        volumes.verified = Verified(period=100.0, clock=self.clock)
        self.shelf = Shelf(volumes, volumes.verified)

    def now(self) -> bytes | None:
        return content(self.shelf.at_once(self.digest, len(self.data)))

    async def soon(self) -> bytes | None:
        return content(await self.shelf.open(self.digest, len(self.data)))

    def place(self) -> tuple[int, int]:
        lease = self.volumes.lease(self.digest)
        lease.close()
        return lease.fd, lease.offset

    def flip(self, position: int) -> None:
        """Change a byte of the chunk behind the back of the volumes."""
        fd, offset = self.place()
        other = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        try:
            byte = os.pread(other, 1, offset + position)[0]
            os.pwrite(other, bytes([byte ^ 1]), offset + position)
        finally:
            os.close(other)


def content(part: Part | None) -> bytes | None:
    """The bytes of a part, which is closed."""
    if not isinstance(part, Span):
        return None if part is None else bytes(part)
    data = os.pread(part.fd, part.length, part.offset)
    part.close()
    return data


@asynccontextmanager
async def opened(directory: Path, data: bytes) -> AsyncIterator[Local]:
    volumes = VolumeSet(directory, volume_bytes=64 << 20, reserve_bytes=0)
    await volumes.open()
    local = Local(volumes, data)
    try:
        yield local
    finally:
        local.shelf.close()
        await volumes.close()


def with_chunk(directory: Path, size: int, test: Callable[[Local], Awaitable[None]]) -> None:
    async def main() -> None:
        async with opened(directory, os.urandom(size)) as local:
            await local.volumes.put(local.digest, local.data, verified=True)
            await test(local)

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, SMALL, LARGE, CHUNK_SIZE])
def test_what_was_just_stored_can_be_sent_at_once(tmp_path: Path, size: int) -> None:
    async def test(local: Local) -> None:
        assert local.now() == local.data
        part = local.shelf.at_once(local.digest, size)
        assert isinstance(part, Span) == (size > SMALL)
        content(part)
        assert local.shelf.at_once(local.digest, size + 1) is None

    with_chunk(tmp_path, size, test)


def test_after_a_restart_a_chunk_is_verified_first(tmp_path: Path) -> None:
    data = os.urandom(LARGE)

    async def main() -> None:
        async with opened(tmp_path, data) as local:
            await local.volumes.put(local.digest, data, verified=True)
        async with opened(tmp_path, data) as local:
            assert local.now() is None
            assert await local.soon() == data
            assert local.now() == data

    asyncio.run(main())


def test_a_chunk_is_verified_again_after_the_period(tmp_path: Path) -> None:
    async def test(local: Local) -> None:
        local.clock.now += 99
        assert local.now() == local.data
        local.clock.now += 2
        assert local.now() is None
        assert await local.soon() == local.data
        assert local.now() == local.data

    with_chunk(tmp_path, LARGE, test)


@pytest.mark.parametrize("size", [5000, LARGE])
@pytest.mark.parametrize("position", [0, -1])
def test_a_byte_that_somebody_has_changed_is_never_sent(tmp_path: Path, size: int, position: int) -> None:
    async def test(local: Local) -> None:
        local.flip(position % size)
        assert local.now() is None
        with pytest.raises(Damaged):
            await local.soon()
        with pytest.raises(NotFound):  # it is in quarantine
            local.now()

    with_chunk(tmp_path, size, test)


def test_a_change_is_noticed_though_the_volume_is_written_on(tmp_path: Path) -> None:
    async def test(local: Local) -> None:
        for number in range(20):
            other = os.urandom(100_000)
            if number == 10:
                local.flip(7)
            await local.volumes.put(blake3(other).digest(), other, verified=True)
            assert (local.now() is None) == (number >= 10)

    with_chunk(tmp_path, LARGE, test)


def test_a_chunk_that_was_stored_again_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    async def test(local: Local) -> None:
        old = local.place()
        await local.volumes.remove(local.digest)
        with pytest.raises(NotFound):
            local.now()
        await local.volumes.put(local.digest, local.data, verified=True)
        assert local.place() != old
        assert local.now() == local.data

    with_chunk(tmp_path, LARGE, test)


def test_what_is_not_in_memory_is_brought_in_by_a_thread(tmp_path: Path) -> None:
    async def test(local: Local) -> None:
        fd, offset = local.place()
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if in_memory(fd, offset, LARGE):
            pytest.skip("this file system keeps everything in memory")
        assert local.now() is None
        assert await local.soon() == local.data
        assert local.now() == local.data

    with_chunk(tmp_path, LARGE, test)


def test_the_wrong_length_is_not_sent(tmp_path: Path) -> None:
    async def test(local: Local) -> None:
        with pytest.raises(Unavailable):
            await local.shelf.open(local.digest, LARGE - 1)

    with_chunk(tmp_path, LARGE, test)


def test_a_newer_chunk_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    class Place:
        fd, offset, length, volume, epoch = 0, 64, 1, 1, 0

        def close(self) -> None:
            pass

    verified = Verified(slots=8)
    digests = [blake3(bytes([number])).digest() for number in range(100)]
    for digest in digests:
        verified.add(digest, 1, 64, 0)
        assert verified.has(digest, Place())
    assert 0 < sum(verified.has(digest, Place()) for digest in digests) <= 8
    assert not verified.has(bytes(32), Place())


@pytest.mark.parametrize("size", [0, 1, 20_000, CHUNK_SIZE, 3 * CHUNK_SIZE + 17, 2 * CHUNK_SIZE + 200_000])
def test_a_file_over_chunk_borders_from_any_byte(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    offsets = {0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE + 5, size - 1, size}

    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            path = nodes["a"].path
            upload = Upload(path)
            upload.feed(data)
            refs, _ = await upload.finish()
            for holder in nodes.values():  # at c there may be no copy: quorum is two
                download = Download(holder.path, refs)
                for offset in sorted(o for o in offsets if 0 <= o <= size):
                    parts = [part async for part in download.parts(offset)]
                    if holder.name == "a" and offset == 0 and size > CHUNK_SIZE:
                        assert any(isinstance(part, Span) for part in parts)
                    assert b"".join(content(part) or b"" for part in parts) == data[offset:]
                    whole = download.at_once(offset)
                    assert whole is None or content(whole) == data[offset:]

    asyncio.run(main())
