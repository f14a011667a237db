"""`pixraft inbox`: how full a person's inbox is, and whom it takes nothing from."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
from ftpgateway.cli.helpers.userview import inbox_as_json
from raftstore.cluster.calls import people as people_calls
from raftstore.wire import admin_pb2


@click.command("inbox", cls=output.PixraftCommand, examples="pixraft inbox anna --cluster pictures -o json")
@name_argument
@access_options
@output.output_option
def command(access: Access, name: str, form: str) -> None:
    """Tell how full a person's inbox is, what it takes at most, and whom the person blocks; not what is in it."""
    found = run(ClusterClient(access).ask(people_calls.inbox, admin_pb2.InboxRequest(name=name)))
    if form == "json":
        output.print_json({"user": name} | inbox_as_json(found))
        return
    click.echo(
        f"{output.human_bytes(found.bytes)} of {output.human_bytes(found.max_bytes)}, "
        f"{found.files} of {found.max_files} files and directories.\n"
        f"Of one sender at most {output.human_bytes(found.sender_bytes)}, {found.sender_files} files.\n"
        f"Blocks: {', '.join(found.blocks) or 'nobody'}."
    )
