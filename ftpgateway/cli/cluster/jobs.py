"""`pixraft jobs`: the work in the background, who does it and how far it is."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.live import Live
from rich.text import Text

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers import jobview
from raftstore.cluster.calls import jobs as jobs_calls
from raftstore.cluster.jobs.task import OPEN
from raftstore.errors import Changed, Invalid, NotFound
from raftstore.wire import admin_pb2

LIST_EXAMPLES = """
pixraft jobs list --cluster pictures
pixraft jobs list --cluster pictures --all
pixraft jobs list --cluster pictures --watch
"""


class _Number(click.ParamType[int]):
    """The number of a job."""

    name = "ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return it; a usage error otherwise."""
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text)):
            self.fail(
                f"{text!r} is not the number of a job; see `pixraft jobs list --all`",
                param,
                ctx,
            )
        return int(text)


KINDS = ", ".join(jobview.Job.Kind.keys()).lower()


@click.group("jobs", cls=output.ListingGroup, help=f"Work in the background: {KINDS}. By itself: list.")
def command() -> None:
    """See `help` above: it names the kinds that there are."""


@command.command("list", cls=output.PixraftCommand, examples=LIST_EXAMPLES)
@access_options
@click.option("--all", "everything", is_flag=True, help="Also jobs that are over.")
@click.option("--watch", "-w", is_flag=True, help="Go on showing them until Ctrl-C.")
@output.output_option
def list_jobs(access: Access, everything: bool, watch: bool, form: str) -> None:
    """List the jobs that are open: the leader makes them, the node named in a job does it."""
    client = ClusterClient(access)
    if watch:
        _watch(client, everything=everything, as_json=form == "json")
        return
    _print(client, everything=everything, as_json=form == "json")


def _shown(client: ClusterClient, *, everything: bool) -> tuple[list[jobview.Job], int]:
    jobs, short = jobview.ask(client)
    return [job for job in jobs if everything or job.state in OPEN], short


def _print(client: ClusterClient, *, everything: bool, as_json: bool) -> None:
    jobs, short = _shown(client, everything=everything)
    if as_json:
        output.print_json({"jobs": [jobview.as_json(job) for job in jobs], "short": short})
    else:
        click.echo("\n".join(_lines(jobs, short)))


def _lines(jobs: list[jobview.Job], short: int) -> list[str]:
    return [*jobview.rows(jobs), f"{short} chunks have fewer copies than wanted."]


def _watch(client: ClusterClient, *, everything: bool, as_json: bool) -> None:
    console = output.console()
    try:
        if as_json or not console.is_terminal:
            while True:
                _print(client, everything=everything, as_json=as_json)
                time.sleep(1)
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(Text("\n".join(_lines(*_shown(client, everything=everything)))), refresh=True)
                time.sleep(1)
    except KeyboardInterrupt:
        return


@command.command("show", cls=output.PixraftCommand, examples="pixraft jobs show 17 --cluster pictures")
@click.argument("number", metavar="ID", type=_Number())
@access_options
@output.output_option
def show(access: Access, number: int, form: str) -> None:
    """Show all that is known of a job, also for a week after its end."""
    jobs, _ = jobview.ask(ClusterClient(access))
    job = next((job for job in jobs if job.id == number), None)
    if job is None:
        raise NotFound(f"job {number}")
    shape: dict[str, Any] = jobview.as_json(job)
    if form == "json":
        output.print_json(shape)
        return
    for key, value in shape.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {count}" for name, count in value.items())
        if value not in (None, ""):
            click.echo(f"{key:<12}{value}")


@command.command("cancel", cls=output.PixraftCommand, examples="pixraft jobs cancel 17 --cluster pictures")
@click.argument("number", metavar="ID", type=_Number())
@access_options
@output.output_option
def cancel(access: Access, number: int, form: str) -> None:
    """Give a job up. What is due is made again by itself; a cancelled drain makes the node take pictures again."""
    request = admin_pb2.JobCancel(id=number)
    try:
        run(ClusterClient(access).ask(jobs_calls.cancel_job, request))
    except Changed:
        raise Invalid(f"job {number} is over already; there is nothing to cancel") from None
    if form == "json":
        output.print_json({"id": number, "done": "cancelled"})
    else:
        click.echo(f"Job {number} cancelled.")
