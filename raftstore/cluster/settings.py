"""What a store must be told: who it is, where its data lies, who the others are, and its bounds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from raftstore.consensus.settings import ConsensusSettings
from raftstore.peers.security.pki import Identity
from raftstore.util.addresses import Address

MIN_RESERVE = 64 << 20
MAX_RESERVE = 1 << 30

EVERYWHERE = frozenset({"0.0.0.0", "::"})
"""Hosts that stand for all addresses of a machine."""


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """Bounds of the work in the background. Times in seconds, `bandwidth` in bytes a second and node."""

    concurrency: int = 2
    bandwidth: int = 32 * 1024**2
    repair_after: float = 300.0
    scrub_period: float = 14 * 24 * 3600.0
    collect_grace: float = 24 * 3600.0
    keep_partials: float = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Settings of one node's store.

    `members` holds every node of the cluster, this one too, with the address at which *this* node reaches it.
    Times are in seconds, sizes in bytes. `reserve_bytes` of the disk are kept free of pictures, for log and catalog;
    None takes a share of it. `ballast_bytes` are kept in a file, which log and catalog get when the disk is full.
    `zone` names what fails together with this node; "": nothing else does. `services` names what else listens at this
    node, for the status. `stall_threshold` is in seconds, too; 0: the loop is not watched.
    """

    name: str
    data: Path
    listen: Address
    members: Mapping[str, Address]
    identity: Identity
    zone: str = ""
    replicas: int = 3
    encryption: Literal["full", "bulk-auth"] = "full"
    volume_bytes: int = 1 << 30
    reserve_bytes: int | None = None
    ballast_bytes: int = 64 * 1024**2
    command_timeout: float = 10.0
    barrier_timeout: float = 5.0
    consensus: ConsensusSettings = field(default_factory=ConsensusSettings)
    jobs: JobsSettings = field(default_factory=JobsSettings)
    services: Mapping[str, Address] = field(default_factory=dict)
    stall_threshold: float = 0.1

    def services_at(self, own: str) -> dict[str, str]:
        """Return where the services are reached. `own`: host:port of this node, for those that listen everywhere."""
        own_host = own.rpartition(":")[0]
        return {
            name: f"{own_host if host in EVERYWHERE else f'[{host}]' if ':' in host else host}:{port}"
            for name, (host, port) in self.services.items()
        }

    @property
    def others(self) -> list[str]:
        """The names of the other members."""
        return [name for name in self.members if name != self.name]

    @property
    def reserve(self) -> int:
        """Bytes of the data directory's disk, which must exist, that pictures do not get."""
        if self.reserve_bytes is not None:
            return self.reserve_bytes
        return min(MAX_RESERVE, max(MIN_RESERVE, shutil.disk_usage(self.data).total // 20))
