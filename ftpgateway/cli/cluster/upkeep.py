"""`pixraft repair`, `scrub`, `drain`, `fsck`: work in the background, begun now."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import Duration
from ftpgateway.cli.errors import NOT_CLEAN
from ftpgateway.cli.helpers import jobview
from raftstore.cluster.calls import jobs as jobs_calls
from raftstore.cluster.jobs.counters import JobCounter, total
from raftstore.errors import NotFound, StoreError
from raftstore.wire import admin_pb2

wait_option = click.option(
    "--wait",
    type=Duration(),
    default="1h",
    show_default=True,
    help="How long to wait until it is done; it goes on afterwards all the same.",
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Return at once; `pixraft jobs list` tells.")


def _carry_out(
    access: Access,
    kind: str,
    nodes: list[str],
    wait: float,
    form: str,
    *,
    no_wait: bool,
    apply: bool = False,
    force: bool = False,
) -> list[jobview.Job] | None:
    client = ClusterClient(access)
    ids = jobview.make(client, kind, nodes, apply=apply, force=force)
    if no_wait:
        if form == "json":
            output.print_json({"begun": ids})
        else:
            click.echo(f"Begun: jobs {', '.join(map(str, ids))}.")
        return None
    return jobview.follow(client, ids, wait, form)


def _end(jobs: list[jobview.Job]) -> None:
    if jobview.failed(jobs):
        click.get_current_context().exit(StoreError.exit_code)


REPAIR_EXAMPLES = """
pixraft repair --cluster pictures
pixraft repair --cluster pictures --no-wait
"""


@output.command("repair", REPAIR_EXAMPLES)
@access_options
@wait_option
@no_wait_option
@output.output_option
def repair(access: Access, wait: float, no_wait: bool, form: str) -> None:
    """Have missing copies made now. Nobody has to: the cluster does it by itself.

    What is on nodes that cannot be reached now counts as lost, without waiting for `jobs.repair_after`.
    """
    jobs = _carry_out(access, "repair", [], wait, form, no_wait=no_wait)
    if jobs is not None:
        short = jobview.ask(ClusterClient(access))[1]
        jobview.report(jobs, form, short=short)
        if form == "text":
            click.echo(f"{short} chunks have fewer copies than wanted.")
        _end(jobs)


SCRUB_EXAMPLES = """
pixraft scrub --cluster pictures
pixraft scrub --now --cluster pictures
pixraft scrub --now n2 --cluster pictures
"""


@output.command("scrub", SCRUB_EXAMPLES)
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@access_options
@click.option("--now", is_flag=True, help="Begin now instead of when it is due.")
@wait_option
@no_wait_option
@output.output_option
def scrub(access: Access, nodes: tuple[str, ...], now: bool, wait: float, no_wait: bool, form: str) -> None:
    """Show when every chunk on disk was verified last and will be next; with --now, verify all.

    A damaged copy is put aside and replaced from a healthy one.
    """
    if not now:
        client = ClusterClient(access)
        jobs, short = jobview.ask(client)
        if nodes:
            known = [node.name for node in run(client.status()).nodes]
            if unknown := [name for name in nodes if name not in known]:
                raise NotFound(NotFound.node(", ".join(unknown), known))
        chosen = [
            job
            for job in jobs
            if job.kind == jobview.Job.SCRUB and (not nodes or job.node in nodes) and job.state != job.CANCELLED
        ]
        jobview.report(chosen, form, short=short)
        return
    ended = _carry_out(access, "scrub", list(nodes), wait, form, no_wait=no_wait)
    if ended is not None:
        jobview.report(ended, form)
        _end(ended)


DRAIN_EXAMPLES = """
pixraft drain n3 --cluster pictures
pixraft drain n3 --cancel --cluster pictures
"""


@output.command("drain", DRAIN_EXAMPLES)
@click.argument("name", metavar="NODE")
@access_options
@click.option("--cancel", is_flag=True, help="Let the node take pictures again.")
@click.option(
    "--force", is_flag=True, help="Also when fewer nodes are left than there are to be copies: fewer then."
)
@wait_option
@no_wait_option
@output.output_option
def drain(access: Access, name: str, cancel: bool, force: bool, wait: float, no_wait: bool, form: str) -> None:
    """Prepare a node for leaving: what it has gets copies on the others, and it gets nothing new.

    It goes on serving clients. It stays drained until --cancel, or until `pixraft node remove`.
    `pixraft status` names it.
    """
    if cancel:
        _undrain(access, name, form)
        return
    jobs = _carry_out(access, "drain", [name], wait, form, no_wait=no_wait, force=force)
    if jobs is not None:
        jobview.report(jobs, form)
        _end(jobs)


def _undrain(access: Access, node: str, form: str) -> None:
    client = ClusterClient(access)
    standing = (*jobview.OPEN, jobview.Job.DONE)
    jobs = [
        job
        for job in jobview.ask(client)[0]
        if (job.kind, job.node) == (jobview.Job.DRAIN, node) and job.state in standing
    ]
    if not jobs:
        raise NotFound(f"a drain of {node}")
    for job in jobs:
        request = admin_pb2.JobCancel(id=job.id)
        run(client.ask(jobs_calls.cancel_job, request))
    if form == "json":
        output.print_json({"node": node, "done": "cancelled"})
    else:
        click.echo(f"Node {node} takes pictures again.")


FSCK_EXAMPLES = """
pixraft fsck --cluster pictures
pixraft fsck --apply --cluster pictures
pixraft fsck n2 --cluster pictures -o json
"""

_BAD = (JobCounter.DAMAGED, JobCounter.MISSING, JobCounter.EXTRA)
"""Counts of fsck that are faults. What has no copy left at all is missing nowhere: the status counts it."""


@output.command("fsck", FSCK_EXAMPLES)
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@access_options
@click.option("--apply", is_flag=True, help="Mend what is found; otherwise it is only counted.")
@wait_option
@output.output_option
def fsck(access: Access, nodes: tuple[str, ...], apply: bool, wait: float, form: str) -> None:
    """Compare the catalog with the disks: read everything, count what is missing, damaged or too much.

    `extra` is what nothing refers to and collection should have removed. Two counts are no fault: `young` is what
    nothing refers to as yet or any more, `unlisted` are sound copies that the catalog does not know. `lost` counts
    pictures of which no node that answers has everything: only another node's return, or another upload, mends them.
    Exits 7 when something is not as it should be, 1 when a node was not checked (down, or new and not ready).
    Damaged bytes are put aside in any case.
    """
    jobs = _carry_out(access, "fsck", list(nodes), wait, form, no_wait=False, apply=apply) or []
    shown = (JobCounter.VERIFIED, *_BAD, JobCounter.YOUNG, JobCounter.UNLISTED)
    status = run(ClusterClient(access).status())
    found = {counter.value: total(jobs, counter) for counter in shown} | {"lost": status.lost_count}
    bad = status.lost_count or any(total(jobs, counter) for counter in _BAD)
    looked = {job.node for job in jobs if job.state == job.DONE}
    unseen = [name for name in nodes or [node.name for node in status.nodes] if name not in looked]
    jobview.report(jobs, form, clean=not (bad or unseen), applied=apply, not_checked=unseen, **found)
    if form == "text":
        click.echo(", ".join(f"{name} {value}" for name, value in found.items()))
        if unseen:
            click.echo(f"Not checked: {', '.join(unseen)}; once `pixraft status` says healthy, run it again.")
    _end(jobs)
    if status.lost_count or (bad and not apply):
        click.get_current_context().exit(NOT_CLEAN)
    if unseen:
        click.get_current_context().exit(StoreError.exit_code)
