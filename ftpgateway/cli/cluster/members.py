"""`pixraft members`: the nodes of the cluster."""

from __future__ import annotations

import click

from ftpgateway.cli import output
from ftpgateway.cli.access import Access, access_options
from ftpgateway.cli.client import ClusterClient, run
from ftpgateway.cli.errors import DEGRADED, OK
from ftpgateway.cli.helpers import statusview

EXAMPLES = """
pixraft members --cluster pictures
pixraft members --config n1/pixraft.toml -o json
"""


@output.command("members", EXAMPLES)
@access_options
@output.output_option
def command(access: Access, form: str) -> None:
    """List the nodes of the cluster, and the verdict under them.

    Exits 0 when the node that was asked has a majority, 30 when it has none, 5 when no node answered. `pixraft status`
    tells a degraded cluster by its exit code, too.
    """
    status = run(ClusterClient(access).status())
    if form == "json":
        shape = statusview.as_json(status)
        output.print_json({key: shape[key] for key in ("verdict", "asked", "leader", "nodes")})
    else:
        statusview.show(status, as_json_text=False, nodes_only=True)
    code = statusview.exit_code(status)
    click.get_current_context().exit(OK if code == DEGRADED else code)
