"""Which cluster a command is about and with what it introduces itself: the shared options."""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.reading import load_admin_config, load_node_config
from ftpgateway.node.config.sections import AdminSettings
from ftpgateway.node.config.whole import NODE_FILE
from raftstore.cluster.settings import ClusterSettings
from raftstore.errors import NotFound
from raftstore.peers.settings import PeersSettings
from raftstore.util.settings.kinds import Member

_Function = TypeVar("_Function", bound=Callable[..., Any])

ADMIN_FILE = Path("admin") / "admin.toml"
"""Where an admin's bundle is in the directory that `pixraft init` makes."""


@dataclass(frozen=True, slots=True)
class Access:
    """A cluster's members and the certificate files for talking to them; `timeout` in seconds a call."""

    cluster: str
    members: tuple[Member, ...]
    ca: Path
    certificate: Path
    key: Path
    node: str | None = None
    timeout: float = 5.0
    bundle: Path | None = None
    """The admin's file that this came from, if it did."""
    source: Path = Path()
    """The file that this came from."""

    def of(self, node: str) -> Access:
        """Return the same for one node. Raises NotFound."""
        chosen = replace(self, node=node)
        chosen.asked()
        return chosen

    def asked(self) -> list[Member]:
        """Return the members to try, in order: all, or the one that was named; NotFound if unknown."""
        if self.node is None:
            return list(self.members)
        chosen = [member for member in self.members if member.name == self.node]
        if not chosen:
            known = ", ".join(member.name for member in self.members)
            renewed = "" if self.bundle is None else "; `pixraft node list` brings it up to date"
            raise NotFound(f"node {self.node}; the configuration that was given has {known}{renewed}")
        return chosen


def open_access(file: Path, node: str | None = None, timeout: float = 5.0) -> Access:
    """Read a node's configuration or an admin's bundle; raise ConfigError."""
    bundle = None
    own: AdminSettings | PeersSettings
    if _is_admin(file):
        read = load_admin_config(file)
        own, cluster, bundle = read[AdminSettings], read[ClusterSettings], file
    else:
        config = load_node_config(file)
        own, cluster = config[PeersSettings], config[ClusterSettings]
    files = own.ca, own.certificate, own.key
    return Access(cluster.name, cluster.members, *files, node=node, timeout=timeout, bundle=bundle, source=file)


def _is_admin(file: Path) -> bool:
    """Whether it is an admin's bundle; what cannot be read is reported when it is loaded as a node's."""
    try:
        return "admin" in tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def find_admin_file(directory: Path) -> Path:
    """Return the admin's file in a cluster's directory, or in the bundle itself; raise ConfigError."""
    for file in (directory / ADMIN_FILE, directory / ADMIN_FILE.name):
        if file.is_file():
            return file
    if (own := directory / NODE_FILE).is_file():
        raise ConfigError(
            f"{directory}: is a node's directory; give `--config {own}`, or the admin's to --cluster"
        )
    raise ConfigError(f"{directory}: holds no {ADMIN_FILE}; give the directory that `pixraft init` made")


def access_options(function: _Function) -> _Function:
    """Add --config, --cluster, --node and --timeout; the function gets one `access`."""

    @click.option(
        "--config",
        "-c",
        "config_file",
        type=click.Path(path_type=Path),
        envvar="PIXRAFT_CONFIG",
        help="Configuration file of a node, or of an admin's bundle.  [env: PIXRAFT_CONFIG]",
    )
    @click.option(
        "--cluster",
        "directory",
        type=click.Path(path_type=Path),
        envvar="PIXRAFT_CLUSTER",
        help="Directory that `pixraft init` made, or the admin's bundle out of it.  [env: PIXRAFT_CLUSTER]",
    )
    @click.option("--node", help="Ask this node; otherwise all, in order, until one answers.")
    @click.option(
        "--timeout",
        type=click.FloatRange(0.1, 600),
        default=5.0,
        show_default=True,
        help="Seconds to wait for one node.",
    )
    @functools.wraps(function)
    def wrapper(
        config_file: Path | None,
        directory: Path | None,
        node: str | None,
        timeout: float,
        **others: Any,
    ) -> Any:
        # What is on the command line goes before what is in the environment.
        context = click.get_current_context()
        typed = [
            context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
            for name in ("directory", "config_file")
        ]
        if all(typed):
            raise click.UsageError("--cluster and --config both say which cluster: give one of them")
        if directory is not None and (config_file is None or typed[0]):
            config_file = find_admin_file(directory)
        if config_file is None:
            raise click.UsageError("say which cluster: --cluster DIR or --config FILE (or set PIXRAFT_CLUSTER)")
        return function(access=open_access(Path(os.path.abspath(config_file)), node, timeout), **others)

    return wrapper  # type: ignore[return-value]
