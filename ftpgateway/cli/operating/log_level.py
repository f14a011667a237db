"""`pixraft log-level`: what nodes log, changed for a while as they run."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import Duration
from ftpgateway.cli.errors import NotReachable
from ftpgateway.cli.operating.sessions import no_answer
from ftpgateway.serving.logs.loglevel import LEVELS
from ftpgateway.serving.logs.loglevelcalls import set_log_level, show_log_level
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft log-level --cluster pictures
pixraft log-level n2 debug --for 5m --cluster pictures
pixraft log-level debug --cluster pictures
pixraft log-level n2 configured --cluster pictures
"""

CONFIGURED = "configured"


@output.command("log-level", EXAMPLES)
@click.argument("words", metavar="[NODE] [LEVEL]", nargs=-1)
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default="10m",
    show_default=True,
    help="After so long the node logs as configured again.",
)
@access_options
@output.output_option
def command(access: Access, words: tuple[str, ...], seconds: float, form: str) -> None:
    """Have a node, or all, log at another level for a while; without LEVEL, show what is in force.

    LEVEL is debug, info, warning or error, or configured: as log.level in the configuration has it. By itself, or with
    a new start, the node returns to that. It takes effect at once.
    """
    node, level = parsed(words)
    if node is not None:
        if access.node not in (None, node):
            raise click.UsageError(f"--node {access.node} and {node} are two nodes: name one")
        access = access.of(node)
    client = ClusterClient(access)
    if level is None:
        answers, failures = run(client.ask_each(show_log_level, admin_pb2.LogLevelRequest()))
    else:
        request = (
            admin_pb2.LogLevelSet()
            if level == CONFIGURED
            else admin_pb2.LogLevelSet(level=level, seconds=seconds)
        )
        answers, failures = run(client.ask_each(set_log_level, request))
    if not answers:
        raise no_answer(failures)
    if form == "json":
        nodes = [
            {"node": name, "level": one.level, "configured": one.configured, "seconds": round(one.seconds)}
            for name, one in answers.items()
        ]
        output.print_json({"nodes": nodes, "not_reached": sorted(failures)})
    else:
        for name, one in answers.items():
            click.echo(said(name, one))
    if failures:
        output.warn(
            "; ".join(f"{name} does not answer: {error.detail or error}" for name, error in failures.items())
        )
        click.get_current_context().exit(NotReachable.exit_code if level is not None else 0)


def parsed(words: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Return node and level of the arguments. Raises UsageError. Pure."""
    levels = (*LEVELS, CONFIGURED)
    if not words:
        return None, None
    if len(words) == 1:
        return (None, words[0]) if words[0] in levels else (words[0], None)
    if len(words) > 2 or words[1] not in levels:
        raise click.UsageError(f"give a node and a level: {', '.join(levels)}")
    return words[0], words[1]


def said(node: str, level: admin_pb2.LogLevel) -> str:
    """Say what a node logs. Pure."""
    if not level.seconds:
        return f"{node} logs at level {level.level}, as configured."
    return f"{node} logs at level {level.level}; in {output.age(level.seconds)} at {level.configured} again."
