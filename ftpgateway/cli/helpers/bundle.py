"""Make a cluster on paper: its authority, a directory for each node, one for the admin."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ftpgateway.node.config.reading import load_admin_config
from ftpgateway.node.config.whole import NODE_FILE
from ftpgateway.node.config.writing import render
from raftstore.cluster.settings import REPLICAS, ClusterSettings
from raftstore.errors import AlreadyExists, DiskFailed, Invalid
from raftstore.peers.model import Role
from raftstore.peers.security.pki import create_authority, self_signed_server_pem, write_private
from raftstore.util.addresses import Address
from raftstore.util.settings.kinds import Member, check_name

AUTHORITY = "authority"
ADMIN = "admin"
FTP_PORT = 2121
SFTP_PORT = 2022
WEB_PORT = 8080
"""Of the first node of a demo."""
METRICS = Address("127.0.0.1", 9420)
_RESERVED = (AUTHORITY, ADMIN)


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node to be: the address at which the others reach it, where it listens, its FTP and SFTP addresses.

    `passive_ports` is as in the configuration, "" for any free port. Without `sftp` it offers no SFTP, without
    `metrics` neither metrics nor health, without `web` no web.
    """

    name: str
    address: Address
    listen: Address
    ftp: Address
    passive_ports: str = "50000-50999"
    sftp: Address | None = None
    metrics: Address | None = None
    web: Address | None = None

    @classmethod
    def parse(cls, text: str, ftp_port: int = FTP_PORT) -> NodeSpec:
        """Read `name=host:port[,listen=host:port]`, and behind it ftp=, sftp=, metrics= and web= in the same form.

        Raises ValueError.
        """
        first, *others = text.split(",")
        name, equals, address_text = first.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is not name=host:port[,ftp=host:port]")
        check_name(name)
        if name in _RESERVED:
            raise ValueError(f"{name!r} is the name of a directory beside the nodes'; take another")
        address = Address.parse(address_text)
        own = _is_loopback(address.host)
        everywhere = "::" if ":" in address.host else "0.0.0.0"
        listen = Address(address.host if own else everywhere, address.port)
        ftp = Address(address.host if own else everywhere, ftp_port)
        sftp: Address | None = Address(address.host if own else everywhere, SFTP_PORT)
        # On loopback there are several nodes on this machine, and one port can be had once.
        metrics = None if own else METRICS
        web: Address | None = None
        for other in others:
            key, _, value = other.partition("=")
            if key == "listen":
                listen = Address.parse(value)
            elif key == "ftp":
                ftp = Address.parse(value)
            elif key == "sftp":
                sftp = Address.parse(value) if value else None
            elif key == "metrics":
                metrics = Address.parse(value) if value else None
            elif key == "web":
                web = Address.parse(value) if value else None
            else:
                raise ValueError(f"{key!r} in {text!r} is none of listen, ftp, sftp, metrics and web")
        if not address.port:
            raise ValueError(f"{text!r}: the others must know the port")
        return cls(name, address, listen, ftp, sftp=sftp, metrics=metrics, web=web)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """A cluster to be. `data` is each node's data directory, absolute or relative to its own directory."""

    nodes: Sequence[NodeSpec]
    name: str = "pictures"
    replicas: int = REPLICAS
    encryption: str = "full"
    data: str = "data"


def make_cluster(directory: Path, spec: ClusterSpec) -> None:
    """Write all directories of a new cluster into `directory`: each of them whole, or none.

    Raises Invalid (a name or address twice), AlreadyExists rather than overwrite anything, DiskFailed.
    """
    spec = replace(spec, nodes=_with_ports_of_their_own(spec.nodes))
    _check(spec)
    names = [*_RESERVED, *(node.name for node in spec.nodes)]
    for name in names:
        if (directory / name).exists():
            raise AlreadyExists(f"{directory / name}; nothing was changed")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".init-", dir=directory))
    except OSError as error:
        raise DiskFailed(f"cannot write to {directory}: {error.strerror}") from None
    try:
        _write(scratch, spec)
        # The admin's bundle comes last: where it is, all of the cluster is.
        for name in sorted(names, key=lambda name: name == ADMIN):
            os.rename(scratch / name, directory / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _with_ports_of_their_own(nodes: Sequence[NodeSpec]) -> list[NodeSpec]:
    """Return the nodes, without the usual port for metrics where several are on one machine: one of them had it."""
    hosts = Counter(node.address.host for node in nodes)
    return [
        replace(node, metrics=None) if node.metrics == METRICS and hosts[node.address.host] > 1 else node
        for node in nodes
    ]


def update_admin(file: Path, members: Sequence[Member]) -> None:
    """Write other members into an admin's file. Raises OSError, ConfigError."""
    cluster = load_admin_config(file, {})[ClusterSettings]
    values: dict[str, dict[str, object]] = {
        "admin": tomllib.loads(file.read_text(encoding="utf-8")).get("admin", {}),
        "cluster": {"name": cluster.name, "replicas": cluster.replicas, "members": tuple(members)},
    }
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(render(values, admin=True), encoding="utf-8")
    os.replace(fresh, file)


def exists(directory: Path) -> bool:
    """Whether `make_cluster` has finished there."""
    return (directory / ADMIN).is_dir()


def _check(spec: ClusterSpec) -> None:
    if not spec.nodes:
        raise Invalid("a cluster has at least one node")
    for what in ("name", "address"):
        values = [str(getattr(node, what)) for node in spec.nodes]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise Invalid(f"the {what} {twice[0]} is there twice")
    _check_servers(spec.nodes)


def _check_servers(nodes: Sequence[NodeSpec]) -> None:
    """Raise Invalid when two servers would listen on one address."""
    servers = [
        (node, what, at)
        for node in nodes
        for what, at in (
            ("listen", node.listen),
            ("ftp", node.ftp),
            ("sftp", node.sftp),
            ("metrics", node.metrics if not _on_own_machine(node) else None),
            ("web", node.web),
        )
        if at is not None
    ]
    for (other, there, its), (node, what, at) in itertools.combinations(servers, 2):
        # Others of that host's name may be other machines, behind one that forwards ports.
        if at.meets(its) and (other is node or _is_loopback(at.host)):
            one, two = f"{what} of {node.name} ({at})", f"{there} of {other.name} ({its})"
            raise Invalid(f"{one} and {two} cannot both be had; change one of the ports")


def _write(target: Path, spec: ClusterSpec) -> None:
    authority = create_authority(spec.name)
    authority.save(target / AUTHORITY)
    authority.issue(ADMIN, Role.ADMIN).save(target / ADMIN)
    write_private(target / ADMIN / "admin.toml", render({"cluster": _cluster(spec)}, admin=True).encode())
    for node in spec.nodes:
        place = target / node.name
        authority.issue(node.name, Role.NODE).save(place)
        write_node(place, spec, node)


def write_node(place: Path, spec: ClusterSpec, node: NodeSpec) -> None:
    """Write what a node's directory holds besides its identity: FTPS certificate and configuration file."""
    write_private(place / "ftps.pem", self_signed_server_pem(_server_names(node)))
    write_private(place / NODE_FILE, node_file(spec, node).encode())


def node_file(spec: ClusterSpec, node: NodeSpec) -> str:
    """Return the configuration file of one node of the cluster."""
    values: dict[str, dict[str, object]] = {
        "node": {"name": node.name, "data": spec.data},
        "peers": {"listen": str(node.listen), "encryption": spec.encryption},
        "cluster": _cluster(spec),
        "ftp": {
            "listen": str(node.ftp),
            "passive_ports": node.passive_ports,
            "tls_certificate": "ftps.pem",
        },
        "sftp": {"listen": str(node.sftp or "")},
        "metrics": {"listen": str(node.metrics or "")},
        "web": _web(node.web),
    }
    return render(values)


def _web(at: Address | None) -> dict[str, object]:
    """Return the section [web]; for browsers of other machines it speaks TLS, with the certificate of FTPS."""
    if at is None or at.is_loopback:
        return {"listen": str(at or "")}
    return {"listen": str(at), "tls_certificate": "ftps.pem"}


def _cluster(spec: ClusterSpec) -> dict[str, object]:
    members = tuple(Member(node.name, node.address) for node in spec.nodes)
    return {"name": spec.name, "replicas": spec.replicas, "members": members}


def _server_names(node: NodeSpec) -> list[str]:
    names = dict.fromkeys([node.address.host, node.name])
    return [*names, "localhost"] if _is_loopback(node.address.host) else list(names)


def _on_own_machine(node: NodeSpec) -> bool:
    """Whether the node has a machine of its own, as its address tells: then its loopback is its own, too."""
    return not _is_loopback(node.address.host)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
