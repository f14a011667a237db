"""A node that runs: its disk is open (`opendisk`), it talks to the others, and takes part in consensus when it may."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from raftstore.chunks.transfer.confirm import Confirmer
from raftstore.chunks.transfer.download import Fetcher
from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.service import ChunkService
from raftstore.chunks.volumes.shelf import Shelf
from raftstore.cluster.accounts import Accounts
from raftstore.cluster.auditing import AuditFeed, Auditor, AuditTrimming
from raftstore.cluster.backups import Backups
from raftstore.cluster.calls import all_calls
from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.clustertime import ClusterTime
from raftstore.cluster.events import EventFeed
from raftstore.cluster.expiry import PartialExpiry
from raftstore.cluster.jobs.background import BackgroundJobs, make_node
from raftstore.cluster.maintenance import MaintenanceCalls, Yielding
from raftstore.cluster.membership import bootstrap
from raftstore.cluster.membership.boot import Boots, next_boot, retract
from raftstore.cluster.membership.joining import Doorkeeper
from raftstore.cluster.membership.program import VERSIONS
from raftstore.cluster.membership.renewal import Renewal
from raftstore.cluster.membership.service import Membership
from raftstore.cluster.membership.superseded import SupersededCheck
from raftstore.cluster.people import People
from raftstore.cluster.replicas.recorder import FoundReplicas, ReplicaRecorder
from raftstore.cluster.replicas.registration import Registration
from raftstore.cluster.replicas.view import LiveTopology
from raftstore.cluster.retaining import RetentionWork
from raftstore.cluster.retention import RetentionCalls
from raftstore.cluster.status import diskspace
from raftstore.cluster.status.enquiries import Enquiries
from raftstore.cluster.status.health import Health
from raftstore.cluster.status.news import News
from raftstore.cluster.status.watching import NodeWatch
from raftstore.cluster.trash import TrashCalls
from raftstore.cluster.webhooks.request import Requester
from raftstore.cluster.webhooks.sending import WebhookWork
from raftstore.consensus.engine import Consensus
from raftstore.errors import DiskFull, NoQuorum, StoreError, Superseded
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.cluster.jobs import draining
from raftstore.peers import PeerNetwork
from raftstore.peers.security.expiry import CertificateEnd
from raftstore.peers.versions import incompatible
from raftstore.rights import Actor
from raftstore.store.nodestatus import STARTING, BuildInfo, ClusterStatusReporter, NodeReporter, OwnStatus
from raftstore.store.opendisk import OnFatal, OpenDisk, forget_lost_log, with_space
from raftstore.store.transfers.ahead import Stager
from raftstore.store.transfers.confirmations import TransferLeases
from raftstore.store.transfers.reservations import Reserver
from raftstore.types import ClusterStatus, LoopStatus
from raftstore.util.metrics import Metrics
from raftstore.util.space import Space
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

STATUS_BARRIER = 1.5
"""Seconds that status waits for a majority before it says that there is no quorum."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a node has once it takes part in consensus."""

    consensus: Consensus
    background_jobs: BackgroundJobs
    reserver: Reserver
    stager: Stager


class RunningNode:
    """What talks to the others, over an open disk. Not before `take_part` does anything start."""

    def __init__(self, disk: OpenDisk, on_fatal: OnFatal, loop_status: LoopStatus | None) -> None:
        """Raises Invalid when the identity is not a node's."""
        settings = disk.settings
        self.disk = disk
        self._on_fatal = on_fatal
        self._part: Part | None = None
        self._superseded = SupersededCheck(settings.name)
        self._certain = asyncio.Event()
        self.network = PeerNetwork(
            settings.identity,
            settings.peers.listen,
            settings.members,
            encryption=settings.peers.encryption,
            versions=VERSIONS,
            in_force=lambda: disk.level,
        )
        self.membership = Membership(
            settings, self.network, disk.catalog, self, self._members_changed, on_fatal
        )
        self.own = OwnStatus(disk, self.membership, loop_status, self._takes_part, rests=lambda: self.rests)
        self.own.certificates.add("authority", lambda: self.network.identity.ca)
        self.own.certificates.add("node", lambda: self.network.identity.certificate)
        self._renewal = Renewal(self.network, self.membership, settings.peers.certificate)
        self._enquiries = Enquiries(self.network, self.membership)
        self.health = self._make_health()
        self.report = NodeReporter(disk, self.own, self.membership, self.health, self._takes_part)
        self.topology = self._make_topology()
        self.chunk_path = ChunkPath(
            self.topology, disk.volumes, self.network, shelf=Shelf(disk.volumes, disk.volumes.verified)
        )
        self._chunk_service = ChunkService(self.network, self.chunk_path, disk.volumes)
        self.confirm = Confirmer(self.topology, disk.volumes, self.network)
        self.recorder = ReplicaRecorder(self.propose)
        self.found_replica = FoundReplicas(disk.catalog, self.topology, self.confirm, self.recorder)
        self.leases = TransferLeases(settings.jobs.collect_grace / 4, self.confirm)
        self.news = News(self.network, self.membership.others)
        self.accounts = Accounts(disk.catalog, self.barrier, self.propose)
        self._people = People(disk.catalog, self.barrier, self.propose, self._change)
        self.events = EventFeed(disk.catalog, self.barrier)
        self.auditor = Auditor(settings.name, lambda: disk.catalog.level, self.propose)
        self.webhooks = WebhookWork(
            settings.webhooks,
            catalog=disk.catalog,
            events=self.events,
            leads=self._leads,
            propose=self.propose,
            requester=Requester(),
        )
        self.maintenance = MaintenanceCalls(disk.catalog, self.barrier, self.propose)
        self._status = ClusterStatusReporter(
            disk, self.membership, self.health, self.topology, self._confirmed, self.maintenance.now
        )
        self._backups = Backups(
            disk.catalog,
            self.propose,
            Fetcher(self.chunk_path, None, None),
            settings.data / "snapshots",
        )
        self.network.on_link(self.topology.invalidate, self.topology.invalidate)
        loop = asyncio.get_running_loop()
        # Soon: it is told in the middle of an entry.
        disk.catalog.watch_level(lambda _level: loop.call_soon(self.network.level_changed))
        self._serve_calls()
        self.membership.begin()

    def _make_health(self) -> Health:
        return Health(
            self.own,
            self.membership.roster,
            self._enquiries.ask,
            store=lambda: self.disk.volumes.identity,
            boots=lambda: self.report.boots,
            heard=self._heard,
            misfit=self.network.misfit,
        )

    def _make_topology(self) -> LiveTopology:
        disk = self.disk
        return LiveTopology(
            node=disk.settings.name,
            identity=disk.volumes.identity,
            members=self.membership.voters,
            leaving=lambda: self.membership.leaving() | draining(disk.catalog.jobs()),
            replicas=disk.settings.replicas,
            stores=disk.catalog.stores,
            reachable=self.network.reachable,
            free_bytes=self._free_bytes,
            local_writable=lambda: not disk.volumes.stats().failed,
        )

    def _serve_calls(self) -> None:
        """Answer operators and other nodes, as soon as the port is open."""
        context = NodeContext(
            settings=self.disk.settings,
            catalog=self.disk.catalog,
            propose=self.propose,
            barrier=self.barrier,
            network=self.network,
            accounts=self.accounts,
            people=self._people,
            events=self.events,
            audit=AuditFeed(self.disk.catalog, self.barrier),
            webhooks=self.webhooks,
            trash=TrashCalls(self.disk.catalog, self.barrier, self._change),
            retention=RetentionCalls(self.disk.catalog, self.barrier, self._change),
            renew=lambda pem: self._renewal(pem, self.disk.level),
            maintenance=self.maintenance,
            backups=self._backups,
            membership=self.membership,
            health=self.health,
            leader=self._leader,
            jobs=lambda: self._running().background_jobs,
            status=self.status,
            report=self.report,
        )
        self.network.on_refused(self.auditor.refused)
        for call in all_calls():
            call.serve_with(self.network, context, self.auditor)

    async def _change(self, actor: Actor, command: commands.Command) -> commands.Result:
        """Propose what an operator wants."""
        command.actor.CopyFrom(actor.message())
        return await self.propose(command)

    # The start.

    async def take_part(self, stack: contextlib.AsyncExitStack) -> Part:
        """Talk to the others, and take part in consensus once it is clear whether this node may vote.

        `stack` ends it all. Raises Damaged, Superseded, OSError when the address is taken.
        """
        self.disk.watch.start(self._space_changed, self._hand_over)
        stack.push_async_callback(self.disk.watch.stop)
        stack.push_async_callback(self.chunk_path.close)
        stack.push_async_callback(self._backups.stop)
        self._accept_joins()
        await self.network.start()
        stack.push_async_callback(self.network.stop)
        await self._look_for_lost_log()
        self.report.boots = await with_space(self.disk.watch, self._next_boot)
        consensus = self._make_consensus(self.report.boots.now)
        stack.push_async_callback(consensus.stop)
        self.membership.take_part(consensus)
        part = Part(
            consensus, self._make_jobs(consensus), self._make_reserver(consensus), self._make_stager(consensus)
        )
        await consensus.start()
        self._part = part
        await self._start_work(part, stack)
        stack.push_async_callback(self.auditor.stop)
        return part

    def meter(self, part: Part, metrics: Metrics) -> None:
        """Have what the node counts collected."""
        volumes = self.disk.volumes
        for component in (self.own, self.health, self.network, volumes, self.auditor, self.webhooks):
            metrics.add(component)
        network = self.network
        metrics.add(CertificateEnd(lambda: network.identity.ca), certificate="authority")
        metrics.add(CertificateEnd(lambda: network.identity.certificate), certificate="node")
        metrics.add(BuildInfo(), version=VERSIONS.program)
        part.consensus.meter(metrics)
        part.background_jobs.meter(metrics)

    def _accept_joins(self) -> None:
        settings = self.disk.settings
        doorkeeper = Doorkeeper(
            settings,
            self.membership.roster,
            self.disk.catalog.intents,
            self.propose,
            fits=lambda peer, theirs: incompatible(settings.name, VERSIONS, peer, theirs, self.disk.level),
        )
        self.network.serve_joins(doorkeeper.open, doorkeeper.key, doorkeeper.answer)

    async def _look_for_lost_log(self) -> None:
        """Find out whether this node has lost its log: then it must not vote until it has caught up."""
        disk, others = self.disk, self.membership.others
        self.own.rejoining = await with_space(
            disk.watch,
            lambda: bootstrap.must_rejoin(self._marker, disk.log_empty, others, self._enquiries.empty),
        )
        if self.own.rejoining:
            term = await bootstrap.safe_term(others, self._enquiries.term)
            if term > disk.journal.getCurrentTerm():
                # Its vote in that term counts as given: it may have been, before the log was lost.
                disk.journal.setCurrentTerm(term, disk.settings.name)

    @property
    def _marker(self) -> Path:
        return bootstrap.marker(self.disk.settings.data)

    async def _next_boot(self) -> Boots:
        journal, settings = self.disk.journal, self.disk.settings
        log_end = 0 if self.own.rejoining or not len(journal) else journal[-1][1]
        own, others = self.disk.catalog.latest_boot(settings.name), self._enquiries.latest_boot
        return replace(next_boot(settings.data / "boot", own, others), log_end=log_end)

    def _make_consensus(self, boot: int) -> Consensus:
        disk, settings = self.disk, self.disk.settings
        consensus = Consensus(
            node=settings.name,
            members=self.membership.roster.committed[1],
            machine=disk.catalog,
            journal=disk.journal,
            links=self.network,
            boot=boot,
            snapshot_dir=settings.data / "snapshots",
            on_fatal=self._on_fatal,
            settings=settings.consensus,
            rejoining=self.own.rejoining,
            held=not self._is_certain(),
            on_rejoined=self._rejoined,
        )
        consensus.successors = lambda: bool(self._successors())
        consensus.space = disk.watch.space
        return consensus

    def _make_jobs(self, consensus: Consensus) -> BackgroundJobs:
        node = make_node(
            self.disk.settings,
            self.report.boots.now,
            catalog=self.disk.catalog,
            volumes=self.disk.volumes,
            path=self.chunk_path,
            service=self._chunk_service,
            recorder=self.recorder,
            confirm=self.confirm,
            propose=self.propose,
            barrier=self.barrier,
            leads=lambda: consensus.is_leader,
            reclaimable=self._reclaimable,
        )
        return BackgroundJobs(node)

    def _make_reserver(self, consensus: Consensus) -> Reserver:
        return Reserver(
            self.disk.settings.name,
            self.report.boots.now,
            self.disk.catalog.reservations,
            self.propose,
            lambda: consensus.is_leader,
        )

    def _make_stager(self, consensus: Consensus) -> Stager:
        disk = self.disk
        return Stager(
            disk.settings.name, self.report.boots.now, disk.catalog, self.propose, lambda: consensus.is_leader
        )

    async def _start_work(self, part: Part, stack: contextlib.AsyncExitStack) -> None:
        """Start what goes on beside the front-ends' requests."""
        disk, settings = self.disk, self.disk.settings
        expiry = PartialExpiry(
            settings.jobs.keep_partials,
            catalog=disk.catalog,
            leads=lambda: part.consensus.is_leader,
            propose=self.propose,
        )
        cluster_time = ClusterTime(
            catalog=disk.catalog,
            leads=lambda: part.consensus.is_leader,
            readings=lambda: self.health.clock_readings(self.membership.voters()),
            propose=self.propose,
        )
        retention = RetentionWork(
            catalog=disk.catalog, leads=lambda: part.consensus.is_leader, propose=self.propose
        )
        trimming = AuditTrimming(
            settings.audit,
            catalog=disk.catalog,
            leads=lambda: part.consensus.is_leader,
            propose=self.propose,
        )
        watch = NodeWatch(
            catalog=disk.catalog,
            leads=self._leads,
            others=self.membership.others,
            answers=lambda name: self.health.last(name) is not None,
            propose=self.propose,
        )
        registration = Registration(
            commands.RegisterStore(node=settings.name, identity=disk.volumes.identity, zone=settings.node.zone),
            disk.catalog,
            propose=self.propose,
            member=lambda: settings.name in self.membership.roster.configuration.names,
            holds=lambda digest: digest in disk.volumes,
            missing=self.recorder.removed,
            announced=self.topology.invalidate,
            on_fatal=self._on_fatal,
        )
        yielding = Yielding(
            rests=lambda: self.rests,
            leads=lambda: part.consensus.is_leader,
            reluctant=part.consensus.stand_last,
            hand_over=self._yield,
        )
        for work in (
            self.membership,
            self.health,
            self.recorder,
            self.leases,
            part.background_jobs,
            expiry,
            cluster_time,
            retention,
            trimming,
            self.webhooks,
            watch,
            part.reserver,
            part.stager,
            registration,
            yielding,
        ):
            work.start()
            stack.push_async_callback(work.stop)

    # Whether these are the node's newest data.

    def _heard(self, name: str, report: admin.NodeReport) -> None:
        node = report.node
        caught_up = node.role != STARTING and node.applied_index >= node.commit_index
        try:
            self._superseded.hear(
                name, superseded=report.superseded, outdated=report.outdated, caught_up=caught_up
            )
        except Superseded as error:
            self._certain.clear()  # the node goes on for a moment, until it is stopped
            if report.outdated:
                self._retract_boot()
            self._on_fatal(error)
            return
        if self._is_certain() and self._part is not None:
            self._part.consensus.release()

    def _is_certain(self) -> bool:
        """Whether a majority has said that these are this node's newest data."""
        if self._certain.is_set():
            return True
        if self._superseded.certain(self.membership.roster.configuration.voters):
            self._certain.set()
        return self._certain.is_set()

    async def _until_certain(self) -> None:
        """Wait until nothing of this start can stand in the log though its data are not the node's newest.

        Each command tells of the start that made it. One of an old disk, put back by mistake, would make the newer disk
        look like an older copy when that comes back in its place.
        """
        try:
            async with asyncio.timeout(self.disk.settings.command_timeout):
                await self._certain.wait()
        except TimeoutError:
            raise NoQuorum("no majority has said yet that these are the newest data of this node") from None

    def _retract_boot(self) -> None:
        """Else the next start would be taken for one that goes on where the newest data are: they are not here."""
        try:
            retract(self.disk.settings.data / "boot", self.report.boots)
        except OSError as error:
            log.error("the number of this start stays", error=str(error))

    def _rejoined(self) -> None:
        self._marker.unlink(missing_ok=True)
        self.own.rejoining = False
        asyncio.get_running_loop().run_in_executor(None, forget_lost_log, self.disk.settings.data)

    # Commands.

    async def barrier(self) -> None:
        """Wait until this node has applied all that was acknowledged anywhere. Raises NoQuorum."""
        while True:
            await self._running().consensus.read_barrier(timeout=self.disk.settings.barrier_timeout)
            if not self.disk.catalog.behind:  # it may have had to go back since, for want of space
                return

    def follows(self) -> bool:
        """Whether this node knows a leader now. Proves nothing about what others have done: see `barrier`."""
        return self._leader() is not None

    async def propose(self, command: commands.Command) -> commands.Result:
        """Replicate a command and return its result; raise the StoreError that stands for a refusal."""
        if self.health.any_full or self.disk.watch.space is Space.NONE:
            voters = self.membership.roster.configuration.voters
            if reason := diskspace.refusal(self._spaces(), voters, self._leader()):
                raise DiskFull(reason)
        consensus = self._running().consensus
        if not self._is_certain():
            await self._until_certain()
        asked = self.auditor.carry(command)
        result = await consensus.propose(
            command.SerializeToString(), timeout=self.disk.settings.command_timeout
        )
        done = accepted(result)
        if asked is not None:
            asked.recorded = True
        return done

    def bad_replica(self, digest: bytes, store: int, reason: str) -> None:
        """A store does not have a copy whole that the catalog lists there: repair makes it again."""
        self.recorder.removed(digest, store)

    def _running(self) -> Part:
        if self._part is None:
            raise NoQuorum("this node is waiting to hear from all members for its first start")
        return self._part

    def _takes_part(self) -> Consensus | None:
        return None if self._part is None else self._part.consensus

    def _leads(self) -> bool:
        consensus = self._takes_part()
        return consensus is not None and consensus.is_leader

    def _leader(self) -> str | None:
        return None if self._part is None else self._part.consensus.leader

    def _members_changed(self) -> None:
        self.health.members_changed()
        self.topology.invalidate()

    async def status(self, short_limit: int = 100) -> ClusterStatus:
        """Return the cluster's status as this node sees it, also without a quorum."""
        return await self._status(short_limit)

    async def _confirmed(self) -> bool:
        try:
            await self._running().consensus.read_barrier(timeout=STATUS_BARRIER)
        except StoreError:
            return False
        return True

    # Space.

    def _space_changed(self, space: Space) -> None:
        if self._part is not None:
            self._part.consensus.space = space

    def _spaces(self) -> dict[str, Space]:
        """What the members that can be reached have said of their disks, this node among them."""
        spaces = {self.disk.settings.name: self.disk.watch.space}
        for name in self.membership.others():
            if (report := self.health.last(name)) is not None:
                spaces[name] = report.space
        return spaces

    def _successors(self) -> list[str]:
        voters = self.membership.roster.configuration.voters
        return diskspace.successors(self._spaces(), voters, self.disk.settings.name)

    def _hand_over(self) -> None:
        """Have another node lead if its disk has more space; tried with every look, until one takes over."""
        consensus = self._takes_part()
        if consensus is None or not consensus.is_leader or self.disk.watch.space is Space.ENOUGH:
            return
        if any(consensus.transfer_leadership(name) for name in self._successors()):
            log.warning("leadership is handed over: the disk is full")

    # Maintenance.

    @property
    def rests(self) -> bool:
        """Whether this node is in maintenance, as applied here."""
        return self.disk.settings.name in self.maintenance.now()

    def _yield(self) -> str:
        """Have another node lead, one with space that is not in maintenance either; return whom, "" for nobody."""
        spaces, resting = self._spaces(), self.maintenance.now()
        for name in sorted(self.membership.roster.configuration.voters):
            fit = name not in resting and spaces.get(name) is Space.ENOUGH
            if fit and self._running().consensus.transfer_leadership(name):
                return name
        return ""

    def _reclaimable(self, name: str) -> int:
        if name == self.disk.settings.name:
            return self.disk.volumes.reclaimable()
        report = self.health.last(name)
        return (report.node.reclaimable or 0) if report is not None else 0

    def _free_bytes(self, name: str) -> int | None:
        if name == self.disk.settings.name:
            return self.disk.free_space()
        report = self.health.last(name)
        return report.free_space if report is not None else None
