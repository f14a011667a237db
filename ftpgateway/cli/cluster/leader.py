"""`pixraft leader`: who leads."""

from __future__ import annotations

import time

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore.cluster.calls import leader as leader_calls
from raftstore.errors import OutcomeUnknown
from raftstore.wire import admin_pb2

HANDOVER = 10.0
"""Seconds in which the one that was asked has to lead."""
POLL = 0.1

TRANSFER_EXAMPLES = """
pixraft leader transfer --cluster pictures
pixraft leader transfer n2 --cluster pictures
"""


@click.group("leader")
def command() -> None:
    """The leader of the cluster: hand leadership over."""


@command.command("transfer", cls=output.PixraftCommand, examples=TRANSFER_EXAMPLES)
@click.argument("target", metavar="[NODE]", required=False, default="")
@access_options
@output.output_option
def transfer(access: Access, target: str, form: str) -> None:
    """Have the leader hand over to NODE, or to any node that has everything: before maintenance, for example."""
    reply = run(ClusterClient(access).ask(leader_calls.transfer, admin_pb2.Transfer(target=target)))
    leader = reply.target or target
    if reply.target:
        _wait(access, leader)
    if form == "json":
        output.print_json({"leader": leader, "changed": bool(reply.target)})
    else:
        click.echo(f"{leader} leads now." if reply.target else f"{leader} leads already.")


def _wait(access: Access, target: str) -> None:
    deadline = time.monotonic() + HANDOVER
    while (leader := run(ClusterClient(access).status()).leader) != target:
        if time.monotonic() >= deadline:
            raise OutcomeUnknown(
                f"{target} was asked to take over; {leader or 'nobody'} leads after {HANDOVER:g} s"
            )
        time.sleep(POLL)
