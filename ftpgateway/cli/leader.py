"""`pixraft leader`: who leads."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore.wire import admin_pb2

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
    reply = run(
        ClusterClient(access).ask("admin.transfer", admin_pb2.Transfer(target=target), admin_pb2.TransferReply)
    )
    if form == "json":
        output.print_json({"asked": reply.target or None})
    else:
        click.echo(f"{reply.target} was asked to take over." if reply.target else f"{target} leads already.")
