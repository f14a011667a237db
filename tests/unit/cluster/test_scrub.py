"""Scrub and fsck on one node: real volumes, a real catalog, real damage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3
from catalogs import Feeder, command

from raftstore.chunks.volumes.recovery.walking import Checked
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster.jobs.counters import Findings
from raftstore.cluster.jobs.fsck import Fsck
from raftstore.cluster.jobs.scrub import Scrubber
from raftstore.cluster.jobs.task import Task
from raftstore.util.limits.throttle import Throttle
from raftstore.wire import commands_pb2 as commands

OWN = 1


def content(number: int) -> tuple[bytes, bytes]:
    data = (b"%08d" % number) * 500
    return blake3(data).digest(), data


@dataclass
class Notes:
    """Takes note of copies."""

    gone: set[bytes] = field(default_factory=set)
    found: set[bytes] = field(default_factory=set)

    def added(self, digest: bytes, store: int, since: int) -> None:
        assert (store, since > 0) == (OWN, True)
        self.found.add(digest)

    def removed(self, digest: bytes, store: int) -> bool:
        assert store == OWN
        self.gone.add(digest)
        return True

    async def flushed(self, timeout: float) -> None:
        assert timeout > 0


@dataclass
class Bench:
    """What a test has in hand."""

    feeder: Feeder
    volumes: VolumeSet
    notes: Notes
    overdue: set[bytes]
    scrubber: Scrubber
    fsck: Fsck
    collected: int = 0

    async def hold(self, *numbers: int) -> None:
        """Put chunks into the volumes."""
        for number in numbers:
            await self.volumes.put(*content(number), verified=True)

    def publish(self, number: int, *stores: int) -> None:
        """Have the catalog list a chunk."""
        digest, data = content(number)
        piece = commands.Chunk(digest=digest, length=len(data), stores=stores)
        self.feeder.one(command("put_file", path=f"/{number}", size=len(data), chunks=[piece]))

    def rot(self, number: int) -> None:
        """Turn a bit over."""
        with self.volumes.lease(content(number)[0]) as lease:
            volume = next(self.volumes._directory.glob("*.vol"))
            with volume.open("r+b") as file:
                file.seek(lease.offset + 100)
                byte = file.read(1)[0]
                file.seek(lease.offset + 100)
                file.write(bytes([byte ^ 4]))


def run(tmp_path: Path, scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def inner() -> None:
        volumes = VolumeSet(tmp_path / "volumes", volume_bytes=1 << 22, reserve_bytes=0)
        await volumes.open()
        notes, overdue = Notes(), set[bytes]()

        async def collect() -> None:
            bench.collected += 1

        with Feeder(tmp_path / "catalog.db") as feeder:
            scrubber = Scrubber(
                chunks=volumes,
                catalog=feeder.catalog,
                recorder=notes,
                throttle=Throttle(1e12),
                store=lambda: OWN,
                size=lambda: volumes.stats().bytes,
                findings=Findings(),
            )
            fsck = Fsck(
                scrubber,
                chunks=volumes,
                catalog=feeder.catalog,
                recorder=notes,
                overdue=lambda key: key in overdue,
                collect=collect,
            )
            bench = Bench(feeder, volumes, notes, overdue, scrubber, fsck)
            await scenario(bench)
        await volumes.close()

    asyncio.run(inner())


def test_a_scrub_tells_of_what_is_damaged_or_missing(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hold(*range(10))
        for number in range(12):
            bench.publish(number, 1, 2)
        bench.rot(3)
        bench.rot(7)
        task = Task()
        await bench.scrubber.run(commands.Job(), task)
        assert bench.notes.gone == {content(number)[0] for number in (3, 7, 10, 11)}
        assert (task.counts["verified"], task.counts["damaged"]) == (10, 2)
        assert task.done == task.total
        assert content(3)[0] not in bench.volumes

    run(tmp_path, scenario)


def test_rot_in_what_nothing_refers_to_concerns_nobody(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hold(1)
        bench.rot(1)
        task = Task()
        await bench.scrubber.run(commands.Job(), task)
        assert (task.counts["damaged"], bench.notes.gone) == (1, set())

    run(tmp_path, scenario)


def test_fsck_counts_and_changes_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hold(*range(8))
        for number in (0, 1, 2, 3, 9):
            bench.publish(number, 1, 2)
        bench.publish(4, 2)
        bench.overdue.add(content(5)[0][:16])
        bench.rot(2)
        task = Task()
        await bench.fsck.run(commands.Job(), task)
        expected = {"verified": 8, "damaged": 1, "missing": 1, "extra": 1, "young": 2, "unlisted": 1}
        assert task.counts == expected
        # What is damaged is no copy any more from when it is put aside.
        assert (bench.notes.gone, bench.notes.found, bench.collected) == ({content(2)[0]}, set(), 0)
        again = Task()
        await bench.fsck.run(commands.Job(apply=True), again)
        # What was damaged is put aside by now: it is missing.
        assert again.counts == expected | {"verified": 7, "damaged": 0, "missing": 2}
        assert bench.notes.gone == {content(2)[0], content(9)[0]}
        assert bench.notes.found == {content(4)[0]}
        assert bench.collected == 1

    run(tmp_path, scenario)


def test_an_interrupted_scrub_goes_on_where_it_was(tmp_path: Path) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hold(*range(20))
        for number in range(20):
            bench.publish(number, 1, 2)
        places, task = [], Task()
        throttled = bench.scrubber._throttle

        class Interrupting(Throttle):
            async def take(self, amount: int) -> None:
                places.append(task.progress())
                raise asyncio.CancelledError

        walk = bench.volumes.walk
        bench.scrubber._throttle = Interrupting(1)
        bench.volumes.walk = lambda number, start=0: portions(walk(number, start), 3)  # type: ignore[method-assign]
        with contextlib.suppress(asyncio.CancelledError):
            await bench.scrubber.run(commands.Job(), task)
        assert (places[0].counts[0].name, places[0].counts[0].value) == ("verified", 3)
        bench.scrubber._throttle = throttled
        bench.rot(1)
        bench.rot(7)
        again = Task()
        await bench.scrubber.run(commands.Job(progress=places[0]), again)
        # What was verified before is not read again.
        assert again.counts["verified"] == 20
        assert (again.counts["damaged"], bench.notes.gone) == (1, {content(7)[0]})
        assert again.done == again.total
        # A place on another disk says nothing about this one.
        places[0].volume = 99
        whole = Task()
        await bench.scrubber.run(commands.Job(progress=places[0]), whole)
        assert (whole.counts["verified"], whole.counts["damaged"]) == (19, 1)

    run(tmp_path, scenario)


async def portions(whole: AsyncIterator[Sequence[Checked]], size: int) -> AsyncIterator[Sequence[Checked]]:
    """Divide portions into smaller ones."""
    async for portion in whole:
        for at in range(0, len(portion), size):
            yield portion[at : at + size]
