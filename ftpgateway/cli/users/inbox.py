"""`pixraft inbox`: how full a person's inbox is, and whom it takes nothing from."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
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
        shape: dict[str, object] = {"user": name, "bytes": found.bytes, "files": found.files}
        shape |= {"max_bytes": found.max_bytes, "max_files": found.max_files}
        shape |= {"max_sender_bytes": found.sender_bytes, "max_sender_files": found.sender_files}
        output.print_json(shape | {"blocks": list(found.blocks)})
        return
    click.echo(
        f"{output.human_bytes(found.bytes)} of {output.human_bytes(found.max_bytes)}, "
        f"{found.files} of {found.max_files} files and directories.\n"
        f"Of one sender at most {output.human_bytes(found.sender_bytes)}, {found.sender_files} files.\n"
        f"Blocks: {', '.join(found.blocks) or 'nobody'}."
    )
