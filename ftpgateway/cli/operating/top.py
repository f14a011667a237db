"""`pixraft top`: what the nodes do just now, second by second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, KeptClient, reason_of
from ftpgateway.cli.errors import NotReachable
from ftpgateway.cli.helpers.rates import Look, NodeRates, Running, Seen, node_rates, running
from ftpgateway.serving.opensessions import list_sessions
from raftstore.cluster.calls.status import node_report
from raftstore.errors import StoreError
from raftstore.wire import admin_pb2

EXAMPLES = """
pixraft top --cluster pictures
pixraft top --cluster pictures --node n2 --interval 5
pixraft top --cluster pictures -n 1 -o json
pixraft top --cluster pictures | tee load.txt
"""

SLOWEST = 100
"""Operations in one object of JSON."""
_OF_LINES = 3
"""Operations in plain lines."""
_TITLES = ("node", "role", "sessions", "up", "down", "uploads", "downloads", "commits", "cpu", "error")
_OPERATIONS = ("node", "session", "protocol", "user", "doing", "bytes", "rate", "for")
_RIGHT = ("sessions", "up", "down", "uploads", "downloads", "commits", "cpu", "session", "bytes", "rate", "for")


@output.command("top", EXAMPLES)
@access_options
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between looks.",
)
@click.option("-n", "--count", type=click.IntRange(1), help="So many times, instead of until Ctrl-C.")
@output.output_option
def command(access: Access, interval: float, count: int | None, form: str) -> None:
    """Show what all nodes do just now: rates of uploads and downloads, sessions, what takes longest.

    On a terminal it is one view, refreshed each second until Ctrl-C; elsewhere lines, and with -o json one object a
    look. Rates are those since the look before: bytes a second up and down (of transfers that go on, too), uploads,
    downloads and entries of the log a second, and how much of one core the node's process takes.

    Each look asks every node for what it knows by itself. Fails with 5 when none answers at the first.
    """
    try:
        asyncio.run(_top(access, interval, count, form))
    except KeyboardInterrupt:
        return


async def _top(access: Access, interval: float, count: int | None, form: str) -> None:
    console = output.console()
    async with aclosing(_looks(access, interval, count)) as looks:
        if form == "json":
            async for before, now in looks:
                output.print_json(shape(before, now))
        elif not console.is_terminal:
            async for before, now in looks:
                click.echo("\n".join(plain(before, now)))
        else:
            with Live(console=console, auto_refresh=False, screen=True) as live:
                async for before, now in looks:
                    live.update(view(access.cluster, before, now, console.height), refresh=True)


async def _looks(access: Access, interval: float, count: int | None) -> AsyncGenerator[tuple[Look, Look], None]:
    """Yield each look with the one before. Raises NotReachable when no node answers the first."""
    clients = ClusterClient(access).kept()
    try:
        before = await _look(clients)
        if not before.nodes:
            raise NotReachable("; ".join(f"{name}: {why}" for name, why in before.failures.items()))
        done, due = 0, asyncio.get_running_loop().time()
        while count is None or done < count:
            due = max(due + interval, asyncio.get_running_loop().time())
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            now = await _look(clients)
            yield before, now
            before, done = now, done + 1
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def _look(clients: Sequence[KeptClient]) -> Look:
    async def one(client: KeptClient) -> Seen:
        sessions = await client.ask(list_sessions, admin_pb2.SessionsRequest())
        return Seen(sessions, await client.ask(node_report, admin_pb2.NodeRequest()))

    found = await asyncio.gather(*(one(client) for client in clients), return_exceptions=True)
    nodes: dict[str, Seen] = {}
    failures: dict[str, str] = {}
    for client, result in zip(clients, found, strict=True):
        if isinstance(result, Seen):
            nodes[client.name] = result
        elif isinstance(result, StoreError):
            failures[client.name] = reason_of(result, client.name)
        else:
            raise result
    return Look(time.time_ns(), nodes, failures)


# What is shown. Pure.


def shape(before: Look, now: Look) -> dict[str, object]:
    """Return the documented JSON of a look."""
    nodes = [
        {
            "node": one.node,
            "role": None if one.role == "-" else one.role,
            "sessions": one.sessions,
            "upload_rate": _rounded(one.upload),
            "download_rate": _rounded(one.download),
            "uploads": _rounded(one.uploads, 2),
            "downloads": _rounded(one.downloads, 2),
            "commits": _rounded(one.commits, 2),
            "cpu": _rounded(one.cpu, 3),
            "error": one.error,
        }
        for one in node_rates(before, now)
    ]
    operations = [
        {
            **asdict(one),
            "rate": _rounded(one.rate),
            "seconds": round(one.seconds, 3),
            "user": one.user or None,
        }
        for one in running(before, now)[:SLOWEST]
    ]
    return {"time": output.moment(now.time_ns), "nodes": nodes, "operations": operations}


def _rounded(value: float | None, digits: int | None = None) -> float | None:
    return None if value is None else round(value, digits)


def _speed(value: float | None) -> str:
    return "-" if value is None else f"{output.human_bytes(round(value))}/s"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}/s" if value >= 10 or value == 0 else f"{value:.1f}/s"


def _node_cells(one: NodeRates) -> list[str]:
    return [
        one.node,
        one.role,
        output.number(one.sessions),
        _speed(one.upload),
        _speed(one.download),
        _number(one.uploads),
        _number(one.downloads),
        _number(one.commits),
        "-" if one.cpu is None else f"{one.cpu * 100:.0f}%",
        one.error,
    ]


def _operation_cells(one: Running) -> list[str]:
    return [
        one.node,
        str(one.session),
        one.protocol,
        one.user or "(logs in)",
        f"{one.what} {one.path}".strip(),
        "-" if one.moved is None else output.human_bytes(one.moved),
        _speed(one.rate) if one.moved is not None else "-",
        output.age(one.seconds) if one.seconds >= 10 else f"{one.seconds:.1f}s",
    ]


def summary(rates: Sequence[NodeRates]) -> str:
    """Say in a line what all do together."""
    there = [one for one in rates if one.sessions is not None]
    leader = next((one.node for one in there if one.role == "leader"), None)
    up, down = (sum(getattr(one, what) or 0.0 for one in there) for what in ("upload", "download"))
    sessions = sum(one.sessions or 0 for one in there)
    return (
        f"{len(there)} of {len(rates)} nodes, {f'leader {leader}' if leader else 'no leader'}; "
        f"{sessions} session{'' if sessions == 1 else 's'}; up {_speed(up)}, down {_speed(down)}"
    )


def plain(before: Look, now: Look) -> list[str]:
    """Return a look as lines: a table of the nodes, and the slowest operations."""
    rates = node_rates(before, now)
    lines = [f"{output.moment(now.time_ns)}  {summary(rates)}"]
    lines += output.plain_table(_TITLES, [_node_cells(one) for one in rates], right=_RIGHT)
    if slowest := running(before, now)[:_OF_LINES]:
        lines += output.plain_table(_OPERATIONS, [_operation_cells(one) for one in slowest], right=_RIGHT)
    return [*lines, ""]


def view(cluster: str, before: Look, now: Look, height: int) -> RenderableType:
    """Return a look for a terminal of so many lines."""
    rates, operations = node_rates(before, now), running(before, now)
    moment = output.moment(now.time_ns) or ""
    head = Text.assemble((cluster, "bold"), "  ", summary(rates), "  ", (moment[11:-1], "dim"))
    nodes = output.table(_TITLES, [_node_cells(one) for one in rates], right=_RIGHT)
    for row, one in zip(nodes.rows, rates, strict=True):
        row.style = "red" if one.sessions is None else "yellow" if one.error else ""
    places = max(1, height - len(rates) - 6)
    slowest = [_operation_cells(one) for one in operations[:places]]
    if not slowest:
        return Group(head, "", nodes, "", Text("No session does anything just now.", style="dim"))
    table = output.table(_OPERATIONS, slowest, right=_RIGHT)
    table.columns[4].overflow, table.columns[4].ratio = "ellipsis", 1
    rest = len(operations) - len(slowest)
    more = [Text(f"... and {rest} more", style="dim")] if rest > 0 else []
    return Group(head, "", nodes, "", table, *more)
