"""The volume set on a sound disk."""

import asyncio
import os

import pytest
from blake3 import blake3
from failing_files import FailingFiles
from somevolumes import chunk, run

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import Damaged, Invalid, NotFound, Refused, TooLarge, Unavailable


def test_put_get_and_reopen(tmp_path):
    chunks = [chunk(i, size) for i, size in enumerate((8, 15, 16, 17, 1000, 20_000, 300_000, 1 << 20))]
    chunks.append((blake3(b"").digest(), b""))

    async def scenario():
        volumes = VolumeSet(tmp_path / "v")
        await volumes.open()
        identity = volumes.identity
        for index, (digest, data) in enumerate(chunks):
            await volumes.put(digest, (bytes, bytearray, memoryview)[index % 3](data), verified=index % 2 == 0)
        for _ in range(2):
            for digest, data in chunks:
                assert digest in volumes
                got = await volumes.get(digest)
                assert got == data
                assert type(got) is bytes
                with volumes.lease(digest) as lease:
                    assert os.pread(lease.fd, lease.length, lease.offset) == data
            stats = volumes.stats()
            assert (stats.chunks, stats.quarantined, stats.failed) == (len(chunks), 0, 0)
            assert stats.bytes >= sum(len(data) for _, data in chunks)
            assert stats.disk_free > 0
            await volumes.close()
            volumes = VolumeSet(tmp_path / "v")
            await volumes.open()
            assert volumes.identity == identity
        await volumes.close()

    run(scenario())


def test_errors_of_callers(tmp_path):
    async def scenario():
        volumes = VolumeSet(tmp_path / "v")
        with pytest.raises(Unavailable):
            _ = volumes.identity
        with pytest.raises(Unavailable):
            await volumes.get(bytes(32))
        await volumes.open()
        digest, data = chunk(1)
        for size in (len(data), 200_000):
            digest, data = chunk(1, size)
            with pytest.raises(Damaged):
                await volumes.put(digest, data + b"!", verified=False)
            assert digest not in volumes
        with pytest.raises(Invalid):
            await volumes.put(b"short", b"", verified=True)
        with pytest.raises(TooLarge):
            await volumes.put(digest, bytes((16 << 20) + 1), verified=True)
        with pytest.raises(NotFound):
            await volumes.get(digest)
        with pytest.raises(NotFound):
            volumes.lease(digest)
        assert not await volumes.remove(digest)
        assert volumes.stats().volumes == 0
        await volumes.close()
        await volumes.close()
        with pytest.raises(Unavailable):
            await volumes.put(digest, data, verified=True)
        with pytest.raises(Unavailable):
            await volumes.get(digest)

    run(scenario())


def test_waiting_puts_share_a_sync(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = VolumeSet(tmp_path / "v", files=files)
        await volumes.open()
        await volumes.put(*chunk(0), verified=True)
        before, writes = files.syncs, files.writes
        await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(1, 301)))
        assert files.syncs - before == 1
        assert files.writes - writes == 1
        # Equal chunks are stored once, whether they come together or later.
        dead, before = volumes.stats().bytes, files.syncs
        await asyncio.gather(*(volumes.put(*chunk(5), verified=False) for _ in range(20)))
        assert files.syncs == before
        await asyncio.gather(*(volumes.put(*chunk(999), verified=False) for _ in range(20)))
        assert files.syncs == before + 1
        assert volumes.stats().bytes - dead == 1072
        await volumes.close()

    run(scenario())


def test_volumes_roll_over(tmp_path):
    async def scenario():
        volumes = VolumeSet(tmp_path / "v", volume_bytes=10_000)
        await volumes.open()
        await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(100)))
        await volumes.put(*chunk(1000, 50_000), verified=True)  # larger than a volume: has one to itself
        await volumes.put(*chunk(1001), verified=True)
        assert volumes.stats().volumes == 14
        await volumes.close()
        sizes = [path.stat().st_size for path in (tmp_path / "v").glob("*.vol")]
        assert sum(size > 10_000 for size in sizes) == 1
        volumes = VolumeSet(tmp_path / "v", volume_bytes=10_000)
        await volumes.open()
        for number in (*range(100), 1001):
            assert await volumes.get(chunk(number)[0]) == chunk(number)[1]
        assert volumes.stats().volumes == 14
        await volumes.close()

    run(scenario())


def test_remove_is_durable_and_counted(tmp_path):
    async def scenario():
        volumes = VolumeSet(tmp_path / "v", volume_bytes=5_000)
        await volumes.open()
        await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(10)))
        full = volumes.stats()
        assert full.dead_bytes == 0
        removed = await asyncio.gather(*(volumes.remove(chunk(i)[0]) for i in (1, 2, 3, 3)))
        assert sorted(removed) == [False, True, True, True]
        await volumes.put(*chunk(2), verified=True)
        stats = volumes.stats()
        assert stats.chunks == 8
        assert stats.bytes == full.bytes - 2 * 1072
        assert stats.dead_bytes == 3 * 1072 + 3 * 64
        await volumes.close()
        volumes = VolumeSet(tmp_path / "v", volume_bytes=5_000)
        await volumes.open()
        again = volumes.stats()
        assert (again.chunks, again.bytes) == (stats.chunks, stats.bytes)
        assert [chunk(i)[0] in volumes for i in range(10)] == [i not in (1, 3) for i in range(10)]
        await volumes.close()

    run(scenario())


def test_put_and_remove_of_one_chunk_in_order(tmp_path):
    digest, data = chunk(1)

    async def scenario():
        volumes = VolumeSet(tmp_path / "v")
        await volumes.open()
        results = await asyncio.gather(
            volumes.put(digest, data, verified=True),
            volumes.remove(digest),
            volumes.put(digest, data, verified=True),
            volumes.remove(digest),
        )
        assert results.count(True) in (1, 2)
        present = digest in volumes
        await volumes.close()
        volumes = VolumeSet(tmp_path / "v")
        await volumes.open()
        assert (digest in volumes) == present
        await volumes.close()

    run(scenario())


def test_back_pressure_bounds_what_is_queued(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = VolumeSet(tmp_path / "v", queue_bytes=5_000, files=files)
        await volumes.open()
        await volumes.put(*chunk(0), verified=True)
        before = files.syncs
        # The last is larger than the whole queue and goes alone.
        await asyncio.gather(
            *(volumes.put(*chunk(i), verified=True) for i in range(1, 41)),
            volumes.put(*chunk(100, 20_000), verified=True),
        )
        assert files.syncs - before >= 11
        assert volumes.stats().chunks == 42
        await volumes.close()

    run(scenario())


def test_a_directory_has_one_owner(tmp_path):
    async def scenario():
        volumes, other = VolumeSet(tmp_path / "v"), VolumeSet(tmp_path / "v")
        await volumes.open()
        with pytest.raises(Refused, match=f"in use by process {os.getpid()}"):
            await other.open()
        await volumes.close()
        await other.open()
        await other.close()

    run(scenario())


def test_reads_that_are_not_in_memory(tmp_path):
    files = FailingFiles()
    files.cached = False

    async def scenario():
        volumes = VolumeSet(tmp_path / "v", files=files)
        await volumes.open()
        chunks = [chunk(i, 3000) for i in range(30)]
        await asyncio.gather(*(volumes.put(*item, verified=True) for item in chunks))
        assert await asyncio.gather(*(volumes.get(digest) for digest, _ in chunks)) == [
            data for _, data in chunks
        ]
        await volumes.close()

    run(scenario())


def test_identity_is_guarded(tmp_path):
    directory = tmp_path / "v"

    async def fill(path):
        volumes = VolumeSet(path)
        await volumes.open()
        await volumes.put(*chunk(1), verified=True)
        await volumes.close()
        return volumes.identity

    async def refuses(error, match):
        with pytest.raises(error, match=match):
            await VolumeSet(directory).open()

    async def scenario():
        identity = await fill(directory)
        line = (directory / "identity").read_bytes()
        volume = (directory / "00000001.vol").read_bytes()
        assert identity.hex().encode() in line

        (directory / "identity").unlink()
        await refuses(Damaged, "missing but there are volumes")
        (directory / "identity").write_bytes(line.replace(b"a", b"b").replace(b"1", b"2"))
        await refuses(Damaged, "checksum")
        (directory / "identity").write_bytes(b"")
        await refuses(Damaged, "cannot be read")

        assert await fill(tmp_path / "other") != identity
        (directory / "identity").write_bytes((tmp_path / "other" / "identity").read_bytes())
        await refuses(Damaged, "belongs to store")
        (directory / "identity").write_bytes(line)
        (directory / "00000001.vol").rename(directory / "00000002.vol")
        await refuses(Damaged, "renamed")
        (directory / "00000002.vol").rename(directory / "00000001.vol")
        assert (directory / "00000001.vol").read_bytes() == volume

        volumes = VolumeSet(directory)
        await volumes.open()
        assert volumes.identity == identity
        assert await volumes.get(chunk(1)[0]) == chunk(1)[1]
        await volumes.close()

    run(scenario())


def test_cancelled_puts(tmp_path):
    files = FailingFiles()
    digest, data = chunk(1)

    async def scenario():
        volumes = VolumeSet(tmp_path / "v", files=files, queue_bytes=5_000)
        await volumes.open()
        # Before the writer has it: withdrawn; whoever waits for the same brings its own bytes.
        first = asyncio.create_task(volumes.put(digest, data, verified=True))
        second = asyncio.create_task(volumes.put(digest, data, verified=True))
        waiting = asyncio.create_task(volumes.put(*chunk(2, 9_000), verified=True))
        leaving = asyncio.create_task(volumes.put(*chunk(3, 9_000), verified=True))
        await asyncio.sleep(0)
        first.cancel()
        leaving.cancel()
        await second
        await waiting
        assert first.cancelled()
        assert digest in volumes
        assert chunk(3)[0] not in volumes

        # While the writer has it: the put ends only when the writer has let go of the bytes.
        loop = asyncio.get_running_loop()
        in_sync, go_on = asyncio.Event(), asyncio.Event()

        def hold():
            loop.call_soon_threadsafe(in_sync.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)

        files.before_sync = hold
        held = asyncio.create_task(volumes.put(*chunk(4), verified=True))
        await in_sync.wait()
        for _ in range(3):
            held.cancel()
            await asyncio.sleep(0)
        assert not held.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await held
        files.before_sync = None
        assert chunk(4)[0] in volumes
        await volumes.put(*chunk(5), verified=True)
        await volumes.close()

    run(scenario())


def test_close_finishes_what_waits(tmp_path):
    async def scenario():
        volumes = VolumeSet(tmp_path / "v", queue_bytes=20_000)
        await volumes.open()
        puts = [asyncio.create_task(volumes.put(*chunk(i), verified=True)) for i in range(100)]
        await asyncio.sleep(0)
        await volumes.close()
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert {type(result) for result in results} == {type(None), Unavailable}
        volumes = VolumeSet(tmp_path / "v")
        await volumes.open()
        for number, result in enumerate(results):
            assert (chunk(number)[0] in volumes) == (result is None)
        await volumes.close()

    run(scenario())


def test_cancelled_close_still_closes(tmp_path):
    async def scenario():
        volumes = VolumeSet(tmp_path / "v")
        await volumes.open()
        await volumes.put(*chunk(1), verified=True)
        closing = asyncio.create_task(volumes.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await volumes.close()
        volumes = VolumeSet(tmp_path / "v")
        await volumes.open()
        assert await volumes.get(chunk(1)[0]) == chunk(1)[1]
        await volumes.close()

    run(scenario())
