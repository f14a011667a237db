"""The volume set against a dictionary, through crashes, full and failing disks and damage."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import tempfile
from pathlib import Path

from blake3 import blake3
from examples import examples
from failing_files import FailingFiles, flip, raises
from hypothesis import given
from hypothesis import strategies as st

from raftstore.chunks.format.needle import HEADER_SIZE, footprint
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import Damaged, DiskFailed, DiskFull, NotFound

SIZES = (0, 1, 15, 16, 500, 4_000, 5_000, 30_000)
CHUNKS = []
for _number in range(16):
    _data = random.Random(_number).randbytes(SIZES[_number % len(SIZES)] or _number)
    CHUNKS.append((blake3(_data).digest(), _data))

operation = st.tuples(
    st.sampled_from(["put", "put", "put", "remove", "compact"]), st.integers(0, len(CHUNKS) - 1)
)
ending = st.sampled_from(["go on", "go on", "reopen", "crash", "crash", "full", "fail"])
step = st.tuples(st.lists(operation, min_size=1, max_size=12), ending)


class Model:
    """A volume set and what it must hold: `held` for certain, `open_ended` perhaps."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.chance = random.Random(seed)
        self.held: set[int] = set()
        self.generation = 0
        self.directory = root / "0"

    async def open(self) -> None:
        self.files = FailingFiles()
        self.files.short_writes = self.chance if self.chance.random() < 0.2 else None
        self.volumes = VolumeSet(self.directory, volume_bytes=40_000, queue_bytes=20_000, files=self.files)
        await self.volumes.open()

    async def step(self, operations: list[tuple[str, int]], how: str) -> None:
        settled: dict[int, bool] = {}
        image: dict[int, bool] | None = None
        touched = {number for name, number in operations if name != "compact"}
        both = {number for name, number in operations if name == "put"} & {
            number for name, number in operations if name == "remove"
        }
        crash_at = self.chance.choice((1, 1, 1, 2, 2, 3, 4))
        syncs = 0

        def before_sync() -> None:
            nonlocal syncs, image
            syncs += 1
            if syncs == crash_at:
                image = dict(settled)
                self.files.crash_image(self.directory, self.root / "image", self.chance)

        async def one(name: str, number: int) -> None:
            digest, data = CHUNKS[number]
            try:
                if name == "put":
                    await self.volumes.put(digest, data, verified=self.chance.random() < 0.5)
                elif name == "remove":
                    await self.volumes.remove(digest)
                else:
                    await self.volumes.compact()
            except (DiskFull, DiskFailed):
                assert how in ("full", "fail")
            else:
                if number not in both and name != "compact":
                    settled[number] = name == "put"

        if how == "crash":
            self.files.before_sync = before_sync
        elif how == "full":
            fault = raises(errno.ENOSPC)
            self.files.write_fault = lambda path: fault() if self.chance.random() < 0.5 else None
        elif how == "fail":
            fault = raises(errno.EIO)
            self.files.sync_fault = lambda path: fault() if self.chance.random() < 0.5 else None
        await asyncio.gather(*(one(name, number) for name, number in operations))
        self.files.before_sync = self.files.write_fault = self.files.sync_fault = None

        if how in ("reopen", "fail"):
            await self.volumes.close()
            await self.open()
        elif how == "crash" and image is not None:
            settled = image
            await self.volumes.close()
            shutil.rmtree(self.directory)
            self.generation += 1
            self.directory = self.root / str(self.generation)
            (self.root / "image").rename(self.directory)
            await self.open()
        await self.check(touched, settled)

    async def check(self, touched: set[int], settled: dict[int, bool]) -> None:
        for number, (digest, data) in enumerate(CHUNKS):
            expected = settled.get(number, None if number in touched else number in self.held)
            present = digest in self.volumes
            assert expected in (None, present), f"chunk {number} must be {expected}"
            if present:
                assert await self.volumes.get(digest) == data
            (self.held.add if present else self.held.discard)(number)
        assert self.volumes.stats().chunks == len(self.held)
        live = sum(footprint(len(CHUNKS[number][1])) for number in self.held)
        assert self.volumes.stats().bytes == live


@examples(120)
@given(steps=st.lists(step, min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_nothing_acknowledged_is_lost(steps, seed):
    async def scenario(root: Path) -> None:
        model = Model(root, seed)
        await model.open()
        try:
            for operations, how in steps:
                await model.step(operations, how)
        finally:
            await model.volumes.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(asyncio.wait_for(scenario(Path(name)), 120))


@examples(60)
@given(data=st.data(), clean=st.booleans())
def test_damage_costs_only_what_it_hits(data, clean):
    async def scenario(root: Path) -> None:
        files = FailingFiles()
        volumes = VolumeSet(root / "v", volume_bytes=40_000, files=files)
        await volumes.open()
        groups = data.draw(
            st.lists(st.lists(st.integers(0, len(CHUNKS) - 1), max_size=8), min_size=1, max_size=5)
        )
        for group in groups:
            await asyncio.gather(*(volumes.put(*CHUNKS[number], verified=True) for number in group))
        places = {}
        for number in {number for group in groups for number in group}:
            with volumes.lease(CHUNKS[number][0]) as lease:
                offset = lease.offset - HEADER_SIZE
                places[number] = (files.paths[lease.fd].name, offset, offset + footprint(lease.length))
        if clean:
            await volumes.close()
        shutil.copytree(root / "v", root / "w")
        await volumes.close()

        hit: dict[str, set[int]] = {}
        for path in sorted((root / "w").glob("*.vol")):
            size = path.stat().st_size
            offsets = data.draw(st.lists(st.integers(0, size - 1), max_size=4, unique=True))
            for offset in offsets:
                flip(path, offset, data.draw(st.integers(0, 7)))
            hit[path.name] = set(offsets)

        volumes = VolumeSet(root / "w", volume_bytes=40_000, files=FailingFiles())
        await volumes.open()
        for number, (name, start, end) in places.items():
            try:
                assert await volumes.get(CHUNKS[number][0]) == CHUNKS[number][1]
            except (NotFound, Damaged):
                assert any(start <= offset < end for offset in hit[name])
        # Whatever is missing can be put back, and stays. A damaged header whose payload was read from the page cache
        # is found by the compaction only, which says so.
        for number in places:
            await volumes.put(*CHUNKS[number], verified=True)
        damaged = set((await volumes.compact()).damaged)
        for number, (name, start, end) in places.items():
            if CHUNKS[number][0] in damaged:
                assert any(start <= offset < end for offset in hit[name])
                await volumes.put(*CHUNKS[number], verified=True)
        await volumes.close()
        volumes = VolumeSet(root / "w", volume_bytes=40_000, files=FailingFiles())
        await volumes.open()
        for number in places:
            assert await volumes.get(CHUNKS[number][0]) == CHUNKS[number][1]
        await volumes.close()

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(asyncio.wait_for(scenario(Path(name)), 120))
