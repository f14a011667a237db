"""Tally: each node counts the notes once there are any."""

from __future__ import annotations

from raftstore.metadata.tables.notes import LEVEL, Notes

from raftstore.cluster.jobs.kind import Job, JobKind, JobNode, Look, Situation
from raftstore.cluster.jobs.task import Handler, Task


def observe(node: JobNode, _situation: Situation) -> int:
    """Return how many notes the leader sees."""
    return node.catalog.ask(Notes, lambda notes: notes.count()) if node.catalog.level >= LEVEL else 0


def due(look: Look) -> Job | None:
    """Return a tally of a node that has had none yet."""
    if not look.situation.observed.get(Job.TALLY) or Job.TALLY in look.ended:
        return None
    return Job(kind=Job.TALLY, node=look.node, reason="there are notes")


def _work(node: JobNode) -> Handler:
    async def tally(_job: Job, task: Task) -> None:
        count = node.catalog.ask(Notes, lambda notes: notes.count())
        task.reached(count, count)

    return tally


TALLY = JobKind(number=Job.TALLY, unit="notes", work=_work, due=due, observe=observe, beside=True)
