"""A configuration as a whole: a node's, and that of an admin."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.sections import Section, settings
from ftpgateway.node.frontends import FRONTENDS
from ftpgateway.serving.frontends import AnyKind
from raftstore.cluster.settings import ClusterSettings, NodeSettings
from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake

NODE_FILE = "pixraft.toml"
"""Name of the file in a node's directory."""

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All sections of one file, `source`: `configuration[JobsSettings]` is the section with these settings."""

    sections: tuple[Section, ...]
    values: Mapping[type, Any]
    source: Path

    def __getitem__(self, kind: type[S]) -> S:
        return cast("S", self.values[kind])

    def with_section(self, section: object) -> Self:
        """Return the same with another section in place of the one of its type."""
        return replace(self, values={**self.values, type(section): section})

    def mistakes(self) -> Iterator[Mistake]:
        """Yield what does not fit together between the sections; keys are `section.key`."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig(Configuration):
    """An admin's bundle: with what `pixraft` introduces itself, and to whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig(Configuration):
    """Everything that one node is told."""

    frontends: tuple[AnyKind, ...] = FRONTENDS

    @property
    def name(self) -> str:
        """The node's name."""
        return self[NodeSettings].name

    @property
    def data(self) -> Path:
        """Directory of all that the node stores."""
        return self[NodeSettings].data

    def mistakes(self) -> Iterator[Mistake]:
        """Yield what does not fit together between the sections."""
        if self.name not in (member.name for member in self[ClusterSettings].members):
            yield Mistake(
                "node.name", f"{self.name!r} is not in cluster.members", "add it there, or correct it"
            )
        for (other, there), (key, address) in itertools.combinations(self.listening(), 2):
            if address.meets(there):
                problem = f"{address} is the address of {other} ({there}), too"
                yield Mistake(key, problem, "change one of the ports")
        log = self[LogSettings]
        if log.transfers is not None and log.transfers == log.file:
            problem = f"{log.file} is log.file, too: who reads transfers would find lines of the log"
            yield Mistake("log.transfers", problem, "name another file")

    def listening(self) -> Iterator[tuple[str, Address]]:
        """Yield every address on which the node listens, with its key."""
        kinds = {section.name: section.settings for section in self.sections}
        for setting in settings(self.sections):
            value = getattr(self[kinds[setting.section]], setting.key)
            if isinstance(value, Address):
                yield setting.name, value

    def each_frontend(self) -> Iterable[tuple[AnyKind, Any]]:
        """Return each kind of front-end with its section."""
        return [(kind, self.values[kind.settings]) for kind in self.frontends]

    def services(self, *, for_clients: bool = False) -> dict[str, Address]:
        """Return what can be connected to, and where it listens; only what the status tells everybody if so wanted."""
        return {
            name: address
            for kind, section in self.each_frontend()
            for name, address in kind.services(section).items()
            if address is not None and (kind.for_clients or not for_clients)
        }
