"""`pixraft ready`: whether the node on this machine serves, for supervisors that run commands."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import click

from ftpgateway.cli import output
from ftpgateway.cli.errors import NotReachable
from ftpgateway.cli.local.config import config_option
from ftpgateway.metrics.access import read_token
from ftpgateway.metrics.settings import MetricsSettings
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.reading import load_node_config
from raftstore.errors import NoQuorum
from raftstore.util.addresses import Address

PATIENCE = 6.0
"""Seconds for an answer; the node gives its own within 3."""

EXAMPLES = """
pixraft ready --config /etc/pixraft/pixraft.toml
pixraft ready --writable --config n1/pixraft.toml -o json
"""


@click.command("ready", cls=output.PixraftCommand, examples=EXAMPLES)
@config_option
@click.option("--writable", is_flag=True, help="Also that uploads find space.")
@output.output_option
def command(config_file: Path, writable: bool, form: str) -> None:
    """Ask the node that this configuration is for, on this machine, whether it is ready: /readyz of `metrics.listen`.

    Exits with 0 when reads are answered, with 30 when they are not (or, with --writable, uploads), with 5 when the node
    does not answer.
    """
    settings = load_node_config(config_file)[MetricsSettings]
    if settings.listen is None:
        raise ConfigError("metrics.listen is empty, so that the node tells nobody whether it is ready")
    good, found = _asked(settings, settings.listen, "/readyz?verbose" + ("&writable" if writable else ""))
    shape = {name: found.get(name) for name in ("ready", "reason", "writable", "not_writable")}
    if not good:
        raise NoQuorum(str(shape["reason"] or shape["not_writable"] or "it does not say why"))
    if form == "json":
        output.print_json(shape)
    else:
        click.echo("ready" if shape["writable"] else f"ready, but not for uploads: {shape['not_writable']}")


def _asked(settings: MetricsSettings, listen: Address, path: str) -> tuple[bool, dict[str, Any]]:
    """Return whether the answer is 200, and what it says. Raises NotReachable."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    headers = {}
    if settings.credentials_file is not None:
        headers["Authorization"] = f"Bearer {_token(settings.credentials_file)}"
    connection = http.client.HTTPConnection(host, listen.port, timeout=PATIENCE)
    if settings.tls_certificate is not None:
        # Its names are those by which others know the machine.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, listen.port, timeout=PATIENCE, context=context)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status == 200, dict(json.loads(reply.read()))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotReachable(f"{listen}: {error}") from None
    finally:
        connection.close()


def _token(file: Path) -> str:
    try:
        return read_token(file).decode("ascii")
    except (OSError, ValueError) as error:
        raise ConfigError(f"metrics.credentials_file: {error}") from None
