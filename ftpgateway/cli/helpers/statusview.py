"""A cluster's status as text, as a table and as an exit code. Pure but for printing and the time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ftpgateway.cli import output
from ftpgateway.cli.errors import VERDICTS
from ftpgateway.cli.helpers import diagnosis
from raftstore import paths
from raftstore.errors import StoreError
from raftstore.types import ClientFigure, ClusterStatus, NodeStatus

_TITLES = (
    "node address role voter reachable term commit applied lag pictures bytes free error".split()  # noqa: SIM905
)
_ZONE = 2
"""Where the column of the zones comes, when a node has one, and before it those of the services."""

_RIGHT = ("term", "commit", "applied", "lag", "pictures", "bytes", "free")
_STYLES = {"healthy": "bold green", "degraded": "bold yellow"}
_SHOWN_SHORT = 10
_WIDEST = 1000


def exit_code(status: ClusterStatus) -> int:
    """Return the exit code for the verdict; 1 for a verdict that this version does not know."""
    return VERDICTS.get(status.verdict, StoreError.exit_code)


def as_json(status: ClusterStatus) -> dict[str, object]:
    """Return the documented JSON shape: the fields of ClusterStatus and NodeStatus."""
    return asdict(status)


def _cells(node: NodeStatus) -> list[str]:
    return [
        node.name,
        node.address,
        _role(node),
        "yes" if node.voter else "no",
        "yes" if node.reachable else "no",
        output.number(node.term),
        output.number(node.commit_index),
        output.number(node.applied_index),
        output.number(node.lag),
        output.number(node.pictures),
        output.human_bytes(node.bytes),
        output.human_bytes(node.free_disk),
        node.error,
    ]


def _role(node: NodeStatus) -> str:
    role = "-" if node.role == "unknown" else node.role
    return f"{role} (maintenance)" if node.maintenance else role


def _rows(nodes: list[NodeStatus]) -> tuple[list[str], list[list[str]]]:
    """Return titles and cells."""
    titles, rows = list(_TITLES), [_cells(node) for node in nodes]
    for service in sorted({name for node in nodes for name in node.services}, reverse=True):
        titles.insert(_ZONE, service)
        for row, node in zip(rows, nodes, strict=True):
            row.insert(_ZONE, node.services.get(service, "-"))
    if any(node.zone for node in nodes):
        titles.insert(_ZONE, "zone")
        for row, node in zip(rows, nodes, strict=True):
            row.insert(_ZONE, node.zone)
    return titles, rows


def headline(status: ClusterStatus) -> str:
    """Say in a line how the cluster is."""
    up = sum(node.reachable for node in status.nodes)
    nodes = f"{up} of {len(status.nodes)} nodes reachable"
    if status.verdict == "unreachable":
        return nodes
    leader = f"leader {status.leader}, term {status.term}" if status.leader else "no leader"
    pictures = f"{status.files} picture{'' if status.files == 1 else 's'}, {output.human_bytes(status.bytes)}"
    parts = [leader, nodes, pictures]
    if status.partials:
        uploads = f"{status.partials} interrupted upload{'' if status.partials == 1 else 's'}"
        parts.append(f"{uploads}, {output.human_bytes(status.partial_bytes)}")
    return "; ".join(parts)


def advice(status: ClusterStatus) -> list[str]:
    """Return lines that say what is wrong and what to do; none when all is well."""
    lines: list[str] = []
    majority = len(status.nodes) // 2 + 1
    down = [node.name for node in status.nodes if not node.reachable]
    if status.error:
        lines.append(status.error)
    if status.verdict == "unreachable":
        lines.append("No node answers: are they started (`pixraft serve`), and can this machine reach them?")
    elif status.verdict == "no quorum" and down and any(node.role == "starting" for node in status.nodes):
        lines.append(
            f"A new cluster begins when all its nodes have heard of each other; {', '.join(down)} must come up."
        )
    elif status.verdict == "no quorum":
        lines.append(
            f"Reads and writes are refused until {majority} of {len(status.nodes)} nodes reach each other."
        )
    away = [] if status.verdict == "unreachable" else [node for node in status.nodes if not node.reachable]
    if lost := [node.name for node in away if node.voter]:
        lines.append(f"{', '.join(lost)}: see the log there; start with `pixraft serve`.")
    lines += [
        f"{node.name} is new, or a new one in the place of another: start it with `pixraft serve` in the directory "
        f"that `pixraft join` made. It votes when it has caught up; `pixraft node list` tells. To give it up: "
        f"`pixraft node remove {node.name}`."
        for node in away
        if not node.voter
    ]
    lines += [
        _damaged(node.name, node.quarantined, mended=not (status.short_count or status.lost_count))
        for node in status.nodes
        if node.quarantined
    ]
    lines += [
        f"{node.name}: clients were refused since its start: {refused}. See [clients] in its configuration."
        for node in status.nodes
        if (refused := _refused(node.clients))
    ]
    lines += [
        f"{node.name} is in maintenance: it takes no clients and does not lead until `pixraft maintenance off "
        f"{node.name}`."
        for node in status.nodes
        if node.maintenance
    ]
    if status.nodes and all(node.maintenance for node in status.nodes):
        lines.append("All nodes are in maintenance: no client is served.")
    lines += [
        f"{node.name} is {node.drain}: it takes no pictures until `pixraft drain {node.name} --cancel`."
        for node in status.nodes
        if node.drain
    ]
    lines += [
        f"{node.name}: {found.text}; {found.remedy}."
        for node in status.nodes
        for found in diagnosis.certificates(node.name, node.certificates, time.time())
        if found.severity is not diagnosis.Severity.OK
    ]
    newest, level = (
        max((getattr(n, what) or 0 for n in status.nodes), default=0) for what in ("newest", "level")
    )
    if level and newest > level:
        lines.append(
            f"An upgrade is not finished: level {level} is in force, {newest} is known. `pixraft upgrade status` tells "
            "what is left to do."
        )
    if status.short_count:
        lines.append(f"{status.short_count} with fewer copies than wanted:")
        lines += [f"  {paths.shown(name)}" for name in status.short[:_SHOWN_SHORT]]
        if status.short_count > _SHOWN_SHORT:
            lines.append("  ... (-o json names up to 100)")
    return lines


def _refused(clients: Mapping[str, ClientFigure]) -> str:
    """Say what clients were refused, and whether that was for want of it at the node or at one account or address."""
    found = []
    for resource, figure in clients.items():
        if figure.refused:
            shown = output.human_bytes if resource == "memory" else str
            times = "once" if figure.refused == 1 else f"{figure.refused} times"
            limit = f", of {shown(figure.limit)}" if figure.limit else ""
            found.append(f"{resource} {times} (at most {shown(figure.peak)} were held{limit})")
    return ", ".join(found)


def _damaged(name: str, places: int, *, mended: bool) -> str:
    what = "1 damaged place was" if places == 1 else f"{places} damaged places were"
    now = "nothing lacks a copy any more" if mended else "what other nodes have of it is copied from there"
    return (
        f"{name}: {what} found on its disk and put aside; {now}. See volumes/quarantine in its data directory."
    )


def plain(status: ClusterStatus, *, nodes_only: bool = False) -> str:
    """Return the status as lines for a pipe or file."""
    titles, rows = _rows(status.nodes)
    lines = output.plain_table(titles, rows, right=_RIGHT)
    head = f"{status.verdict}: {headline(status)}"
    return "\n".join([*lines, head] if nodes_only else [head, *lines, *advice(status)])


class _NodeTable:
    """A line a node where the terminal is wide enough; otherwise a column a node."""

    def __init__(self, nodes: list[NodeStatus]) -> None:
        self._titles, self._rows = _rows(nodes)
        self._styles = ["red" if not node.reachable else "yellow" if node.error else "" for node in nodes]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = output.table(self._titles, self._rows, right=_RIGHT)
        for row, style in zip(wide.rows, self._styles, strict=True):
            row.style = style
        # The last column, the error, may wrap.
        if Measurement.get(console, options.update(max_width=_WIDEST), wide).minimum <= options.max_width:
            yield wide
            return
        tall = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        tall.add_column(style="bold", no_wrap=True)
        for style in self._styles:
            tall.add_column(style=style, overflow="fold")
        for column, title in enumerate(self._titles):
            tall.add_row(title, *(Text(row[column]) for row in self._rows))
        yield tall


def rich(status: ClusterStatus, *, nodes_only: bool = False) -> RenderableType:
    """Return the status for a terminal of any width."""
    table = _NodeTable(status.nodes)
    head = Text.assemble((status.verdict, _STYLES.get(status.verdict, "bold red")), "  ", headline(status))
    if nodes_only:
        return Group(table, head)
    return Group(head, table, *(Text(line, style="yellow") for line in advice(status)))


def show(status: ClusterStatus, *, as_json_text: bool, nodes_only: bool = False) -> None:
    """Print the status in the form that was asked for."""
    if as_json_text:
        output.print_json(as_json(status))
    elif (console := output.console()).is_terminal:
        console.print(rich(status, nodes_only=nodes_only))
    else:
        print(plain(status, nodes_only=nodes_only))
