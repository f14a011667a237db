"""`pixraft status`: how the cluster is, once or until Ctrl-C."""

from __future__ import annotations

import time

import click
from rich.live import Live

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers import statusview
from raftstore.types import ClusterStatus

_POLL = 0.25

EXAMPLES = """
pixraft status --cluster pictures
pixraft status --cluster pictures --watch
pixraft status --cluster pictures --wait 60
pixraft status --config n1/pixraft.toml --node n2 -o json
"""


@output.command("status", EXAMPLES)
@access_options
@click.option("--watch", "-w", is_flag=True, help="Go on showing it until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between looks.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 86400),
    default=0.0,
    help="Wait until it is healthy, so many seconds at most.",
)
@output.output_option
def command(access: Access, watch: bool, interval: float, wait: float, form: str) -> None:
    """Show how the cluster is: a verdict, and a line for each node.

    The verdict is healthy, degraded (it works, but a node is down or pictures lack copies) or no quorum
    (reads and writes are refused). The exit code says it too: 0, 8, 30; 5 when no node answers.
    """
    client = ClusterClient(access)
    if watch:
        _watch(client, interval, as_json=form == "json")
        return
    status = _waited(client, wait)
    statusview.show(status, as_json_text=form == "json")
    click.get_current_context().exit(statusview.exit_code(status))


def _waited(client: ClusterClient, wait: float) -> ClusterStatus:
    """Return the status as soon as it is healthy, or as it is when the time is over."""
    deadline = time.monotonic() + wait
    while True:
        status = run(client.status())
        if status.verdict == "healthy" or time.monotonic() >= deadline:
            return status
        time.sleep(min(_POLL, max(0.0, deadline - time.monotonic())))


def _watch(client: ClusterClient, interval: float, *, as_json: bool) -> None:
    """Show the status again and again; Ctrl-C is the way to end it, and no failure."""
    console = output.console()
    try:
        if as_json or not console.is_terminal:
            while True:
                statusview.show(run(client.status()), as_json_text=as_json)
                time.sleep(interval)
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(statusview.rich(run(client.status())), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        return
