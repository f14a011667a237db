"""Drain: a node that shall leave gets nothing new, and what it has gets copies elsewhere.

That the node is drained stands in the catalog as its job, open or done, until that is cancelled or the node removed;
from it follow the view (its copies do not count) and so the repair. This only watches, on the leader, and ends the job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from raftstore.chunks.placement.topology import ClusterView
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode
from raftstore.cluster.jobs.task import Task
from raftstore.errors import Invalid, Unavailable
from raftstore.types import Wanted
from raftstore.wire import admin_pb2 as admin

PERIOD = 1.0


class Catalog(Protocol):
    """What is asked of the catalog as applied here."""

    def short_count(self, wanted: Wanted, live: Collection[int], on: int | None = None) -> int:
        """Return how many chunks on a store are on fewer stores of `live` than are `wanted`."""
        ...


class Drain:
    """Watches over jobs of the kind DRAIN, on the leader."""

    def __init__(self, view: Callable[[], ClusterView], catalog: Catalog, leads: Callable[[], bool]) -> None:
        self._view = view
        self._catalog = catalog
        self._leads = leads

    async def run(self, job: Job, task: Task) -> None:
        """Return when everything on the node has its copies elsewhere. Raises Unavailable when another node leads."""
        while True:
            if not self._leads():
                raise Unavailable("another node leads now")
            view = self._view()
            stores = [store for store in view.stores if store.node == job.node]
            if all(store.leaving for store in stores):  # else the view is older than the job
                left = sum(
                    self._catalog.short_count(view.wanted, view.staying, store.number) for store in stores
                )
                task.total = max(task.total, left)
                task.done = task.total - left
                if not left:
                    return
            await asyncio.sleep(PERIOD)


def asked(node: JobNode, job: Job, request: admin.JobPut) -> None:
    """So many nodes must stay as there are to be copies, unless it is forced. Raises Invalid for several at a time."""
    if len(request.nodes) != 1:
        raise Invalid("one node is drained at a time")
    job.replicas, job.force = node.settings.replicas, request.force


DRAIN = JobKind(
    number=Job.DRAIN,
    unit="chunks",
    work=lambda node: Drain(node.view, node.catalog, node.leads).run,
    asked=asked,
    beside=True,
    several=True,
    by_leader=True,
)
