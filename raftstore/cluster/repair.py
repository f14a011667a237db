"""Repair: every chunk gets its copies back. Each node makes the copies that it should have itself.

Who should have which is decided by `plan` from the catalog and the view of the moment, the same on every node; the
leader only sees who has something to do (`dispatch`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from raftstore.chunks.placement import by_zones
from raftstore.chunks.topology import ClusterView, StoreState
from raftstore.cluster.throttle import Throttle
from raftstore.cluster.worker import Task
from raftstore.errors import StoreError
from raftstore.types import CHUNK_SIZE, ChunkRef, Wanted
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

PARALLEL = 4
CHARGE = 64 * 1024
"""Bytes that a chunk counts at least: a small one costs more time than its bytes."""

FLUSH_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Copy:
    """Chunk `chunk` is to be copied to `target` from one of `sources`."""

    chunk: ChunkRef
    target: StoreState
    sources: tuple[StoreState, ...]


def plan(view: ClusterView, chunks: Sequence[ChunkRef], lost: Collection[int] = ()) -> list[Copy]:
    """Return the copies that bring `chunks` closer to the wanted number, as far as stores can be reached. Pure.

    Copies on the stores `lost`, and on those of nodes that leave, do not count.
    """
    copies = []
    for chunk in chunks:
        current = [view.by_number[number] for number in chunk.stores if number in view.by_number]
        sources = tuple(store for store in current if store.reachable)
        candidates = [
            store
            for store in view.stores
            if store.reachable and store.writable and store not in current and store.free_bytes >= chunk.length
        ]
        staying = [store for store in current if not store.leaving and store.number not in lost]
        missing = chunk.copies - len(staying)
        if sources and missing > 0:
            targets = by_zones(candidates, chunk.digest, staying)[:missing]
            copies += [Copy(chunk, target, sources) for target in targets]
    return copies


def promising(view: ClusterView, stores: tuple[int, ...]) -> bool:
    """Whether a chunk on `stores` can get another copy now: from one that can be reached, to another that can."""
    return any(number in view.by_number and view.by_number[number].reachable for number in stores) and any(
        store.reachable and store.writable and store.free_bytes >= CHUNK_SIZE and store.number not in stores
        for store in view.stores
    )


def still_lost(job: commands.Job, view: ClusterView) -> frozenset[int]:
    """Return the stores whose copies count as lost for a job, less those that have come back since it was made."""
    back = {store.number for store in view.stores if store.reachable}
    return frozenset(job.without) - back


class Catalog(Protocol):
    """What repair asks of the catalog as applied here."""

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied."""
        ...

    def short_pages(
        self, wanted: Wanted, live: Collection[int], among: Callable[[tuple[int, ...]], bool], upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield the chunks with too few copies, the most urgent first."""
        ...

    def short_count(self, wanted: Wanted, live: Collection[int]) -> int:
        """Return how many they are."""
        ...


class Recorder(Protocol):
    """Takes note of copies."""

    def added(self, digest: bytes, store: int, since: int) -> None:
        """A store holds a chunk; asked after log index `since` was applied here."""
        ...

    async def flushed(self, timeout: float) -> None:
        """Wait until what was noted is in the catalog."""
        ...


class Repair:
    """Does jobs of the kind REPAIR: one walk over what is short, copying here what should be here."""

    def __init__(
        self,
        *,
        view: Callable[[], ClusterView],
        catalog: Catalog,
        copy: Callable[[bytes, int, Sequence[int]], Awaitable[None]],
        recorder: Recorder,
        throttle: Throttle,
    ) -> None:
        """`copy` has a chunk of a length fetched to here from one of some stores."""
        self._view = view
        self._catalog = catalog
        self._copy = copy
        self._recorder = recorder
        self._throttle = throttle

    async def run(self, job: commands.Job, task: Task) -> None:
        """Copy what can be copied. What cannot is counted as failed, and left to a later job."""
        view = self._view()
        lost = still_lost(job, view)
        live = view.staying - lost
        task.unit = "chunks"
        task.total = self._catalog.short_count(view.wanted, live)
        task.counts |= {"copied": 0, "failed": 0, "bytes": 0}
        pages = self._catalog.short_pages(
            view.wanted, sorted(live), lambda stores: promising(view, stores), job.upto
        )
        gate = asyncio.Semaphore(PARALLEL)
        for page in pages:
            async with asyncio.TaskGroup() as group:
                for copy in plan(view := self._view(), page, still_lost(job, view)):
                    if copy.target.local:
                        await gate.acquire()
                        await self._throttle.take(max(CHARGE, copy.chunk.length))
                        group.create_task(self._one(copy, task, gate))
            task.done = min(task.total, task.done + len(page))
        await self._recorder.flushed(FLUSH_SECONDS)
        task.done = task.total

    async def _one(self, copy: Copy, task: Task, gate: asyncio.Semaphore) -> None:
        since = self._catalog.applied_index
        try:
            await self._copy(copy.chunk.digest, copy.chunk.length, [store.number for store in copy.sources])
        except StoreError as error:
            log.warning("chunk not copied", chunk=copy.chunk.digest.hex(), error=str(error))
            task.counts["failed"] += 1
        else:
            self._recorder.added(copy.chunk.digest, copy.target.number, since)
            task.counts["copied"] += 1
            task.counts["bytes"] += copy.chunk.length
        finally:
            gate.release()
