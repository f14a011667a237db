"""The work in the background of one node, put together: what the leader hands out, and what is done about it here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import structlog

from raftstore.chunks.format.needle import KEY_SIZE
from raftstore.chunks.placement.topology import ClusterView
from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.service import ChunkService
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster.jobs.collector import Collector
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.dispatch import (
    SETTLE,
    Absence,
    Dispatcher,
    Situation,
    Steadiness,
    Watermark,
    shares_of,
)
from raftstore.cluster.jobs.drain import Drain
from raftstore.cluster.jobs.scrub import Scrubber
from raftstore.cluster.jobs.worker import Handler, Task, Worker
from raftstore.cluster.replicas.balance import lacking, sizes, too_many
from raftstore.cluster.replicas.copier import Copier
from raftstore.cluster.replicas.rebalance import Rebalance, Trim
from raftstore.cluster.replicas.recorder import ReplicaRecorder
from raftstore.cluster.replicas.repair import Repair, plan, promising
from raftstore.cluster.settings import StoreSettings
from raftstore.errors import Invalid
from raftstore.metadata import Catalog
from raftstore.util.limits.slices import Slice
from raftstore.util.limits.throttle import Throttle
from raftstore.util.metrics import Metrics
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

SAMPLE = 256
"""Chunks with too few copies that the leader looks at to see who has something to do."""

STEADY = 30.0
"""Seconds without a change of what can be reached before copies are moved; `repair_after` where that is shorter."""

YIELDING = 0.125
"""Share of the bandwidth while clients upload to this disk."""

SHARE = 0.25
"""Share of the time, then. On a machine that is not busy otherwise, the bandwidth is what bounds."""

BUSY_SECONDS = 1.0
"""For which an upload counts as one that goes on: between two small ones there are moments without any."""

Job = commands.Job


class BackgroundJobs:
    """Dispatcher, worker and the kinds of jobs of one node."""

    def __init__(
        self,
        settings: StoreSettings,
        boot: int,
        *,
        catalog: Catalog,
        volumes: VolumeSet,
        path: ChunkPath,
        service: ChunkService,
        recorder: ReplicaRecorder,
        confirm: Callable[[int, Sequence[bytes]], Awaitable[set[bytes]]],
        propose: Callable[[commands.Command], Awaitable[commands.Result]],
        barrier: Callable[[], Awaitable[None]],
        leads: Callable[[], bool],
        reclaimable: Callable[[str], int],
    ) -> None:
        """`reclaimable` tells how many bytes a node says that a compaction would win there."""
        self._settings = settings
        self._catalog = catalog
        self._volumes = volumes
        self._view = path.view
        self._propose = propose
        self._reclaimable = reclaimable
        self._absence = Absence()
        self._steadiness = Steadiness()
        self._watermark = Watermark(SETTLE)
        self._busy_until = 0.0
        self._spreader = path.spreader
        self._service = service
        self._throttle = Throttle(settings.jobs.bandwidth, busy=self._busy, yielding=YIELDING, share=SHARE)
        self.collector = Collector(
            volumes,
            grace=settings.jobs.collect_grace,
            unlisted=self._unlisted,
            find=self._find_unlisted,
            barrier=barrier,
            begin=self._begin_sweep,
            swept=self._swept,
        )
        copier = Copier(
            applied_index=lambda: catalog.applied_index,
            copy=service.copy,
            recorder=recorder,
            throttle=self._throttle,
        )
        trim = Trim(
            node=settings.name,
            boot=boot,
            replicas=settings.replicas,
            view=path.view,
            catalog=catalog,
            confirm=confirm,
            propose=propose,
            swept=self._swept,
            give_up=self.collector.give_up,
        )
        self._scrubber = Scrubber(
            chunks=volumes,
            catalog=catalog,
            recorder=recorder,
            throttle=self._throttle,
            store=self._store,
            size=lambda: volumes.stats().bytes,
            confirm=volumes.confirm,
            overdue=self.collector.is_overdue,
            collect=self._look,
        )
        self._dispatcher = Dispatcher(
            leads=leads, situation=self._situation, resting=self._rest, propose=propose
        )
        handlers: dict[int, Handler] = {
            Job.REPAIR: Repair(path.view, catalog, copier).run,
            Job.REBALANCE: Rebalance(path.view, catalog, copier).run,
            Job.TRIM: trim.run,
            Job.SCRUB: self._scrubber.scrub,
            Job.FSCK: self._scrubber.fsck,
            Job.COLLECT: self._collect,
            Job.COMPACT: self._compact,
            Job.DRAIN: Drain(path.view, catalog, leads).run,
        }
        self._worker = Worker(
            settings.name,
            boot,
            jobs=catalog.jobs,
            propose=propose,
            leads=leads,
            handlers=handlers,
            concurrency=settings.jobs.concurrency,
        )

    def meter(self, metrics: Metrics) -> None:
        """Have what it counts collected."""
        metrics.add(self._worker)

    def start(self) -> None:
        """Start on the running loop."""
        self._dispatcher.start()
        self._worker.start()

    async def stop(self) -> None:
        """Stop; what was under way goes on with the next start, or elsewhere."""
        await self._dispatcher.stop()
        await self._worker.stop()

    def _busy(self) -> bool:
        now = time.monotonic()
        if self._spreader.active or self._service.receiving:
            self._busy_until = now + BUSY_SECONDS
        return now < self._busy_until

    def _store(self) -> int | None:
        local = self._view().local
        return None if local is None else local.number

    # What the leader sees.

    def _situation(self) -> Situation:
        view = self._view()
        lost = self._absence.lost(view, self._settings.jobs.repair_after)
        upto = self._watermark.upto(self._catalog.newest_chunk)
        nodes = [store.node for store in view.stores]
        held = {store.number: self._catalog.store_totals(store.number)[1] for store in view.stores}
        shares = sizes(view, held)
        steady = self._steadiness.lasts(view, min(STEADY, self._settings.jobs.repair_after))
        return Situation(
            now_ns=time.time_ns(),
            jobs=self._catalog.jobs(),
            view=view,
            lost=lost,
            short=self._short(view, lost, upto),
            upto=upto,
            reclaimable={node: self._reclaimable(node) for node in nodes},
            settings=self._settings.jobs,
            replicas=self._settings.replicas,
            steady=steady,
            excess=self._excess(view, shares, upto) if steady else (),
            lacking=lacking(view, held, shares),
            sizes=shares,
        )

    def _rest(self) -> None:
        self._absence.forget()
        self._steadiness.forget()

    def _excess(self, view: ClusterView, shares: Mapping[int, int], upto: int) -> Collection[str]:
        """Return nodes that should give copies up, as far as a sample tells."""
        live = [store.number for store in view.stores if store.reachable and not store.leaving]
        chunks = self._catalog.surplus_chunks(view.wanted, live, SAMPLE, upto)
        return {store.node for chunk in chunks for store in too_many(view, chunk, shares)}

    def _short(self, view: ClusterView, lost: frozenset[int], upto: int) -> Collection[str]:
        """Return the nodes that should make copies, as far as a sample of the most urgent chunks tells."""
        live = sorted(view.staying - lost)
        chunks = self._catalog.short_chunks(
            view.wanted, live, SAMPLE, lambda stores: promising(view, stores), upto
        )
        return {copy.target.node for copy in plan(view, chunks, lost)}

    def _swept(self) -> int:
        return self._catalog.swept().get(self._store() or 0, 0)

    def _unlisted(self, names: Iterable[bytes]) -> list[bytes]:
        """Return what the catalog does not list here; nothing as long as it does not know this node's volumes.

        Copies of what has too few are left for repair to list: were they removed, or a sweep begun because of them,
        repair would not get on.
        """
        view = self._view()
        if view.local is None:
            return []
        unlisted = self._catalog.unlisted(names, view.local.number)
        short = {
            digest[:KEY_SIZE]
            for digest, _ in self._catalog.held_by(unlisted)
            if self._catalog.is_short(digest, view.wanted, view.staying)
        }
        return [name for name in unlisted if name[:KEY_SIZE] not in short] if short else unlisted

    async def _find_unlisted(self, names: Sequence[bytes]) -> list[bytes]:
        """Do what `_unlisted` does without holding up the loop."""
        local = self._view().local
        if local is None:
            return []
        unlisted, elsewhere = await self._catalog.find_unlisted(names, local.number)
        kept: set[bytes] = set()
        part = Slice()
        for name in elsewhere:
            if not self._unlisted((name,)):
                kept.add(name)
            await part.rest()
        return [name for name in unlisted if name not in kept]

    @property
    def short(self) -> int:
        """How many chunks have fewer copies than wanted."""
        view = self._view()
        return self._catalog.short_count(view.wanted, view.staying)

    def reachable(self) -> list[str]:
        """Return the nodes with a store that can be reached from here."""
        return sorted(store.node for store in self._view().stores if store.reachable)

    def wanted(self, kind: int, node: str, *, apply: bool, force: bool) -> Job:
        """Return the job that an operator asks for: what cannot be reached now counts as lost in a repair.

        Raises Invalid for what only the leader makes.
        """
        if kind in (Job.REBALANCE, Job.TRIM):
            raise Invalid("the leader begins that by itself when it is due")
        view = self._view()
        job = Job(kind=Job.Kind.Name(kind), node=node, apply=apply, reason="asked for")
        if kind == Job.REPAIR:
            job.without.extend(store.number for store in view.stores if not store.reachable)
            job.upto = self._catalog.newest_chunk
            job.shares.extend(shares_of(view))
        elif kind == Job.DRAIN:
            job.replicas, job.force = self._settings.replicas, force
        return job

    # What is done here.

    async def _begin_sweep(self) -> int:
        store = self._store()
        if store is None:
            raise Invalid("this node's volumes are not announced yet")
        result = await self._propose(commands.Command(begin_sweep=commands.BeginSweep(store=store)))
        return result.index

    async def _look(self, task: Task | None = None) -> int:
        def progress(done: int, total: int) -> None:
            if task is not None:
                task.done, task.total = done, total

        return await self.collector.look(progress)

    async def _collect(self, _job: Job, task: Task) -> None:
        task.unit = "chunks"
        task.counts[JobCounter.REMOVED] = await self._look(task)

    async def _compact(self, _job: Job, task: Task) -> None:
        task.unit = "bytes"

        def progress(done: int, total: int) -> None:
            task.done, task.total = done, total

        report = await self._volumes.compact(limit_bytes_per_s=self._settings.jobs.bandwidth, progress=progress)
        task.counts |= {JobCounter.VOLUMES: report.volumes, JobCounter.BYTES_COPIED: report.copied_bytes}
        task.counts |= {JobCounter.BYTES_FREED: report.freed_bytes, JobCounter.DAMAGED: len(report.damaged)}
        await self._scrubber.lose(report.damaged)
