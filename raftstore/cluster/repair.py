"""Repair: the leader sees that every chunk gets its copies back, the nodes that lack them do the copying."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import structlog

from raftstore.chunks.placement import by_zones
from raftstore.chunks.topology import ClusterView, StoreState
from raftstore.errors import StoreError
from raftstore.types import CHUNK_SIZE, ChunkRef

log = structlog.get_logger()

PERIOD = 2.0
BATCH = 64
PARALLEL = 4
REST = 30.0
"""Seconds before a copy that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Chunk `chunk` is to be copied to `target` from one of `sources`."""

    chunk: ChunkRef
    target: StoreState
    sources: tuple[StoreState, ...]


def plan(view: ClusterView, chunks: list[ChunkRef]) -> list[Copy]:
    """Return the copies that bring `chunks` closer to the wanted number, as far as stores can be reached. Pure."""
    copies = []
    for chunk in chunks:
        current = [view.by_number[number] for number in chunk.stores if number in view.by_number]
        sources = tuple(store for store in current if store.reachable)
        candidates = [
            store
            for store in view.stores
            if store.reachable and store.writable and store not in current and store.free_bytes >= chunk.length
        ]
        staying = [store for store in current if not store.leaving]
        missing = view.copies - len(staying)
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


class Short(Protocol):
    """Tells which chunks have fewer than `wanted` copies on the stores `live`: see Catalog.short_chunks."""

    def __call__(
        self, wanted: int, live: Collection[int], limit: int, among: Callable[[tuple[int, ...]], bool]
    ) -> list[ChunkRef]:
        """Return up to `limit` of them, the most urgent first."""
        ...


class Repairer:
    """While this node leads, looks for chunks with too few copies and has them copied, a few at a time."""

    def __init__(
        self,
        *,
        leads: Callable[[], bool],
        view: Callable[[], ClusterView],
        short: Short,
        copy: Callable[[Copy], Awaitable[None]],
        done: Callable[[bytes, int], None],
    ) -> None:
        self._leads = leads
        self._view = view
        self._short = short
        self._copy = copy
        self._done = done
        self._resting: dict[tuple[bytes, int], float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start looking on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="repair")

    async def stop(self) -> None:
        """Stop; a copy under way is abandoned."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                busy = self._leads() and await self._round()
            except StoreError as error:
                log.warning("repair waits", error=str(error))
                busy = False
            except Exception:  # without repair, one loss after the other would add up
                log.exception("repair failed, trying again")
                busy = False
            await asyncio.sleep(0 if busy else PERIOD)

    async def _round(self) -> bool:
        """Do one batch; return whether there may be more to do at once."""
        now = asyncio.get_running_loop().time()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        view = self._view()
        # Only stores of this moment count as copies; a node that is merely away keeps its own. What cannot be
        # helped now must not stand before what can.
        chunks = self._short(
            view.copies,
            sorted(view.staying),
            BATCH + len(self._resting),
            lambda stores: promising(view, stores),
        )
        copies = [copy for copy in plan(view, chunks) if _key(copy) not in self._resting][:BATCH]
        if not copies:
            return False
        gate = asyncio.Semaphore(PARALLEL)
        await asyncio.gather(*(self._one(copy, gate) for copy in copies))
        log.info("chunks copied", tried=len(copies), resting=len(self._resting))
        return True

    async def _one(self, copy: Copy, gate: asyncio.Semaphore) -> None:
        # It rests either way: after a success until the catalog has recorded the new copy.
        async with gate:
            self._resting[_key(copy)] = asyncio.get_running_loop().time() + REST
            try:
                await self._copy(copy)
            except StoreError as error:
                log.warning(
                    "chunk not copied", chunk=copy.chunk.digest.hex(), to=copy.target.node, error=str(error)
                )
            else:
                self._done(copy.chunk.digest, copy.target.number)


def _key(copy: Copy) -> tuple[bytes, int]:
    return copy.chunk.digest, copy.target.number
