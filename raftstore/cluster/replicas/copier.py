"""Copies of chunks that a node makes on its own disk: a few at a time, at a bounded rate, told to the catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from raftstore.chunks.placement.topology import StoreState
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.task import Task
from raftstore.errors import StoreError
from raftstore.types import ChunkRef
from raftstore.util.limits.throttle import Throttle

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


class Recorder(Protocol):
    """Takes note of copies."""

    def added(self, digest: bytes, store: int, since: int) -> None:
        """A store holds a chunk; asked after log index `since` was applied here."""
        ...

    async def flushed(self, timeout: float) -> None:
        """Wait until what was noted is in the catalog."""
        ...


class Copier:
    """Makes copies for all jobs of a node."""

    def __init__(
        self,
        *,
        applied_index: Callable[[], int],
        copy: Callable[[bytes, int, Sequence[int]], Awaitable[None]],
        recorder: Recorder,
        throttle: Throttle,
    ) -> None:
        """`copy` has a chunk of a length fetched to here from one of some stores."""
        self._applied_index = applied_index
        self._copy = copy
        self._recorder = recorder
        self._throttle = throttle
        self._gate = asyncio.Semaphore(PARALLEL)

    async def make(self, copies: Iterable[Copy], task: Task) -> None:
        """Make copies here; what became of them is in `task.counts`: copied, failed, bytes."""
        async with asyncio.TaskGroup() as group:
            for copy in copies:
                await self._gate.acquire()
                try:
                    await self._throttle.take(max(CHARGE, copy.chunk.length))
                except BaseException:
                    self._gate.release()
                    raise
                group.create_task(self._one(copy, task)).add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._gate.release()

    async def noted(self) -> None:
        """Wait until the catalog knows the copies, a bounded time."""
        await self._recorder.flushed(FLUSH_SECONDS)

    async def _one(self, copy: Copy, task: Task) -> None:
        since = self._applied_index()
        try:
            with self._throttle.working(PARALLEL):
                await self._copy(copy.chunk.digest, copy.chunk.length, [store.number for store in copy.sources])
        except StoreError as error:
            log.warning("chunk not copied", chunk=copy.chunk.digest.hex(), error=str(error))
            task.counts[JobCounter.FAILED] += 1
        else:
            self._recorder.added(copy.chunk.digest, copy.target.number, since)
            task.counts[JobCounter.COPIED] += 1
            task.counts[JobCounter.BYTES] += copy.chunk.length
