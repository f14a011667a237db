"""Scrub: a node reads all that it holds, and finds out what has rotted or is gone.

What is damaged goes to quarantine, the catalog is told, and repair makes the copy again from a healthy one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from raftstore.cluster.jobs.counters import Findings, JobCounter, counted
from raftstore.cluster.jobs.kind import SECOND_NS, Job, JobKind, JobNode, Look
from raftstore.cluster.jobs.task import Task
from raftstore.cluster.replicas.copier import CHARGE, FLUSH_SECONDS
from raftstore.errors import Unavailable
from raftstore.util.limits.slices import Pace, Slice
from raftstore.util.limits.throttle import Throttle

log = structlog.get_logger()

PAUSE = 0.002
"""Seconds to wait while the catalog takes no more notes."""

SHARE = 0.1
"""Of the loop's time, for a comparison in memory: with ten million chunks it takes minutes."""

PORTION = 250
"""Chunks of it at a time."""


def due(look: Look) -> Job | None:
    """Return the next scrub of a node, which waits for its time: a period after the last one."""
    last = look.ended.get(Job.SCRUB)
    since = look.situation.now_ns if last is None else last.finished_ns
    begin = since + int(look.situation.settings.scrub_period * SECOND_NS)
    return Job(kind=Job.SCRUB, node=look.node, reason="it is time", not_before_ns=begin)


class Checked(Protocol):
    """A chunk that was read and checked."""

    @property
    def digest(self) -> bytes:
        """Its name, or the first bytes of it."""
        ...

    @property
    def reason(self) -> str | None:
        """What is wrong with it."""
        ...

    @property
    def length(self) -> int:
        """Bytes."""
        ...

    @property
    def offset(self) -> int:
        """Where to go on after it."""
        ...


class Entry(Protocol):
    """A chunk that is here."""

    @property
    def key(self) -> bytes:
        """The first bytes of its digest."""
        ...


class Chunks(Protocol):
    """What is asked of the local `VolumeSet`."""

    def volume_numbers(self) -> list[int]:
        """Return the numbers of the volumes."""
        ...

    def walk(self, number: int, start: int = 0) -> AsyncIterator[Sequence[Checked]]:
        """Verify what is in a volume from an offset on, in portions; what is damaged is quarantined."""
        ...

    def digests(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield what is here, in portions."""
        ...

    def __contains__(self, digest: bytes) -> bool: ...


class Catalog(Protocol):
    """What is asked of the catalog as applied here."""

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied."""
        ...

    def chunks_on(self, store: int) -> Iterator[list[bytes]]:
        """Yield the chunks that a store should have."""
        ...

    def held_by(self, names: Iterable[bytes]) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return digest and stores of those of `names` that something refers to."""
        ...


class Recorder(Protocol):
    """Takes note of copies that are there, and of those that are not."""

    def added(self, digest: bytes, store: int, since: int) -> None:
        """A store holds a chunk; asked after log index `since` was applied here."""
        ...

    def removed(self, digest: bytes, store: int) -> bool:
        """A store does not have it whole; False: not taken now."""
        ...

    async def flushed(self, timeout: float) -> None:
        """Wait until what was noted is in the catalog."""
        ...


class Scrubber:
    """Does jobs of the kind SCRUB on this node."""

    def __init__(
        self,
        *,
        chunks: Chunks,
        catalog: Catalog,
        recorder: Recorder,
        throttle: Throttle,
        store: Callable[[], int | None],
        size: Callable[[], int],
        findings: Findings,
    ) -> None:
        """`store` is the number of this node's store, `size` the bytes in it; `findings` counts what is damaged."""
        self._findings = findings
        self._chunks = chunks
        self._catalog = catalog
        self._recorder = recorder
        self._throttle = throttle
        self._store = store
        self._size = size

    async def run(self, job: Job, task: Task) -> None:
        """Verify everything; what is bad or missing is repaired from another node.

        Goes on where an earlier attempt, by this node before its last start, had come to: only the last seconds are
        verified again. What compaction has moved meanwhile lies in later volumes.
        """
        store = self.own()
        begun = job.progress
        if 0 < begun.volume <= max(self._chunks.volume_numbers(), default=0):  # else it is another disk
            task.place = begun.volume, begun.offset
            task.done = begun.done
            task.counts |= counted(begun)
            log.info(
                "scrub goes on", job=job.id, volume=begun.volume, offset=begun.offset, **task.named_counts()
            )
        await self.verify(task, lambda digest: self.lose_one(digest, store))
        await self.lose_all(await self.missing(store, task), store)
        await self._recorder.flushed(FLUSH_SECONDS)

    def own(self) -> int:
        """Return the number of this node's store. Raises Unavailable."""
        store = self._store()
        if store is None:
            raise Unavailable("this node's volumes are not announced yet")
        return store

    async def verify(self, task: Task, bad: Callable[[bytes], Awaitable[None]]) -> None:
        """Read all from `task.place` on; give `bad` what is damaged and referred to."""
        task.total = self._size()
        task.counts = {JobCounter.VERIFIED: 0, JobCounter.DAMAGED: 0} | task.counts
        first, start = task.place
        for number in self._chunks.volume_numbers():
            if number < first:
                continue
            async for portion in self._chunks.walk(number, start if number == first else 0):
                damaged = [checked for checked in portion if checked.reason is not None]
                for checked in damaged:
                    for digest, _ in self._catalog.held_by([checked.digest]):
                        await bad(digest)
                # Together: what is reported must fit together.
                task.counts[JobCounter.VERIFIED] += len(portion)
                task.counts[JobCounter.DAMAGED] += len(damaged)
                self._findings.damaged += len(damaged)
                task.done = min(task.total, task.done + sum(checked.length for checked in portion))
                task.place = number, max(checked.offset for checked in portion)
                await self._throttle.take(sum(max(CHARGE // 8, checked.length) for checked in portion))
        task.done = task.total

    async def missing(self, store: int, task: Task) -> list[bytes]:
        """Return, and count, what the catalog lists here and is not."""
        absent: list[bytes] = []
        pace, pages = Pace(SHARE), self._catalog.chunks_on(store)
        while True:
            with pace:
                page = next(pages, None)
                absent += [digest for digest in page or () if digest not in self._chunks]
            if page is None:
                break
            await pace.rest()
        # What was removed from the catalog meanwhile is not missing.
        missing: list[bytes] = []
        for start in range(0, len(absent), PORTION):
            with pace:
                held = self._catalog.held_by(absent[start : start + PORTION])
                missing += [digest for digest, stores in held if store in stores]
            await pace.rest()
        task.counts[JobCounter.MISSING] = len(missing)
        return missing

    async def lose(self, names: Sequence[bytes]) -> None:
        """Tell the catalog that chunks, named by (the first bytes of) their digests, are not here whole."""
        store = self.own()
        for digest, _ in self._catalog.held_by(names):
            await self.lose_one(digest, store)

    async def lose_all(self, digests: Sequence[bytes], store: int) -> None:
        """Tell the catalog that chunks are not on a store whole."""
        part = Slice()
        for digest in digests:
            await self.lose_one(digest, store)
            await part.rest()

    async def lose_one(self, digest: bytes, store: int) -> None:
        """Tell it of one, once it takes the note."""
        while not self._recorder.removed(digest, store):  # noqa: ASYNC110 - the proposals before it are waited for
            await asyncio.sleep(PAUSE)


def scrubber(node: JobNode) -> Scrubber:
    """Return what reads and checks at a node."""
    return Scrubber(
        chunks=node.volumes,
        catalog=node.catalog,
        recorder=node.recorder,
        throttle=node.throttle,
        store=node.own.number,
        size=lambda: node.volumes.stats().bytes,
        findings=node.scrubbed,
    )


SCRUB = JobKind(number=Job.SCRUB, unit="bytes", work=lambda node: scrubber(node).run, due=due, precedence=60)
