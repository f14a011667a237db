"""`pixraft maintenance`: take a node out of service for a while, without touching its pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.durations import Duration
from ftpgateway.serving.opensessions import list_sessions
from raftstore.cluster.calls.maintenance import set_maintenance, show_maintenance
from raftstore.errors import NotFound, OutcomeUnknown, StoreError
from raftstore.wire import admin_pb2

ON_EXAMPLES = """
pixraft maintenance on n2 --cluster pictures
pixraft maintenance on n2 --grace 10m --cluster pictures
"""
OFF_EXAMPLES = """
pixraft maintenance off n2 --cluster pictures
"""
LIST_EXAMPLES = """
pixraft maintenance list --cluster pictures
"""

POLL = 0.25
BEYOND = 15.0
"""Seconds beyond the grace until all sessions are ended and another node leads."""


@click.group("maintenance", cls=output.ListingGroup)
def command() -> None:
    """Maintenance of nodes: on, off, list. By itself: list."""


@command.command("list", cls=output.PixraftCommand, examples=LIST_EXAMPLES)
@access_options
@output.output_option
def list_(access: Access, form: str) -> None:
    """List the nodes in maintenance. `pixraft status` shows them, too."""
    answer = run(ClusterClient(access).ask(show_maintenance, admin_pb2.MaintenanceRequest()))
    if form == "json":
        output.print_json(
            {
                "nodes": [
                    {"node": one.node, "since": output.moment(one.since_ns), "grace": one.grace_ms / 1000}
                    for one in answer.nodes
                ]
            }
        )
    elif not answer.nodes:
        click.echo("No node is in maintenance.")
    else:
        rows = [[one.node, output.moment(one.since_ns) or "-"] for one in answer.nodes]
        click.echo("\n".join(output.plain_table(["node", "since"], rows)))


@command.command("on", cls=output.PixraftCommand, examples=ON_EXAMPLES)
@click.argument("name", metavar="NODE")
@access_options
@click.option(
    "--grace",
    type=Duration(),
    default="1m",
    show_default=True,
    help="So long transfers under way may go on, 1d at most.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait until its sessions have ended.")
@output.output_option
def on(access: Access, name: str, grace: float, no_wait: bool, form: str) -> None:
    """Put a node into maintenance: clients are sent to the others, and it does not lead.

    Sessions end as soon as no transfer of theirs is under way, all when the grace is over; new ones are refused with a
    text that says why. It hands leadership over. It keeps its pictures, and goes on storing, replicating and voting:
    nothing is copied, and the majority stays as large. `/readyz` says 503, so that a balancer leaves it out.

    It stays so, also when it or its machine is started anew, until `pixraft maintenance off`.
    """
    if grace > 86_400:
        raise click.UsageError("--grace is a day at most")
    client = ClusterClient(access)
    before = run(client.ask(show_maintenance, admin_pb2.MaintenanceRequest()))
    request = admin_pb2.MaintenanceSet(node=name, grace_ms=round(grace * 1000))
    run(client.ask(set_maintenance, request, repeat=True))
    changed = name not in {one.node for one in before.nodes}
    state = _State(None, None) if no_wait else _wait(client, access, name, grace)
    if form == "json":
        shape = {"node": name, "maintenance": True, "changed": changed}
        output.print_json({**shape, "sessions": state.sessions, "leader": state.leader})
        return
    was = "" if changed else " already"
    if no_wait:
        click.echo(f"{name} is in maintenance{was}; its sessions end within {output.age(grace)}.")
    else:
        unseen = f" It does not answer, so that its sessions were not seen: {state.why}." if state.why else ""
        click.echo(f"{name} is in maintenance{was}; {state.leader or 'nobody'} leads.{unseen}")
    if before.members and set(before.members) <= {name, *(one.node for one in before.nodes)}:
        output.warn("all nodes are in maintenance now: no client is served")


@dataclass(frozen=True, slots=True)
class _State:
    """What is left at a node: sessions (None: it does not answer, and `why`), and who leads."""

    sessions: int | None
    leader: str | None
    why: str = ""

    def over(self, name: str) -> bool:
        """Whether nothing is left to wait for."""
        return not self.sessions and self.leader not in (None, name)


def _look(client: ClusterClient, access: Access, name: str) -> _State:
    leader = run(client.status()).leader
    member = next((member for member in access.members if member.name == name), None)
    if member is None:
        return _State(None, leader, "the configuration that was given does not have its address")
    try:
        return _State(run(client.call(member, list_sessions, admin_pb2.SessionsRequest())).count, leader)
    except StoreError as error:
        return _State(None, leader, error.detail or str(error))


def _wait(client: ClusterClient, access: Access, name: str, grace: float) -> _State:
    deadline = time.monotonic() + grace + BEYOND
    while not (state := _look(client, access, name)).over(name):
        if time.monotonic() >= deadline:
            if state.sessions:
                raise OutcomeUnknown(f"{name} is in maintenance, but {state.sessions} sessions are still there")
            break
        time.sleep(POLL)
    return state


@command.command("off", cls=output.PixraftCommand, examples=OFF_EXAMPLES)
@click.argument("name", metavar="NODE")
@access_options
@output.output_option
def off(access: Access, name: str, form: str) -> None:
    """Let a node serve clients again, and lead when it is elected. Done twice it does no harm."""
    client = ClusterClient(access)
    before = run(client.ask(show_maintenance, admin_pb2.MaintenanceRequest()))
    changed = name in {one.node for one in before.nodes}
    if not changed and before.members and name not in before.members:
        raise NotFound(NotFound.node(name, before.members))
    run(client.ask(set_maintenance, admin_pb2.MaintenanceSet(node=name, off=True), repeat=True))
    if form == "json":
        output.print_json({"node": name, "maintenance": False, "changed": changed})
    else:
        click.echo(f"{name} serves clients again." if changed else f"{name} was not in maintenance.")
