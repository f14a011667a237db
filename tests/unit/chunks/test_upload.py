from __future__ import annotations

import asyncio
import os

import pytest
from blake3 import blake3
from fakechunks import FakeCluster, run_path
from waiting import until

from raftstore.chunks.transfer.path import ChunkLimits, ChunkPath
from raftstore.chunks.transfer.spread import SpreadLimits
from raftstore.chunks.transfer.upload import Upload
from raftstore.errors import DiskFailed, DiskFull, Invalid, NoQuorum, StoreError, Unavailable
from raftstore.types import CHUNK_SIZE, ChunkRef

MIB = 1024 * 1024


def quick(**changes: float) -> SpreadLimits:
    return SpreadLimits(**{"hedge": 0.05, "grace": 0.05, "tick": 0.01, **changes})


async def send(upload: Upload, data: bytes, piece: int = 65536) -> None:
    for start in range(0, len(data), piece):
        if not upload.feed(data[start : start + piece]):
            await upload.drained()


def test_a_small_picture_is_one_chunk() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        data = bytearray(os.urandom(20_000))
        assert upload.feed(data)
        wanted = bytes(data)
        data[:] = bytes(20_000)  # the caller reuses its buffer
        refs, size = await upload.finish()
        assert size == upload.position == 20_000
        assert [ref.length for ref in refs] == [20_000]
        assert refs[0].digest == blake3(wanted).digest()
        assert len(refs[0].stores) >= 2
        assert cluster.read(refs) == wanted

    run_path(cluster, test)


def test_an_empty_file_has_no_chunks() -> None:
    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        upload.feed(b"")
        assert await upload.finish() == ([], 0)

    run_path(FakeCluster(), test)


@pytest.mark.parametrize(
    "size", [CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE, 10 * CHUNK_SIZE + 77]
)
def test_large_files_are_cut_at_whole_chunks(size: int) -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        data = os.urandom(size)
        upload = Upload(path)
        await send(upload, data)
        refs, total = await upload.finish()
        assert total == size
        assert all(ref.length == CHUNK_SIZE for ref in refs[:-1])
        assert cluster.read(refs) == data

    run_path(cluster, test)


def test_one_huge_piece_is_taken_whole() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        data = os.urandom(9 * MIB + 5)
        upload = Upload(path)
        assert not upload.feed(memoryview(data))
        refs, _ = await upload.finish()
        assert cluster.read(refs) == data

    run_path(cluster, test)


@pytest.mark.parametrize("kept", [0, 1, 5000, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE + 300_000])
def test_resume_keeps_boundaries_where_they_were(kept: int) -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        data = os.urandom(4 * CHUNK_SIZE + 12345)
        whole = Upload(path)
        await send(whole, data)
        expected, _ = await whole.finish()

        count = kept // CHUNK_SIZE
        upload = Upload(path, prefix=expected[:count], head=data[count * CHUNK_SIZE : kept])
        assert upload.position == kept
        await send(upload, data[kept:], piece=70_001)
        refs, size = await upload.finish()
        assert size == len(data)
        assert [(ref.digest, ref.length) for ref in refs] == [(ref.digest, ref.length) for ref in expected]

    run_path(cluster, test)


def test_only_whole_chunks_can_be_continued() -> None:
    async def test(path: ChunkPath) -> None:
        with pytest.raises(Invalid):
            Upload(path, prefix=[ChunkRef(b"x" * 32, 100, (1,))])

    run_path(FakeCluster(), test)


def test_quorum_ends_the_wait_and_late_copies_are_reported() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        cluster[3].gate = asyncio.Event()
        late: list[tuple[bytes, int]] = []
        upload = Upload(path, on_replica=lambda digest, store: late.append((digest, store)))
        upload.feed(b"picture")
        refs, _ = await upload.finish()
        assert refs[0].stores == (1, 2)
        assert late == []
        cluster[3].gate.set()
        await until(lambda: path.spreader.active == 0)
        assert late == [(refs[0].digest, 3)]

    run_path(cluster, test)


def test_copies_that_come_before_finish_are_in_its_result_only() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        late: list[int] = []
        upload = Upload(path, on_replica=lambda digest, store: late.append(store))
        upload.feed(os.urandom(CHUNK_SIZE))
        await until(lambda: path.uploading.held == 0)
        refs, _ = await upload.finish()
        assert sorted(refs[0].stores) == [1, 2, 3]
        assert late == []

    run_path(cluster, test)


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("error", [Unavailable("gone"), DiskFull(), DiskFailed(), RuntimeError("bug")])
def test_one_failing_store_of_three_is_survived(failing: int, error: Exception) -> None:
    cluster = FakeCluster()
    cluster[failing].put_error = error

    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        upload.feed(b"picture")
        refs, _ = await upload.finish()
        assert sorted(refs[0].stores) == [number for number in (1, 2, 3) if number != failing]

    run_path(cluster, test)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((DiskFull(), DiskFull()), DiskFull),
        ((DiskFull(), Unavailable()), NoQuorum),
        ((Unavailable(), DiskFailed()), NoQuorum),
    ],
)
def test_two_failing_stores_of_three_break_the_upload(
    errors: tuple[StoreError, StoreError], expected: type[StoreError]
) -> None:
    cluster = FakeCluster()
    cluster[2].put_error, cluster[3].put_error = errors

    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        upload.feed(b"picture")
        with pytest.raises(expected):
            await upload.finish()
        with pytest.raises(expected):
            upload.feed(b"more")
        with pytest.raises(expected):
            await upload.drained()
        assert upload.durable() == ([], 0)
        await upload.abort()

    run_path(cluster, test)


def test_other_candidates_step_in() -> None:
    cluster = FakeCluster(6)

    async def test(path: ChunkPath) -> None:
        for failing in ((1, 2), (3, 4), (5, 6), (2, 5)):
            for number, store in cluster.stores.items():
                store.put_error = Unavailable("gone") if number in failing else None
            upload = Upload(path)
            await send(upload, os.urandom(5 * CHUNK_SIZE + 9))
            refs, _ = await upload.finish()
            for ref in refs:
                assert len(ref.stores) == 3
                assert not set(ref.stores) & set(failing)

    run_path(cluster, test)


def test_a_store_that_failed_is_left_out_for_a_while() -> None:
    cluster = FakeCluster()
    cluster[3].put_error = Unavailable("gone")

    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        await send(upload, os.urandom(20 * CHUNK_SIZE))
        await upload.finish()
        assert cluster[3].puts <= path.limits.window
        assert path.suspects.current() == {3}

    run_path(cluster, test, ChunkLimits(suspicion=1000))


def test_a_suspect_is_tried_again_after_its_rest() -> None:
    cluster = FakeCluster()
    cluster[3].put_error = Unavailable("gone")

    async def test(path: ChunkPath) -> None:
        async def put() -> None:
            upload = Upload(path)
            upload.feed(os.urandom(100))
            await upload.finish()
            await until(lambda: path.spreader.active == 0)

        await put()
        cluster[3].put_error = None
        await until(lambda: not path.suspects.current())
        await put()
        assert len(cluster[3].chunks) == 1

    run_path(cluster, test, ChunkLimits(suspicion=0.05))


def test_a_hanging_store_is_passed_by() -> None:
    cluster = FakeCluster(5)

    async def test(path: ChunkPath) -> None:
        cluster[1].gate = asyncio.Event()
        for _ in range(10):
            upload = Upload(path)
            upload.feed(os.urandom(1000))
            refs, _ = await upload.finish()
            assert len(refs[0].stores) == 3
            assert 1 not in refs[0].stores
        assert cluster[1].puts == 1  # the first one was enough to learn

    run_path(cluster, test, ChunkLimits(suspicion=1000, spread=quick()))


@pytest.mark.slow
def test_a_hanging_store_does_not_stop_uploads_for_want_of_memory() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        cluster[3].gate = asyncio.Event()
        upload = Upload(path)
        data = os.urandom(40 * CHUNK_SIZE)
        await send(upload, data)
        refs, _ = await upload.finish()
        assert cluster.read(refs) == data
        assert {ref.stores for ref in refs} <= {(1, 2), (2, 1)}

    run_path(cluster, test, ChunkLimits(spread=quick()))


def test_a_slow_copy_is_not_given_up_while_nobody_needs_its_memory() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        cluster[3].gate = asyncio.Event()
        late: list[int] = []
        upload = Upload(path, on_replica=lambda digest, store: late.append(store))
        upload.feed(b"picture")
        await upload.finish()
        await asyncio.sleep(0.3)  # many times the grace
        assert path.spreader.active == 1
        cluster[3].gate.set()
        await until(lambda: late == [3])

    run_path(cluster, test, ChunkLimits(spread=quick()))


def test_without_a_quorum_the_upload_ends_at_its_deadline() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        cluster[2].gate = cluster[3].gate = asyncio.Event()
        upload = Upload(path)
        upload.feed(b"picture")
        with pytest.raises(NoQuorum, match="did not confirm"):
            await upload.finish()
        await upload.abort()
        assert upload.held == 0

    run_path(cluster, test, ChunkLimits(spread=quick(chunk=0.2)))


def test_an_upload_that_cannot_be_stored_is_refused_at_once() -> None:
    cluster = FakeCluster()
    cluster.change(2, free_bytes=10_000_000)
    cluster.change(3, free_bytes=10_000_000)

    async def test(path: ChunkPath) -> None:
        Upload(path)
        Upload(path, expected=10_000_000)
        with pytest.raises(DiskFull):
            Upload(path, expected=10_000_001)
        cluster.change(2, reachable=False)
        cluster.change(3, reachable=False)
        with pytest.raises(NoQuorum):
            Upload(path)

    run_path(cluster, test)


def test_losing_the_quorum_in_the_middle_breaks_the_upload() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        await send(upload, os.urandom(3 * CHUNK_SIZE))
        await until(lambda: path.uploading.held == 0)
        cluster.change(2, reachable=False)
        cluster.change(3, reachable=False)
        with pytest.raises(NoQuorum):
            await send(upload, os.urandom(3 * CHUNK_SIZE))
            await upload.finish()
        refs, size = upload.durable()
        assert (len(refs), size) == (3, 3 * CHUNK_SIZE)
        await upload.abort()

    run_path(cluster, test)


def test_window_gives_back_pressure() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        for store in cluster.stores.values():
            store.gate = asyncio.Event()
        upload = Upload(path)
        accepted = 0
        while upload.feed(bytes(65536)):
            accepted += 65536
        assert accepted == 5 * CHUNK_SIZE - 65536  # four on their way, one full
        await until(lambda: cluster.bytes_under_way == 3 * 4 * CHUNK_SIZE)
        waiter = asyncio.ensure_future(upload.drained())
        await asyncio.sleep(0.02)
        assert not waiter.done()
        for store in cluster.stores.values():
            assert store.gate is not None
            store.gate.set()
        await waiter
        await upload.finish()

    run_path(cluster, test)


@pytest.mark.slow
def test_memory_of_all_uploads_is_bounded_and_each_gets_on() -> None:
    cluster = FakeCluster()
    budget = 6 * MIB

    async def test(path: ChunkPath) -> None:
        for store in cluster.stores.values():
            store.delay = 0.002

        async def one(number: int) -> None:
            data = bytes([number]) * (3 * CHUNK_SIZE + number)
            upload = Upload(path)
            for start in range(0, len(data), 300_000):
                more = upload.feed(data[start : start + 300_000])
                assert path.uploading.held <= budget
                assert upload.held <= 5
                if not more:
                    await upload.drained()
            refs, _ = await upload.finish()
            assert cluster.read(refs) == data

        await asyncio.gather(*(one(number) for number in range(30)))
        assert cluster.peak_bytes <= 3 * budget  # three puts share one buffer

    run_path(cluster, test, ChunkLimits(upload_bytes=budget))


def test_a_stalled_client_holds_up_nobody() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        stalled = [Upload(path) for _ in range(20)]
        for upload in stalled:
            upload.feed(os.urandom(CHUNK_SIZE - 1))  # more than the whole budget, together
        upload = Upload(path)
        await send(upload, os.urandom(6 * CHUNK_SIZE))
        await upload.finish()
        for upload in stalled:
            await upload.abort()

    run_path(cluster, test, ChunkLimits(upload_bytes=4 * MIB))


def test_abort_leaves_nothing_behind() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        for store in cluster.stores.values():
            store.gate = asyncio.Event()
        uploads = [Upload(path) for _ in range(4)]
        for upload in uploads:
            while upload.feed(os.urandom(300_000)):
                pass
        waiting = asyncio.ensure_future(uploads[0].drained())
        await asyncio.sleep(0.01)
        for upload in uploads:
            await upload.abort()
            await upload.abort()
        with pytest.raises(Unavailable):
            await waiting
        assert path.uploading.held == 0
        assert not path.uploading.contended
        assert cluster.under_way == 0

    run_path(cluster, test, ChunkLimits(upload_bytes=6 * MIB))


def test_cancelling_finish_and_aborting_is_clean() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        cluster[2].gate = cluster[3].gate = asyncio.Event()
        upload = Upload(path)
        await send(upload, os.urandom(2 * CHUNK_SIZE + 5))
        finishing = asyncio.ensure_future(upload.finish())
        await asyncio.sleep(0.02)
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        await upload.abort()
        assert upload.held == 0

    run_path(cluster, test)


def test_closing_the_path_gives_up_background_copies() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        cluster[3].gate = asyncio.Event()
        for _ in range(5):
            upload = Upload(path)
            upload.feed(os.urandom(100))
            await upload.finish()
        assert path.spreader.active == 5

    run_path(cluster, test)


def test_a_finished_upload_takes_no_more() -> None:
    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        upload.feed(b"a")
        first = await upload.finish()
        with pytest.raises(Invalid):
            upload.feed(b"b")
        again = await upload.finish()
        assert again[1] == first[1]

    run_path(FakeCluster(), test)


@pytest.mark.parametrize("delay", [0.0, 0.1])
@pytest.mark.slow
def test_a_store_with_stuck_puts_gets_no_new_ones(delay: float) -> None:
    """A write that hangs in a disk outlives its cancellation: its memory is lost until it ends.

    With `delay` the other stores take longer than `hedge`, as on a busy machine.
    """
    cluster = FakeCluster()
    cluster[1].delay = cluster[2].delay = delay

    async def test(path: ChunkPath) -> None:
        cluster[3].gate = asyncio.Event()
        cluster[3].stubborn = True
        try:
            upload = Upload(path)
            data = os.urandom(30 * CHUNK_SIZE)
            await asyncio.wait_for(send(upload, data), 20)
            refs, _ = await upload.finish()
            assert cluster.read(refs) == data
            assert cluster[3].puts <= path.limits.held
            assert path.uploading.held == cluster[3].puts * CHUNK_SIZE
            assert path.suspects.current() == {3}
        finally:
            cluster[3].gate.set()
        await until(lambda: path.spreader.active == 0)
        await until(lambda: not path.suspects.current())

    run_path(cluster, test, ChunkLimits(suspicion=0.01, spread=quick()))
