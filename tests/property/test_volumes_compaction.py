"""Puts and removals in random order with compaction running, cut off at random operations on the disk."""

import asyncio
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3
from failing_files import FailingFiles

from raftstore.chunks.volumes.compaction import LEAST_SPACE
from raftstore.chunks.volumes.recovery import walking
from raftstore.chunks.volumes.volumeset import VolumeSet

VOLUME_BYTES = 40_000


def volume_set(directory: Path, files: FailingFiles) -> VolumeSet:
    return VolumeSet(directory, volume_bytes=VOLUME_BYTES, reserve_bytes=0, checkpoint_after=40, files=files)


def content(volumes: VolumeSet) -> dict:
    """All that a start must find out, whether from the saved index or from the volumes."""
    holdings = volumes._holdings
    return {
        "chunks": {entry.key: entry.place for entry in holdings.index.entries_in(holdings.volumes)},
        "count": len(holdings.index),
        "volumes": {
            number: (volume.live, dict(volume.tombstones)) for number, volume in holdings.volumes.items()
        },
    }


class Machine:
    """A volume set, what it must hold, and a power cut at some operation."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.seed = seed
        self.chance = random.Random(seed)
        self.chunks = []
        for number in range(120):
            data = random.Random(seed * 1000 + number).randbytes(self.chance.choice((0, 20, 500, 3_000, 9_000)))
            data = data or number.to_bytes(3, "big")
            self.chunks.append((blake3(data).digest(), data))
        self.expected: dict[int, bool] = {}
        """Of chunks: held or not, for certain."""
        self.generation = 0
        self.directory = root / "0"
        self.cut = False

    async def open(self) -> None:
        self.files = FailingFiles()
        # So little room, sometimes, that space is given back while a volume is copied.
        self.files.free = LEAST_SPACE + 1000 if self.seed % 2 else None
        self.volumes = volume_set(self.directory, self.files)
        await self.volumes.open()

    def arm(self) -> None:
        """Have the power cut at one of the next operations."""
        left = self.chance.randint(1, 60)
        self.cut = False

        def operation(name: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.certain = dict(self.expected)
                self.files.crash_image(self.directory, self.root / "image", self.chance)
                self.cut = True

        self.files.operation = operation

    async def change(self, number: int) -> None:
        digest, data = self.chunks[number]
        putting = self.chance.random() < 0.45
        self.expected.pop(number, None)
        if putting:
            await self.volumes.put(digest, data, verified=True)
        else:
            await self.volumes.remove(digest)
        self.expected[number] = putting

    async def work(self, numbers: list[int]) -> None:
        while not self.cut:
            await self.change(self.chance.choice(numbers))

    async def compact(self) -> None:
        while not self.cut:
            await self.volumes.compact(should_stop=lambda: self.cut)
            await asyncio.sleep(0)

    async def round(self) -> None:
        self.arm()
        numbers = list(range(len(self.chunks)))
        await asyncio.gather(*(self.work(numbers[part::4]) for part in range(4)), self.compact())
        self.files.operation = None
        await self.volumes.close()
        shutil.rmtree(self.directory)
        self.generation += 1
        self.directory = self.root / str(self.generation)
        (self.root / "image").rename(self.directory)
        scanned = await self.scan()
        await self.open()
        self.expected = self.certain
        await self.check()
        if self.volumes.stats().quarantined == 0:
            assert content(self.volumes) == scanned

    async def scan(self) -> dict:
        """What a start without the saved index finds."""
        shutil.copytree(self.directory, self.root / "scan")
        (self.root / "scan" / "index").unlink(missing_ok=True)
        volumes = volume_set(self.root / "scan", FailingFiles())
        await volumes.open()
        try:
            return content(volumes)
        finally:
            await volumes.close()
            shutil.rmtree(self.root / "scan")

    async def check(self) -> None:
        for number, (digest, data) in enumerate(self.chunks):
            present = digest in self.volumes
            assert self.expected.get(number, present) == present, f"chunk {number}"
            if present:
                assert await self.volumes.get(digest) == data
            self.expected[number] = present
        assert self.volumes.stats().failed_volumes == 0

    async def settle(self) -> None:
        await self.volumes.compact()
        await self.check()
        stats = self.volumes.stats()
        used = sum(path.stat().st_size for path in self.directory.glob("*.vol"))
        assert used <= 1.5 * stats.bytes + VOLUME_BYTES // 8 * 1.5
        assert self.volumes.reclaimable() == 0
        await self.volumes.close()
        await self.open()
        await self.check()


@pytest.mark.parametrize("seed", range(6))
def test_power_cuts_while_volumes_are_compacted(seed, monkeypatch):
    monkeypatch.setattr(walking, "PORTION_BYTES", 10_000)

    async def scenario(root: Path) -> None:
        machine = Machine(root, seed)
        await machine.open()
        try:
            for _ in range(25):
                await machine.round()
            await machine.settle()
        finally:
            await machine.volumes.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(asyncio.wait_for(scenario(Path(name)), 300))
