"""Collect: a node removes from its disk what the catalog has not listed there for a while (`replicas.collector`)."""

from __future__ import annotations

import structlog

from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Look
from raftstore.cluster.jobs.task import Handler, Task
from raftstore.errors import Changed

log = structlog.get_logger()

LONGEST = 6 * 3600.0
"""Seconds between two on a node; a quarter of the grace period where that is shorter."""


def due(look: Look) -> Job | None:
    """Return a collection when the last one was long ago."""
    if look.since(Job.COLLECT) < max(1.0, min(LONGEST, look.situation.settings.collect_grace / 4)):
        return None
    return Job(kind=Job.COLLECT, node=look.node, reason="it is time")


def _work(node: JobNode) -> Handler:
    async def collect(_job: Job, task: Task) -> None:
        try:
            task.counts[JobCounter.REMOVED] = await node.collector.look(task.reached)
        except Changed as error:
            # The candidates stay: what is due goes with a later collection.
            log.info("chunks are not collected now", reason=error.detail)

    return collect


COLLECT = JobKind(number=Job.COLLECT, unit="chunks", work=_work, due=due, precedence=40)
