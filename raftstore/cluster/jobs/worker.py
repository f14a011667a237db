"""The worker of a node: takes the jobs that the catalog has for it, does them, says how far it is.

A job is held by a lease in the log. Who loses it (the report is refused) stops: another has it, or nobody wants it
any more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from raftstore.cluster.jobs.kind import SECOND_NS, JobKind
from raftstore.cluster.jobs.task import Handler, Task
from raftstore.cluster.proposals import Propose
from raftstore.errors import Changed, NotFound, StoreError
from raftstore.util.metrics import gauge
from raftstore.util.tasks import Periodic, cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

POLL = 0.3
"""Seconds between two looks at the jobs; they are in memory."""

LEASE = 30.0
REPORT = 3.0
"""Seconds between two reports of a job that gets on."""

RENEW = LEASE / 3
"""Seconds between two reports of one that does not."""

RETRY = 5.0
"""Seconds until a failed job is tried again; twice as long each time."""

Job = commands.Job
KINDS = tuple(name.lower() for name in Job.Kind.keys())  # noqa: SIM118  # no dictionary


def takeable(kind: JobKind, job: Job, node: str, boot: int, now_ns: int, *, leads: bool) -> bool:
    """Whether this node would be given the job now."""
    if leads if kind.by_leader else job.node == node:
        if job.state == Job.WAITING:
            return job.not_before_ns <= now_ns
        if job.state == Job.RUNNING:
            return job.lease_until_ns <= now_ns or (job.holder == node and job.boot < boot)
    return False


class Worker(Periodic):
    """Does at most `concurrency` jobs at a time, but for those of kinds that are done beside; one of a kind unless it
    says otherwise.
    """

    def __init__(
        self,
        node: str,
        boot: int,
        *,
        jobs: Callable[[], Sequence[Job]],
        propose: Propose,
        leads: Callable[[], bool],
        kinds: Iterable[JobKind],
        handlers: Mapping[int, Handler],
        concurrency: int,
    ) -> None:
        """`handlers` do the jobs, by kind; jobs of other kinds are left alone."""
        super().__init__("worker", POLL, waits="jobs cannot be seen now")
        self._node = node
        self._boot = boot
        self._jobs = jobs
        self._propose = propose
        self._leads = leads
        self._kinds = {kind.number: kind for kind in kinds}
        self._handlers = handlers
        self._concurrency = concurrency
        self._running: dict[int, tuple[Job, asyncio.Task[None]]] = {}

    async def stop(self) -> None:
        """Stop. What was under way stays taken; the next boot goes on with it at once."""
        await super().stop()
        await cancel_and_wait(*(task for _, task in self._running.values()))

    @gauge("pixraft_jobs_running", "Jobs that this node does now.", label="kind", values=KINDS)
    def running(self) -> dict[str, int]:
        """How many of each kind."""
        return Counter(
            Job.Kind.Name(job.kind).lower() for job, task in self._running.values() if not task.done()
        )

    async def look(self) -> None:
        """Take jobs of this node, and end what is not its any more."""
        now_ns = time.time_ns()
        mine = {job.id: job for job in self._jobs()}
        for number, (_, task) in list(self._running.items()):
            if task.done():
                del self._running[number]
            elif (job := mine.get(number)) is None or job.state in (Job.CANCELLED, Job.DONE, Job.FAILED):
                task.cancel()
        for job in mine.values():
            if job.id in self._running or job.kind not in self._handlers:
                continue
            kind = self._kinds[job.kind]
            if takeable(kind, job, self._node, self._boot, now_ns, leads=self._leads()) and self._has_space(
                kind
            ):
                running = asyncio.get_running_loop().create_task(self._do(job), name=f"job {job.id}")
                self._running[job.id] = job, running

    def _has_space(self, kind: JobKind) -> bool:
        busy = [self._kinds[job.kind] for job, _ in self._running.values()]
        if kind in busy and not kind.several:
            return False
        return kind.beside or sum(not other.beside for other in busy) < self._concurrency

    async def _do(self, job: Job) -> None:
        kind = Job.Kind.Name(job.kind).lower()
        try:
            await self._propose(
                commands.Command(
                    take_job=commands.TakeJob(
                        id=job.id, node=self._node, boot=self._boot, lease_ns=int(LEASE * SECOND_NS)
                    )
                )
            )
        except StoreError as error:
            log.info("job not taken", job=job.id, kind=kind, error=str(error))
            return
        # What was seen before may be old: after a start the catalog lags behind what this node has told of the job.
        job = next((known for known in self._jobs() if known.id == job.id), job)
        task = Task(unit=self._kinds[job.kind].unit)
        began = time.monotonic()
        work = asyncio.ensure_future(self._handlers[job.kind](job, task))
        failed = ""
        try:
            await self._watch(job, task, work)
        except (Changed, NotFound):
            log.info("job is not this node's any more", job=job.id, kind=kind)
            return
        except StoreError as error:
            failed = str(error)
        except Exception as error:  # a job must not take the worker with it, and is tried again
            log.exception("job failed", job=job.id, kind=kind)
            failed = repr(error)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if failed:
            log.warning("job failed", job=job.id, kind=kind, error=failed)
        elif any(task.counts.values()):
            seconds = round(time.monotonic() - began, 1)
            log.info("job done", job=job.id, kind=kind, seconds=seconds, **task.named_counts())
        await self._finish(job, task, failed)

    async def _watch(self, job: Job, task: Task, work: asyncio.Future[None]) -> None:
        """Wait for the work, and report. Raises what it raises; Changed, NotFound when the job is lost."""
        reported, renewed = task.progress(), time.monotonic()
        while True:
            await asyncio.wait([work], timeout=REPORT)
            if work.done():
                work.result()
                return
            progress = task.progress()
            if progress == reported and time.monotonic() - renewed < RENEW:
                continue
            report = commands.ReportJob(
                id=job.id,
                node=self._node,
                boot=self._boot,
                lease_ns=int(LEASE * SECOND_NS),
                progress=progress,
            )
            try:
                await self._propose(commands.Command(report_job=report))
                reported, renewed = progress, time.monotonic()
            except (Changed, NotFound):
                raise
            except StoreError as error:
                # The work may go on: should the lease run out meanwhile, two do the same, which harms nothing.
                log.info("job not reported", job=job.id, error=str(error))

    async def _finish(self, job: Job, task: Task, error: str) -> None:
        finish = commands.FinishJob(
            id=job.id,
            node=self._node,
            boot=self._boot,
            error=error,
            retry_ns=int(RETRY * 2 ** min(job.attempts, 6) * SECOND_NS),
            progress=task.progress(),
        )
        try:
            await self._propose(commands.Command(finish_job=finish))
        except StoreError as failure:
            log.info("end of a job not noted", job=job.id, error=str(failure))
