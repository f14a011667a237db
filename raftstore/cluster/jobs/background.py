"""The work in the background of one node, put together: what the leader hands out, and what is done about it here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.service import ChunkService
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster.jobs.dispatch import SETTLE, Absence, Dispatcher, Steadiness, Watermark
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Situation, all_kinds
from raftstore.cluster.jobs.repair import short_nodes
from raftstore.cluster.jobs.worker import Worker
from raftstore.cluster.proposals import Barrier, Propose
from raftstore.cluster.replicas.balance import sizes
from raftstore.cluster.replicas.collector import Collector
from raftstore.cluster.replicas.copier import Copier
from raftstore.cluster.replicas.ownstore import OwnStore
from raftstore.cluster.replicas.recorder import ReplicaRecorder
from raftstore.cluster.settings import StoreSettings
from raftstore.metadata import Catalog
from raftstore.util.limits.throttle import Throttle
from raftstore.util.metrics import Metrics, gauge
from raftstore.wire import admin_pb2 as admin

_STATES = {Job.WAITING: "waiting", Job.RUNNING: "running", Job.FAILED: "failed"}

STEADY = 30.0
"""Seconds without a change of what can be reached before copies are moved; `repair_after` where that is shorter."""

YIELDING = 0.125
"""Share of the bandwidth while clients upload to this disk."""

SHARE = 0.25
"""Share of the time, then. On a machine that is not busy otherwise, the bandwidth is what bounds."""

BUSY_SECONDS = 1.0
"""For which an upload counts as one that goes on: between two small ones there are moments without any."""


class Uploading:
    """Whether clients upload to this disk now."""

    def __init__(self, path: ChunkPath, service: ChunkService) -> None:
        self._spreader = path.spreader
        self._service = service
        self._until = 0.0

    def __call__(self) -> bool:
        """Ask; it counts for BUSY_SECONDS."""
        now = time.monotonic()
        if self._spreader.active or self._service.receiving:
            self._until = now + BUSY_SECONDS
        return now < self._until


def make_node(
    settings: StoreSettings,
    boot: int,
    *,
    catalog: Catalog,
    volumes: VolumeSet,
    path: ChunkPath,
    service: ChunkService,
    recorder: ReplicaRecorder,
    confirm: Callable[[int, Sequence[bytes]], Awaitable[set[bytes]]],
    propose: Propose,
    barrier: Barrier,
    leads: Callable[[], bool],
    reclaimable: Callable[[str], int],
) -> JobNode:
    """Return what a node offers to its jobs, with what several kinds of them share."""
    own = OwnStore(catalog, path.view, propose)
    throttle = Throttle(settings.jobs.bandwidth, busy=Uploading(path, service), yielding=YIELDING, share=SHARE)
    collector = Collector(
        volumes,
        grace=settings.jobs.collect_grace,
        unlisted=own.unlisted,
        find=own.find_unlisted,
        barrier=barrier,
        begin=own.begin_sweep,
        swept=own.swept,
    )
    copier = Copier(
        applied_index=lambda: catalog.applied_index, copy=service.copy, recorder=recorder, throttle=throttle
    )
    return JobNode(
        settings=settings,
        boot=boot,
        catalog=catalog,
        volumes=volumes,
        view=path.view,
        own=own,
        leads=leads,
        propose=propose,
        confirm=confirm,
        recorder=recorder,
        throttle=throttle,
        copier=copier,
        collector=collector,
        reclaimable=reclaimable,
    )


class BackgroundJobs:
    """Dispatcher and worker of one node, for all kinds of jobs."""

    def __init__(self, node: JobNode, kinds: Sequence[JobKind] | None = None) -> None:
        """`kinds`: those that there are, unless it is given others."""
        self._node = node
        self._kinds = all_kinds() if kinds is None else list(kinds)
        self._absence = Absence()
        self._steadiness = Steadiness()
        self._watermark = Watermark(SETTLE)
        self._dispatcher = Dispatcher(
            kinds=self._kinds,
            leads=node.leads,
            situation=self._situation,
            resting=self._rest,
            propose=node.propose,
        )
        self._worker = Worker(
            node.settings.name,
            node.boot,
            jobs=node.catalog.jobs,
            propose=node.propose,
            leads=node.leads,
            kinds=self._kinds,
            handlers={kind.number: kind.work(node) for kind in self._kinds},
            concurrency=node.settings.jobs.concurrency,
        )

    def meter(self, metrics: Metrics) -> None:
        """Have what it counts collected."""
        for component in (self, self._worker, self._node.scrubbed):
            metrics.add(component)

    @gauge(
        "pixraft_jobs",
        "Jobs of the cluster that are not done, as applied on this node.",
        label="state",
        values=tuple(_STATES.values()),
    )
    def jobs(self) -> dict[str, int]:
        """How many in each state."""
        return Counter(_STATES[job.state] for job in self._node.catalog.jobs() if job.state in _STATES)

    @gauge(
        "pixraft_chunks_underreplicated",
        "Chunks with fewer copies than wanted on nodes that can be reached from this one.",
    )
    def underreplicated(self) -> float:
        """How many."""
        view = self._node.view()
        there = [store.number for store in view.stores if store.reachable]
        return self._node.catalog.short_count(view.wanted, there)

    def start(self) -> None:
        """Start on the running loop."""
        self._dispatcher.start()
        self._worker.start()

    async def stop(self) -> None:
        """Stop; what was under way goes on with the next start, or elsewhere."""
        await self._dispatcher.stop()
        await self._worker.stop()

    # What the leader sees.

    def _situation(self) -> Situation:
        node, view = self._node, self._node.view()
        settings = node.settings.jobs
        lost = self._absence.lost(view, settings.repair_after)
        upto = self._watermark.upto(node.catalog.newest_chunk)
        situation = Situation(
            now_ns=time.time_ns(),
            jobs=node.catalog.jobs(),
            view=view,
            lost=lost,
            short=short_nodes(node, view, lost, upto),
            upto=upto,
            settings=settings,
            replicas=node.settings.replicas,
            steady=self._steadiness.lasts(view, min(STEADY, settings.repair_after)),
            sizes=sizes(view, node.held(view)),
        )
        observers = [(kind.number, kind.observe) for kind in self._kinds if kind.observe is not None]
        return replace(situation, observed={number: observe(node, situation) for number, observe in observers})

    def _rest(self) -> None:
        self._absence.forget()
        self._steadiness.forget()

    # What operators ask.

    @property
    def short(self) -> int:
        """How many chunks have fewer copies than wanted."""
        view = self._node.view()
        return self._node.catalog.short_count(view.wanted, view.staying)

    def reachable(self) -> list[str]:
        """Return the nodes with a store that can be reached from here."""
        return sorted(store.node for store in self._node.view().stores if store.reachable)

    def asked(self, number: int, node: str, request: admin.JobPut) -> Job:
        """Return the job of a kind that an operator asks for. Raises Invalid for what nobody may ask for."""
        job = Job(kind=Job.Kind.Name(number), node=node, apply=request.apply, reason="asked for")
        for kind in self._kinds:
            if kind.number == number:
                kind.asked(self._node, job, request)
        return job
