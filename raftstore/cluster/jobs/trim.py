"""Trim: copies that are more than wanted go.

There are such when a node comes back after others have made up for it, and after a rebalance. Each node finds out which
of its copies are too many, asks the others whether they have theirs, and drops its own by a command that holds only if
enough of those are left where it is applied (`raftstore.metadata.surplus`). Then it removes the bytes, by the rules of
`replicas.collector`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Protocol

import structlog

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Look, Situation, shares, shares_of
from raftstore.cluster.jobs.rebalance import only_the_leader
from raftstore.cluster.jobs.task import Handler, Task
from raftstore.cluster.proposals import Propose
from raftstore.cluster.replicas.balance import counting, too_many
from raftstore.cluster.replicas.ownstore import announced
from raftstore.errors import StoreError
from raftstore.types import ChunkRef, Wanted
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

AGAIN = 2.0
REST = 30.0
"""Seconds between two on a node: when the last one has given something up, and when it has not."""

SAMPLE = 256
"""Chunks with copies that are too many that the leader looks at to see who has something to do."""

BATCH = 2000
"""Copies that are dropped by one command. What a store said of its copies before counts no more afterwards, so there
should not be many of them."""

PAUSE = 5.0
"""Seconds between two such commands."""

TURN = 0.002
"""Seconds between two pages of the catalog."""


def observe(node: JobNode, situation: Situation) -> Collection[str]:
    """Return nodes that should give copies up, as far as a sample tells."""
    if not situation.steady:
        return ()
    view = situation.view
    live = [store.number for store in view.stores if store.reachable and not store.leaving]
    chunks = node.catalog.surplus_chunks(view.wanted, live, SAMPLE, situation.upto)
    return {store.node for chunk in chunks for store in too_many(view, chunk, situation.sizes)}


def due(look: Look) -> Job | None:
    """Return what would bring the copies on a node to what is wanted, once it is calm."""
    situation = look.situation
    if not situation.steady or look.node not in situation.observed.get(Job.TRIM, ()):
        return None
    if look.since(Job.TRIM) < (AGAIN if look.count(Job.TRIM, JobCounter.TRIMMED) else REST):
        return None
    job = Job(kind=Job.TRIM, node=look.node, replicas=situation.replicas, reason="copies are too many")
    job.upto = situation.upto
    job.without.extend(situation.away)
    job.shares.extend(shares_of(situation.sizes))
    return job


def void(situation: Situation, job: Job) -> bool:
    """Whether it gives copies up for the sake of one that is out of sight now."""
    return bool(set(situation.away) - set(job.without))


class Catalog(Protocol):
    """What is asked of the catalog as applied here."""

    def surplus_pages(
        self, wanted: Wanted, live: Collection[int], on: int, upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield the chunks on a store that have more copies than wanted."""
        ...


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

    async def run(self, job: Job, task: Task) -> None:
        """Give up what is here and too many. Raises StoreError: Changed when the job is another's by now."""
        view = self._view()
        own = announced(view)
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

    async def _drop(self, job: Job, own: StoreState, chunks: Sequence[ChunkRef], task: Task) -> None:
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

    async def _confirmed(self, job: Job, own: StoreState, chunks: Sequence[ChunkRef]) -> dict[bytes, list[int]]:
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


def _work(node: JobNode) -> Handler:
    return Trim(
        node=node.settings.name,
        boot=node.boot,
        replicas=node.settings.replicas,
        view=node.view,
        catalog=node.catalog,
        confirm=node.confirm,
        propose=node.propose,
        swept=node.own.swept,
        give_up=node.collector.give_up,
    ).run


TRIM = JobKind(
    number=Job.TRIM,
    unit="chunks",
    work=_work,
    due=due,
    observe=observe,
    void=void,
    asked=only_the_leader,
    precedence=20,
)
