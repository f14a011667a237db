"""Jobs as text, as JSON, and as progress bars until they are over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ftpgateway.cli import output
from ftpgateway.cli.client import ClusterClient, run
from raftstore.cluster.calls import jobs as jobs_calls
from raftstore.cluster.jobs.task import OPEN
from raftstore.errors import OutcomeUnknown, StoreError
from raftstore.wire import admin_pb2
from raftstore.wire import commands_pb2 as commands

POLL = 0.5

Job = commands.Job


def ask(client: ClusterClient) -> tuple[list[Job], int]:
    """Return the jobs that the cluster knows, and how many chunks have fewer copies than wanted."""
    answer = run(client.ask(jobs_calls.list_jobs, admin_pb2.JobsRequest()))
    return [Job.FromString(data) for data in answer.jobs], answer.short


def make(
    client: ClusterClient, kind: str, nodes: Sequence[str] = (), *, apply: bool = False, force: bool = False
) -> list[int]:
    """Have jobs made now; return their numbers, also of those that were under way already."""
    request = admin_pb2.JobPut(kind=kind, nodes=nodes, apply=apply, force=force)
    return list(run(client.ask(jobs_calls.put_job, request)).ids)


def kind_of(job: Job) -> str:
    """Return what kind of job it is; a number for one that only a later version of pixraft knows."""
    return Job.Kind.Name(job.kind).lower() if job.kind in Job.Kind.values() else str(job.kind)


def state_of(job: Job) -> str:
    """Return its state; a number for one that only a later version of pixraft knows."""
    return Job.State.Name(job.state).lower() if job.state in Job.State.values() else str(job.state)


def as_json(job: Job) -> dict[str, object]:
    """Return the documented shape of a job."""
    return {
        "id": job.id,
        "kind": kind_of(job),
        "node": job.node,
        "state": state_of(job),
        "holder": job.holder or None,
        "reason": job.reason,
        "done": job.progress.done,
        "total": job.progress.total,
        "unit": job.progress.unit,
        "counts": {count.name: count.value for count in job.progress.counts},
        "attempts": job.attempts,
        "error": job.error,
        "not_before": _when(job.not_before_ns),
        "created": _when(job.created_ns),
        "started": _when(job.started_ns),
        "finished": _when(job.finished_ns),
    }


def _when(time_ns: int) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // 10**9)) if time_ns else None


def reported(job: Job) -> str:
    """Say in a few words how far a job is."""
    progress = job.progress
    parts = []
    if job.state == Job.RUNNING and progress.total:
        parts.append(f"{100 * progress.done // progress.total}%")
    if job.state == Job.WAITING and job.not_before_ns > time.time_ns():
        parts.append(f"from {_when(job.not_before_ns)}")
    parts += [f"{count.name} {count.value}" for count in progress.counts if count.value]
    if job.error:
        parts.append(job.error)
    return ", ".join(parts)


def rows(jobs: Sequence[Job]) -> list[str]:
    """Return the lines of a table."""
    cells = [
        [
            str(job.id),
            kind_of(job),
            job.node,
            state_of(job),
            reported(job),
        ]
        for job in jobs
    ]
    return [
        line.rstrip() for line in output.plain_table(["id", "kind", "node", "state", ""], cells, right=("id",))
    ]


def follow(client: ClusterClient, ids: Sequence[int], wait: float, form: str) -> list[Job]:
    """Wait until jobs are over, with a progress bar for each on a terminal; return them as they ended.

    Raises OutcomeUnknown when that takes longer than `wait` seconds: they go on.
    """
    console = output.console()
    if form == "json" or not console.is_terminal:
        return _wait(client, ids, wait, lambda jobs: None)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[reported]}"), console=console) as progress:
        bars: dict[int, int] = {}

        def show(jobs: Sequence[Job]) -> None:
            for job in jobs:
                if job.id not in bars:
                    name = f"{kind_of(job)} {job.node}"
                    bars[job.id] = progress.add_task(name, total=None, reported="")
                over = job.state not in OPEN
                total = job.progress.total or (1 if over else None)
                done = total if over else job.progress.done
                progress.update(bars[job.id], completed=done or 0, total=total, reported=reported(job))  # type: ignore[arg-type]

        return _wait(client, ids, wait, show)


def _wait(
    client: ClusterClient, ids: Sequence[int], wait: float, show: Callable[[Sequence[Job]], None]
) -> list[Job]:
    deadline = time.monotonic() + wait
    while True:
        reason = "under way"
        try:
            known = {job.id: job for job in ask(client)[0]}
            mine = [known[number] for number in ids if number in known]
            show(mine)
            if all(job.state not in OPEN for job in mine):
                return mine
        except StoreError as error:
            reason = str(error)
        if time.monotonic() >= deadline:
            raise OutcomeUnknown(f"not done within {wait:g} s, it goes on: {reason}")
        time.sleep(POLL)


def report(jobs: Sequence[Job], form: str, **more: object) -> None:
    """Print how jobs ended."""
    if form == "json":
        output.print_json({"jobs": [as_json(job) for job in jobs], **more})
        return
    for line in rows(jobs):
        click.echo(line)


def failed(jobs: Sequence[Job]) -> bool:
    """Whether one of them did not end well."""
    return any(job.state != Job.DONE for job in jobs)
