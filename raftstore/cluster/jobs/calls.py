"""The admin calls about jobs, answered by any node; what changes something needs an admin's certificate."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from raftstore.cluster.jobs.background import BackgroundJobs
from raftstore.errors import AlreadyExists, Changed, Invalid
from raftstore.metadata import Catalog
from raftstore.peers import Peer, PeerNetwork, Reply, Role
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

ADMINS = frozenset({Role.ADMIN})
BOTH = frozenset({Role.NODE, Role.ADMIN})

Job = commands.Job
OPEN = (Job.WAITING, Job.RUNNING)


class JobCalls:
    """Registers the calls on the peers channel."""

    def __init__(
        self,
        network: PeerNetwork,
        *,
        catalog: Catalog,
        background_jobs: Callable[[], BackgroundJobs],
        propose: Callable[[commands.Command], Awaitable[commands.Result]],
        barrier: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalog = catalog
        self._background_jobs = background_jobs
        self._propose = propose
        self._barrier = barrier
        network.serve("admin.jobs", self._jobs, roles=BOTH)
        network.serve("admin.job_put", self._put, roles=ADMINS)
        network.serve("admin.job_cancel", self._cancel, roles=ADMINS)

    async def _jobs(self, _peer: Peer, _body: bytes, _payload: memoryview) -> Reply:
        await self._barrier()
        answer = admin.Jobs(
            jobs=[job.SerializeToString() for job in self._catalog.jobs()], short=self._background_jobs().short
        )
        return Reply(answer.SerializeToString())

    async def _put(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        request = admin.JobPut.FromString(body)
        try:
            kind = Job.Kind.Value(request.kind.upper())
        except ValueError:
            raise Invalid(f"there is no kind of job {request.kind!r}") from None
        await self._barrier()
        nodes = list(request.nodes) or self._background_jobs().reachable()
        if kind == Job.DRAIN and len(request.nodes) != 1:
            raise Invalid("one node is drained at a time")
        ids = [await self._put_one(kind, node, request) for node in nodes]
        return Reply(admin.JobPutReply(ids=ids).SerializeToString())

    async def _put_one(self, kind: int, node: str, request: admin.JobPut) -> int:
        job = self._background_jobs().wanted(kind, node, apply=request.apply, force=request.force)
        known = self._open(kind, node)
        if known is not None and known.state == Job.WAITING and known.not_before_ns > time.time_ns():
            await self._end(known.id)
        try:
            return (await self._propose(commands.Command(put_job=commands.PutJob(job=job)))).job
        except AlreadyExists:
            known = self._open(kind, node)
            if known is None or known.apply != request.apply:
                raise
            return known.id

    def _open(self, kind: int, node: str) -> Job | None:
        jobs = self._catalog.jobs()
        return next((job for job in jobs if (job.kind, job.node) == (kind, node) and job.state in OPEN), None)

    async def _end(self, number: int) -> None:
        try:
            await self._propose(commands.Command(cancel_job=commands.CancelJob(id=number)))
        except Changed:
            pass

    async def _cancel(self, _peer: Peer, body: bytes, _payload: memoryview) -> Reply:
        number = admin.JobCancel.FromString(body).id
        await self._propose(commands.Command(cancel_job=commands.CancelJob(id=number)))
        return Reply(admin.JobReply().SerializeToString())
