"""The volume set on a real disk that is full."""

import asyncio
import subprocess

import pytest
from somevolumes import chunk, run

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import DiskFull


@pytest.fixture
def small_disk(tmp_path):
    target = tmp_path / "disk"
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(target)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small tmpfs here")
    yield target
    subprocess.run(["umount", "--lazy", str(target)], check=True)


@pytest.mark.parametrize("reserve", [0, 1 << 20])
def test_real_full_disk(small_disk, reserve):
    async def scenario():
        volumes = VolumeSet(small_disk / "v", volume_bytes=1 << 20, reserve_bytes=reserve)
        await volumes.open()
        chunks = [chunk(i, 100_000) for i in range(60)]
        results = await asyncio.gather(
            *(volumes.put(*item, verified=True) for item in chunks), return_exceptions=True
        )
        assert {type(result) for result in results} == {type(None), DiskFull}
        for item in chunks:
            try:
                await volumes.put(*item, verified=True)
            except DiskFull:
                break
        held = [digest for digest, _ in chunks if digest in volumes]
        assert 25 <= len(held) <= 41
        assert volumes.stats().disk_free >= reserve - 4096
        for digest, data in chunks:
            if digest in volumes:
                assert await volumes.get(digest) == data
        await volumes.close()
        # More space: it takes part again, without a restart in between.
        volumes = VolumeSet(small_disk / "v", volume_bytes=1 << 20, reserve_bytes=reserve)
        await volumes.open()
        assert [digest for digest, _ in chunks if digest in volumes] == held
        missing = next(item for item in chunks if item[0] not in volumes)
        with pytest.raises(DiskFull):
            await volumes.put(*missing, verified=True)
        remount = ["mount", "-o", "remount,size=16m", str(small_disk)]
        await asyncio.to_thread(subprocess.run, remount, check=True)
        await volumes.put(*missing, verified=True)
        assert volumes.stats().quarantined == 0
        await volumes.close()

    run(scenario())


def test_real_full_disk_that_compaction_frees(small_disk):
    async def scenario():
        volumes = VolumeSet(small_disk / "v", volume_bytes=1 << 20, reserve_bytes=1 << 20)
        await volumes.open()
        count = 0
        with pytest.raises(DiskFull):
            for count in range(100):
                await volumes.put(*chunk(count, 50_000), verified=True)
        assert await volumes.remove_many(chunk(i, 50_000)[0] for i in range(count) if i % 4) > 30
        with pytest.raises(DiskFull):
            await volumes.put(*chunk(1000, 50_000), verified=True)
        report = await volumes.compact()
        assert report.volumes >= 2
        assert volumes.stats().disk_free > 2 << 20
        for number in range(1000, 1010):
            await volumes.put(*chunk(number, 50_000), verified=True)
        for number in (*range(0, count, 4), *range(1000, 1010)):
            assert await volumes.get(chunk(number, 50_000)[0]) == chunk(number, 50_000)[1]
        await volumes.close()

    run(scenario())
