"""Compact: a node writes volumes anew that removed chunks fill, and gives their disk space back."""

from __future__ import annotations

from collections.abc import Mapping

from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Look, Situation
from raftstore.cluster.jobs.scrub import scrubber
from raftstore.cluster.jobs.task import Handler, Task

PAUSE = 5.0
REST = 600.0
"""Seconds between two on a node: when the last one has won space, and when it has not."""


def observe(node: JobNode, situation: Situation) -> Mapping[str, int]:
    """Return the bytes that a compaction would win, by node."""
    return {store.node: node.reclaimable(store.node) for store in situation.view.stores}


def due(look: Look) -> Job | None:
    """Return a compaction where one would win something, unless the last one has won nothing of late."""
    if not look.situation.observed.get(Job.COMPACT, {}).get(look.node, 0):
        return None
    won = Job.COMPACT not in look.ended or look.count(Job.COMPACT, JobCounter.BYTES_FREED) > 0
    if look.since(Job.COMPACT) < (PAUSE if won else REST):
        return None
    return Job(kind=Job.COMPACT, node=look.node, reason="removed chunks fill volumes")


def _work(node: JobNode) -> Handler:
    lose = scrubber(node).lose

    async def compact(_job: Job, task: Task) -> None:
        limit = node.settings.jobs.bandwidth
        report = await node.volumes.compact(limit_bytes_per_s=limit, progress=task.reached)
        task.counts |= {JobCounter.VOLUMES: report.volumes, JobCounter.BYTES_COPIED: report.copied_bytes}
        task.counts |= {JobCounter.BYTES_FREED: report.freed_bytes, JobCounter.DAMAGED: len(report.damaged)}
        await lose(report.damaged)

    return compact


COMPACT = JobKind(number=Job.COMPACT, unit="bytes", work=_work, due=due, observe=observe, precedence=50)
