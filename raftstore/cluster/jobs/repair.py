"""Repair: every chunk gets its copies back. Each node makes the copies that it should have itself.

Who should have which is decided by `plan` from the catalog, the view of the moment and the free room that stands in the
job, the same on every node; the leader only sees who has something to do (`short_nodes`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

from raftstore.chunks.placement.placement import by_zones, weight
from raftstore.chunks.placement.topology import ClusterView
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Look, free_shares, shares
from raftstore.cluster.jobs.task import Task
from raftstore.cluster.replicas.copier import Copier, Copy
from raftstore.types import CHUNK_SIZE, ChunkRef, Wanted
from raftstore.wire import admin_pb2 as admin

PAUSE = 1.0
EMPTY = 5.0
REST = 30.0
"""Seconds between two repairs on a node: when all went well, when there was nothing to do (the node knows better, or
will soon see what the leader sees), and when something could not be copied."""

SAMPLE = 256
"""Chunks with too few copies that the leader looks at to see who has something to do."""


def short_nodes(node: JobNode, view: ClusterView, lost: frozenset[int], upto: int) -> Collection[str]:
    """Return the nodes that should make copies, as far as a sample of the most urgent chunks tells."""
    live = sorted(view.staying - lost)
    chunks = node.catalog.short_chunks(view.wanted, live, SAMPLE, lambda stores: promising(view, stores), upto)
    return {copy.target.node for copy in plan(view, chunks, lost)}


def due(look: Look) -> Job | None:
    """Return the repair that a node is to do now, if it lacks copies and has rested as long as the last one demands."""
    situation = look.situation
    if look.node not in situation.short or look.since(Job.REPAIR) < _pause(look):
        return None
    job = Job(kind=Job.REPAIR, node=look.node, without=sorted(situation.lost), upto=situation.upto)
    job.reason = "copies are missing"
    job.shares.extend(free_shares(situation.view))
    return job


def _pause(look: Look) -> float:
    if Job.REPAIR not in look.ended or look.count(Job.REPAIR, JobCounter.COPIED):
        return PAUSE
    return REST if look.count(Job.REPAIR, JobCounter.FAILED) else EMPTY


def asked(node: JobNode, job: Job, _request: admin.JobPut) -> None:
    """What cannot be reached now counts as lost."""
    view = node.view()
    job.without.extend(store.number for store in view.stores if not store.reachable)
    job.upto = node.catalog.newest_chunk
    job.shares.extend(free_shares(view))


def plan(
    view: ClusterView,
    chunks: Sequence[ChunkRef],
    lost: Collection[int] = (),
    free_spaces: Mapping[int, int] | None = None,
) -> list[Copy]:
    """Return the copies that bring `chunks` closer to the wanted number, as far as stores can be reached. Pure.

    Copies on the stores `lost`, and on those of nodes that leave, do not count. `free_spaces`: bytes that stores have
    free, where they are to be taken from the job instead of the view.
    """
    weights = {number: weight(free) for number, free in (free_spaces or {}).items()}
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
            targets = by_zones(candidates, chunk.digest, staying, weights)[:missing]
            copies += [Copy(chunk, target, sources) for target in targets]
    return copies


def promising(view: ClusterView, stores: tuple[int, ...]) -> bool:
    """Whether a chunk on `stores` can get another copy now: from one that can be reached, to another that can."""
    return any(number in view.by_number and view.by_number[number].reachable for number in stores) and any(
        store.reachable and store.writable and store.free_bytes >= CHUNK_SIZE and store.number not in stores
        for store in view.stores
    )


def still_lost(job: Job, view: ClusterView) -> frozenset[int]:
    """Return the stores whose copies count as lost for a job, less those that have come back since it was made."""
    back = {store.number for store in view.stores if store.reachable}
    return frozenset(job.without) - back


class Catalog(Protocol):
    """What repair asks of the catalog as applied here."""

    def short_pages(
        self, wanted: Wanted, live: Collection[int], among: Callable[[tuple[int, ...]], bool], upto: int
    ) -> Iterator[list[ChunkRef]]:
        """Yield the chunks with too few copies, the most urgent first."""
        ...

    def short_count(self, wanted: Wanted, live: Collection[int]) -> int:
        """Return how many they are."""
        ...


class Repair:
    """Does jobs of the kind REPAIR: one walk over what is short, copying here what should be here."""

    def __init__(self, view: Callable[[], ClusterView], catalog: Catalog, copier: Copier) -> None:
        self._view = view
        self._catalog = catalog
        self._copier = copier

    async def run(self, job: Job, task: Task) -> None:
        """Copy what can be copied. What cannot is counted as failed, and left to a later job."""
        view = self._view()
        lost = still_lost(job, view)
        live = view.staying - lost
        task.total = self._catalog.short_count(view.wanted, live)
        task.counts |= {JobCounter.COPIED: 0, JobCounter.FAILED: 0, JobCounter.BYTES: 0}
        pages = self._catalog.short_pages(
            view.wanted, sorted(live), lambda stores: promising(view, stores), job.upto
        )
        for page in pages:
            view = self._view()
            copies = plan(view, page, still_lost(job, view), shares(job))
            await self._copier.make([copy for copy in copies if copy.target.local], task)
            task.done = min(task.total, task.done + len(page))
        await self._copier.noted()
        task.done = task.total


REPAIR = JobKind(
    number=Job.REPAIR,
    unit="chunks",
    work=lambda node: Repair(node.view, node.catalog, node.copier).run,
    due=due,
    asked=asked,
    beside=True,
    precedence=10,
)
