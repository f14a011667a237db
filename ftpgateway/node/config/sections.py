"""The sections of the configuration files, in their order. A section is the settings of the component that uses it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ftpgateway.access.settings import ClientsSettings, PeopleSettings
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.frontends import FRONTENDS
from ftpgateway.serving.frontends import AnyKind
from raftstore.chunks.settings import ChunksSettings
from raftstore.cluster.settings import (
    AuditSettings,
    ClusterSettings,
    JobsSettings,
    NodeSettings,
    WebhooksSettings,
)
from raftstore.consensus.settings import RaftLogSettings
from raftstore.peers.settings import PeersSettings
from raftstore.util.settings import declared, kinds
from raftstore.util.settings.declare import Setting, settings_of


class Section(NamedTuple):
    """A section: its name in the file, and the dataclass that declares its keys."""

    name: str
    settings: type

    @property
    def doc(self) -> str:
        """What it is about: the first paragraph of the dataclass's docstring."""
        return inspect.cleandoc(self.settings.__doc__ or "").partition("\n\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """With what `pixraft` introduces itself."""

    ca: Path = declared(kinds.FILE, "Certificate of the cluster's own authority.", "ca.pem")
    certificate: Path = declared(kinds.FILE, "The admin's certificate.", "node.pem")
    key: Path = declared(kinds.FILE, "Private key of the certificate.", "node.key")


def node_sections(frontends: Iterable[AnyKind]) -> tuple[Section, ...]:
    """Return the sections of the file of a node with these front-ends."""
    return (
        Section("node", NodeSettings),
        Section("peers", PeersSettings),
        Section("cluster", ClusterSettings),
        Section("consensus", RaftLogSettings),
        Section("chunks", ChunksSettings),
        Section("jobs", JobsSettings),
        Section("audit", AuditSettings),
        Section("webhooks", WebhooksSettings),
        *(Section(frontend.name, frontend.settings) for frontend in frontends),
        Section("clients", ClientsSettings),
        Section("people", PeopleSettings),
        Section("log", LogSettings),
    )


NODE_SECTIONS = node_sections(FRONTENDS)
ADMIN_SECTIONS = (Section("admin", AdminSettings), Section("cluster", ClusterSettings))


def settings(sections: Iterable[Section] = NODE_SECTIONS) -> Iterator[Setting]:
    """Yield every key of `sections`, by default those of a node, in the order of a file."""
    for section in sections:
        yield from settings_of(section.name, section.settings)
