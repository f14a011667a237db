"""`pixraft restore`: put a file of an account's trash back."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import directory, name_argument
from raftstore.cluster.calls import trash as trash_calls
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft restore anna /people/anna/photo.jpg --cluster pictures
pixraft restore anna "photo (2).jpg" --to /people/anna/found.jpg --cluster pictures
"""


@click.command("restore", cls=output.PixraftCommand, examples=EXAMPLES)
@name_argument
@click.argument("entry", metavar="PATH|ENTRY")
@click.option(
    "--to",
    callback=directory,
    metavar="PATH",
    help="Where to put it in the store, instead of where it was.",
)
@click.option("--beside", is_flag=True, help="Where the name is taken, put it beside, with a number.")
@click.option("--replace", is_flag=True, help="Put it in place of what is there.")
@access_options
@output.output_option
def command(
    access: Access, name: str, entry: str, to: str | None, beside: bool, replace: bool, form: str
) -> None:
    """Put a file of an account's trash back, to where it was.

    PATH is where the file was, in the store or as the user sees it; what was deleted from there last comes back. ENTRY
    is its name in the trash, without a /. Missing directories are made. Nothing that is there is replaced unless that
    is asked for.
    """
    if beside and replace:
        raise click.UsageError("--beside and --replace exclude each other")
    request = admin_pb2.TrashRestore(name=name, entry=entry, to=to or "", beside=beside, replace=replace)
    path = run(ClusterClient(access).ask(trash_calls.restore, request)).path
    if form == "json":
        output.print_json({"user": name, "restored": path})
    else:
        click.echo(f"Restored {path}.")
