"""Jobs: list those that the cluster knows, have some made now, cancel one."""

from __future__ import annotations

import time

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.jobs.task import OPEN
from raftstore.errors import AlreadyExists, Changed, Invalid
from raftstore.peers.calls import admin_call
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

Job = commands.Job


@admin_call("admin.jobs", admin.JobsRequest, admin.Jobs, changes=False)
async def list_jobs(node: NodeContext, _request: admin.JobsRequest) -> admin.Jobs:
    """List all, after a read barrier, and count the chunks with too few copies."""
    await node.barrier()
    return admin.Jobs(jobs=[job.SerializeToString() for job in node.catalog.jobs()], short=node.jobs().short)


@admin_call("admin.job_put", admin.JobPut, admin.JobPutReply, changes=True)
async def put_job(node: NodeContext, request: admin.JobPut) -> admin.JobPutReply:
    """Have jobs of a kind made, for the nodes that are named or else all that can be reached; one that waits for its
    time is made to begin. Raises Invalid, and AlreadyExists for one that is under way and was asked for otherwise.
    """
    try:
        kind = Job.Kind.Value(request.kind.upper())
    except ValueError:
        raise Invalid(f"there is no kind of job {request.kind!r}") from None
    await node.barrier()
    nodes = list(request.nodes) or node.jobs().reachable()
    return admin.JobPutReply(ids=[await _put(node, kind, name, request) for name in nodes])


async def _put(node: NodeContext, kind: int, name: str, request: admin.JobPut) -> int:
    job = node.jobs().asked(kind, name, request)
    known = _open(node, kind, name)
    if known is not None and known.state == Job.WAITING and known.not_before_ns > time.time_ns():
        await _end(node, known.id)
    try:
        return (await node.propose(commands.Command(put_job=commands.PutJob(job=job)))).job
    except AlreadyExists:
        known = _open(node, kind, name)
        if known is None or known.apply != request.apply:
            raise
        return known.id


def _open(node: NodeContext, kind: int, name: str) -> Job | None:
    jobs = node.catalog.jobs()
    return next((job for job in jobs if (job.kind, job.node) == (kind, name) and job.state in OPEN), None)


async def _end(node: NodeContext, number: int) -> None:
    try:
        await node.propose(commands.Command(cancel_job=commands.CancelJob(id=number)))
    except Changed:
        pass


@admin_call("admin.job_cancel", admin.JobCancel, admin.JobReply, changes=True)
async def cancel_job(node: NodeContext, request: admin.JobCancel) -> admin.JobReply:
    """Give a job up. Raises NotFound, and Changed when it is over."""
    await node.propose(commands.Command(cancel_job=commands.CancelJob(id=request.id)))
    return admin.JobReply()
