"""A power cut in the middle of a group commit, at a thousand places: what was synced is found, nothing is wrong."""

import asyncio
import os
import random
import shutil

import pytest
from blake3 import blake3
from failing_files import FailingFiles, tear

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import Damaged, NotFound

PLACES = 1000
SIZES = (0, 1, 15, 700, 5_000, 9_000)


def chunk(number: int) -> tuple[bytes, bytes]:
    data = random.Random(number).randbytes(SIZES[number % len(SIZES)]) or number.to_bytes(3, "big")
    return blake3(data).digest(), data


async def before_a_sync(directory, image, *, saved: bool) -> int:
    """Make `image` what is in the files when a large batch is written and not synced; return where it begins.

    `saved`: with a saved index, that ends before the last batch which is durable.
    """
    files = FailingFiles()
    volumes = VolumeSet(directory, files=files, checkpoint_after=15 if saved else 1 << 40)
    await volumes.open()
    await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(20)))
    if saved:
        await volumes._checkpointer._saving
    await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(20, 24)))
    await volumes.remove_many(chunk(i)[0] for i in range(0, 24, 5))
    synced = files.synced["00000001.vol"]

    def keep():
        files.before_sync = None
        shutil.copytree(directory, image)

    files.before_sync = keep
    await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(24, 48)))
    await volumes.close()
    return synced


@pytest.mark.parametrize("saved", [False, True])
def test_whatever_a_power_cut_leaves_of_a_batch(tmp_path, saved):
    image = tmp_path / "image"
    living = {i for i in range(24) if i % 5}

    async def look(directory, *, twice: bool) -> None:
        for _ in range(2 if twice else 1):
            volumes = VolumeSet(directory, files=FailingFiles())
            await volumes.open()
            for number in range(48):
                digest, data = chunk(number)
                try:
                    assert await volumes.get(digest) == data
                except (NotFound, Damaged):
                    assert number not in living
                else:
                    assert number in living or number >= 24
            if twice:
                await volumes.put(*chunk(99), verified=True)
            await volumes.close()

    async def scenario() -> None:
        synced = await before_a_sync(tmp_path / "v", image, saved=saved)
        size = (image / "00000001.vol").stat().st_size
        assert size > synced + 40_000
        assert (image / "index").exists() == saved
        for place in range(PLACES // 2):
            chance = random.Random(place)
            directory = tmp_path / "torn"
            shutil.copytree(image, directory)
            path = directory / "00000001.vol"
            if place % 2:
                os.truncate(path, chance.randint(synced, size))
            else:
                tear(path, synced, chance)
            await look(directory, twice=place % 10 == 0)
            shutil.rmtree(directory)

    asyncio.run(asyncio.wait_for(scenario(), 600))
