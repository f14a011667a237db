"""The volume set on a disk that is full, fails, or forgets."""

import asyncio
import errno
import os
import random

import pytest
from failing_files import FailingFiles, raises
from somevolumes import chunk, opened, run

from raftstore.errors import Damaged, DiskFailed, DiskFull, Unavailable


async def put_all(volumes, numbers):
    return await asyncio.gather(
        *(volumes.put(*chunk(i), verified=True) for i in numbers), return_exceptions=True
    )


async def assert_holds(volumes, numbers):
    for number in numbers:
        assert await volumes.get(chunk(number)[0]) == chunk(number)[1]


def test_short_writes_are_continued(tmp_path):
    files = FailingFiles()
    files.short_writes = random.Random(4)

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(50))
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        await assert_holds(volumes, range(50))
        await volumes.close()

    run(scenario())


def test_full_disk_while_writing(tmp_path):
    files = FailingFiles()
    taken = []

    def fault(path):
        # Some bytes are taken before the disk is full, as a real one does.
        if taken:
            raise OSError(errno.ENOSPC, "no space")
        taken.append(path)
        with path.open("ab") as file:
            file.write(b"half a needle")

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        size = (tmp_path / "v" / "00000001.vol").stat().st_size
        files.short_writes = random.Random(1)
        files.write_fault = fault
        results = await put_all(volumes, range(3, 6))
        assert [type(result) for result in results] == [DiskFull] * 3
        assert (tmp_path / "v" / "00000001.vol").stat().st_size == size
        assert not volumes.stats().failed
        files.write_fault = None
        assert await put_all(volumes, range(3, 6)) == [None] * 3
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        await assert_holds(volumes, range(6))
        assert volumes.stats().quarantined == 0
        await volumes.close()

    run(scenario())


def test_full_disk_when_a_volume_is_made(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        files.sync_fault = raises(errno.ENOSPC)
        assert [type(result) for result in await put_all(volumes, range(2))] == [DiskFull] * 2
        assert list((tmp_path / "v").glob("*.vol")) == []
        files.sync_fault = None
        assert await put_all(volumes, range(2)) == [None] * 2
        await volumes.close()

    run(scenario())


def test_a_volume_that_could_not_be_made_does_not_come_back_after_a_power_cut(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        files = FailingFiles()
        volumes = await opened(directory, files, volume_bytes=4096)
        for number in range(3):
            await volumes.put(*chunk(number), verified=True)
        fault = raises(errno.ENOSPC)
        files.write_fault = lambda path: fault() if path.name == "00000002.vol" else None
        with pytest.raises(DiskFull):
            await volumes.put(*chunk(9, 4096), verified=True)
        assert not (directory / "00000002.vol").exists()
        for chance in range(20):
            files.crash_image(directory, image := tmp_path / str(chance), random.Random(chance))
            assert not (image / "00000002.vol").exists()
        files.write_fault = None
        await volumes.close()

    run(scenario())


def test_a_volume_that_could_be_neither_made_nor_removed_ends_the_writing(tmp_path):
    async def scenario():
        files = FailingFiles()
        volumes = await opened(tmp_path / "v", files, volume_bytes=4096)
        await volumes.put(*chunk(0), verified=True)
        fault = raises(errno.ENOSPC)
        files.write_fault = lambda path: fault() if path.name == "00000002.vol" else None
        files.operation = lambda name: fault() if name == "unlink" else None
        with pytest.raises(DiskFailed):
            await volumes.put(*chunk(9, 4096), verified=True)
        files.operation = files.write_fault = None
        with pytest.raises(DiskFailed):
            await volumes.put(*chunk(1), verified=True)
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_found_by_the_sync(tmp_path, number):
    """The volume is given up, since a failed sync leaves it unknown; the store goes on in a new one."""
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        files.sync_fault = raises(number)
        assert [type(result) for result in await put_all(volumes, range(3, 6))] == [DiskFull] * 3
        files.sync_fault = None
        assert await put_all(volumes, range(4, 8)) == [None] * 4
        stats = volumes.stats()
        assert (stats.failed, stats.failed_volumes, stats.volumes) == (False, 1, 2)
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        await assert_holds(volumes, [0, 1, 2, 4, 5, 6, 7])
        assert chunk(3)[0] not in volumes
        assert volumes.stats().failed_volumes == 1
        await volumes.close()

    run(scenario())


def test_reserve_is_kept_and_space_comes_back(tmp_path):
    files = FailingFiles()
    files.free = 1_000_000

    async def scenario():
        volumes = await opened(tmp_path / "v", files, reserve_bytes=990_000)
        results = await put_all(volumes, range(20))
        assert [type(result) for result in results] == [type(None)] * 9 + [DiskFull] * 11
        files.free = 980_000
        assert [type(result) for result in await put_all(volumes, [20])] == [DiskFull]
        # Removing must be possible on a full disk.
        assert await volumes.remove(chunk(0)[0])
        files.free = 2_000_000
        assert await put_all(volumes, [20, 21]) == [None] * 2
        assert not volumes.stats().failed
        await volumes.close()

    run(scenario())


def test_free_space_unknown_counts_as_none(tmp_path):
    files = FailingFiles()
    files.free_bytes = raises(errno.EIO)

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        assert [type(result) for result in await put_all(volumes, [1])] == [DiskFull]
        assert volumes.stats().disk_free == 0
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("how", ["sync", "write", "cut"])
def test_failed_disk_stops_the_writing_only(tmp_path, how):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        if how == "sync":
            files.sync_fault = raises(errno.EIO)
        else:
            files.write_fault = raises(errno.EIO if how == "write" else errno.ENOSPC)
            files.truncate_fault = raises(errno.EIO) if how == "cut" else None
        assert [type(result) for result in await put_all(volumes, range(3, 6))] == [DiskFailed] * 3
        files.sync_fault = files.write_fault = files.truncate_fault = None
        assert [type(result) for result in await put_all(volumes, range(6, 8))] == [DiskFailed] * 2
        with pytest.raises(DiskFailed):
            await volumes.remove(chunk(0)[0])
        assert volumes.stats().failed
        # What was durable is still there, and putting it again needs no write.
        await assert_holds(volumes, range(3))
        await volumes.put(*chunk(1), verified=True)
        assert chunk(4)[0] not in volumes
        await volumes.close()

        # After a restart the volume is read up to where it was durable; new chunks go elsewhere.
        volumes = await opened(tmp_path / "v")
        assert not volumes.stats().failed
        assert volumes.stats().failed_volumes == 1
        await assert_holds(volumes, range(3))
        assert [chunk(i)[0] in volumes for i in range(3, 8)] == [False] * 5
        before = (tmp_path / "v" / "00000001.vol").read_bytes()
        assert await put_all(volumes, range(3, 8)) == [None] * 5
        await volumes.close()
        assert (tmp_path / "v" / "00000001.vol").read_bytes() == before
        volumes = await opened(tmp_path / "v")
        await assert_holds(volumes, range(8))
        await volumes.close()

    run(scenario())


def test_failure_that_cannot_be_noted(tmp_path):
    """After a failed sync the cache shows bytes that the disk does not have; recovery must look at the disk."""
    files = FailingFiles()
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory, files)
        await put_all(volumes, range(3))
        synced = (directory / "00000001.vol").stat().st_size
        files.sync_fault = raises(errno.EIO)
        files.save = raises(errno.EIO)
        files.truncate_fault = raises(errno.EIO)
        assert [type(result) for result in await put_all(volumes, range(3, 6))] == [DiskFailed] * 3
        await volumes.close()

        class Forgetful(FailingFiles):
            """Drops from the cache what was never on the disk."""

            def forget(self, fd: int, offset: int) -> None:
                assert offset <= synced
                os.pwrite(fd, bytes(os.fstat(fd).st_size - synced), synced)

        volumes = await opened(directory, Forgetful())
        assert [chunk(i)[0] in volumes for i in range(6)] == [True] * 3 + [False] * 3
        assert await put_all(volumes, range(6)) == [None] * 6
        await assert_holds(volumes, range(6))
        await volumes.close()

    run(scenario())


@pytest.mark.slow
def test_defect_in_the_writer_is_a_failure_not_a_hang(tmp_path):
    files = FailingFiles()

    def fault(path):
        raise RuntimeError("defect")

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        files.write_fault = fault
        assert [type(result) for result in await put_all(volumes, range(2, 5))] == [
            type(None),
            DiskFailed,
            DiskFailed,
        ]
        await assert_holds(volumes, range(3))
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
def test_unreadable_chunk_is_quarantined(tmp_path, number):
    files = FailingFiles()
    files.cached = False

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        files.read_fault = raises(number)
        with pytest.raises(Damaged):
            await volumes.get(chunk(1)[0])
        files.read_fault = None
        assert chunk(1)[0] not in volumes
        assert volumes.stats().quarantined == 1
        await assert_holds(volumes, [0, 2])
        await volumes.close()
        volumes = await opened(tmp_path / "v")
        assert chunk(1)[0] not in volumes
        await volumes.put(*chunk(1), verified=False)
        await assert_holds(volumes, range(3))
        await volumes.close()

    run(scenario())


def test_trouble_that_is_not_the_mediums_is_not_damage(tmp_path):
    files = FailingFiles()
    files.cached = False

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(1))
        files.read_fault = raises(errno.ENOMEM)
        with pytest.raises(Unavailable):
            await volumes.get(chunk(0)[0])
        files.read_fault = None
        await assert_holds(volumes, range(1))
        assert volumes.stats().quarantined == 0
        await volumes.close()

    run(scenario())


def test_file_system_that_cannot_tell_what_is_cached(tmp_path):
    files = FailingFiles()
    asked = []

    def fault(*_):
        asked.append(1)
        raise OSError(errno.EOPNOTSUPP, "not supported")

    files.read_cached = fault

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        await assert_holds(volumes, range(3))
        assert len(asked) == 1
        await volumes.close()

    run(scenario())


def test_disk_that_does_not_answer_at_open(tmp_path):
    files = FailingFiles()

    async def scenario():
        volumes = await opened(tmp_path / "v", files)
        await put_all(volumes, range(3))
        await volumes.close()
        files.sync_fault = raises(errno.EIO)
        files.read_fault = raises(errno.ENOMEM)
        with pytest.raises(DiskFailed):
            await opened(tmp_path / "v", files)
        files.sync_fault = files.read_fault = None
        volumes = await opened(tmp_path / "v", files)
        await assert_holds(volumes, range(3))
        await volumes.close()

    run(scenario())
