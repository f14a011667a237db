"""A node's configuration as a whole, and that of an admin."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ftpgateway.node.config import kinds
from ftpgateway.node.config.declare import Mistake, Setting, declared, sections_of, settings_of
from ftpgateway.node.config.sections.chunks import ChunksConfig
from ftpgateway.node.config.sections.clients import ClientsConfig
from ftpgateway.node.config.sections.cluster import ClusterConfig
from ftpgateway.node.config.sections.consensus import ConsensusConfig
from ftpgateway.node.config.sections.ftp import FtpConfig
from ftpgateway.node.config.sections.jobs import JobsConfig
from ftpgateway.node.config.sections.log import LogConfig
from ftpgateway.node.config.sections.peers import PeersConfig
from ftpgateway.node.config.sections.sftp import SftpConfig
from raftstore.util.addresses import Address

NODE_FILE = "pixraft.toml"
"""Name of the file in a node's directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Everything that one node is told; `source` is the file it came from."""

    name: str = declared(kinds.NAME, "Name of this node; one of the names in `cluster.members`.")
    data: Path = declared(
        kinds.PATH,
        "Directory for all that the node stores, on a local disk, for this node alone.",
        "data",
    )
    zone: str = declared(
        kinds.NAME_OR_EMPTY,
        "What fails together with this node: its rack, room or power line. Copies of a picture go to different "
        'zones as far as there are enough. "": nothing else fails with it.',
        "",
    )
    ballast_bytes: int = declared(
        kinds.integer(0, 64 * 1024**3),
        "Bytes of the disk that are kept in a file for log and catalog: when something else has filled the disk, they "
        "go on with these. 0: nothing is kept.",
        64 * 1024**2,
    )
    peers: PeersConfig
    cluster: ClusterConfig
    consensus: ConsensusConfig
    chunks: ChunksConfig
    jobs: JobsConfig
    ftp: FtpConfig
    sftp: SftpConfig
    clients: ClientsConfig
    log: LogConfig
    source: Path

    def mistakes(self) -> Iterator[Mistake]:
        """Yield what does not fit together."""
        if self.name not in (member.name for member in self.cluster.members):
            yield Mistake("name", f"{self.name!r} is not in cluster.members", "add it there, or correct it")
        for (other, there), (key, address) in itertools.combinations(self.listening(), 2):
            if address.meets(there):
                problem = f"{address} is the address of {other} ({there}), too"
                yield Mistake(key, problem, "change one of the ports")
        if self.log.transfers is not None and self.log.transfers == self.log.file:
            problem = f"{self.log.file} is log.file, too: who reads transfers would find lines of the log"
            yield Mistake("log.transfers", problem, "name another file")

    def listening(self) -> Iterator[tuple[str, Address]]:
        """Yield every address on which the node listens, with its key."""
        for setting in settings():
            value = getattr(self if setting.section == "node" else getattr(self, setting.section), setting.key)
            if isinstance(value, Address):
                yield setting.name, value


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    """An admin's bundle: with what `pixraft` introduces itself, and to whom; `source` is the file."""

    ca: Path = declared(kinds.FILE, "Certificate of the cluster's own authority.", "ca.pem")
    certificate: Path = declared(kinds.FILE, "The admin's certificate.", "node.pem")
    key: Path = declared(kinds.FILE, "Private key of the certificate.", "node.key")
    cluster: ClusterConfig
    source: Path


NODE_SECTIONS: dict[str, type] = {"node": NodeConfig, **sections_of(NodeConfig)}
"""The sections of a node's file: what is declared above, each in a module of its own."""

ADMIN_SECTIONS: dict[str, type] = {"admin": AdminConfig, **sections_of(AdminConfig)}


def settings(sections: Mapping[str, type] = NODE_SECTIONS) -> Iterator[Setting]:
    """Yield every key of a node's configuration in the order of a file."""
    return settings_of(sections)


def section_doc(section: str) -> str:
    """Return what a section of a node's file is about, in a sentence."""
    if section == "node":
        return "Which node this is."
    return (NODE_SECTIONS[section].__doc__ or "").strip()
