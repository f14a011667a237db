"""`pixraft fsck`: compare the catalog with the disks."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.errors import NOT_CLEAN
from ftpgateway.cli.helpers import jobview
from ftpgateway.cli.helpers.upkeep import carry_out, end, wait_option
from raftstore.cluster.jobs.counters import JobCounter, total
from raftstore.errors import StoreError

EXAMPLES = """
pixraft fsck --cluster pictures
pixraft fsck --apply --cluster pictures
pixraft fsck n2 --cluster pictures -o json
"""

_BAD = (JobCounter.DAMAGED, JobCounter.MISSING, JobCounter.EXTRA)
"""Counts of fsck that are faults. What has no copy left at all is missing nowhere: the status counts it."""


@output.command("fsck", EXAMPLES)
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@access_options
@click.option("--apply", is_flag=True, help="Mend what is found; otherwise it is only counted.")
@wait_option
@output.output_option
def command(access: Access, nodes: tuple[str, ...], apply: bool, wait: float, form: str) -> None:
    """Compare the catalog with the disks: read everything, count what is missing, damaged or too much.

    `extra` is what nothing refers to and collection should have removed. Two counts are no fault: `young` is what
    nothing refers to as yet or any more, `unlisted` are sound copies that the catalog does not know. `lost` counts
    pictures of which no node that answers has everything: only another node's return, or another upload, mends them.
    Exits 7 when something is not as it should be, 1 when a node was not checked (down, or new and not ready).
    Damaged bytes are put aside in any case.
    """
    jobs = carry_out(access, "fsck", list(nodes), wait, form, no_wait=False, apply=apply) or []
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
    end(jobs)
    if status.lost_count or (bad and not apply):
        click.get_current_context().exit(NOT_CLEAN)
    if unseen:
        click.get_current_context().exit(StoreError.exit_code)
