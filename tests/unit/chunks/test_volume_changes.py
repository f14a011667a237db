"""Removing in numbers, listing, leases, and what a put vouches for."""

import asyncio
import gc
import os

import pytest
from failing_files import FailingFiles, raises
from somevolumes import chunk, opened, run

from raftstore.chunks.format import needle
from raftstore.errors import DiskFailed, NotFound


async def fill(volumes, numbers):
    await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in numbers))


async def listed(volumes):
    return {entry.key for portion in [p async for p in volumes.digests()] for entry in portion}


def test_remove_many_takes_few_syncs_and_is_durable(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await fill(volumes, range(1200))
        before = files.syncs
        gone = [chunk(i)[0] for i in range(1100)]
        gone[::2] = [digest[: needle.KEY_SIZE] for digest in gone[::2]]
        spared = chunk(7)[0]
        assert await volumes.remove_many([*gone, chunk(5000)[0]], unless=lambda d: d == spared) == 1099
        assert files.syncs - before == 3
        for _ in range(2):
            left = [i for i in range(1200) if chunk(i)[0] in volumes]
            assert left == [7, *range(1100, 1200)]
            assert await listed(volumes) == {chunk(i)[0][: needle.KEY_SIZE] for i in left}
            await volumes.close()
            volumes = await opened(tmp_path / "v")
        await volumes.close()

    run(scenario())


def test_remove_many_on_a_failed_disk(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await fill(volumes, range(5))
        files.sync_fault = raises(5)
        with pytest.raises(DiskFailed):
            await volumes.remove_many(chunk(i)[0] for i in range(5))
        with pytest.raises(DiskFailed):
            await volumes.remove_many(chunk(i)[0] for i in range(5))
        assert all(chunk(i)[0] in volumes for i in range(5))
        await volumes.close()

    run(scenario())


def test_a_put_that_overlaps_a_finished_removal_stores_again(tmp_path):
    """What it found at its start is gone when it has looked at it."""
    files = FailingFiles()
    files.cached = False

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        digest, data = chunk(1, 5000)
        await volumes.put(digest, data, verified=True)
        loop = asyncio.get_running_loop()
        reading, removed = asyncio.Event(), asyncio.Event()

        def hold(*_):
            loop.call_soon_threadsafe(reading.set)
            asyncio.run_coroutine_threadsafe(removed.wait(), loop).result(30)

        files.read_fault = hold
        putting = asyncio.create_task(volumes.put(digest, data, verified=True))
        await reading.wait()
        files.read_fault = None
        assert await volumes.remove(digest)
        removed.set()
        await putting
        assert digest in volumes
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        assert await volumes.get(digest) == data
        await volumes.close()

    run(scenario())


def test_puts_and_confirmations_touch(tmp_path):
    async def scenario():
        volumes = await opened(tmp_path / "v")
        touched = []
        volumes.on_touch = touched.append
        digest, data = chunk(1)
        assert not volumes.confirm(digest)
        await volumes.put(digest, data, verified=True)
        assert touched == [digest]
        await volumes.put(digest, data, verified=True)
        assert volumes.confirm(digest)
        await volumes.put_many([(digest, data)])
        assert set(touched) == {digest}
        del touched[3:]
        removing = asyncio.create_task(volumes.remove_many([digest]))
        await asyncio.sleep(0)
        assert digest in volumes
        assert not volumes.confirm(digest)  # about to be removed
        assert await removing == 1
        assert len(touched) == 3
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("many", [False, True])
def test_what_a_put_has_vouched_for_is_not_removed_by_a_sweep_that_goes_on(tmp_path, many):
    async def scenario():
        volumes = await opened(tmp_path / "v")
        digest, data = chunk(1)
        await volumes.put(digest, data, verified=True)
        candidates = {digest}
        volumes.on_touch = candidates.discard

        async def sweep():
            await volumes.remove_many([digest], unless=lambda key: key not in candidates)

        sweeps = [asyncio.create_task(sweep())]
        await asyncio.sleep(0)
        assert not volumes.confirm(digest)  # its removal is queued
        candidates.add(digest)
        put = volumes.put_many([(digest, data)]) if many else volumes.put(digest, data, verified=True)
        putting = asyncio.create_task(put)
        while not putting.done():
            # One that finds the chunk busy asks again as soon as it is not: also just before the put goes on.
            sweeps.append(asyncio.create_task(sweep()))
            await asyncio.sleep(0)
        await asyncio.gather(putting, *sweeps)
        assert volumes.confirm(digest)
        assert await volumes.get(digest) == data
        await volumes.close()

    run(scenario())


@pytest.mark.slow
def test_digests_are_listed_while_the_index_grows(tmp_path):
    async def scenario():
        volumes = await opened(tmp_path / "v")
        await fill(volumes, range(3000))
        seen, number = set(), 3000
        async for portion in volumes.digests():
            seen |= {entry.key for entry in portion}
            if number < 6000:  # some buckets are split
                await fill(volumes, range(number, number + 700))
                number += 700
        assert number > 6000
        assert seen >= {chunk(i)[0][: needle.KEY_SIZE] for i in range(3000)}
        await volumes.close()

    run(scenario())


def test_a_lease_outlives_its_chunk_and_the_set(tmp_path):
    async def scenario():
        volumes = await opened(tmp_path / "v")
        digest, data = chunk(1)
        await volumes.put(digest, data, verified=True)
        lease, other = volumes.lease(digest), volumes.lease(digest)
        await volumes.remove(digest)
        with pytest.raises(NotFound):
            volumes.lease(digest)
        await volumes.close()
        other.close()
        assert os.pread(lease.fd, lease.length, lease.offset) == data
        lease.close()
        lease.close()
        with pytest.raises(OSError):
            os.fstat(lease.fd)

    run(scenario())


def test_a_tombstone_removes_one_needle_and_older_ones_wherever_it_lies(tmp_path):
    name = needle.tombstone(bytes(range(32)), 7, 4096)
    assert len(name) == 32
    assert needle.decode_tombstone(name) == (bytes(range(16)), 7, 4096)


def test_puts_of_many_that_are_given_up_leave_no_error_behind(tmp_path):
    reported = []

    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
        volumes = await opened(tmp_path / "v")
        putting = asyncio.create_task(volumes.put_many([chunk(i) for i in range(5)]))
        sharing = asyncio.create_task(volumes.put(*chunk(4), verified=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        await sharing
        assert chunk(4)[0] in volumes
        await volumes.close()
        del putting, sharing
        gc.collect()

    run(scenario())
    assert reported == []
