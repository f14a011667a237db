"""A node's configuration: one TOML file, read once, checked whole, frozen.

Every key is declared once, with its description, in the module of its section: loading, the file that `pixraft init`
writes and docs/configuration.md all come from these declarations (see `settings`). A new section is a module with a
dataclass and a field of `node.NodeConfig`. An environment variable PIXRAFT_<SECTION>_<KEY> overrides the file.
Relative paths are relative to the file.

It is a package of its own because everything else is told by it and it knows nothing of the rest.
"""

from __future__ import annotations

from ftpgateway.node.config.declare import Mistake, Setting
from ftpgateway.node.config.errors import ConfigError, Problem
from ftpgateway.node.config.kinds import Member
from ftpgateway.node.config.reading import (
    Effective,
    effective,
    load_admin_config,
    load_node_config,
)
from ftpgateway.node.config.sections.chunks import ChunksConfig
from ftpgateway.node.config.sections.clients import ClientsConfig
from ftpgateway.node.config.sections.cluster import REPLICAS, ClusterConfig
from ftpgateway.node.config.sections.consensus import ConsensusConfig
from ftpgateway.node.config.sections.ftp import FtpConfig
from ftpgateway.node.config.sections.jobs import JobsConfig
from ftpgateway.node.config.sections.log import LogConfig
from ftpgateway.node.config.sections.node import NODE_FILE, AdminConfig, NodeConfig, section_doc, settings
from ftpgateway.node.config.sections.peers import PeersConfig
from ftpgateway.node.config.sections.sftp import SftpConfig
from ftpgateway.node.config.writing import render
from raftstore.util.addresses import Address

__all__ = [
    "NODE_FILE",
    "REPLICAS",
    "Address",
    "AdminConfig",
    "ChunksConfig",
    "ClientsConfig",
    "ClusterConfig",
    "ConfigError",
    "ConsensusConfig",
    "Effective",
    "FtpConfig",
    "JobsConfig",
    "LogConfig",
    "Member",
    "Mistake",
    "NodeConfig",
    "PeersConfig",
    "Problem",
    "Setting",
    "SftpConfig",
    "effective",
    "load_admin_config",
    "load_node_config",
    "render",
    "section_doc",
    "settings",
]
