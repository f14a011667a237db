"""`pixraft trash`: what is in an account's trash, and emptying it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
from raftstore.cluster.calls import trash as trash_calls
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft trash anna --cluster pictures -o json
pixraft trash anna --empty --cluster pictures
"""


def _all(client: ClusterClient, name: str) -> Iterator[admin_pb2.Trashed]:
    request = admin_pb2.TrashRequest(name=name)
    while page := run(client.ask(trash_calls.trash, request)).trashed:
        yield from page
        request.after = page[-1].inode


def _shape(trashed: admin_pb2.Trashed) -> dict[str, object]:
    return {
        "name": trashed.name,
        "path": trashed.path,
        "bytes": trashed.size,
        "removed": output.moment(trashed.removed_ns),
        "expires": output.moment(trashed.expires_ns),
    }


@click.command("trash", cls=output.PixraftCommand, examples=EXAMPLES)
@name_argument
@click.option("--empty", is_flag=True, help="Delete all that is in it now, for good.")
@access_options
@output.output_option
def command(access: Access, name: str, empty: bool, form: str) -> None:
    """List what is in an account's trash, the oldest first: its name there, and the path where it was.

    `pixraft restore` puts something back. Times are in UTC.
    """
    client = ClusterClient(access)
    if empty:
        removed = run(client.ask(trash_calls.empty, admin_pb2.TrashEmpty(name=name))).removed
        if form == "json":
            output.print_json({"user": name, "removed": removed})
        else:
            click.echo(f"{removed} files are gone for good.")
        return
    found = list(_all(client, name))
    if form == "json":
        output.print_json({"user": name, "trash": [_shape(each) for each in found]})
    elif not found:
        click.echo("There is nothing.")
    else:
        titles = ["removed", "expires", "bytes", "entry", "path"]
        rows = [
            [
                output.moment(each.removed_ns) or "-",
                output.moment(each.expires_ns) or "-",
                output.human_bytes(each.size),
                each.name,
                each.path,
            ]
            for each in found
        ]
        click.echo("\n".join(output.plain_table(titles, rows, right=("bytes",))))
