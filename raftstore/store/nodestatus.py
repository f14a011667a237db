"""What a node says of itself, and what it knows of the cluster as a whole."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection

from raftstore.chunks.placement.topology import Topology
from raftstore.cluster.membership.boot import Boots
from raftstore.cluster.membership.program import VERSIONS
from raftstore.cluster.membership.service import Membership
from raftstore.cluster.status import diskspace, verdict
from raftstore.cluster.status.convert import node_to_wire
from raftstore.cluster.status.health import Health
from raftstore.consensus.engine import Consensus
from raftstore.metadata.tables.cluster.jobs import drain_states
from raftstore.peers.security.expiry import CertificateEnds
from raftstore.store.opendisk import OpenDisk
from raftstore.types import CHUNK_SIZE, ClientFigure, ClusterStatus, LoopStatus, NodeStatus, StoreInfo, Wanted
from raftstore.util.metrics import gauge
from raftstore.util.space import Space
from raftstore.wire import admin_pb2 as admin

STARTING = "starting"
"""Role of a node that does not take part in consensus yet."""

TakesPart = Callable[[], Consensus | None]
"""Returns the node's consensus once it takes part in it."""


class OwnStatus:
    """What this node says of itself."""

    def __init__(
        self,
        disk: OpenDisk,
        membership: Membership,
        loop: LoopStatus | None,
        takes_part: Callable[[], Consensus | None],
        rests: Callable[[], bool],
    ) -> None:
        """`rests`: whether this node is in maintenance."""
        self._disk = disk
        self._membership = membership
        self._loop = loop
        self._takes_part = takes_part
        self._rests = rests
        self.rejoining = False
        """Whether its log was lost, and it has no vote until it has caught up."""
        self.client_figures: Callable[[], dict[str, ClientFigure]] = dict
        """What the clients of the front-ends hold."""
        self.certificates = CertificateEnds()
        """Of the node and its front-ends."""

    def __call__(self) -> tuple[NodeStatus, str]:
        """Return this node's status and the leader it follows ("" for none)."""
        settings, consensus = self._disk.settings, self._takes_part()
        own = self._membership.own_address
        node = NodeStatus(settings.name, own, reachable=True, zone=settings.node.zone)
        node.services = settings.services_at(own)
        node.program, node.oldest, node.newest = VERSIONS.program, VERSIONS.oldest, VERSIONS.newest
        node.level = self._disk.level or None
        node.voter = settings.name in self._membership.roster.configuration.voters
        node.loop = self._loop
        node.clients = self.client_figures()
        node.certificates = self.certificates()
        if consensus is None:
            node.role, node.error = STARTING, "waiting to hear from all members for its first start"
            return node, ""
        volumes = self._disk.volumes
        stats = volumes.stats()
        node.role = consensus.role if node.voter else "learner"
        node.term = consensus.term
        node.commit_index = consensus.commit_index
        node.applied_index = consensus.applied_index
        node.bytes = stats.bytes
        node.free_disk = stats.disk_free
        node.reclaimable = volumes.reclaimable()
        node.quarantined = stats.quarantined
        node.error = self._error()
        return node, consensus.leader or ""

    @gauge("pixraft_raft_term", "Term of the Raft log, as this node knows it.")
    def term(self) -> float:
        """The term; 0 before the node takes part."""
        consensus = self._takes_part()
        return consensus.term if consensus is not None else 0

    @gauge("pixraft_raft_leader", "1 while this node leads.")
    def leads(self) -> float:
        """1 or 0."""
        consensus = self._takes_part()
        return consensus is not None and consensus.is_leader

    @gauge("pixraft_has_leader", "1 while this node knows a leader.")
    def follows(self) -> float:
        """1 or 0; proves nothing about a majority."""
        consensus = self._takes_part()
        return consensus is not None and consensus.leader is not None

    @gauge("pixraft_apply_lag_entries", "Entries that this node knows to be committed and has not applied.")
    def lag(self) -> float:
        """How many."""
        return max(0.0, self.committed() - self.applied()) if self._takes_part() is not None else 0

    @gauge("pixraft_log_level", "Level of the log that is in force, as applied on this node.")
    def level(self) -> float:
        """The level; 0 while it has applied nothing."""
        return self._disk.level

    @gauge("pixraft_writable", "1 while this node's disk takes pictures and log.")
    def writable(self) -> float:
        """1 or 0."""
        return not self.disk_problem()

    @gauge(
        "pixraft_maintenance", "1 while this node is in maintenance: it takes no sessions and does not lead."
    )
    def rests(self) -> float:
        """1 or 0."""
        return self._rests()

    @gauge("pixraft_raft_commit_index", "Last entry of the Raft log that this node knows to be committed.")
    def committed(self) -> float:
        """The index; 0 before the node takes part."""
        consensus = self._takes_part()
        return consensus.commit_index if consensus is not None else 0

    @gauge("pixraft_raft_applied_index", "Last entry of the Raft log that is applied on this node.")
    def applied(self) -> float:
        """The index."""
        return self._disk.catalog.applied_index

    @gauge("pixraft_files", "Published files of the cluster, as applied on this node.")
    def files(self) -> float:
        """How many."""
        return self._disk.catalog.totals()[0]

    @gauge("pixraft_file_bytes", "Sum of the sizes of published files, each once, as applied on this node.")
    def file_bytes(self) -> float:
        """In bytes."""
        return self._disk.catalog.totals()[1]

    def disk_problem(self) -> str:
        """Say why this node's own disk takes no more pictures, "" while it does."""
        watch = self._disk.watch
        if self._disk.volumes.stats().failed:
            return "its disk failed: it takes no more pictures"
        if watch.space is not Space.ENOUGH:
            return diskspace.complaint(watch.space, str(self._disk.settings.data), watch.ballast.held)
        if self._disk.free_space() < CHUNK_SIZE:
            return "its disk is full: it takes no more pictures"
        return ""

    def _error(self) -> str:
        if problem := self.disk_problem():
            return problem
        return "its log was lost: no vote until it has caught up" if self.rejoining else ""


class BuildInfo:
    """Which program this is: the version is a label."""

    @gauge("pixraft_build_info", "Always 1; the label has the version of the program.", also=("version",))
    def one(self) -> float:
        """1."""
        return 1


class NodeReporter:
    """Answers the other members, each of which asks about once a second."""

    def __init__(
        self,
        disk: OpenDisk,
        own: OwnStatus,
        membership: Membership,
        health: Health,
        takes_part: Callable[[], Consensus | None],
    ) -> None:
        self._disk = disk
        self._own = own
        self._membership = membership
        self._health = health
        self._takes_part = takes_part
        self.boots = Boots()
        """This start and the one before, once they have numbers."""

    def __call__(self, peer: str, request: admin.NodeRequest) -> admin.NodeReport:
        """Return what this node says of itself, and of the disk with which `peer` has started."""
        catalog = self._disk.catalog
        node, leader = self._own()
        theirs = Boots(request.previous_boot, request.boot, request.log_end)
        report = admin.NodeReport(
            node=node_to_wire(node),
            leader=leader,
            empty=self._disk.log_empty,
            store=self._disk.volumes.identity,
            free_space=self._disk.free_space(),
            space=self._disk.watch.space,
            superseded=catalog.superseded(peer, request.store),
            outdated=theirs.outdated(catalog.boot_before(peer, theirs.now))
            or self._health.progress.lacks(peer, request.store, theirs.now, theirs.log_end),
            latest_boot=catalog.latest_boot(peer),
            time_ns=time.time_ns(),
        )
        consensus = self._takes_part()
        if consensus is not None:
            report.boot = self.boots.now
            report.safe_index = min(consensus.commit_index, consensus.durable_index)
        self._membership.add_to(report, request.known)
        return report


class ClusterStatusReporter:
    """What a node knows of the cluster as a whole."""

    def __init__(
        self,
        disk: OpenDisk,
        membership: Membership,
        health: Health,
        topology: Topology,
        confirmed: Callable[[], Awaitable[bool]],
        resting: Callable[[], Collection[str]],
    ) -> None:
        """`confirmed` asks whether a majority confirms what is applied here; `resting`: the nodes in maintenance."""
        self._disk = disk
        self._membership = membership
        self._health = health
        self._topology = topology
        self._confirmed = confirmed
        self._resting = resting

    async def __call__(self, short_limit: int) -> ClusterStatus:
        """Return the cluster's status as this node sees it, also without a quorum."""
        # First the barrier, then the roles: together they may contradict each other while an election is under way.
        confirmed = await self._confirmed()
        status = await self._health.gather()
        catalog = self._disk.catalog
        drains = drain_states(catalog.jobs())
        stores = {store.node: store for store in catalog.stores() if store.current}
        there = {node: store.number for node, store in stores.items() if self._is_there(store)}
        resting = self._resting()
        for node in status.nodes:
            node.maintenance = node.name in resting
            node.drain = drains.get(node.name, "")
            if node.reachable and not node.error and node.role != STARTING and node.name not in stores:
                node.error = "its volumes are not announced yet: it takes no pictures"
            if node.applied_index is not None:
                # As applied here, so that it fits the other figures: each node may be an entry behind or ahead.
                node.pictures = catalog.store_totals(there[node.name])[0] if node.name in there else 0
        status.files, status.bytes = catalog.totals()
        status.partials, status.partial_bytes = catalog.partial_totals()
        live = list(there.values())
        wanted = self._topology.view().wanted
        status.short_count, status.short = catalog.short_files(wanted, live, short_limit)
        status.lost_count, _ = catalog.short_files(Wanted(1, 1), live, 0)
        status.verdict, status.error = verdict.judge(
            status, confirmed=confirmed, changes=self._membership.under_way()
        )
        return status

    def _is_there(self, store: StoreInfo) -> bool:
        """Whether its node has just said that these are its volumes: after a loss it has others, not announced yet."""
        if store.node == self._disk.settings.name:
            return store.identity == self._disk.volumes.identity
        report = self._health.last(store.node)
        return report is not None and report.store == store.identity
