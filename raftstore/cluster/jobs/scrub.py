"""Scrub: a node reads all that it holds, and finds out what has rotted or is gone. Fsck: the same, as a comparison.

What is damaged goes to quarantine, the catalog is told, and repair makes the copy again from a healthy one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from raftstore.cluster.jobs.counters import JobCounter, counted
from raftstore.cluster.jobs.worker import Task
from raftstore.cluster.replicas.copier import CHARGE, FLUSH_SECONDS
from raftstore.errors import Unavailable
from raftstore.util.limits.slices import Pace, Slice
from raftstore.util.limits.throttle import Throttle
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

PAUSE = 0.002
"""Seconds to wait while the catalog takes no more notes."""

SHARE = 0.1
"""Of the loop's time, for a comparison in memory: with ten million chunks it takes minutes."""

PORTION = 250
"""Chunks of it at a time."""


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
    """Does jobs of the kinds SCRUB and FSCK on this node."""

    def __init__(
        self,
        *,
        chunks: Chunks,
        catalog: Catalog,
        recorder: Recorder,
        throttle: Throttle,
        store: Callable[[], int | None],
        size: Callable[[], int],
        confirm: Callable[[bytes], bool],
        overdue: Callable[[bytes], bool],
        collect: Callable[[], Awaitable[object]],
    ) -> None:
        """`store` is the number of this node's store, `size` the bytes in it. `overdue` tells whether a
        chunk should have been collected; `collect` is asked to do that.
        """
        self._chunks = chunks
        self._catalog = catalog
        self._recorder = recorder
        self._throttle = throttle
        self._store = store
        self._size = size
        self._confirm = confirm
        self._overdue = overdue
        self._collect = collect

    async def scrub(self, job: commands.Job, task: Task) -> None:
        """Verify everything; what is bad or missing is repaired from another node.

        Goes on where an earlier attempt, by this node before its last start, had come to: only the last seconds are
        verified again. What compaction has moved meanwhile lies in later volumes.
        """
        store = self._own()
        begun = job.progress
        if 0 < begun.volume <= max(self._chunks.volume_numbers(), default=0):  # else it is another disk
            task.place = begun.volume, begun.offset
            task.done = begun.done
            task.counts |= counted(begun)
            log.info(
                "scrub goes on", job=job.id, volume=begun.volume, offset=begun.offset, **task.named_counts()
            )
        await self._verify(task, lambda digest: self._lose(digest, store))
        await self._lose_all(await self._missing(store, task), store)
        await self._recorder.flushed(FLUSH_SECONDS)

    async def fsck(self, job: commands.Job, task: Task) -> None:
        """Compare catalog and disk, and read everything; with `apply`, mend what is found.

        Damaged bytes are put aside, and made again elsewhere, in any case: whoever reads them does that.
        """
        store = self._own()
        wrong: list[bytes] = []

        async def note(digest: bytes) -> None:
            wrong.append(digest)
            await self._lose(digest, store)

        await self._verify(task, note)
        missing = await self._missing(store, task)
        unlisted = await self._extra(store, task)
        task.counts[JobCounter.MISSING] -= len(set(wrong) & set(missing))
        if not job.apply:
            await self._recorder.flushed(FLUSH_SECONDS)
            return
        await self._lose_all(missing, store)
        part = Slice()
        for digest in unlisted:
            since = self._catalog.applied_index
            if self._confirm(digest):
                self._recorder.added(digest, store, since)
            await part.rest()
        if task.counts[JobCounter.EXTRA]:
            await self._collect()
        await self._recorder.flushed(FLUSH_SECONDS)

    def _own(self) -> int:
        store = self._store()
        if store is None:
            raise Unavailable("this node's volumes are not announced yet")
        return store

    async def _verify(self, task: Task, bad: Callable[[bytes], Awaitable[None]]) -> None:
        task.unit, task.total = "bytes", self._size()
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
                task.done = min(task.total, task.done + sum(checked.length for checked in portion))
                task.place = number, max(checked.offset for checked in portion)
                await self._throttle.take(sum(max(CHARGE // 8, checked.length) for checked in portion))
        task.done = task.total

    async def _missing(self, store: int, task: Task) -> list[bytes]:
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

    async def lose(self, names: Sequence[bytes]) -> None:
        """Tell the catalog that chunks, named by (the first bytes of) their digests, are not here whole."""
        store = self._own()
        for digest, _ in self._catalog.held_by(names):
            await self._lose(digest, store)

    async def _lose_all(self, digests: Sequence[bytes], store: int) -> None:
        part = Slice()
        for digest in digests:
            await self._lose(digest, store)
            await part.rest()

    async def _lose(self, digest: bytes, store: int) -> None:
        while not self._recorder.removed(digest, store):  # noqa: ASYNC110 - the proposals before it are waited for
            await asyncio.sleep(PAUSE)
