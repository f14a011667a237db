from __future__ import annotations

import asyncio
import os
import weakref
from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from fakechunks import FakeCluster, run_path
from waiting import until

from raftstore.chunks.placement.topology import StoreState
from raftstore.chunks.transfer.download import Download
from raftstore.chunks.transfer.downloadbuffers import IDLE, DownloadBuffers
from raftstore.chunks.transfer.path import SLICE, ChunkLimits, ChunkPath
from raftstore.errors import Damaged, DiskFailed, Invalid, NotFound, StoreError, Unavailable
from raftstore.types import CHUNK_SIZE, ChunkRef
from raftstore.util.buffers import Buffer

MIB = 1024 * 1024
HASTY = ChunkLimits(read_first=0.05, read_longest=0.1, read_total=2)

Bad = list[tuple[bytes, int, str]]


async def read(download: Download, offset: int = 0, length: int | None = None) -> bytes:
    blocks = [bytes(block) async for block in download.blocks(offset, length)]
    assert all(0 < len(block) <= SLICE for block in blocks)
    return b"".join(blocks)


@pytest.mark.parametrize("size", [0, 1, 20_000, CHUNK_SIZE, 3 * CHUNK_SIZE + 17])
def test_whole_file(size: int) -> None:
    cluster = FakeCluster()
    data = os.urandom(size)
    refs = cluster.seed(data, 1, 2, 3, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        download = Download(path, refs)
        assert download.size == size
        assert await read(download) == data

    run_path(cluster, test)
    assert cluster[2].gets == cluster[3].gets == 0  # all from the local store


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0),
        (0, 10),
        (5, None),
        (CHUNK_SIZE - 1, 2),
        (CHUNK_SIZE, CHUNK_SIZE),
        (CHUNK_SIZE, None),
        (2 * CHUNK_SIZE + 100, None),
        (2 * CHUNK_SIZE + 100, 10 * CHUNK_SIZE),
        (3 * CHUNK_SIZE + 17, None),
    ],
)
def test_ranges(offset: int, length: int | None) -> None:
    cluster = FakeCluster()
    data = os.urandom(3 * CHUNK_SIZE + 17)
    refs = cluster.seed(data, 2, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        end = None if length is None else offset + length
        assert await read(Download(path, refs), offset, length) == data[offset:end]

    run_path(cluster, test)


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (101, None), (0, -1)])
def test_outside_the_file(offset: int, length: int | None) -> None:
    cluster = FakeCluster()
    refs = cluster.seed(bytes(100), 1, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        with pytest.raises(Invalid):
            await read(Download(path, refs), offset, length)

    run_path(cluster, test)


@pytest.mark.parametrize("error", [Unavailable("gone"), NotFound("x"), Damaged("x"), DiskFailed("x")])
def test_another_copy_is_read_when_one_fails(error: StoreError) -> None:
    cluster = FakeCluster()
    data = os.urandom(4 * CHUNK_SIZE)
    refs = cluster.seed(data, 1, 2, 3, chunk_size=CHUNK_SIZE)
    cluster[1].get_error = cluster[2].get_error = error
    bad: Bad = []

    async def test(path: ChunkPath) -> None:
        download = Download(path, refs, on_bad_replica=lambda *call: bad.append(call))
        assert await read(download) == data

    run_path(cluster, test)
    reported = isinstance(error, NotFound | Damaged)
    assert {(digest, store) for digest, store, _ in bad if store == 1} == (
        {(ref.digest, 1) for ref in refs} if reported else set()
    )


def test_a_replica_that_dies_in_the_middle() -> None:
    cluster = FakeCluster()
    data = os.urandom(8 * CHUNK_SIZE)
    refs = cluster.seed(data, 2, 3, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        received = b""
        async for block in Download(path, refs).blocks():
            received += block
            if len(received) == 2 * CHUNK_SIZE:
                cluster[2].get_error = Unavailable("killed")
            if len(received) == 5 * CHUNK_SIZE:
                cluster[2].get_error = None
                cluster.change(3, reachable=False)
        assert received == data

    run_path(cluster, test)


def test_a_hanging_replica_is_left_after_the_first_timeout() -> None:
    cluster = FakeCluster()
    data = os.urandom(6 * CHUNK_SIZE)
    refs = cluster.seed(data, 2, 3, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        cluster[2].gate = asyncio.Event()
        assert await read(Download(path, refs)) == data
        assert cluster[2].gets <= 2

    run_path(cluster, test, ChunkLimits(read_first=0.05))


def test_a_copy_that_comes_back_within_the_deadline() -> None:
    cluster = FakeCluster()
    data = os.urandom(1000)
    refs = cluster.seed(data, 2, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        cluster.change(2, reachable=False)
        reading = asyncio.ensure_future(read(Download(path, refs)))
        await until(lambda: cluster[3].gets >= 2)  # two rounds
        cluster.change(2, reachable=True)
        assert await reading == data

    run_path(cluster, test)


@pytest.mark.slow
def test_no_copy_in_time_is_unavailable() -> None:
    cluster = FakeCluster()
    refs = cluster.seed(b"picture", 2, chunk_size=CHUNK_SIZE)
    cluster[2].get_error = Unavailable("gone")

    async def test(path: ChunkPath) -> None:
        with pytest.raises(Unavailable, match="gone"):
            await read(Download(path, refs))

    run_path(cluster, test, HASTY)
    assert cluster[2].gets > 1


def test_when_every_copy_is_known_to_be_gone_nobody_waits() -> None:
    cluster = FakeCluster()
    refs = cluster.seed(b"picture", 2, chunk_size=CHUNK_SIZE)
    cluster[2].get_error = Damaged("quarantined")

    async def test(path: ChunkPath) -> None:
        with pytest.raises(Unavailable):
            await read(Download(path, refs))

    run_path(cluster, test, ChunkLimits(read_total=10_000))
    assert cluster[2].gets == 1


def test_an_unlisted_copy_is_found_and_its_absence_blames_nobody() -> None:
    cluster = FakeCluster(4)
    data = os.urandom(1000)
    refs = cluster.seed(data, 4, chunk_size=CHUNK_SIZE)
    listed = [ChunkRef(ref.digest, ref.length, (2,)) for ref in refs]
    bad: Bad = []
    found: list[tuple[bytes, int]] = []

    async def test(path: ChunkPath) -> None:
        download = Download(
            path,
            listed,
            on_bad_replica=lambda *call: bad.append(call),
            on_found=lambda *call: found.append(call),
        )
        assert await read(download) == data

    run_path(cluster, test)
    assert [(digest, store) for digest, store, _ in bad] == [(refs[0].digest, 2)]
    assert found == [(refs[0].digest, 4)]


def test_local_copy_that_is_listed_but_missing_is_reported() -> None:
    cluster = FakeCluster()
    data = os.urandom(1000)
    refs = cluster.seed(data, 1, 2, chunk_size=CHUNK_SIZE)
    cluster[1].chunks.clear()
    bad: Bad = []

    async def test(path: ChunkPath) -> None:
        download = Download(path, refs, on_bad_replica=lambda *call: bad.append(call))
        assert await read(download) == data

    run_path(cluster, test)
    assert [(digest, store) for digest, store, _ in bad] == [(refs[0].digest, 1)]
    assert cluster[1].gets == 0


def test_reads_are_spread_over_the_replicas() -> None:
    cluster = FakeCluster(4)
    refs = cluster.seed(os.urandom(400 * 100), 2, 3, 4, chunk_size=100)

    async def test(path: ChunkPath) -> None:
        await read(Download(path, refs))

    run_path(cluster, test)
    counts = Counter({number: cluster[number].gets for number in (2, 3, 4)})
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 80


def test_the_next_chunk_is_fetched_while_one_is_sent() -> None:
    cluster = FakeCluster()
    refs = cluster.seed(os.urandom(4 * 1000), 2, chunk_size=1000)

    async def test(path: ChunkPath) -> None:
        blocks = Download(path, refs).blocks()
        await anext(blocks)
        await until(lambda: cluster[2].gets == 2 and cluster.under_way == 0)
        await asyncio.sleep(0.01)
        assert cluster[2].gets == 2  # one ahead, not more
        await blocks.aclose()

    run_path(cluster, test)


def test_reading_ahead_is_bounded_over_all_downloads() -> None:
    cluster = FakeCluster()
    refs = cluster.seed(os.urandom(3 * 1000), 2, chunk_size=1000)

    async def test(path: ChunkPath) -> None:
        downloads = [Download(path, refs).blocks() for _ in range(20)]
        for blocks in downloads:
            await anext(blocks)
        await until(lambda: cluster[2].gets == 25 and cluster.under_way == 0)
        assert path.prefetching.held == 5000
        for blocks in downloads:
            rest = [block async for block in blocks]
            assert len(rest) == 2

    run_path(cluster, test, ChunkLimits(prefetch_bytes=5500))


@pytest.mark.parametrize("failing", [False, True])
def test_closing_early_leaves_nothing_running(failing: bool) -> None:
    cluster = FakeCluster()
    refs = cluster.seed(os.urandom(4 * 1000), 2, chunk_size=1000)

    async def test(path: ChunkPath) -> None:
        blocks = Download(path, refs).blocks()
        await anext(blocks)
        if failing:
            cluster[2].get_error = Damaged("x")
            await asyncio.sleep(0.02)
        else:
            cluster[2].gate = asyncio.Event()
        await blocks.aclose()

    run_path(cluster, test)


def test_cancelled_consumer_leaves_nothing_running() -> None:
    cluster = FakeCluster()
    refs = cluster.seed(os.urandom(4 * 1000), 2, chunk_size=1000)

    async def test(path: ChunkPath) -> None:
        async def consume() -> None:
            async for _ in Download(path, refs).blocks():
                cluster[2].gate = asyncio.Event()

        task = asyncio.ensure_future(consume())
        await until(lambda: cluster[2].gets == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_path(cluster, test)


def test_an_error_ahead_is_raised_when_its_turn_comes() -> None:
    cluster = FakeCluster()
    refs = cluster.seed(os.urandom(2 * 1000), 2, chunk_size=1000)
    del cluster[2].chunks[refs[1].digest]

    async def test(path: ChunkPath) -> None:
        blocks = Download(path, refs).blocks()
        assert len(await anext(blocks)) == 1000
        with pytest.raises(Unavailable):
            await anext(blocks)

    run_path(cluster, test)


class Chunk(bytearray):
    """Bytes of a chunk that somebody holds in memory; they are counted."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Counting(FakeCluster):
    """Knows how many of the chunks that it has given out are in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: weakref.WeakSet[Chunk] = weakref.WeakSet()
        self.most = 0

    async def get(self, store: StoreState, digest: bytes, length: int, *, timeout: float) -> Buffer:
        data = Chunk(await super().get(store, digest, length, timeout=timeout))
        self.alive.add(data)
        self.most = max(self.most, len(self.alive))
        return data


@pytest.mark.parametrize("files", ["blocks", "parts"])
def test_chunks_in_memory_are_bounded_however_many_clients_do_not_read(files: str) -> None:
    """Those who read get on, and whoever reads again after a while gets the rest."""
    cluster = Counting()
    data = os.urandom(2 * CHUNK_SIZE)
    refs = cluster.seed(data, 2, 3, chunk_size=CHUNK_SIZE)
    limits = ChunkLimits(held_bytes=5 * MIB, prefetch_bytes=3 * MIB, fetches=2)

    async def test(path: ChunkPath) -> None:
        slow = [getattr(Download(path, refs), files)() for _ in range(60)]
        begun = [bytes(await anext(each)) for each in slow]
        assert begun == [data[:SLICE]] * 60
        assert cluster.most <= 5 + 3 + 2 + 1
        quick = Download(path, refs)
        for _ in range(3):
            assert await read(quick) == data
        assert cluster.most <= 5 + 3 + 2 + 1

        async def rest(each: AsyncGenerator[Buffer, None]) -> bytes:
            return b"".join([bytes(block) async for block in each])

        for each in slow[:10]:
            await each.aclose()
        for received in await asyncio.gather(*map(rest, slow[10:])):
            assert received == data[SLICE:]
        assert cluster.most <= 5 + 3 + 2 + 1
        assert path.held.bytes == 0

    run_path(cluster, test, limits)


def test_a_chunk_that_nobody_takes_from_makes_room() -> None:
    now = [0.0]
    held = DownloadBuffers(3 * MIB, lambda: now[0])
    first, second, third = (held.keep(b"%d" % n, MIB) for n in range(3))
    assert first and second and third
    assert held.keep(b"3", MIB) is None
    now[0] = IDLE
    assert held.use(first) == b"0"
    fourth = held.keep(b"3", MIB)
    assert fourth
    # The oldest use counts, not the age.
    assert [held.use(each) for each in (first, second, third, fourth)] == [b"0", None, b"2", b"3"]
    for each in (first, second, third, fourth, first):
        held.drop(each)
    assert held.bytes == 0


def test_bytes_that_are_fetched_again_are_verified_again() -> None:
    cluster = Counting()
    data = os.urandom(CHUNK_SIZE)
    refs = cluster.seed(data, 2, chunk_size=CHUNK_SIZE)

    async def test(path: ChunkPath) -> None:
        blocks = Download(path, refs).blocks()
        assert await anext(blocks) == data[:SLICE]
        cluster[2].get_error = Unavailable("other bytes than asked for")
        with pytest.raises(Unavailable):
            await anext(blocks)

    run_path(cluster, test, ChunkLimits(held_bytes=0, read_first=0.05, read_longest=0.1, read_total=0.5))
