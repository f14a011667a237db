"""A node's configuration: one TOML file, read once, checked whole, frozen.

Every key is declared once, with its description: loading, the file that `pixraft init` writes and
docs/configuration.md all come from these declarations (see `settings`). An environment variable
PIXRAFT_<SECTION>_<KEY> overrides the file. Relative paths are relative to the file.
"""

# `_key` is `dataclasses.field`.
# ruff: noqa: RUF009
from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from ftpgateway import configtypes as kinds
from ftpgateway.configtypes import Address, ConfigError, Kind, Member

__all__ = [
    "REPLICAS",
    "Address",
    "AdminConfig",
    "ChunksConfig",
    "ClusterConfig",
    "ConfigError",
    "ConsensusConfig",
    "FtpConfig",
    "JobsConfig",
    "LogConfig",
    "Member",
    "NodeConfig",
    "PeersConfig",
    "load_admin_config",
    "load_node_config",
    "render",
    "settings",
]

ENVIRONMENT_PREFIX = "PIXRAFT_"
REPLICAS = 3
"""Copies of a picture, unless the configuration says otherwise."""

_REQUIRED = dataclasses.MISSING
_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: what it takes, what it means, and its default as it stands in a file (None: required)."""

    section: str
    key: str
    kind: Kind
    doc: str
    default: object | None

    @property
    def environment(self) -> str:
        """Name of the environment variable that overrides the key."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.key}".upper()


def _key(kind: Kind, doc: str, default: object = _REQUIRED) -> Any:
    metadata = {"kind": kind, "doc": doc, "default": default}
    if default is _REQUIRED or isinstance(value := kind.from_toml(default), Path):
        return dataclasses.field(metadata=metadata)  # a path means something only beside its file
    return dataclasses.field(default=value, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersConfig:
    """The channel between nodes."""

    listen: Address = _key(
        kinds.ADDRESS, "Address on which this node listens for the others, and for `pixraft` itself."
    )
    encryption: str = _key(
        kinds.choice("full", "bulk-auth"),
        "`full`: everything between nodes is TLS 1.3. `bulk-auth`: picture bytes go in the clear but "
        "authenticated, which is faster, for networks that you trust. The same on every node.",
        "full",
    )
    ca: Path = _key(kinds.FILE, "Certificate of the cluster's own authority.", "ca.pem")
    certificate: Path = _key(kinds.FILE, "This node's certificate, issued by that authority.", "node.pem")
    key: Path = _key(kinds.FILE, "Private key of the certificate; only its owner may read it.", "node.key")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """The cluster as a whole: the same on every node."""

    name: str = _key(kinds.NAME, "Name of the cluster, for people.", "pictures")
    replicas: int = _key(
        kinds.integer(1, 15),
        "Copies of each picture, on different nodes; at most the number of nodes.",
        REPLICAS,
    )
    members: tuple[Member, ...] = _key(
        kinds.MEMBERS,
        "Where this node finds the others when it starts: a `[[cluster.members]]` table for each node, with `name` "
        "and the `address` (host:port) at which the others reach it. In a new cluster these are its members; "
        "later it agrees on them itself (`pixraft node`). In the environment: `n1=host1:7420,n2=host2:7420`.",
    )

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Return the address of each member by its name."""
        return {member.name: member.address for member in self.members}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusConfig:
    """How much of the replicated log is kept: the same on every node. The defaults suit nearly everyone."""

    log_entries: int = _key(
        kinds.integer(30, 10_000_000),
        "Entries (each of up to 1024 commands) up to which the log grows before it is cut; a third of them stay. "
        "A node that was away for longer than they last is sent a snapshot of the catalog.",
        30_000,
    )
    log_bytes: int = _key(
        kinds.integer(64 * 1024, 64 * 1024**3),
        "Bytes up to which the log grows before it is cut, in memory too; about half of them stay.",
        64 * 1024**2,
    )
    snapshot_piece: int = _key(
        kinds.integer(4096, 4 * 1024**2),
        "Bytes of a snapshot that a node asks for at a time: the next piece when it has stored the last one.",
        1024**2,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsConfig:
    """Work in the background: copies, verification, collection. The same on every node, but for the bandwidth."""

    concurrency: int = _key(
        kinds.integer(1, 16), "Jobs that this node does at a time (`pixraft jobs` shows them).", 2
    )
    bandwidth: int = _key(
        kinds.integer(256 * 1024, 64 * 1024**3),
        "Bytes a second that all jobs of this node together read or write; an eighth of it while clients upload.",
        32 * 1024**2,
    )
    repair_after: int = _key(
        kinds.integer(1, 30 * 86400),
        "Seconds after which the pictures of a node that cannot be reached are copied to others.",
        300,
    )
    scrub_period: int = _key(
        kinds.integer(10, 365 * 86400),
        "Seconds within which every chunk on disk is read and verified again; a download of a large chunk relies on "
        "what was verified on this node within that time.",
        14 * 86400,
    )
    collect_grace: int = _key(
        kinds.integer(1, 365 * 86400),
        "Seconds for which the bytes of a deleted picture stay on disk at least; it takes up to twice as long "
        "until their space is free.",
        86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunksConfig:
    """How picture bytes lie on this node's disk."""

    volume_bytes: int = _key(
        kinds.integer(1024**2, 32 * 1024**3),
        "Bytes up to which a file of pictures grows before the next one is begun. Space is given back by the file.",
        1024**3,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpConfig:
    """What FTP clients see."""

    listen: Address = _key(kinds.ADDRESS, "Address of the FTP server.", "0.0.0.0:2121")
    passive_ports: tuple[int, int] | None = _key(
        kinds.PORT_RANGE,
        'Ports for passive data connections, first-last, for your firewall. "" takes any free port.',
        "50000-50999",
    )
    masquerade_address: str = _key(
        kinds.HOST_OR_EMPTY,
        "Address that clients are told for passive data connections, when the node is behind NAT. "
        '"" tells them the address that they connected to.',
        "",
    )
    tls_certificate: Path | None = _key(
        kinds.FILE_OR_EMPTY,
        'PEM file with the private key and certificate chain for explicit FTPS (AUTH TLS). "" offers no FTPS.',
        "",
    )
    require_tls: bool = _key(
        kinds.BOOLEAN, "Refuse logins and transfers that are not encrypted; needs `tls_certificate`.", False
    )
    idle_timeout: int = _key(
        kinds.integer(10, 86400), "Seconds after which a session that does nothing is closed.", 300
    )
    max_sessions: int = _key(
        kinds.integer(1, 100_000), "Sessions at once on this node; one more is refused with 421.", 2000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """The node's log, on standard error."""

    level: str = _key(
        kinds.choice("debug", "info", "warning", "error"), "The least important lines that are logged.", "info"
    )
    format: str = _key(
        kinds.choice("text", "json"), "`text` for people, `json` (a line an event) for machines.", "text"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything that one node is told; `source` is the file it came from."""

    name: str = _key(kinds.NAME, "Name of this node; one of the names in `cluster.members`.")
    data: Path = _key(
        kinds.PATH,
        "Directory for all that the node stores, on a local disk, for this node alone.",
        "data",
    )
    zone: str = _key(
        kinds.NAME_OR_EMPTY,
        "What fails together with this node: its rack, room or power line. Copies of a picture go to different "
        'zones as far as there are enough. "": nothing else fails with it.',
        "",
    )
    peers: PeersConfig
    cluster: ClusterConfig
    consensus: ConsensusConfig
    chunks: ChunksConfig
    jobs: JobsConfig
    ftp: FtpConfig
    log: LogConfig
    source: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    """An admin's bundle: with what `pixraft` introduces itself, and to whom; `source` is the file."""

    ca: Path = _key(kinds.FILE, "Certificate of the cluster's own authority.", "ca.pem")
    certificate: Path = _key(kinds.FILE, "The admin's certificate.", "node.pem")
    key: Path = _key(kinds.FILE, "Private key of the certificate.", "node.key")
    cluster: ClusterConfig
    source: Path


_NODE_SECTIONS: dict[str, type] = {
    "node": NodeConfig,
    "peers": PeersConfig,
    "cluster": ClusterConfig,
    "consensus": ConsensusConfig,
    "chunks": ChunksConfig,
    "jobs": JobsConfig,
    "ftp": FtpConfig,
    "log": LogConfig,
}
_ADMIN_SECTIONS: dict[str, type] = {"admin": AdminConfig, "cluster": ClusterConfig}


def settings(sections: Mapping[str, type] = _NODE_SECTIONS) -> Iterator[Setting]:
    """Yield every key of a node's configuration in the order of a file."""
    for section, declaration in sections.items():
        for field in dataclasses.fields(declaration):
            if "kind" in field.metadata:
                default = field.metadata["default"]
                yield Setting(
                    section,
                    field.name,
                    field.metadata["kind"],
                    field.metadata["doc"],
                    None if default is _REQUIRED else default,
                )


def section_doc(section: str) -> str:
    """Return what a section of a node's file is about, in a sentence."""
    if section == "node":
        return "Which node this is."
    return (_NODE_SECTIONS[section].__doc__ or "").strip()


def load_node_config(file: Path, environment: Mapping[str, str] = os.environ) -> NodeConfig:
    """Read and check a node's configuration; raise ConfigError that names file, key and what to do."""
    reader = _Reader(file, _NODE_SECTIONS, environment)
    node = reader.values("node")
    config = NodeConfig(
        name=node["name"],
        data=node["data"],
        zone=node["zone"],
        peers=reader.section("peers", PeersConfig),
        cluster=reader.section("cluster", ClusterConfig),
        consensus=reader.section("consensus", ConsensusConfig),
        chunks=reader.section("chunks", ChunksConfig),
        jobs=reader.section("jobs", JobsConfig),
        ftp=reader.section("ftp", FtpConfig),
        log=reader.section("log", LogConfig),
        source=reader.file,
    )
    names = [member.name for member in config.cluster.members]
    if config.name not in names:
        raise reader.error(
            "node.name",
            f"{config.name!r} is not in cluster.members",
            "add it there, or correct it",
        )
    if config.ftp.require_tls and config.ftp.tls_certificate is None:
        raise reader.error("ftp.require_tls", "needs a certificate", "set ftp.tls_certificate")
    return config


def load_admin_config(file: Path, environment: Mapping[str, str] = os.environ) -> AdminConfig:
    """Read and check an admin's bundle; raise ConfigError as `load_node_config` does."""
    reader = _Reader(file, _ADMIN_SECTIONS, environment)
    return AdminConfig(
        **reader.values("admin"), cluster=reader.section("cluster", ClusterConfig), source=reader.file
    )


def render(values: Mapping[str, Mapping[str, object]], *, admin: bool = False) -> str:
    """Write a configuration file: `values` by section and key over the defaults, each with its description."""
    lines: list[str] = []
    section = ""
    for setting in settings(_ADMIN_SECTIONS if admin else _NODE_SECTIONS):
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        value = values.get(section, {}).get(setting.key, setting.default)
        lines += kinds.comment(setting.doc)
        if setting.kind is kinds.MEMBERS:
            for member in cast("tuple[Member, ...]", value):
                lines += ["[[cluster.members]]"]
                lines += [f"name = {kinds.toml(member.name)}", f"address = {kinds.toml(str(member.address))}"]
        else:
            lines.append(f"{setting.key} = {kinds.toml(value)}")
    return "\n".join(lines[1:]) + "\n"


class _Reader:
    """One file with its environment, checked against the declared sections."""

    def __init__(self, file: Path, sections: Mapping[str, type], environment: Mapping[str, str]) -> None:
        self.file = Path(os.path.abspath(file))
        self._settings = {(setting.section, setting.key): setting for setting in settings(sections)}
        self._sections = sections
        self._environment = environment
        self._table = self._parse()
        self._check_names()

    def error(self, key: str, problem: str, remedy: str) -> ConfigError:
        return ConfigError(f"{self.file}: {key}: {problem}; {remedy}")

    def section(self, section: str, declaration: Callable[..., _Section]) -> _Section:
        return declaration(**self.values(section))

    def values(self, section: str) -> dict[str, Any]:
        return {
            key: self._value(setting) for (owner, key), setting in self._settings.items() if owner == section
        }

    def _parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{self.file}: no such file; make a cluster with `pixraft init`") from None
        except OSError as error:
            raise ConfigError(f"{self.file}: cannot be read ({error.strerror}); correct that") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.file}: not a whole TOML file ({error}); correct it, "
                "or restore it from the directory that `pixraft init` made"
            ) from None

    def _check_names(self) -> None:
        for section, table in self._table.items():
            if section not in self._sections:
                known = ", ".join(f"[{name}]" for name in self._sections)
                raise self.error(f"[{section}]", "unknown section", f"known are {known}")
            if not isinstance(table, dict):
                raise self.error(section, "must be a section", f"write [{section}] on a line of its own")
            for key in table:
                if (section, key) not in self._settings:
                    known = ", ".join(k for s, k in self._settings if s == section)
                    raise self.error(f"{section}.{key}", "unknown key", f"known in [{section}] are {known}")
        variables = {setting.environment for setting in self._settings.values()}
        for variable in self._environment.keys() - variables:
            # What belongs to no section of this file (PIXRAFT_CONFIG, another program's) is not for us.
            prefixes = tuple(f"{ENVIRONMENT_PREFIX}{section}_".upper() for section in self._sections)
            if variable.startswith(prefixes):
                raise ConfigError(f"environment variable {variable}: unknown key; see docs/configuration.md")

    def _value(self, setting: Setting) -> Any:
        text = self._environment.get(setting.environment)
        table = self._table.get(setting.section, {})
        try:
            if text is not None:
                return self._resolved(setting, setting.kind.from_text(text))
            value = table.get(setting.key, setting.default)
            if value is None:
                raise ValueError("is missing")
            return self._resolved(setting, setting.kind.from_toml(value))
        except ValueError as error:
            remedy = f"it takes {setting.kind.takes}"
            if text is not None:
                raise ConfigError(f"environment variable {setting.environment}: {error}; {remedy}") from None
            raise self.error(f"{setting.section}.{setting.key}", str(error), remedy) from None

    def _resolved(self, setting: Setting, value: Any) -> Any:
        """Make a path absolute, and see that a file that must be there is there and readable."""
        if not isinstance(value, Path):
            return value
        path = Path(os.path.abspath(self.file.parent / value.expanduser()))
        if setting.kind.must_exist and not path.is_file():
            raise ValueError(f"there is no file {path}")
        if setting.kind.must_exist and not os.access(path, os.R_OK):
            raise ValueError(f"{path} cannot be read by this user")
        return path
