"""`pixraft repair`: missing copies are made now."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient
from ftpgateway.cli.helpers import jobview
from ftpgateway.cli.helpers.upkeep import carry_out, end, no_wait_option, wait_option

EXAMPLES = """
pixraft repair --cluster pictures
pixraft repair --cluster pictures --no-wait
"""


@output.command("repair", EXAMPLES)
@access_options
@wait_option
@no_wait_option
@output.output_option
def command(access: Access, wait: float, no_wait: bool, form: str) -> None:
    """Have missing copies made now. Nobody has to: the cluster does it by itself.

    What is on nodes that cannot be reached now counts as lost, without waiting for `jobs.repair_after`.
    """
    jobs = carry_out(access, "repair", [], wait, form, no_wait=no_wait)
    if jobs is not None:
        short = jobview.ask(ClusterClient(access))[1]
        jobview.report(jobs, form, short=short)
        if form == "text":
            click.echo(f"{short} chunks have fewer copies than wanted.")
        end(jobs)
