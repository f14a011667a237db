"""Rebalance: a node that has joined, or has room again, gets its share. Trim: copies that are more than wanted go.

A node copies what it should hold instead of another one (`balance`). From then on there is a copy too many, as there
is when a node comes back after others have made up for it. Each node finds out which of its copies are too many, asks
the others whether they have theirs, and drops its own by a command that holds only if enough of those are left where
it is applied (`raftstore.metadata.surplus`). Then it removes the bytes, by the rules of `collector`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Protocol

import structlog

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.repair import shares
from raftstore.cluster.jobs.worker import Task
from raftstore.cluster.proposals import Propose
from raftstore.cluster.replicas.balance import counting, moves, too_many
from raftstore.cluster.replicas.copier import Copier
from raftstore.errors import StoreError, Unavailable
from raftstore.types import ChunkRef, Wanted
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

BATCH = 2000
"""Copies that are dropped by one command. What a store said of its copies before counts no more afterwards, so there
should not be many of them."""

PAUSE = 5.0
"""Seconds between two such commands."""

TURN = 0.002
"""Seconds between two pages of the catalog."""


class Catalog(Protocol):
    """What is asked of the catalog as applied here."""

    def absent_pages(self, wanted: Wanted, store: int, upto: int) -> Iterator[list[ChunkRef]]:
        """Yield the chunks that are not on a store."""
        ...

    def surplus_pages(
        self, wanted: Wanted, live: Collection[int], on: int, upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield the chunks on a store that have more copies than wanted."""
        ...


class Rebalance:
    """Does jobs of the kind REBALANCE."""

    def __init__(self, view: Callable[[], ClusterView], catalog: Catalog, copier: Copier) -> None:
        self._view = view
        self._catalog = catalog
        self._copier = copier

    async def run(self, job: commands.Job, task: Task) -> None:
        """Copy to here what should be here, until the job's amount is reached. Raises Unavailable."""
        own = _own(self._view())
        task.unit, task.total = "bytes", job.amount
        task.counts |= {JobCounter.COPIED: 0, JobCounter.FAILED: 0, JobCounter.BYTES: 0}
        for page in self._catalog.absent_pages(self._view().wanted, own.number, job.upto):
            found = moves(self._view(), page, shares(job), job.without)
            await self._copier.make(found, task)
            task.done = min(task.counts[JobCounter.BYTES], task.total)
            if task.counts[JobCounter.BYTES] >= job.amount:
                break
            await asyncio.sleep(TURN)
        await self._copier.noted()


class Trim:
    """Does jobs of the kind TRIM."""

    def __init__(
        self,
        *,
        node: str,
        boot: int,
        replicas: int,
        view: Callable[[], ClusterView],
        catalog: Catalog,
        confirm: Callable[[int, Sequence[bytes]], Awaitable[set[bytes]]],
        propose: Propose,
        swept: Callable[[], int],
        give_up: Callable[[Sequence[bytes], Callable[[], Awaitable[int]]], Awaitable[int]],
    ) -> None:
        """`replicas` as this node's operator wants them: where the leader's wants fewer, the surplus stays. `confirm`
        asks another store what it has. `swept`: see `Collector`, whose `give_up` removes.
        """
        self._node = node
        self._boot = boot
        self._replicas = replicas
        self._view = view
        self._catalog = catalog
        self._confirm = confirm
        self._propose = propose
        self._swept = swept
        self._give_up = give_up

    async def run(self, job: commands.Job, task: Task) -> None:
        """Give up what is here and too many. Raises StoreError: Changed when the job is another's by now."""
        view = self._view()
        own = _own(view)
        task.unit = "chunks"
        task.counts |= {JobCounter.TRIMMED: 0, JobCounter.KEPT: 0}
        if job.replicas < self._replicas:
            log.warning(
                "the leader wants fewer copies than this node", leader=job.replicas, here=self._replicas
            )
            return
        batch: list[ChunkRef] = []
        live = view.staying - frozenset(job.without)
        for page in self._catalog.surplus_pages(view.wanted, live, own.number, job.upto):
            weights, view = shares(job), self._view()
            batch += [
                chunk
                for chunk in page
                if any(store.number == own.number for store in too_many(view, chunk, weights, job.without))
            ]
            if len(batch) >= BATCH:
                await self._drop(job, own, batch, task)
                batch = []
                await asyncio.sleep(PAUSE)
            await asyncio.sleep(TURN)
        if batch:
            await self._drop(job, own, batch, task)
        task.total = task.done

    async def _drop(self, job: commands.Job, own: StoreState, chunks: Sequence[ChunkRef], task: Task) -> None:
        keepers = await self._confirmed(job, own, chunks)
        enough = [chunk for chunk in chunks if len(keepers[chunk.digest]) >= chunk.copies]
        digests = [chunk.digest for chunk in enough]

        async def drop() -> int:
            command = commands.DropReplicas(
                job=job.id,
                node=self._node,
                boot=self._boot,
                store=own.number,
                drops=[commands.Drop(digest=digest, keepers=keepers[digest]) for digest in digests],
            )
            done = await self._propose(commands.Command(drop_replicas=command))
            return done.index if self._swept() == done.index else 0

        removed = await self._give_up(digests, drop) if digests else 0
        task.counts[JobCounter.TRIMMED] += removed
        task.counts[JobCounter.KEPT] += len(chunks) - removed
        task.done += len(chunks)

    async def _confirmed(
        self, job: commands.Job, own: StoreState, chunks: Sequence[ChunkRef]
    ) -> dict[bytes, list[int]]:
        """Return by chunk the other stores that say that they have it; a store that does not answer has nothing."""
        view = self._view()
        asked: dict[int, list[bytes]] = {}
        for chunk in chunks:
            for store in counting(view, chunk, job.without):
                if store.number != own.number:
                    asked.setdefault(store.number, []).append(chunk.digest)
        keepers: dict[bytes, list[int]] = {chunk.digest: [] for chunk in chunks}
        for number, digests in asked.items():
            try:
                held = await self._confirm(number, digests)
            except StoreError as error:
                log.info("copies not confirmed", store=number, error=str(error))
                continue
            for digest in held:
                keepers[digest].append(number)
        return keepers


def _own(view: ClusterView) -> StoreState:
    if view.local is None:
        raise Unavailable("this node's volumes are not announced yet")
    return view.local
