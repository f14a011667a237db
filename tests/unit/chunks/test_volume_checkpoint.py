"""The saved index: a short cut to what a scan of the volumes finds, and never more than that."""

import asyncio
import functools
import os
import shutil

import pytest
import somevolumes
from blake3 import blake3
from failing_files import FailingFiles, flip, raises
from somevolumes import chunk, run
from structlog.testing import capture_logs

from raftstore.chunks.format.index import Index, Place
from raftstore.chunks.format.needle import HEADER_SIZE, footprint
from raftstore.errors import Damaged, DiskFailed

VOLUME = 20_000
STEP = footprint(1000)


opened = functools.partial(somevolumes.opened, volume_bytes=VOLUME)


async def fill(directory, files=None):
    """Some volumes with chunks, removed chunks, and a closed index."""
    volumes = await opened(directory, files)
    for start in range(0, 100, 10):
        await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(start, start + 10)))
    await volumes.remove_many(chunk(i)[0] for i in range(0, 100, 5))
    await volumes.close()


def state(volumes):
    holdings = volumes._holdings
    return (
        {entry.key: entry.place for entry in holdings.index.entries_in(holdings.volumes)},
        {n: (v.end, v.live, v.tombstones) for n, v in holdings.volumes.items()},
    )


@pytest.mark.slow
def test_an_index_is_saved_and_loaded():
    for count in (0, 1, 3000, 5000, 40_000):
        index = Index(secret=12345678901234567)
        digests = [blake3(number.to_bytes(4, "big")).digest() for number in range(count)]
        for number, digest in enumerate(digests):
            index.put(digest, Place(number % 7, number * 16, number))
        parts = [index.save_buckets(start, 100) for start in range(0, index.buckets, 100)]
        again = Index.load(12345678901234567, parts)
        assert len(again) == count
        for number, digest in enumerate(digests):
            assert again.get(digest) == Place(number % 7, number * 16, number)
        assert again.live_bytes() == index.live_bytes()
        # And it grows on.
        for number in range(5000):
            again.put(blake3(b"%d" % number).digest(), Place(1, 16, number))
        assert len(again) == count + 5000
        assert all(digest in again for digest in digests)


def test_a_start_reads_only_what_is_new(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory)
        files = FailingFiles()
        reads = []
        files.read_fault = lambda path, offset: reads.append((path.name, offset))
        with capture_logs() as logs:
            volumes = await opened(directory, files)
        assert not [entry for entry in logs if "rebuilt" in entry["event"]]
        assert len(reads) <= volumes.stats().volumes + 2
        saved = state(volumes)
        await volumes.put(*chunk(500), verified=True)
        shutil.copytree(directory, tmp_path / "killed")
        await volumes.close()
        (directory / "index").unlink()
        with capture_logs() as logs:
            volumes = await opened(directory)
        assert [entry["reason"] for entry in logs if "rebuilt" in entry["event"]] == ["there is no saved index"]
        assert state(volumes)[0].items() >= saved[0].items()
        await volumes.close()
        volumes = await opened(tmp_path / "killed")
        assert await volumes.get(chunk(500)[0]) == chunk(500)[1]
        assert state(volumes)[0].items() >= saved[0].items()
        await volumes.close()

    run(scenario())


def test_it_is_saved_now_and_then(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory, checkpoint_after=30)
        for number in range(200):
            await volumes.put(*chunk(number), verified=True)
            if number % 3:
                await volumes.remove(chunk(number)[0])
        await volumes._checkpointer._saving
        saved = volumes._checkpointer.saved
        assert saved[0] > 1
        shutil.copytree(directory, tmp_path / "killed")
        expected = state(volumes)
        await volumes.close()
        files = FailingFiles()
        reads = []
        files.read_fault = lambda path, offset: reads.append((int(path.stem), offset))
        volumes = await opened(tmp_path / "killed", files)
        assert state(volumes)[0] == expected[0]
        assert all(read >= saved or read[1] == 0 for read in reads)
        await volumes.close()

    run(scenario())


def damages(directory):
    """Ways to break what is saved."""
    index = directory / "index"
    content = index.read_bytes()
    for offset in range(0, len(content), len(content) // 37):
        yield lambda offset=offset: flip(index, offset, offset % 8)
    for size in (0, 5, 8, 11, len(content) // 2, len(content) - 1):
        yield lambda size=size: os.truncate(index, size)
    yield lambda: index.write_bytes(content + b"x")


@pytest.mark.slow
def test_a_damaged_one_costs_only_time(tmp_path):
    async def scenario():
        await fill(tmp_path / "good")
        volumes = await opened(tmp_path / "good")
        expected = state(volumes)
        await volumes.close()
        count = len(list(damages(tmp_path / "good")))
        for number in range(count):
            directory = tmp_path / "bad"
            shutil.copytree(tmp_path / "good", directory)
            list(damages(directory))[number]()
            with capture_logs() as logs:
                volumes = await opened(directory)
            assert len([entry for entry in logs if "rebuilt" in entry["event"]]) == 1
            assert state(volumes) == expected
            await volumes.close()
            shutil.rmtree(directory)

    run(scenario())


def test_it_does_not_stand_for_volumes_that_are_not_as_they_were(tmp_path):
    async def scenario():
        await fill(tmp_path / "good")
        # One that was deleted: its chunks are not here.
        directory = tmp_path / "deleted"
        shutil.copytree(tmp_path / "good", directory)
        (directory / "00000002.vol").unlink()
        volumes = await opened(directory)
        lost = {i for i in range(100) if chunk(i)[0] not in volumes and i % 5}
        assert len(lost) >= 10
        for number in set(range(100)) - lost:
            if number % 5:
                assert await volumes.get(chunk(number)[0]) == chunk(number)[1]
        await volumes.close()
        # One that is shorter, the last ones missing, one that is not known: all are scanned.
        for name in ("short", "older", "unknown"):
            directory = tmp_path / name
            shutil.copytree(tmp_path / "good", directory)
            if name == "short":
                os.truncate(directory / "00000002.vol", HEADER_SIZE + 3 * STEP)
            elif name == "older":
                max(directory.glob("*.vol")).unlink()
            else:
                (directory / "00000002.vol").rename(tmp_path / "aside")
                volumes = await opened(directory)
                await volumes.put(*chunk(1000), verified=True)
                await volumes.close()
                (tmp_path / "aside").rename(directory / "00000002.vol")
            with capture_logs() as logs:
                volumes = await opened(directory)
            assert len([entry for entry in logs if "rebuilt" in entry["event"]]) == 1
            for number in range(100):
                if chunk(number)[0] in volumes:
                    assert await volumes.get(chunk(number)[0]) == chunk(number)[1]
            await volumes.close()

    run(scenario())


def test_what_was_quarantined_after_it_was_saved_is_not_here(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory)
        volumes = await opened(directory)
        flip(directory / "00000001.vol", HEADER_SIZE + 3 * STEP + HEADER_SIZE + 5)
        shutil.copyfile(directory / "index", tmp_path / "index")
        with pytest.raises(Damaged):
            await volumes.get(chunk(3)[0])
        await volumes.close()
        shutil.copyfile(tmp_path / "index", directory / "index")
        volumes = await opened(directory)
        assert chunk(3)[0] not in volumes
        assert chunk(4)[0] in volumes
        await volumes.close()

    run(scenario())


def test_it_cannot_be_saved(tmp_path):
    directory = tmp_path / "v"

    class Full(FailingFiles):
        def write(self, fd, buffers, offset):
            if fd not in self.paths:
                raise OSError(28, "no space")
            return super().write(fd, buffers, offset)

    async def scenario():
        files = Full()
        files.save = FailingFiles().save  # the identity
        with capture_logs() as logs:
            await fill(directory, files)
        assert [entry for entry in logs if "index could not be saved" in entry["event"]]
        assert not list(directory.glob("index*"))
        volumes = await opened(directory)
        assert await volumes.get(chunk(1)[0]) == chunk(1)[1]
        # After a failure of the volume, too, it says no more than what is durable.
        files = volumes._files
        files.sync_fault = raises(5)
        with pytest.raises(DiskFailed):
            await volumes.put(*chunk(1000), verified=True)
        await volumes.close()
        volumes = await opened(directory)
        assert chunk(1000)[0] not in volumes
        assert volumes.stats().failed_volumes == 1
        assert await volumes.get(chunk(1)[0]) == chunk(1)[1]
        await volumes.close()

    run(scenario())
