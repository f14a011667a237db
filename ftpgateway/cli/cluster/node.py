"""`pixraft node`: add, remove, replace and move nodes of a running cluster."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import Duration
from ftpgateway.cli.helpers import bundle
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.whole import NODE_FILE
from raftstore.cluster.calls import members as members_calls
from raftstore.cluster.membership import tokens
from raftstore.errors import AlreadyExists, OutcomeUnknown, StoreError
from raftstore.peers.security.pki import Authority
from raftstore.util.addresses import Address
from raftstore.util.settings.kinds import Member, check_name
from raftstore.wire import admin_pb2
from raftstore.wire import commands_pb2 as commands

POLL = 0.3

Intent = commands.Intent


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value is None else check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _address(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return str(Address.parse(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


wait_option = click.option(
    "--wait",
    type=Duration(),
    default="10m",
    show_default=True,
    help="How long to wait until it is done; it goes on afterwards all the same.",
)
no_wait_option = click.option("--no-wait", is_flag=True, help="Return at once; `pixraft node list` tells.")
force_option = click.option(
    "--force",
    is_flag=True,
    help="Do not wait until its pictures have enough copies elsewhere: its disk is lost.",
)


@click.group("node")
def command() -> None:
    """Nodes of a running cluster: add, remove, replace, move. All need the admin's certificate."""


# Tokens.

_authority_option = click.option(
    "--authority",
    type=click.Path(path_type=Path),
    help="Directory with the authority's key, on this machine only; by default beside the admin's bundle.",
)
_valid_option = click.option(
    "--valid", type=Duration(), default="1h", show_default=True, help="For how long the token is good."
)

ADD_EXAMPLES = """
pixraft node add n4 --cluster pictures
pixraft node add n4 --cluster pictures --valid 10m -o json
pixraft node add n4 --cluster pictures --authority /media/safe/authority
"""


@command.command("add", cls=output.PixraftCommand, examples=ADD_EXAMPLES)
@click.argument("name", callback=_name)
@access_options
@_authority_option
@_valid_option
@output.output_option
def add(access: Access, name: str, authority: Path | None, valid: float, form: str) -> None:
    """Make a token with which one new machine can join as node NAME, once.

    The node's certificate is made here and now, with the authority's key, which never leaves this machine. On the
    new machine run `pixraft join TOKEN`, then `pixraft serve`. The node takes part, without a vote, until it has
    everything; then it votes.
    """
    try:
        _invite(access, name, "", authority, valid, force=False, form=form)
    except AlreadyExists as error:
        raise AlreadyExists(
            f"{error.detail}; if it never started, or its disk is lost: pixraft node replace {name}; "
            f"to give up an unused token: pixraft node cancel {name}"
        ) from None


REPLACE_EXAMPLES = """
pixraft node replace n2 --cluster pictures          (same name, new empty disk)
pixraft node replace n2 n4 --cluster pictures       (n4 takes the place of n2)
pixraft node replace n2 --force --cluster pictures  (the disk of n2 is lost, and some pictures with it)
"""


@command.command("replace", cls=output.PixraftCommand, examples=REPLACE_EXAMPLES)
@click.argument("old", callback=_name)
@click.argument("new", required=False, callback=_name)
@access_options
@_authority_option
@_valid_option
@force_option
@output.output_option
def replace(
    access: Access, old: str, new: str | None, authority: Path | None, valid: float, force: bool, form: str
) -> None:
    """Make a token for a machine that takes the place of node OLD, under the same name or as NEW.

    Nothing happens before the token is used. Under a new name OLD is removed when NEW votes and pictures have their
    copies without OLD; under the same name OLD is removed first. OLD can be down.
    """
    _invite(access, new or old, old, authority, valid, force=force, form=form)


def _invite(
    access: Access, name: str, replaces: str, authority: Path | None, valid: float, *, force: bool, form: str
) -> None:
    place = authority or access.ca.parent.parent / bundle.AUTHORITY
    if not (place / "ca.key").is_file():
        raise ConfigError(f"{place}: holds no ca.key; give the authority's directory with --authority")
    client = ClusterClient(access)
    members = _membership(access).members
    addresses = [member.address for member in members if member.address]
    token, intent = tokens.make(Authority.load(place), name, valid, addresses, access.cluster, replaces)
    intent.force = force
    _intend(client, intent)
    text = token.encode()
    if form == "json":
        report: dict[str, Any] = {
            "node": name,
            "token": text,
            "expires": _when(token.expires_ns),
            "replaces": replaces or None,
        }
        output.print_json(report)
        return
    click.echo(f"On the new machine, before {_when(token.expires_ns)}:")
    click.echo(f"  pixraft join {text} --dir {name} --listen HOST:PORT")
    click.echo(f"  pixraft serve --config {name}/{NODE_FILE}")
    click.echo("The token works once. Whoever has it can become that node: pass it on like a password.")


# Changes.

REMOVE_EXAMPLES = """
pixraft node remove n3 --cluster pictures
pixraft node remove n3 --force --cluster pictures   (its disk is lost)
"""


@command.command("remove", cls=output.PixraftCommand, examples=REMOVE_EXAMPLES)
@click.argument("name", callback=_name)
@access_options
@force_option
@wait_option
@no_wait_option
@output.output_option
def remove(access: Access, name: str, force: bool, wait: float, no_wait: bool, form: str) -> None:
    """Remove a node for good. It can be down.

    Before it goes, the other nodes have enough copies of its pictures; if it leads, it hands over first.
    It is not done as long as those who remain would have no majority. The removed node stops with exit code 52;
    its data stay where they are.
    """
    _carry_out(access, Intent(kind=Intent.REMOVE, node=name, force=force), wait, no_wait, form, "removed")


MOVE_EXAMPLES = """
pixraft node move n3 host9.example:7420 --cluster pictures
"""


@command.command("move", cls=output.PixraftCommand, examples=MOVE_EXAMPLES)
@click.argument("name", callback=_name)
@click.argument("address", metavar="HOST:PORT", callback=_address)
@access_options
@wait_option
@no_wait_option
@output.output_option
def move(access: Access, name: str, address: str, wait: float, no_wait: bool, form: str) -> None:
    """Tell the cluster that the other nodes reach node NAME at HOST:PORT from now on.

    What a node is called is not where it is: set `peers.listen` in its own file if need be, restart it, and run this.
    """
    _carry_out(access, Intent(kind=Intent.MOVE, node=name, address=address), wait, no_wait, form, "moved")


@command.command("cancel", cls=output.PixraftCommand, examples="pixraft node cancel n4 --cluster pictures")
@click.argument("name", callback=_name)
@access_options
@output.output_option
def cancel(access: Access, name: str, form: str) -> None:
    """Give up what is open for a node: an unused token, a removal or replacement that waits."""
    run(ClusterClient(access).ask(members_calls.cancel, admin_pb2.Cancel(node=name)))
    _report(form, name, "cancelled")
    if form == "text" and any(m.name == name and not m.voter for m in _membership(access).members):
        click.echo(f"It has joined already, and learns: `pixraft node remove {name}` takes it out again.")


@command.command("list", cls=output.PixraftCommand, examples="pixraft node list --cluster pictures -o json")
@access_options
@output.output_option
def list_nodes(access: Access, form: str) -> None:
    """List the members as the cluster has agreed on them, and what is open."""
    membership = _membership(access)
    if form == "json":
        output.print_json(_as_json(membership))
        return
    rows = [
        [m.name, m.address, "votes" if m.voter else "learns", becomes(m, membership.open)]
        for m in membership.members
    ]
    titles = ["node", "address", "role", "then" if any(row[-1] for row in rows) else ""]
    for line in output.plain_table(titles, rows):
        click.echo(line.rstrip())
    for change in membership.open:
        click.echo(f"open: {_reported(change)}")
    for reason in membership.waiting:
        click.echo(f"waits: {reason}")


# Helpers.


def _membership(access: Access) -> admin_pb2.Membership:
    """Ask for the membership, and write the members into the admin's file: so it finds them when all have changed."""
    request = admin_pb2.MembershipRequest()
    membership = run(ClusterClient(access).ask(members_calls.membership, request))
    found = [
        Member(member.name, Address.parse(member.address)) for member in membership.members if member.address
    ]
    unique = len({member.address for member in found}) == len(
        found
    )  # a file with the same one twice is refused
    if access.bundle is not None and found and unique and sorted(found) != sorted(access.members):
        try:
            bundle.update_admin(access.bundle, found)
        except (OSError, ConfigError) as error:
            click.echo(f"pixraft: the members are not written to {access.bundle}: {error}", err=True)
    return membership


def _intend(client: ClusterClient, intent: Intent) -> None:
    request = admin_pb2.Intend(intent=intent.SerializeToString())
    run(client.ask(members_calls.intend, request))


def _carry_out(access: Access, intent: Intent, wait: float, no_wait: bool, form: str, done: str) -> None:
    client = ClusterClient(access)
    intent.id = secrets.token_bytes(16)
    _intend(client, intent)
    if no_wait:
        _report(form, intent.node, "begun")
        return
    deadline, reported = time.monotonic() + wait, ""
    while True:
        try:
            membership = _membership(access)
            if all(change.id != intent.id for change in membership.open):
                break
            reason = "; ".join(membership.waiting)
        except StoreError as error:
            reason = str(error)
        if reason and reason != reported and form == "text":
            click.echo(f"waits: {reason}", err=True)
            reported = reason
        if time.monotonic() >= deadline:
            raise OutcomeUnknown(f"not done within {wait:g} s, it goes on: {reason or 'under way'}")
        time.sleep(POLL)
    _report(form, intent.node, done)


def _report(form: str, name: str, done: str) -> None:
    if form == "json":
        output.print_json({"node": name, "done": done})
    else:
        click.echo(f"Node {name} {done}.")


def becomes(member: admin_pb2.Member, changes: Sequence[admin_pb2.Change]) -> str:
    """Say what is to become of a member, "" when it stays what it is."""
    if member.leaving:
        heir = next((c.node for c in changes if c.replaces == member.name and c.node != member.name), None)
        return "is removed" if heir is None else f"is removed: {heir} takes its place"
    return "" if member.voter else "votes, when it has caught up"


def _reported(change: admin_pb2.Change) -> str:
    if change.kind == "join":
        place = f", in the place of {change.replaces}" if change.replaces else ""
        return f"{change.node} joins{place} ({'token used' if change.used else 'token not used yet'})"
    if change.kind == "renew":
        return f"{change.node} gets another certificate"
    return f"{change.node} moves to {change.address}" if change.kind == "move" else f"{change.node} is removed"


def _as_json(membership: admin_pb2.Membership) -> dict[str, Any]:
    return {
        "index": membership.index,
        "members": [
            {"name": m.name, "address": m.address, "voter": m.voter, "leaving": m.leaving}
            for m in membership.members
        ],
        "open": [
            {
                "kind": c.kind,
                "node": c.node,
                "replaces": c.replaces or None,
                "address": c.address or None,
                "used": c.used,
                "expires": _when(c.expires_ns) if c.expires_ns else None,
            }
            for c in membership.open
        ],
        "waiting": list(membership.waiting),
    }


def _when(time_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // 10**9))
