"""`pixraft init`: make a cluster's certificates and configuration files."""

from __future__ import annotations

from pathlib import Path

import click

from ftpgateway.cli import output
from ftpgateway.cli.helpers import bundle
from ftpgateway.cli.helpers.nodespecs import NodeSpecs, own_ports
from ftpgateway.cli.helpers.useroptions import too_many_copies
from ftpgateway.node.config.whole import NODE_FILE
from raftstore.cluster.settings import REPLICAS
from raftstore.errors import Invalid
from raftstore.util.settings.kinds import check_name

EXAMPLES = """
pixraft init pictures --node n1=host1:7420 --node n2=host2:7420 --node n3=host3:7420
pixraft init pictures --node n1=10.0.0.1:7420,ftp=10.0.0.1:21 --node n2=10.0.0.2:7420,ftp=10.0.0.2:21
pixraft init try --node n1=127.0.0.1:7421 --node n2=127.0.0.1:7422 --node n3=127.0.0.1:7423
"""


def _checked_name(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@output.command("init", EXAMPLES)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--node",
    "nodes",
    type=NodeSpecs(),
    multiple=True,
    required=True,
    metavar=NodeSpecs.name,
    help="A node and where the others reach it; once for each. Where its FTP (ftp=) and SFTP servers (sftp=), its "
    "metrics (metrics=) and its channel for the others (listen=) listen follows from that, unless given; a web server "
    "(web=) listens only where it is given.",
)
@click.option(
    "--name", default="pictures", show_default=True, callback=_checked_name, help="Name of the cluster."
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 15),
    default=REPLICAS,
    show_default=True,
    help="Copies of each picture.",
)
@click.option(
    "--encryption",
    type=click.Choice(["full", "bulk-auth"]),
    default="full",
    show_default=True,
    help="Between nodes: all of it, or all but picture bytes, which then are only authenticated.",
)
@click.option(
    "--data",
    default="data",
    show_default=True,
    help="Data directory of each node; relative is beside its configuration file.",
)
@click.option("--if-missing", is_flag=True, help="Do nothing, and succeed, when the cluster is there already.")
@output.output_option
def command(
    directory: Path,
    nodes: tuple[bundle.NodeSpec, ...],
    name: str,
    replicas: int,
    encryption: str,
    data: str,
    if_missing: bool,
    form: str,
) -> None:
    """Make a new cluster: its authority, a directory for each node, and one for the admin.

    Copy each node's directory to its machine and run `pixraft serve --config NODE/pixraft.toml` there. The
    admin's directory is for `pixraft status`, `members` and `user`, wherever you are. Keep authority/ in a
    safe place: whoever has it can make nodes.
    """
    made = not (if_missing and bundle.exists(directory))
    if made:
        spec = bundle.ClusterSpec(
            nodes=own_ports(nodes), name=name, replicas=replicas, encryption=encryption, data=data
        )
        try:
            bundle.make_cluster(directory, spec)
        except Invalid as error:
            raise click.BadParameter(error.detail, param_hint="--node") from None
    report = {
        "directory": str(directory),
        "made": made,
        "admin": str(directory / bundle.ADMIN),
        "authority": str(directory / bundle.AUTHORITY),
        "nodes": [{"name": node.name, "config": str(directory / node.name / NODE_FILE)} for node in nodes],
    }
    if form == "json":
        output.print_json(report)
        return
    if not made:
        click.echo(f"{directory} holds a cluster already; nothing was changed.")
        return
    click.echo(f"Made the cluster {name!r} in {directory}. Start each node with")
    for node in nodes:
        click.echo(f"  pixraft serve --config {directory / node.name / NODE_FILE}")
    click.echo(f"then make a user: pixraft user add NAME --cluster {directory}")
    if len(nodes) < 3:
        click.echo("A cluster stands the loss of a node only with three or more of them.")
    context = click.get_current_context()
    asked = context.get_parameter_source("replicas") is click.core.ParameterSource.COMMANDLINE
    if asked:
        output.warn(too_many_copies(replicas, len(nodes)))
    majority = len(nodes) // 2 + 1
    if len(nodes) > 2 and replicas < majority:
        click.echo(
            f"With {replicas} {'copy' if replicas == 1 else 'copies'} a picture can be lost with {replicas} of the "
            f"{len(nodes)} nodes. With --replicas {majority} it survives the loss of any minority of them."
        )
