"""`pixraft user block` and `unblock`, and what is left of a person that is none any more."""

from __future__ import annotations

import asyncio
import time

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.asking import confirm
from ftpgateway.cli.helpers.useroptions import name_argument
from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.cluster.calls import people as people_calls
from raftstore.errors import NotFound, Unavailable
from raftstore.wire import admin_pb2

HELD_POLL = 0.5
HELD_SECONDS = 60.0
"""Longest wait for who still writes what is to be deleted: its sessions end, but a node that is down cannot say so."""


def confirm_purge(client: ClusterClient, name: str) -> None:
    """Ask whether all that is in a person's own places is to be deleted, and say how much that is at most."""
    what = f"what {name!r} has in its home, its inbox and its trash, and what it has sent, would be deleted for good"
    try:
        account = run(client.ask(accounts_calls.account, admin_pb2.AccountRequest(name=name)))
    except NotFound:
        confirm(what)  # the rest of a purge that was broken off
        return
    owned = f"it owns {account.user.used_files} names, {output.human_bytes(account.user.used_bytes)}"
    came = f"{account.inbox.files} in its inbox, {output.human_bytes(account.inbox.bytes)}"
    confirm(f"{what} ({owned}; {came})")


def purged(client: ClusterClient, name: str) -> int:
    """Delete what a former person has left, some at a time; return how many names that were.

    Raises Unavailable when the rest is held by somebody who still writes there.
    """

    async def all_of_it() -> int:
        removed, deadline = 0, time.monotonic() + HELD_SECONDS
        while True:
            done = await client.ask(people_calls.purge, admin_pb2.PersonPurge(name=name))
            removed += done.removed
            if done.finished:
                return removed
            if done.removed:
                deadline = time.monotonic() + HELD_SECONDS
            elif time.monotonic() >= deadline:
                raise Unavailable(
                    f"{removed} names are deleted; a node still writes the rest: once it is up or its sessions have "
                    f"ended, `pixraft user remove {name} --purge` goes on"
                )
            else:
                await asyncio.sleep(HELD_POLL)

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
