"""Rebalance: a node that has joined, or has space again, gets its share.

It copies what it should hold instead of another one (`replicas.balance`). From then on there is a copy too many, which
`trim` takes away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from raftstore.chunks.placement.topology import ClusterView
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Look, Situation, shares, shares_of
from raftstore.cluster.jobs.task import Task
from raftstore.cluster.replicas.balance import lacking, moves
from raftstore.cluster.replicas.copier import Copier
from raftstore.cluster.replicas.ownstore import announced
from raftstore.errors import Invalid
from raftstore.types import ChunkRef, Wanted
from raftstore.wire import admin_pb2 as admin

PAUSE = 2.0
REST = 600.0
"""Seconds between two on a node: when the last one has moved something, and when it has not."""

TURN = 0.002
"""Seconds between two pages of the catalog."""


def observe(node: JobNode, situation: Situation) -> Mapping[str, int]:
    """Return the bytes that nodes lack which hold far less than their share."""
    return lacking(situation.view, node.held(situation.view), situation.sizes)


def due(look: Look) -> Job | None:
    """Return what would bring a node to its share, once it is calm and nothing is missing: that comes first."""
    situation = look.situation
    amount = situation.observed.get(Job.REBALANCE, {}).get(look.node)
    if amount is None or not situation.steady or situation.short:
        return None
    if look.since(Job.REBALANCE) < (PAUSE if look.count(Job.REBALANCE, JobCounter.COPIED) else REST):
        return None
    job = Job(kind=Job.REBALANCE, node=look.node, amount=amount, reason="it holds less than its share")
    job.upto = situation.upto
    job.without.extend(situation.away)
    job.shares.extend(shares_of(situation.sizes))
    return job


def only_the_leader(_node: JobNode, _job: Job, _request: admin.JobPut) -> None:
    """Nobody asks for it."""
    raise Invalid("the leader begins that by itself when it is due")


class Catalog(Protocol):
    """What is asked of the catalog as applied here."""

    def absent_pages(self, wanted: Wanted, store: int, upto: int) -> Iterator[list[ChunkRef]]:
        """Yield the chunks that are not on a store."""
        ...


class Rebalance:
    """Does jobs of the kind REBALANCE."""

    def __init__(self, view: Callable[[], ClusterView], catalog: Catalog, copier: Copier) -> None:
        self._view = view
        self._catalog = catalog
        self._copier = copier

    async def run(self, job: Job, task: Task) -> None:
        """Copy to here what should be here, until the job's amount is reached. Raises Unavailable."""
        own = announced(self._view())
        task.total = job.amount
        task.counts |= {JobCounter.COPIED: 0, JobCounter.FAILED: 0, JobCounter.BYTES: 0}
        for page in self._catalog.absent_pages(self._view().wanted, own.number, job.upto):
            found = moves(self._view(), page, shares(job), job.without)
            await self._copier.make(found, task)
            task.done = min(task.counts[JobCounter.BYTES], task.total)
            if task.counts[JobCounter.BYTES] >= job.amount:
                break
            await asyncio.sleep(TURN)
        await self._copier.noted()


REBALANCE = JobKind(
    number=Job.REBALANCE,
    unit="bytes",
    work=lambda node: Rebalance(node.view, node.catalog, node.copier).run,
    due=due,
    observe=observe,
    asked=only_the_leader,
    precedence=30,
)
