"""`pixraft drain`: prepare a node for leaving."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers import jobview
from ftpgateway.cli.helpers.upkeep import carry_out, end, no_wait_option, wait_option
from raftstore.cluster.calls import jobs as jobs_calls
from raftstore.cluster.jobs.task import OPEN
from raftstore.errors import NotFound
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft drain n3 --cluster pictures
pixraft drain n3 --cancel --cluster pictures
"""


@output.command("drain", EXAMPLES)
@click.argument("name", metavar="NODE")
@access_options
@click.option("--cancel", is_flag=True, help="Let the node take pictures again.")
@click.option(
    "--force", is_flag=True, help="Also when fewer nodes are left than there are to be copies: fewer then."
)
@wait_option
@no_wait_option
@output.output_option
def command(
    access: Access, name: str, cancel: bool, force: bool, wait: float, no_wait: bool, form: str
) -> None:
    """Prepare a node for leaving: what it has gets copies on the others, and it gets nothing new.

    It goes on serving clients. It stays drained until --cancel, or until `pixraft node remove`.
    `pixraft status` names it.
    """
    if cancel:
        _undrain(access, name, form)
        return
    jobs = carry_out(access, "drain", [name], wait, form, no_wait=no_wait, force=force)
    if jobs is not None:
        jobview.report(jobs, form)
        end(jobs)


def _undrain(access: Access, node: str, form: str) -> None:
    client = ClusterClient(access)
    standing = (*OPEN, jobview.Job.DONE)
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
