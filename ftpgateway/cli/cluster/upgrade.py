"""`pixraft upgrade`: which version each node runs, and the step after which the new rules hold."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.helpers.asking import confirm, yes_option
from raftstore.cluster.calls import upgrade as upgrade_calls
from raftstore.wire import admin_pb2

FINISH_EXAMPLES = """
pixraft upgrade finish --cluster pictures
pixraft upgrade finish --yes --cluster pictures -o json
"""


@click.group("upgrade", cls=output.ListingGroup, default="status")
def command() -> None:
    """An upgrade of the whole cluster: how far it is, and how to finish it. By itself: status."""


def _as_json(answer: admin_pb2.Upgrade) -> dict[str, object]:
    nodes = [
        {
            "name": node.name,
            "reachable": node.reachable,
            "program": node.program or None,
            "oldest": node.oldest if node.HasField("oldest") else None,
            "newest": node.newest if node.HasField("newest") else None,
            "level": node.level if node.HasField("level") else None,
            "error": node.error,
        }
        for node in answer.nodes
    ]
    return {
        "level": answer.level,
        "before": answer.before,
        "target": answer.target,
        "finished": answer.level == answer.target,
        "obstacles": list(answer.obstacles),
        "nodes": nodes,
    }


def _rows(answer: admin_pb2.Upgrade) -> list[list[str]]:
    return [
        [
            node.name,
            node.program or "-",
            f"{node.oldest} to {node.newest}" if node.HasField("newest") else "-",
            str(node.level) if node.HasField("level") else "-",
            "" if node.reachable else node.error,
        ]
        for node in answer.nodes
    ]


def _headline(answer: admin_pb2.Upgrade) -> str:
    level, target = answer.level, answer.target
    if level > answer.before:
        return f"Raised from level {answer.before} to {level}: versions that do not know it cannot take part any more."
    if level == target:
        return f"Level {level} is in force, the newest that a node here knows: there is nothing to finish."
    if answer.obstacles:
        return f"Level {level} is in force; level {target} waits for these nodes:"
    return f"Level {level} is in force; all nodes know level {target}: `pixraft upgrade finish` raises it."


def _show(answer: admin_pb2.Upgrade, form: str) -> None:
    if form == "json":
        output.print_json(_as_json(answer))
        return
    click.echo(_headline(answer))
    for obstacle in answer.obstacles:
        click.echo(f"  {obstacle}")
    click.echo(
        "\n".join(output.plain_table(["node", "version", "knows levels", "is at", "error"], _rows(answer)))
    )


@command.command("status", cls=output.PixraftCommand, examples="pixraft upgrade status --cluster pictures")
@access_options
@output.output_option
def status(access: Access, form: str) -> None:
    """Show the version of each node, the levels that it knows, and which level is in force.

    A level is a set of rules that all nodes follow. New versions bring new ones; until the upgrade is finished the
    cluster keeps the old, and the old version can be installed again.
    """
    _show(run(ClusterClient(access).ask(upgrade_calls.show_upgrade, admin_pb2.UpgradeRequest())), form)


@command.command("finish", cls=output.PixraftCommand, examples=FINISH_EXAMPLES)
@yes_option
@access_options
@output.output_option
def finish(access: Access, yes: bool, form: str) -> None:
    """Put the newest level in force, once every node runs the new version.

    From then on the old version cannot read the data any more: there is no way back. It asks that all nodes can be
    reached; done twice it does nothing.
    """
    client = ClusterClient(access)
    now = run(client.ask(upgrade_calls.show_upgrade, admin_pb2.UpgradeRequest()))
    if not yes and not now.obstacles and now.target > now.level:
        confirm(
            f"this raises the level from {now.level} to {now.target}; the version before cannot be used any more"
        )
    request = admin_pb2.UpgradeRequest()
    _show(run(client.ask(upgrade_calls.finish_upgrade, request)), form)
