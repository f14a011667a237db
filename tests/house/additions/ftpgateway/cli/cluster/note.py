"""`pixraft note`: show a note, or put one."""

from __future__ import annotations

import click
from raftstore.cluster.calls.notes import note, put_note

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft note greeting --cluster pictures
pixraft note greeting --text hello --cluster pictures
"""


@output.command("note", EXAMPLES)
@click.argument("name")
@click.option("--text", help="Put this.")
@access_options
@output.output_option
def command(access: Access, name: str, text: str | None, form: str) -> None:
    """Show a note; with --text, put it."""
    client = ClusterClient(access)
    if text is not None:
        reply = run(client.ask(put_note, admin_pb2.NotePut(name=name, text=text)))
    else:
        reply = run(client.ask(note, admin_pb2.NoteRequest(name=name)))
    if form == "json":
        output.print_json({"name": reply.name, "text": reply.text, "counts": dict(reply.counts)})
    else:
        click.echo(f"{reply.name}: {reply.text}")
