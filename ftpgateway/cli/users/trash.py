"""`pixraft trash`: what is in an account's trash, and emptying it."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import in_words
from ftpgateway.cli.helpers.asking import confirm, yes_option
from ftpgateway.cli.helpers.useroptions import name_argument
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.cluster.calls import trash as trash_calls
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft trash anna --cluster pictures -o json
pixraft trash anna --empty --yes --cluster pictures
"""


def _all(client: ClusterClient, name: str) -> tuple[list[admin_pb2.Trashed], int]:
    """Return what is in it, and for how many seconds what comes is kept; 0: there is no trash."""
    request = admin_pb2.TrashRequest(name=name)
    found: list[admin_pb2.Trashed] = []
    while (page := run(client.ask(trash_calls.trash, request))).trashed:
        found += page.trashed
        request.after = page.trashed[-1].inode
    return found, page.kept_ns // 10**9


def _confirm_empty(client: ClusterClient, name: str) -> None:
    account = run(client.ask(accounts_calls.account, admin_pb2.AccountRequest(name=name)))
    if account.trash_files:
        confirm(
            f"{account.trash_files} files with {output.human_bytes(account.trash_bytes)} in the trash of {name!r} "
            "would be deleted for good"
        )


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
@yes_option
@access_options
@output.output_option
def command(access: Access, name: str, empty: bool, yes: bool, form: str) -> None:
    """List what is in an account's trash, the oldest first: its name there, and the path where it was.

    `pixraft restore` puts something back. Times are in UTC.
    """
    client = ClusterClient(access)
    if empty:
        if not yes:
            _confirm_empty(client, name)
        removed = run(client.ask(trash_calls.empty, admin_pb2.TrashEmpty(name=name))).removed
        if form == "json":
            output.print_json({"user": name, "removed": removed})
        else:
            click.echo(f"{removed} files are gone for good.")
        return
    found, kept = _all(client, name)
    if form == "json":
        output.print_json({"user": name, "trash": [_shape(each) for each in found], "kept": kept})
    elif not found and kept:
        click.echo(f"The trash of {name!r} is empty; what it deletes or replaces is kept for {in_words(kept)}.")
    elif not found:
        click.echo(f"{name!r} has no trash: `pixraft user set {name} --trash 30d` gives it one.")
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
