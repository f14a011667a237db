"""Fsck: a node compares what it holds with what the catalog says, and reads everything, as a scrub does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode
from raftstore.cluster.jobs.scrub import SHARE, Entry, Recorder, Scrubber, scrubber
from raftstore.cluster.jobs.task import Handler, Task
from raftstore.cluster.replicas.copier import FLUSH_SECONDS
from raftstore.metadata.tables.contents.holds import Holds
from raftstore.util.limits.slices import Pace, Slice


class Chunks(Protocol):
    """What is asked of the local `VolumeSet`."""

    def digests(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield what is here, in portions."""
        ...

    def confirm(self, digest: bytes) -> bool:
        """Whether the chunk is here, durably, and not being removed."""
        ...


class Catalog(Protocol):
    """What is asked of the catalog as applied here."""

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied."""
        ...

    def held_by(self, names: Iterable[bytes]) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return digest and stores of those of `names` that something refers to."""
        ...


class Fsck:
    """Does jobs of the kind FSCK on this node."""

    def __init__(
        self,
        scrubber: Scrubber,
        *,
        chunks: Chunks,
        catalog: Catalog,
        recorder: Recorder,
        overdue: Callable[[bytes], bool],
        collect: Callable[[], Awaitable[object]],
    ) -> None:
        """`overdue` tells whether a chunk should have been collected; `collect` is asked to do that."""
        self._scrubber = scrubber
        self._chunks = chunks
        self._catalog = catalog
        self._recorder = recorder
        self._overdue = overdue
        self._collect = collect

    async def run(self, job: Job, task: Task) -> None:
        """Compare catalog and disk, and read everything; with `apply`, mend what is found.

        Damaged bytes are put aside, and made again elsewhere, in any case: whoever reads them does that.
        """
        store = self._scrubber.own()
        wrong: list[bytes] = []

        async def note(digest: bytes) -> None:
            wrong.append(digest)
            await self._scrubber.lose_one(digest, store)

        await self._scrubber.verify(task, note)
        missing = await self._scrubber.missing(store, task)
        unlisted = await self._extra(store, task)
        task.counts[JobCounter.MISSING] -= len(set(wrong) & set(missing))
        if not job.apply:
            await self._recorder.flushed(FLUSH_SECONDS)
            return
        await self._scrubber.lose_all(missing, store)
        part = Slice()
        for digest in unlisted:
            since = self._catalog.applied_index
            if self._chunks.confirm(digest):
                self._recorder.added(digest, store, since)
            await part.rest()
        if task.counts[JobCounter.EXTRA]:
            await self._collect()
        await self._recorder.flushed(FLUSH_SECONDS)

    async def _extra(self, store: int, task: Task) -> list[bytes]:
        """Count what is here and nothing refers to; return what is here and not known to be."""
        task.counts |= {JobCounter.EXTRA: 0, JobCounter.YOUNG: 0, JobCounter.UNLISTED: 0}
        unlisted: list[bytes] = []
        pace = Pace(SHARE)
        async for portion in self._chunks.digests():
            with pace:
                keys = [entry.key for entry in portion]
                held = self._catalog.held_by(keys)
                known = {digest[: len(keys[0])] for digest, _ in held} if keys else set()
                for key in keys:
                    if key not in known:
                        task.counts[JobCounter.EXTRA if self._overdue(key) else JobCounter.YOUNG] += 1
                unlisted += [digest for digest, stores in held if store not in stores]
            await pace.rest()
        task.counts[JobCounter.UNLISTED] = len(unlisted)
        return unlisted


def _work(node: JobNode) -> Handler:
    return Fsck(
        scrubber(node),
        chunks=node.volumes,
        catalog=node.catalog,
        recorder=node.recorder,
        overdue=lambda key: node.collector.is_overdue(key) and not node.catalog.ask(Holds, Holds.in_force),
        collect=node.collector.look,
    ).run


FSCK = JobKind(number=Job.FSCK, unit="bytes", work=_work)
