"""What a store must be told: who it is, where its data lies, who the others are, and its bounds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raftstore.chunks.settings import ChunksSettings
from raftstore.consensus.settings import ConsensusSettings
from raftstore.peers.settings import PeersSettings
from raftstore.util.addresses import Address
from raftstore.util.settings import declared, kinds
from raftstore.util.settings.kinds import Member

if TYPE_CHECKING:
    from raftstore.peers.security.pki import Identity

MIN_RESERVE = 64 << 20
MAX_RESERVE = 1 << 30

EVERYWHERE = frozenset({"0.0.0.0", "::"})
"""Hosts that stand for all addresses of a machine."""

REPLICAS = 3
"""Copies of a picture, unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Which node this is."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The cluster as a whole: the same on every node."""

    name: str = declared(kinds.NAME, "Name of the cluster, for people.", "pictures")
    replicas: int = declared(
        kinds.integer(1, 15),
        "Copies of each picture, on different nodes; while there are fewer nodes, as many as there are nodes.",
        REPLICAS,
    )
    members: tuple[Member, ...] = declared(
        kinds.MEMBERS,
        "Where this node finds the others when it starts: a `[[cluster.members]]` table for each node, with `name` "
        "and the `address` (host:port) at which the others reach it. In a new cluster these are its members; "
        "later it agrees on them itself (`pixraft node`). In the environment: `n1=host1:7420,n2=host2:7420`.",
    )

    def addresses(self) -> dict[str, Address]:
        """Return the address of each member by its name."""
        return {member.name: member.address for member in self.members}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsSettings:
    """Work in the background: copies, verification, collection. The same on every node, but for the bandwidth."""

    concurrency: int = declared(
        kinds.integer(1, 16), "Jobs that this node does at a time (`pixraft jobs list` shows them).", 2
    )
    bandwidth: int = declared(
        kinds.integer(256 * 1024, 64 * 1024**3),
        "Bytes a second that all jobs of this node together read or write; an eighth of it while clients upload.",
        32 * 1024**2,
    )
    repair_after: float = declared(
        kinds.integer(1, 30 * 86400),
        "Seconds after which the pictures of a node that cannot be reached are copied to others.",
        300,
    )
    scrub_period: float = declared(
        kinds.integer(10, 365 * 86400),
        "Seconds within which every chunk on disk is read and verified again; a download of a large chunk relies on "
        "what was verified on this node within that time.",
        14 * 86400,
    )
    collect_grace: float = declared(
        kinds.integer(1, 365 * 86400),
        "Seconds for which the bytes of a deleted picture stay on disk at least; it takes up to twice as long "
        "until their space is free.",
        86400,
    )
    keep_partials: float = declared(
        kinds.integer(1, 10 * 365 * 86400),
        "Seconds for which what an interrupted upload left is kept for its owner to go on with (`pixraft partials "
        "list` shows it). Counted while the cluster has a leader, by a clock that nobody sets, in 168 parts, each of "
        "which begins anew when another node becomes the leader.",
        7 * 86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How much of the audit log is kept (`pixraft audit`). The same on every node: the leader's counts."""

    records: int = declared(
        kinds.integer(1_000, 1_000_000), "Records that are kept; the oldest go first.", 100_000
    )
    age: float = declared(
        kinds.integer(3600, 100 * 365 * 86400),
        "Seconds of cluster time for which a record is kept; the newest one stays.",
        400 * 86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksSettings:
    """How events are sent to webhooks (`pixraft webhook`). The same on every node: the leader's counts."""

    pause: float = declared(
        kinds.integer(1, 86400),
        "Seconds that pass at most between two attempts to send what was not accepted; they begin with 1, and double.",
        3600,
    )
    give_up: float = declared(
        kinds.integer(1, 30 * 86400),
        "Seconds of cluster time after which an event whose message is not accepted becomes a dead letter.",
        3 * 86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Settings of one node's store.

    `cluster.members` holds every node of the cluster, this one too, with the address at which *this* node reaches it.
    Times are in seconds, sizes in bytes. `reserve_bytes` of the disk are kept free of pictures, for log and catalog;
    None takes a share of it. `services` names what else listens at this node, for the status. `stall_threshold` is in
    seconds, too; 0: the loop is not watched.
    """

    node: NodeSettings
    peers: PeersSettings
    cluster: ClusterSettings
    identity: Identity
    chunks: ChunksSettings = ChunksSettings()  # noqa: RUF009  # immutable
    consensus: ConsensusSettings = ConsensusSettings()  # noqa: RUF009  # immutable
    jobs: JobsSettings = JobsSettings()  # immutable
    audit: AuditSettings = AuditSettings()  # immutable
    webhooks: WebhooksSettings = WebhooksSettings()  # immutable
    reserve_bytes: int | None = None
    command_timeout: float = 10.0
    barrier_timeout: float = 5.0
    services: Mapping[str, Address] = field(default_factory=dict)
    stall_threshold: float = 0.0

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def data(self) -> Path:
        """Directory of all that the node stores."""
        return self.node.data

    @property
    def members(self) -> Mapping[str, Address]:
        """Every node of the cluster and where this one reaches it."""
        return self.cluster.addresses()

    @property
    def replicas(self) -> int:
        """Copies of a picture."""
        return self.cluster.replicas

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
