"""What the commands that have work in the background begun now share."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access
from ftpgateway.cli.client import ClusterClient
from ftpgateway.cli.durations import Duration
from ftpgateway.cli.helpers import jobview
from raftstore.errors import StoreError

wait_option = click.option(
    "--wait",
    type=Duration(),
    default="1h",
    show_default=True,
    help="How long to wait until it is done; it goes on afterwards all the same.",
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Return at once; `pixraft jobs list` tells.")


def carry_out(
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
    """Have jobs made now and wait for their end; return them, or None with `no_wait`."""
    client = ClusterClient(access)
    ids = jobview.make(client, kind, nodes, apply=apply, force=force)
    if no_wait:
        if form == "json":
            output.print_json({"begun": ids})
        else:
            click.echo(f"Begun: jobs {', '.join(map(str, ids))}.")
        return None
    return jobview.follow(client, ids, wait, form)


def end(jobs: list[jobview.Job]) -> None:
    """Exit with an error unless all have ended well."""
    if jobview.failed(jobs):
        click.get_current_context().exit(StoreError.exit_code)
