"""`pixraft scrub`: when all was verified last; verify it now."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers import jobview
from ftpgateway.cli.helpers.upkeep import carry_out, end, no_wait_option, wait_option
from raftstore.errors import NotFound

EXAMPLES = """
pixraft scrub --cluster pictures
pixraft scrub --now --cluster pictures
pixraft scrub --now n2 --cluster pictures
"""


@output.command("scrub", EXAMPLES)
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@access_options
@click.option("--now", is_flag=True, help="Begin now instead of when it is due.")
@wait_option
@no_wait_option
@output.output_option
def command(access: Access, nodes: tuple[str, ...], now: bool, wait: float, no_wait: bool, form: str) -> None:
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
    ended = carry_out(access, "scrub", list(nodes), wait, form, no_wait=no_wait)
    if ended is not None:
        jobview.report(ended, form)
        end(ended)
