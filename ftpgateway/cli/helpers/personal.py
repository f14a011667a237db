"""`pixraft user block` and `unblock`, and what is left of a person that is none any more."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument
from raftstore.cluster.calls import people as people_calls
from raftstore.wire import admin_pb2


def purged(client: ClusterClient, name: str) -> int:
    """Delete what a former person has left, some at a time; return how many names that were."""

    async def all_of_it() -> int:
        removed = 0
        while True:
            done = await client.ask(people_calls.purge, admin_pb2.PersonPurge(name=name))
            removed += done.removed
            if done.finished:
                return removed

    return run(all_of_it())


_other = click.argument("other")


@click.command("block", cls=output.PixraftCommand, examples="pixraft user block anna bob --cluster pictures")
@name_argument
@_other
@access_options
@output.output_option
def block(access: Access, name: str, other: str, form: str) -> None:
    """Have a person take no pictures from OTHER, who is not told why. What came stays.

    `pixraft inbox NAME` lists whom it blocks. A person does the same by SITE BLOCK.
    """
    _put(access, admin_pb2.BlockPut(person=name, name=other), form)


@click.command(
    "unblock", cls=output.PixraftCommand, examples="pixraft user unblock anna bob --cluster pictures"
)
@name_argument
@_other
@access_options
@output.output_option
def unblock(access: Access, name: str, other: str, form: str) -> None:
    """Have a person take pictures from OTHER again."""
    _put(access, admin_pb2.BlockPut(person=name, name=other, off=True), form)


def _put(access: Access, request: admin_pb2.BlockPut, form: str) -> None:
    run(ClusterClient(access).ask(people_calls.block, request))
    if form == "json":
        output.print_json({"user": request.person, "other": request.name, "blocked": not request.off})
    else:
        what = "takes pictures from" if request.off else "takes no pictures from"
        click.echo(f"User {request.person!r} {what} {request.name!r}{' again' if request.off else ''}.")
