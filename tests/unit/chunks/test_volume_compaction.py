"""Compaction: what it chooses, what it leaves, and what it never blocks."""

import asyncio
import errno
import functools
import os
import random
import shutil

import pytest
import somevolumes
from failing_files import FailingFiles, flip, raises
from somevolumes import NoSpaceForBytes, chunk, run

from raftstore.chunks.format.index import Place
from raftstore.chunks.format.needle import HEADER_SIZE, KEY_SIZE, Kind, footprint, tombstone
from raftstore.chunks.volumes import compaction
from raftstore.chunks.volumes.compaction import Candidate, Ending, choose
from raftstore.chunks.volumes.holdings import Holdings
from raftstore.chunks.volumes.recovery import walking
from raftstore.chunks.volumes.volume import Volume
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import DiskFailed, DiskFull, Unavailable

VOLUME = 20_000
STEP = footprint(1000)


opened = functools.partial(somevolumes.opened, volume_bytes=VOLUME)


async def fill(volumes, numbers):
    for number in numbers:
        await volumes.put(*chunk(number), verified=True)


async def assert_holds(volumes, numbers, count=100):
    held = set(numbers)
    for number in range(count):
        digest, data = chunk(number)
        assert (digest in volumes) == (number in held), number
        if number in held:
            assert await volumes.get(digest) == data


def names(directory):
    return sorted(int(path.stem) for path in directory.glob("*.vol"))


def test_what_is_chosen():
    full, half, mostly = Candidate(1, 1000, 290), Candidate(2, 1000, 500), Candidate(3, 1000, 900)
    assert choose([full], free_space=10_000, least=100) is None
    assert choose([full, half, mostly], free_space=10_000, least=100) == 3
    assert choose([full, half], free_space=10_000, least=100) == 2
    assert choose([full, half, mostly], free_space=100, least=100) == 3
    assert choose([full, half, mostly], free_space=99, least=100) is None
    assert choose([half, mostly], free_space=10_000, least=901) is None
    assert choose([full, half], free_space=compaction.LEAST_SPACE - 1, least=100, piecemeal=True) == 2
    big = Candidate(1, 10 * compaction.LEAST_SPACE, 5 * compaction.LEAST_SPACE)
    assert choose([big], free_space=compaction.LEAST_SPACE, least=100) is None
    assert choose([big], free_space=compaction.LEAST_SPACE, least=100, piecemeal=True) == 1
    assert choose([big], free_space=compaction.LEAST_SPACE - 1, least=100, piecemeal=True) is None
    # What is begun comes first, if it pays and fits.
    assert choose([Candidate(2, 1000, 500, stale=True), mostly], free_space=10_000, least=100) == 2
    assert choose([Candidate(2, 1000, 500, stale=True), mostly], free_space=400, least=100) == 3
    # A volume without anything in it goes, but never the newest just for that.
    assert choose([Candidate(1, 64, 64)], free_space=0, least=100) == 1
    assert choose([Candidate(1, 0, 0)], free_space=0, least=100) == 1
    assert choose([Candidate(1, 128, 128, last=True)], free_space=10_000, least=1000) is None


def test_a_tombstone_is_needed_while_what_it_removes_may_lie_somewhere(tmp_path):
    holdings = Holdings()
    digest = bytes(range(32))
    for number in (1, 2, 3, 4):
        holdings.volumes[number] = Volume(FailingFiles(), tmp_path, number, -1, bytes(32), HEADER_SIZE)
    third, fourth = holdings.volumes[3], holdings.volumes[4]
    holdings.apply(Kind.DATA, digest, Place(2, 64, 10))
    holdings.apply(Kind.DATA, digest, Place(3, 64, 10))  # a copy of it, and the old one was not deleted
    holdings.apply(Kind.TOMBSTONE, tombstone(digest, 3, 64), Place(4, 64, 0))
    holdings.serve()
    assert holdings.stale == {2}
    assert digest not in holdings.index
    assert holdings.needs_tombstone(3, without=fourth)
    assert holdings.needed(fourth) == footprint(0)
    # Volume 3 is gone, but 2 still has the older copy.
    holdings.drop(third)
    assert holdings.needs_tombstone(3, without=fourth)
    holdings.drop(holdings.volumes[2])
    assert not holdings.needs_tombstone(3, without=fourth)
    assert holdings.needed(fourth) == 0


@pytest.mark.parametrize("own", [False, True])
def test_a_start_finds_needles_that_no_tombstone_names(tmp_path, own):
    """Else the tombstone that keeps one from coming back would be dropped."""
    holdings = Holdings()
    digest = bytes(range(32))
    for number in (1, 3):
        holdings.volumes[number] = Volume(FailingFiles(), tmp_path, number, -1, bytes(32), HEADER_SIZE)
    third = holdings.volumes[3]
    holdings.apply(Kind.DATA, digest, Place(1, 64, 10))
    # It was copied to volume 2, which is gone, and removed there.
    holdings.apply(Kind.TOMBSTONE, tombstone(digest, 2, 64), Place(3, 64, 0))
    if own:
        holdings.apply(Kind.TOMBSTONE, tombstone(digest, 1, 64), Place(3, 128, 0))
    holdings.serve()
    assert digest not in holdings.index
    assert holdings.stale == (set() if own else {1})
    assert holdings.needs_tombstone(2, without=third) == (not own)
    assert holdings.needs_tombstone(1, without=third)


def test_a_tombstone_spares_what_was_stored_later(tmp_path):
    holdings = Holdings()
    digest = bytes(range(32))
    for number in (1, 2):
        holdings.volumes[number] = Volume(FailingFiles(), tmp_path, number, -1, bytes(32), HEADER_SIZE)
    holdings.apply(Kind.DATA, digest, Place(1, 64, 10))
    holdings.apply(Kind.TOMBSTONE, tombstone(digest, 1, 64), Place(1, 160, 0))
    holdings.apply(Kind.DATA, digest, Place(1, 224, 10))
    holdings.apply(Kind.TOMBSTONE, tombstone(digest, 1, 64), Place(2, 64, 0))  # copied by a compaction
    assert holdings.index.get(digest) == Place(1, 224, 10)


def test_space_comes_back_and_the_living_stay(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory)
        await fill(volumes, range(100))
        before = names(directory)
        await volumes.remove_many(chunk(i)[0] for i in range(100) if i % 3)
        assert volumes.reclaimable() > 60 * STEP
        seen = []
        report = await volumes.compact(progress=lambda done, total: seen.append((done, total)))
        assert report.ending is Ending.DONE
        assert report.volumes == len(before)
        assert report.copied_bytes >= 34 * 1000
        assert report.freed_bytes > 100 * STEP
        assert seen == sorted(seen)
        assert all(done <= total for done, total in seen)
        assert not set(names(directory)) & set(before)
        stats = volumes.stats()
        assert stats.dead_bytes <= 0.5 * stats.bytes
        assert volumes.reclaimable() == 0
        assert (await volumes.compact()).volumes == 0
        for _ in range(2):
            await assert_holds(volumes, range(0, 100, 3))
            await volumes.close()
            volumes = await opened(directory)
        # All of it goes, and numbers are not used again.
        last = max(names(directory))
        await volumes.remove_many(chunk(i)[0] for i in range(100))
        await volumes.compact()
        assert min(names(directory)) > last
        assert volumes.stats().dead_bytes <= VOLUME // 8
        await fill(volumes, range(5))
        await volumes.close()
        volumes = await opened(directory)
        await assert_holds(volumes, range(5))
        await volumes.close()

    run(scenario())


@pytest.mark.slow
def test_cut_off_at_every_operation(tmp_path):
    """What was durable is there, whatever is the last thing that reached the disk; and the rest is done later."""

    async def prepare():
        volumes = await opened(tmp_path / "0")
        await fill(volumes, range(40))
        await volumes.remove_many(chunk(i)[0] for i in range(40) if i % 4)
        await volumes.close()

    async def compact(number, at):
        """Compact; keep what the disk held at operation `at`. Return whether there was one."""
        shutil.copytree(tmp_path / "0", tmp_path / "work")
        files = FailingFiles()
        volumes = await opened(tmp_path / "work", files)
        left = at

        def operation(name):
            nonlocal left
            left -= 1
            if left == 0:
                files.crash_image(tmp_path / "work", tmp_path / "image", random.Random(number))

        files.operation = operation
        await volumes.compact()
        files.operation = None
        await volumes.close()
        shutil.rmtree(tmp_path / "work")
        return left <= 0

    async def scenario():
        await prepare()
        number = 0
        while await compact(number, number // 2 + 1):
            number += 1
            for _ in range(2):
                volumes = await opened(tmp_path / "image")
                await assert_holds(volumes, range(0, 40, 4))
                await volumes.compact()
                await assert_holds(volumes, range(0, 40, 4))
                assert volumes.reclaimable() == 0
                await volumes.close()
            shutil.rmtree(tmp_path / "image")
        assert number > 20

    run(scenario())


def test_readers_and_writers_go_on(tmp_path):
    async def scenario():
        volumes = await opened(tmp_path / "v")
        await fill(volumes, range(60))
        await volumes.remove_many(chunk(i)[0] for i in range(0, 60, 2))
        # So slow that it would take an hour.
        stop = False
        compacting = asyncio.create_task(volumes.compact(limit_bytes_per_s=10, should_stop=lambda: stop))
        for number in range(100, 140):
            await volumes.put(*chunk(number), verified=True)
            await volumes.get(chunk(number - 99 | 1)[0])
            if number % 2:
                await volumes.remove(chunk(number)[0])
        assert not compacting.done()
        stop = True
        assert (await compacting).ending is Ending.STOPPED
        await assert_holds(volumes, {*range(1, 60, 2), *range(100, 140, 2)}, 200)
        await volumes.close()

    run(scenario())


def test_a_batch_over_two_volumes_is_taken_over_before_the_first_is_compacted(tmp_path):
    """What is durable in it, but not yet known to the index, must not pass for dead."""
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await fill(volumes, range(8))
        await volumes.remove_many(chunk(i)[0] for i in range(8))
        loop = asyncio.get_running_loop()
        in_sync, go_on = asyncio.Event(), asyncio.Event()
        syncs = 0

        def hold(path):
            nonlocal syncs
            syncs += path.name == "00000002.vol"
            if syncs == 2:  # the first was for its start
                loop.call_soon_threadsafe(in_sync.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)

        files.sync_fault = hold
        putting = asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(20, 40)))
        await in_sync.wait()
        compacting = asyncio.create_task(volumes.compact())
        await asyncio.wait([compacting], timeout=0.3)
        assert 1 in names(tmp_path / "v")
        go_on.set()
        await putting
        await compacting
        for _ in range(2):
            await assert_holds(volumes, range(20, 40))
            await volumes.close()
            volumes = await opened(tmp_path / "v")
        await volumes.close()

    run(scenario())


def test_a_chunk_that_is_being_copied_is_here(tmp_path):
    """Whoever asks for it, or puts it, need not wait for the copy."""
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await fill(volumes, range(40))
        await volumes.remove_many(chunk(i)[0] for i in range(40) if i % 8)
        loop = asyncio.get_running_loop()
        in_sync, go_on = asyncio.Event(), asyncio.Event()

        def hold():
            loop.call_soon_threadsafe(in_sync.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(30)

        files.before_sync = hold
        compacting = asyncio.create_task(volumes.compact())
        await in_sync.wait()
        for number in range(0, 40, 8):
            digest, data = chunk(number)
            assert volumes.confirm(digest)
            await volumes.put(digest, data, verified=True)
            assert await volumes.get(digest) == data
        assert not compacting.done()
        files.before_sync = None
        go_on.set()
        assert (await compacting).ending is Ending.DONE
        await assert_holds(volumes, range(0, 40, 8))
        await volumes.close()

    run(scenario())


def test_a_volume_is_not_deleted_under_a_reader(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_PATIENCE", 0.1)
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory)
        await fill(volumes, range(40))
        digest, data = chunk(3)
        lease = volumes.lease(digest)
        await volumes.remove_many(chunk(i)[0] for i in range(40) if i % 8)
        for _ in range(2):
            assert (await volumes.compact()).ending is Ending.IN_USE
        assert 1 in names(directory)
        assert os.pread(lease.fd, lease.length, lease.offset) == data
        lease.close()
        assert (await volumes.compact()).ending is Ending.DONE
        assert 1 not in names(directory)
        await assert_holds(volumes, range(0, 40, 8))
        await volumes.close()

    run(scenario())


def test_reads_under_way_find_the_new_place(tmp_path):
    files = FailingFiles()
    files.cached = False

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await fill(volumes, range(60))
        await volumes.remove_many(chunk(i)[0] for i in range(60) if i % 3)
        living = range(0, 60, 3)

        async def read():
            for _ in range(20):
                for number in living:
                    assert await volumes.get(chunk(number)[0]) == chunk(number)[1]

        results = await asyncio.gather(volumes.compact(), *(read() for _ in range(6)))
        assert results[0].volumes >= 3
        assert volumes.stats().quarantined == 0
        await volumes.close()

    run(scenario())


def test_a_full_disk_is_freed_with_the_reserve(tmp_path):
    files = FailingFiles()
    reserve = 20_000
    disk = 200_000
    directory = tmp_path / "v"
    files.free_bytes = lambda _: disk - sum(path.stat().st_size for path in directory.glob("*.vol"))

    async def scenario():
        volumes = await opened(directory, files, reserve_bytes=reserve)
        number = 0
        with pytest.raises(DiskFull):
            for number in range(1000):
                await volumes.put(*chunk(number), verified=True)
        await volumes.remove_many(chunk(i)[0] for i in range(number) if i % 3)
        with pytest.raises(DiskFull):
            await volumes.put(*chunk(1000), verified=True)
        assert (await volumes.compact()).ending is Ending.DONE
        # It takes part again.
        for again in range(1000, 1000 + number // 2):
            await volumes.put(*chunk(again), verified=True)
        await assert_holds(volumes, {*range(0, number, 3), *range(1000, 1000 + number // 2)}, 2000)
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("can_punch", [True, False])
def test_a_full_disk_with_large_volumes_is_freed_piece_by_piece(tmp_path, monkeypatch, can_punch):
    """The reserve is far smaller than what lives in any volume."""
    monkeypatch.setattr(walking, "PORTION_BYTES", 100_000)
    monkeypatch.setattr(compaction, "LEAST_SPACE", 200_000)
    directory = tmp_path / "v"
    files = FailingFiles()
    reserve, disk, size = 500_000, 5_000_000, 20_000
    files.free_bytes = lambda _: disk - sum(path.stat().st_blocks * 512 for path in directory.glob("*.vol"))
    if not can_punch:
        files.punch = raises(errno.EOPNOTSUPP)

    async def scenario():
        volumes = VolumeSet(directory, volume_bytes=2_000_000, reserve_bytes=reserve, files=files)
        await volumes.open()
        number = 0
        with pytest.raises(DiskFull):
            for number in range(1000):
                await volumes.put(*chunk(number, size), verified=True)
        await volumes.remove_many(chunk(i, size)[0] for i in range(number) if i % 2)
        report = await volumes.compact()
        assert files.free_bytes(directory) >= reserve // 4 - 10_000
        if can_punch:
            assert report.ending is Ending.DONE
            assert volumes.reclaimable() == 0
            await volumes.put(*chunk(5000, size), verified=True)
        else:
            assert report.ending is Ending.NO_SPACE
        for i in range(0, number, 2):
            assert await volumes.get(chunk(i, size)[0]) == chunk(i, size)[1]
        assert volumes.stats().quarantined == 0
        await volumes.close()

    run(scenario())


def test_no_room_for_copies_is_told_and_costs_nothing(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files, reserve_bytes=4000)
        await fill(volumes, range(60))
        await volumes.remove_many(chunk(i)[0] for i in range(0, 60, 2))
        files.free = 1000
        assert (await volumes.compact()).ending is Ending.NO_SPACE
        files.free = None
        files.write_fault = raises(28)
        assert (await volumes.compact()).ending is Ending.NO_SPACE
        files.write_fault = None
        assert (await volumes.compact()).ending is Ending.DONE
        await assert_holds(volumes, range(1, 60, 2))
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("fault", ["sync_fault", "write_fault"])
def test_a_disk_that_fails_meanwhile(tmp_path, fault):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await fill(volumes, range(60))
        await volumes.remove_many(chunk(i)[0] for i in range(0, 60, 2))
        before = names(tmp_path / "v")
        setattr(files, fault, raises(5))
        with pytest.raises(DiskFailed):
            await volumes.compact()
        setattr(files, fault, None)
        with pytest.raises(DiskFailed):
            await volumes.compact()
        assert set(names(tmp_path / "v")) >= set(before)
        await assert_holds(volumes, range(1, 60, 2))
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        await assert_holds(volumes, range(1, 60, 2))
        assert volumes.stats().failed_volumes == 1
        # The volume that failed is only read, until nothing is alive in it.
        await volumes.remove_many(chunk(i)[0] for i in range(1, 60, 2))
        await volumes.compact()
        assert not list((tmp_path / "v").glob("*.failed"))
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        assert volumes.stats().failed_volumes == 0
        await volumes.close()

    run(scenario())


def test_damage_on_the_way_is_quarantined_and_told(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory)
        await fill(volumes, range(18))  # all but the last in volume 1
        await volumes.remove_many(chunk(i)[0] for i in range(8))
        path = directory / "00000001.vol"
        flip(path, HEADER_SIZE + 10 * STEP + HEADER_SIZE + 5)  # payload of 10
        flip(path, HEADER_SIZE + 12 * STEP + 21)  # header of 12
        flip(path, HEADER_SIZE + 14 * STEP + 21)  # both of 14
        flip(path, HEADER_SIZE + 14 * STEP + HEADER_SIZE + 5)
        report = await volumes.compact()
        assert set(report.damaged) == {chunk(10)[0], chunk(12)[0], chunk(14)[0][:KEY_SIZE]}
        assert report.volumes == 1
        assert volumes.stats().quarantined == 3
        assert len(list((directory / "quarantine").glob("*.bytes"))) == 3
        for _ in range(2):
            await assert_holds(volumes, {8, 9, 11, 13, 15, 16, 17})
            await volumes.close()
            volumes = await opened(directory)
        await volumes.close()

    run(scenario())


def test_damaged_bytes_that_could_not_be_copied_are_not_deleted(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory, NoSpaceForBytes())
        await fill(volumes, range(30))
        await volumes.remove_many(chunk(i)[0] for i in range(8))
        flip(directory / "00000001.vol", HEADER_SIZE + 10 * STEP + HEADER_SIZE + 5)
        for _ in range(2):
            report = await volumes.compact()
            assert (report.ending, report.volumes) == (Ending.DONE, 0)
            assert 1 in names(directory)
            await assert_holds(volumes, {8, 9, *range(11, 30)})
            await volumes.close()
            volumes = await opened(directory)
        await volumes.close()

    run(scenario())


def test_cancelled_or_closed_meanwhile(tmp_path):
    async def scenario():
        volumes = await opened(tmp_path / "v")
        await fill(volumes, range(60))
        await volumes.remove_many(chunk(i)[0] for i in range(0, 60, 2))
        compacting = asyncio.create_task(volumes.compact(limit_bytes_per_s=10))
        await asyncio.sleep(0.05)
        compacting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await compacting
        compacting = asyncio.create_task(volumes.compact(limit_bytes_per_s=10))
        await asyncio.sleep(0.05)
        await volumes.close()
        assert (await compacting).ending is Ending.STOPPED
        with pytest.raises(Unavailable):
            await volumes.compact()
        volumes = await opened(tmp_path / "v")
        assert (await volumes.compact()).ending is Ending.DONE
        await assert_holds(volumes, range(1, 60, 2))
        await volumes.close()

    run(scenario())


def test_a_walk_verifies_all_and_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(walking, "PORTION_BYTES", 5_000)
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory)
        await fill(volumes, range(18))
        await volumes.remove(chunk(2)[0])
        path = directory / "00000001.vol"
        flip(path, HEADER_SIZE + 10 * STEP + HEADER_SIZE + 5)  # payload of 10
        flip(path, HEADER_SIZE + 12 * STEP + 21)  # header of 12
        assert volumes.volume_numbers() == [1]
        seen, start = [], 0
        for _ in range(20):
            async for portion in volumes.walk(1, start):
                seen += portion
                start = seen[-1].offset
                break
        bad = [item for item in seen if item.reason is not None]
        assert {item.digest for item in bad} == {chunk(10)[0], chunk(12)[0]}
        assert [item.digest for item in seen if item.reason is None] == [
            chunk(i)[0] for i in range(18) if i not in (2, 10, 12)
        ]
        assert sum(item.length for item in seen) == 17_000
        await assert_holds(volumes, {*range(18)} - {2, 10, 12})
        assert [portion async for portion in volumes.walk(99)] == []
        # A start that is no needle's condemns nothing.
        again = [item async for portion in volumes.walk(1, 16) for item in portion]
        assert all(item.reason is None for item in again)
        assert volumes.stats().quarantined == 2
        await volumes.close()

    run(scenario())
