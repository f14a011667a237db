"""`pixraft group`: persons under one name, to whom one can send at once."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.useroptions import name_argument, new_name_argument
from raftstore.cluster.calls import people as people_calls
from raftstore.types import owner_name
from raftstore.wire import admin_pb2


class Names(click.ParamType[tuple[str, ...]]):
    """Names of accounts, separated by commas."""

    name = "NAMES"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names, each once."""
        if isinstance(value, tuple):
            return value
        names = [word.strip() for word in str(value).split(",")]
        if not all(names):
            self.fail(f"{value!r} is not names separated by commas", param, ctx)
        return tuple(dict.fromkeys(names))


@click.group("group", cls=output.ListingGroup)
def command() -> None:
    """Groups of persons: make, change, list, remove. By itself: list."""


def _done(form: str, name: str, done: str) -> None:
    if form == "json":
        output.print_json({"group": name, "done": done})
    else:
        click.echo(f"Group {name!r} {done}.")


ADD_EXAMPLES = """
pixraft group add family --members anna,bob --cluster pictures
pixraft group add club --owner anna --cluster pictures
"""


@command.command("add", cls=output.PixraftCommand, examples=ADD_EXAMPLES)
@new_name_argument
@click.option("--members", type=Names(), default=(), help="Persons who are in it: anna,bob. At most 1000.")
@click.option("--owner", default="", help="The person whose it is, who sends to it without being in it.")
@access_options
@output.output_option
def add(access: Access, name: str, members: tuple[str, ...], owner: str, form: str) -> None:
    """Make a group. Its members, and its owner, send to all others in it by /send/NAME/, and see each other there."""
    request = admin_pb2.GroupPut(name=name, create=True, add=members, owner=owner)
    run(ClusterClient(access).ask(people_calls.put_group, request))
    _done(form, name, "added")


@command.command("remove", cls=output.PixraftCommand, examples="pixraft group remove family --cluster pictures")
@name_argument
@access_options
@output.output_option
def remove(access: Access, name: str, form: str) -> None:
    """Remove a group. What was sent to it stays where it is."""
    run(ClusterClient(access).ask(people_calls.remove_group, admin_pb2.GroupRemove(name=name)))
    _done(form, name, "removed")


MEMBERS_EXAMPLES = """
pixraft group members family --cluster pictures -o json
pixraft group members family --add carol --remove bob --cluster pictures
"""


@command.command("members", cls=output.PixraftCommand, examples=MEMBERS_EXAMPLES)
@name_argument
@click.option("--add", "added", type=Names(), default=(), help="Who comes in: carol,dave.")
@click.option("--remove", "removed", type=Names(), default=(), help="Who goes.")
@access_options
@output.output_option
def members(access: Access, name: str, added: tuple[str, ...], removed: tuple[str, ...], form: str) -> None:
    """List the members of a group, after changing them if that is asked for."""
    client = ClusterClient(access)
    if added or removed:
        request = admin_pb2.GroupPut(name=name, add=added, remove=removed)
        run(client.ask(people_calls.put_group, request))
    found = run(client.ask(people_calls.groups, admin_pb2.GroupsRequest(name=name))).groups[0]
    if form == "json":
        output.print_json(_shape(found))
    else:
        click.echo("\n".join(found.members) if found.members else f"Group {name!r} has no members.")


def _shape(group: admin_pb2.Group) -> dict[str, object]:
    return {"name": group.name, "owner": owner_name(group.owner) or None, "members": list(group.members)}


def _all(client: ClusterClient) -> Iterator[admin_pb2.Group]:
    after = ""
    while page := run(client.ask(people_calls.groups, admin_pb2.GroupsRequest(after=after))).groups:
        yield from page
        after = page[-1].name


@command.command("list", cls=output.PixraftCommand, examples="pixraft group list --cluster pictures -o json")
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List the groups: whose each is, and how many are in it."""
    found = list(_all(ClusterClient(access)))
    if form == "json":
        output.print_json({"groups": [_shape(group) for group in found]})
    elif not found:
        click.echo("There are no groups: make one with `pixraft group add NAME`.")
    else:
        rows = [[group.name, owner_name(group.owner) or "-", str(len(group.members))] for group in found]
        click.echo("\n".join(output.plain_table(["group", "owner", "members"], rows, right=("members",))))
