"""`pixraft user orphans` and `adopt`: what accounts that were removed have left, and whose it becomes."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.errors import NotFound
from raftstore.types import owner_name
from raftstore.wire import admin_pb2


def _asked(access: Access) -> list[admin_pb2.Orphan]:
    answer = run(ClusterClient(access).ask(accounts_calls.orphans, admin_pb2.OrphansRequest()))
    return list(answer.orphans)


@click.command("orphans", cls=output.PixraftCommand, examples="pixraft user orphans --cluster pictures -o json")
@access_options
@output.output_option
def orphans(access: Access, form: str) -> None:
    """List who has left something and has no account any more: what was published, by the name of then.

    Several lines of one name are several accounts, one after the other; the owner tells them apart.
    """
    found = _asked(access)
    if form == "json":
        shown = [
            {"user": owner_name(each.owner), "owner": each.owner, "files": each.files, "bytes": each.bytes}
            for each in found
        ]
        output.print_json({"orphans": shown})
    elif not found:
        click.echo("Everything belongs to an account.")
    else:
        titles = ["user", "owner", "files", "bytes"]
        rows = [
            [owner_name(each.owner), each.owner, str(each.files), output.human_bytes(each.bytes)]
            for each in found
        ]
        click.echo("\n".join(output.plain_table(titles, rows, right=("files", "bytes"))))


ADOPT_EXAMPLES = """
pixraft user adopt anna --from bob --cluster pictures
pixraft user adopt anna --from bob/1x7 --cluster pictures -o json
"""


@click.command("adopt", cls=output.PixraftCommand, examples=ADOPT_EXAMPLES)
@name_argument
@click.option(
    "--from",
    "before",
    required=True,
    metavar="OLDNAME",
    help="Name of an account that was removed; all of that name, or one, as `pixraft user orphans` tells the owner.",
)
@access_options
@output.output_option
def adopt(access: Access, name: str, before: str, form: str) -> None:
    """Hand what a removed account has left over to another one: files, directories, interrupted uploads.

    It counts for the quota of the new owner, also beyond it. Who breaks this off can begin again.
    """
    owners = [each.owner for each in _asked(access) if before in (each.owner, owner_name(each.owner))]
    if not owners:
        raise NotFound(f"anything left of a removed account {before!r}; `pixraft user orphans` lists what is")
    total = 0
    for owner in owners:
        total += _adopt(access, owner, name, form, total)
    if form == "json":
        output.print_json({"user": name, "from": owners, "adopted": total})
    else:
        click.echo(f"User {name!r} has {total} name{'' if total == 1 else 's'} more.")


def _adopt(access: Access, owner: str, name: str, form: str, before: int) -> int:
    client, after, adopted = ClusterClient(access), 0, 0
    while True:
        request = admin_pb2.UserAdopt(owner=owner, name=name, after=after)
        done = run(client.ask(accounts_calls.adopt, request))
        after, adopted = done.after, adopted + done.adopted
        if done.finished:
            return adopted
        if form == "text":
            click.echo(f"{before + adopted} names so far", err=True)
