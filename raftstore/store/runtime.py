"""The rooms of one node's store, put together: which is opened when, and what each is told of the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from raftstore.chunks.transfer.confirm import Confirmer
from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.service import ChunkService
from raftstore.chunks.volumes.shelf import Shelf
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster.administration import Administered, Administration
from raftstore.cluster.jobs.background import BackgroundJobs
from raftstore.cluster.jobs.calls import JobCalls
from raftstore.cluster.jobs.expiry import PartialCalls, PartialExpiry
from raftstore.cluster.membership import bootstrap
from raftstore.cluster.membership.boot import Boots, next_boot, retract
from raftstore.cluster.membership.calls import MembershipCalls
from raftstore.cluster.membership.joining import Doorkeeper
from raftstore.cluster.membership.program import VERSIONS
from raftstore.cluster.membership.service import Membership
from raftstore.cluster.membership.superseded import SupersededCheck
from raftstore.cluster.membership.upgrade import UpgradeCalls
from raftstore.cluster.replicas.recorder import FoundReplicas, ReplicaRecorder
from raftstore.cluster.replicas.registration import Registration
from raftstore.cluster.replicas.view import LiveTopology
from raftstore.cluster.settings import StoreSettings
from raftstore.cluster.status import diskspace, verdict
from raftstore.cluster.status.enquiries import Enquiries
from raftstore.cluster.status.health import Health
from raftstore.consensus import Consensus
from raftstore.consensus.log.journal import Journal
from raftstore.errors import DiskFull, NoQuorum, StoreError, Superseded
from raftstore.metadata import Catalog
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.jobs import drain_states, draining
from raftstore.peers import PeerNetwork
from raftstore.peers.versions import incompatible
from raftstore.store.confirmations import TransferLeases
from raftstore.store.reservations import Reserver
from raftstore.types import CHUNK_SIZE, ClientFigure, ClusterStatus, NodeStatus, StoreInfo, Wanted
from raftstore.util.disk import is_full
from raftstore.util.space import LOOK_SECONDS, Ballast, Space, SpaceWatch
from raftstore.util.stallwatch import StallWatch
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

_T = TypeVar("_T")

STATUS_BARRIER = 1.5
"""Seconds that status waits for a majority before it says that there is no quorum."""

SETTLE = 0.1
"""Seconds for which what the catalog applies is gathered into one transaction."""

_PRIVATE = ("catalog", "journal", "snapshots")
"""Directories with hashes of passwords and the cluster's secrets in them."""
STARTING = "starting"
"""Role of a node that does not take part in consensus yet."""


class NodeRuntime:
    """Opens the rooms in the order in which they need each other, and closes them in the opposite one."""

    def __init__(self, settings: StoreSettings, on_fatal: Callable[[BaseException], None]) -> None:
        """Open nothing yet. Raises Invalid when the identity is not a node's."""
        self.settings = settings
        self._on_fatal = on_fatal
        self._stack = contextlib.AsyncExitStack()
        self.network = PeerNetwork(
            settings.identity,
            settings.listen,
            settings.members,
            encryption=settings.encryption,
            versions=VERSIONS,
            in_force=self._level_in_force,
        )
        self.membership = Membership(settings, self.network, self, self._members_changed, on_fatal)
        self._enquiries = Enquiries(self.network, self.membership)
        self.health = Health(
            self.own_status,
            self.membership.roster,
            self._enquiries.call,
            store=lambda: self.volumes.identity,
            boots=lambda: self._boots,
            heard=self._heard,
            misfit=self.network.misfit,
        )
        self.recorder = ReplicaRecorder(self.propose)
        ballast = Ballast(settings.data, settings.ballast_bytes)
        self._watch = SpaceWatch(settings.data, ballast, self._space_changed, self._hand_over)
        self._opened = self._takes_part = self._rejoining = False
        self._stalls = StallWatch(settings.stall_threshold) if settings.stall_threshold else None
        self.client_figures: Callable[[], dict[str, ClientFigure]] = dict
        """What the clients of the front-ends hold, for the status."""
        self._current = SupersededCheck(settings.name)
        self._certain = asyncio.Event()
        self._boots = Boots()

    async def start(self, administered: Administered) -> None:
        """Open everything; on failure close again what was opened. Raises Damaged, Invalid, OSError.

        `administered` answers the admin calls, as soon as the port is open.
        """
        try:
            await self._open_with_space()
            Administration(administered, self.network)
            MembershipCalls(self.membership, self.network, self.health, self.barrier, self._leader)
            JobCalls(
                self.network,
                catalog=self.catalog,
                background_jobs=lambda: self.background_jobs,
                propose=self.propose,
                barrier=self.barrier,
            )
            PartialCalls(
                self.network,
                kept=self.settings.jobs.keep_partials,
                catalog=self.catalog,
                propose=self.propose,
                barrier=self.barrier,
            )
            UpgradeCalls(
                self.network,
                catalog=self.catalog,
                gather=self.health.gather,
                propose=self.propose,
                barrier=self.barrier,
            )
            doorkeeper = Doorkeeper(
                self.settings,
                self.membership.roster,
                self.catalog.intents,
                self.propose,
                fits=lambda peer, theirs: incompatible(
                    self.settings.name, VERSIONS, peer, theirs, self._level_in_force()
                ),
            )
            self.network.serve_joins(doorkeeper.open, doorkeeper.key, doorkeeper.answer)
            await self._join()
        except BaseException:
            await self.stop()
            raise

    async def check(self) -> None:
        """Open what is on disk and close it again; see Store.check."""
        try:
            if self.settings.data.is_dir() and any(self.settings.data.iterdir()):
                await self._open()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Close everything."""
        await self._stack.aclose()

    async def _open_with_space(self) -> None:
        """`_open`, as soon as the disk has space for that. A node that ended here would need a person to start it."""
        self.settings.data.mkdir(parents=True, exist_ok=True)
        await self._watch.until_enough_to_start()
        await self._with_space(self._open_watched, self.stop)
        self._watch.start()
        self._stack.push_async_callback(self._watch.stop)

    async def _with_space(
        self, work: Callable[[], Awaitable[_T]], undo: Callable[[], Awaitable[None]] | None = None
    ) -> _T:
        """Do what a start does; again, after `undo`, as long as the disk is full."""
        while True:
            try:
                return await work()
            except (DiskFull, OSError) as error:
                if not isinstance(error, DiskFull) and not is_full(error):
                    raise
                log.error("disk is full: the start waits for space", error=str(error))
            if undo is not None:
                await undo()
            if not self._watch.ballast.free_space():
                await asyncio.sleep(LOOK_SECONDS)

    async def _open_watched(self) -> None:
        if self._stalls is not None:
            self._stalls.start()
            self._stack.callback(self._stalls.stop)
        await self._open()

    async def _open(self) -> None:
        """Recover what is on disk, without a word to the others."""
        settings = self.settings
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _PRIVATE:
            (settings.data / name).mkdir(exist_ok=True)
            (settings.data / name).chmod(0o700)
            for file in (settings.data / name).iterdir():
                file.chmod(0o600)
        self.membership.check_not_removed()
        self.volumes = VolumeSet(
            settings.data / "volumes",
            volume_bytes=settings.volume_bytes,
            reserve_bytes=settings.reserve,
            verified_for=settings.jobs.scrub_period,
        )
        await self.volumes.open()
        self._stack.push_async_callback(self.volumes.close)
        self.catalog = Catalog(
            settings.data / "catalog" / "catalog.db",
            later=self._settle_later,
            free_space=self._watch.ballast.free_space,
        )
        self._stack.callback(self.catalog.close)
        loop = asyncio.get_running_loop()
        # Soon: it is told in the middle of an entry.
        self.catalog.watch_level(lambda level: loop.call_soon(self.network.level_changed))
        self.journal = Journal(
            settings.data / "journal",
            segment_bytes=settings.consensus.segment_bytes,
            free_space=self._watch.ballast.free_space,
        )
        self._stack.callback(self.journal.close)
        self.topology = LiveTopology(
            node=settings.name,
            identity=self.volumes.identity,
            members=self.membership.voters,
            leaving=lambda: self.membership.leaving() | draining(self.catalog.jobs()),
            replicas=settings.replicas,
            stores=self.catalog.stores,
            reachable=self.network.reachable,
            free_bytes=self._free_bytes,
            local_writable=lambda: not self.volumes.stats().failed,
        )
        self.membership.open(self.catalog)
        self.network.on_link(self.topology.invalidate, self.topology.invalidate)
        self._opened = True
        shelf = Shelf(self.volumes, self.volumes.verified)
        self.chunk_path = ChunkPath(self.topology, self.volumes, self.network, shelf=shelf)
        self._stack.push_async_callback(self.chunk_path.close)
        self.chunk_service = ChunkService(self.network, self.chunk_path, self.volumes)
        self.confirm = Confirmer(self.topology, self.volumes, self.network)
        self.found_replica = FoundReplicas(self.catalog, self.topology, self.confirm, self.recorder)
        self.leases = TransferLeases(settings.jobs.collect_grace / 4, self.confirm)

    def _level_in_force(self) -> int:
        """Return the level as far as this node has applied the log; 0 while it has applied nothing."""
        return self.catalog.level if self._opened and self.catalog.opening is None else 0

    def _settle_later(self, settle: Callable[[], None]) -> None:
        """See Catalog: a failure there stops the node. A full disk does not: consensus has it tried again."""

        def guarded() -> None:
            try:
                settle()
            except DiskFull as error:
                log.error("disk is full: the catalog waits for space", error=str(error))
            except BaseException as error:
                self._on_fatal(error)

        asyncio.get_running_loop().call_later(SETTLE, guarded)

    def _members_changed(self) -> None:
        self.health.members_changed()
        if self._opened:
            self.topology.invalidate()

    def _leader(self) -> str | None:
        return self.consensus.leader if self._takes_part else None

    def log_empty(self) -> bool:
        """Whether this node's log holds nothing but what every log starts with."""
        return len(self.journal) == 0 or self.journal[-1][1] <= 1

    async def _join(self) -> None:
        """Start to talk to the others, and take part in consensus once it is clear whether this node may vote."""
        settings = self.settings
        await self.network.start()
        self._stack.push_async_callback(self.network.stop)
        marker = settings.data / "rejoining"
        others = self.membership.others
        self._rejoining = await self._with_space(
            lambda: bootstrap.must_rejoin(marker, self.log_empty(), others, self._enquiries.empty)
        )
        if self._rejoining:
            term = await bootstrap.safe_term(others, self._enquiries.term)
            if term > self.journal.getCurrentTerm():
                # Its vote in that term counts as given: it may have been, before the log was lost.
                self.journal.setCurrentTerm(term, settings.name)
        self._boots = await self._with_space(self._next_boot)
        self.consensus = Consensus(
            node=settings.name,
            members=self.membership.roster.committed[1],
            machine=self.catalog,
            journal=self.journal,
            links=self.network,
            boot=self._boots.now,
            snapshot_dir=settings.data / "snapshots",
            on_fatal=self._on_fatal,
            settings=settings.consensus,
            rejoining=self._rejoining,
            held=not self._is_certain(),
            on_rejoined=lambda: self._rejoined(marker),
        )
        self._stack.push_async_callback(self.consensus.stop)
        self.consensus.successors = lambda: bool(self._successors())
        self.consensus.space = self._watch.space
        self.membership.take_part(self.consensus)
        await self.consensus.start()
        self._takes_part = True
        self._start_work(self._boots.now)

    def _heard(self, name: str, report: admin.NodeReport) -> None:
        node = report.node
        caught_up = node.role != STARTING and node.applied_index >= node.commit_index
        try:
            self._current.hear(
                name, superseded=report.superseded, outdated=report.outdated, caught_up=caught_up
            )
        except Superseded as error:
            if report.outdated:
                self._retract_boot()
            self._on_fatal(error)
            return
        if self._is_certain() and self._takes_part:
            self.consensus.release()

    def _is_certain(self) -> bool:
        """Whether a majority has said that these are this node's newest data."""
        if not self._certain.is_set() and self._current.certain(self.membership.roster.configuration.voters):
            self._certain.set()
        return self._certain.is_set()

    async def _until_certain(self) -> None:
        """Wait until nothing of this start can stand in the log though its data are not the node's newest.

        Each command tells of the start that made it. One of an old disk, put back by mistake, would make the newer disk
        look like an older copy when that comes back in its place.
        """
        if self._is_certain():
            return
        try:
            async with asyncio.timeout(self.settings.command_timeout):
                await self._certain.wait()
        except TimeoutError:
            raise NoQuorum("no majority has said yet that these are the newest data of this node") from None

    def outdated(self, node: str, identity: bytes, boots: Boots) -> bool:
        """See Store.outdated."""
        if boots.outdated(self.catalog.boot_before(node, boots.now)):
            return True
        return self.health.progress.lacks(node, identity, boots.now, boots.log_end)

    def add_progress(self, report: admin.NodeReport) -> None:
        """See Store.add_progress."""
        if self._takes_part:
            report.boot = self._boots.now
            report.safe_index = min(self.consensus.commit_index, self.consensus.durable_index)

    async def _next_boot(self) -> Boots:
        log_end = 0 if self._rejoining or not len(self.journal) else self.journal[-1][1]
        own, others = self.catalog.latest_boot(self.settings.name), self._enquiries.latest_boot
        return replace(next_boot(self.settings.data / "boot", own, others), log_end=log_end)

    def _retract_boot(self) -> None:
        """Else the next start would be taken for one that goes on where the newest data are: they are not here."""
        try:
            retract(self.settings.data / "boot", self._boots)
        except OSError as error:
            log.error("the number of this start stays", error=str(error))

    def _rejoined(self, marker: Path) -> None:
        marker.unlink(missing_ok=True)
        self._rejoining = False

    def _start_work(self, boot: int) -> None:
        """Start what goes on beside the front-ends' requests."""
        self.membership.start()
        self._stack.push_async_callback(self.membership.stop)
        self.health.start()
        self._stack.push_async_callback(self.health.stop)
        self.recorder.start()
        self._stack.push_async_callback(self.recorder.stop)
        self.leases.start()
        self._stack.push_async_callback(self.leases.stop)
        self.background_jobs = BackgroundJobs(
            self.settings,
            boot,
            catalog=self.catalog,
            volumes=self.volumes,
            path=self.chunk_path,
            service=self.chunk_service,
            recorder=self.recorder,
            confirm=self.confirm,
            propose=self.propose,
            barrier=self.barrier,
            leads=lambda: self.consensus.is_leader,
            reclaimable=self._reclaimable,
        )
        self.background_jobs.start()
        self._stack.push_async_callback(self.background_jobs.stop)
        expiry = PartialExpiry(
            self.settings.jobs.keep_partials,
            catalog=self.catalog,
            leads=lambda: self.consensus.is_leader,
            propose=self.propose,
        )
        expiry.start()
        self._stack.push_async_callback(expiry.stop)
        name = self.settings.name
        self.reserver = Reserver(
            name, boot, self.catalog.reservations, self.propose, lambda: self.consensus.is_leader
        )
        self.reserver.start()
        self._stack.push_async_callback(self.reserver.stop)
        registration = Registration(
            commands.RegisterStore(node=name, identity=self.volumes.identity, zone=self.settings.zone),
            self.catalog,
            propose=self.propose,
            member=lambda: name in self.membership.roster.configuration.names,
            holds=lambda digest: digest in self.volumes,
            missing=self.recorder.removed,
            announced=self.topology.invalidate,
            on_fatal=self._on_fatal,
        )
        registration.start()
        self._stack.push_async_callback(registration.stop)

    # Commands.

    async def barrier(self) -> None:
        """Wait until this node has applied all that was acknowledged anywhere. Raises NoQuorum."""
        while True:
            await self._running().read_barrier(timeout=self.settings.barrier_timeout)
            if not self.catalog.behind:  # it may have had to go back since, for want of space
                return

    def follows(self) -> bool:
        """Whether this node knows a leader now. Proves nothing about what others have done: see `barrier`."""
        return self._takes_part and self.consensus.leader is not None

    async def propose(self, command: commands.Command) -> commands.Result:
        """Replicate a command and return its result; raise the StoreError that stands for a refusal."""
        voters = self.membership.roster.configuration.voters
        if reason := diskspace.refusal(self._spaces(), voters, self._leader()):
            raise DiskFull(reason)
        running = self._running()
        await self._until_certain()
        result = await running.propose(command.SerializeToString(), timeout=self.settings.command_timeout)
        return accepted(result)

    def _running(self) -> Consensus:
        if not self._takes_part:
            raise NoQuorum("this node is waiting to hear from all members for its first start")
        return self.consensus

    # Space.

    def space(self) -> Space:
        """How much space this node's disk has for log and catalog."""
        return self._watch.space

    def _space_changed(self, space: Space) -> None:
        if self._takes_part:
            self.consensus.space = space

    def _spaces(self) -> dict[str, Space]:
        """What the members that can be reached have said of their disks, this node among them."""
        spaces = {self.settings.name: self._watch.space}
        for name in self.membership.others():
            if (report := self.health.last(name)) is not None:
                spaces[name] = report.space
        return spaces

    def _successors(self) -> list[str]:
        voters = self.membership.roster.configuration.voters
        return diskspace.successors(self._spaces(), voters, self.settings.name)

    def _hand_over(self) -> None:
        """Have another node lead if its disk has more space; tried with every look, until one takes over."""
        if not self._takes_part or not self.consensus.is_leader or self._watch.space is Space.ENOUGH:
            return
        if any(self.consensus.transfer_leadership(name) for name in self._successors()):
            log.warning("leadership is handed over: the disk is full")

    def bad_replica(self, digest: bytes, store: int, reason: str) -> None:
        """A store does not have a copy whole that the catalog lists there: repair makes it again."""
        self.recorder.removed(digest, store)

    # Status.

    def own_status(self) -> tuple[NodeStatus, str]:
        """Return this node's status and the leader it follows ("" for none)."""
        name = self.settings.name
        own = self.membership.own_address
        node = NodeStatus(name, own, reachable=True, zone=self.settings.zone)
        node.services = self.settings.services_at(own)
        node.program, node.oldest, node.newest = VERSIONS.program, VERSIONS.oldest, VERSIONS.newest
        node.level = self._level_in_force() or None
        node.voter = name in self.membership.roster.configuration.voters
        node.loop = None if self._stalls is None else self._stalls.status
        node.clients = self.client_figures()
        if not self._takes_part:
            node.role, node.error = STARTING, "waiting to hear from all members for its first start"
            return node, ""
        consensus = self.consensus
        stats = self.volumes.stats()
        node.role = consensus.role if node.voter else "learner"
        node.term = consensus.term
        node.commit_index = consensus.commit_index
        node.applied_index = consensus.applied_index
        node.bytes = stats.bytes
        node.free_disk = stats.disk_free
        node.reclaimable = self.volumes.reclaimable()
        node.quarantined = stats.quarantined
        if stats.failed:
            node.error = "its disk failed: it takes no more pictures"
        elif self._watch.space is not Space.ENOUGH:
            node.error = diskspace.complaint(
                self._watch.space, str(self.settings.data), self._watch.ballast.held
            )
        elif self.free_space() < CHUNK_SIZE:
            node.error = "its disk is full: it takes no more pictures"
        elif self._rejoining:
            node.error = "its log was lost: no vote until it has caught up"
        return node, consensus.leader or ""

    async def status(self, short_limit: int) -> ClusterStatus:
        """Return the cluster's status as this node sees it, also without a quorum."""
        # First the barrier, then the roles: together they may contradict each other while an election is under way.
        confirmed = await self._confirmed()
        status = await self.health.gather()
        drains = drain_states(self.catalog.jobs())
        stores = {store.node: store for store in self.catalog.stores() if store.current}
        there = {node: store.number for node, store in stores.items() if self._is_there(store)}
        for node in status.nodes:
            node.drain = drains.get(node.name, "")
            if node.reachable and not node.error and node.role != STARTING and node.name not in stores:
                node.error = "its volumes are not announced yet: it takes no pictures"
            if node.applied_index is not None:
                # As applied here, so that it fits the other figures: each node may be an entry behind or ahead.
                node.pictures = self.catalog.store_totals(there[node.name])[0] if node.name in there else 0
        status.files, status.bytes = self.catalog.totals()
        status.partials, status.partial_bytes = self.catalog.partial_totals()
        live = list(there.values())
        wanted = self.topology.view().wanted
        status.short_count, status.short = self.catalog.short_files(wanted, live, short_limit)
        status.lost_count, _ = self.catalog.short_files(Wanted(1, 1), live, 0)
        status.verdict, status.error = verdict.judge(
            status, confirmed=confirmed, changes=self.membership.under_way()
        )
        return status

    async def _confirmed(self) -> bool:
        try:
            await self._running().read_barrier(timeout=STATUS_BARRIER)
        except StoreError:
            return False
        return True

    def _is_there(self, store: StoreInfo) -> bool:
        """Whether its node has just said that these are its volumes: after a loss it has others, not announced yet."""
        if store.node == self.settings.name:
            return store.identity == self.volumes.identity
        report = self.health.last(store.node)
        return report is not None and report.store == store.identity

    def free_space(self) -> int:
        """Bytes of this node's disk that pictures may still take; none when it failed, so that others are asked."""
        stats = self.volumes.stats()
        return 0 if stats.failed else max(0, stats.disk_free - self.settings.reserve)

    def _reclaimable(self, name: str) -> int:
        if name == self.settings.name:
            return self.volumes.reclaimable()
        report = self.health.last(name)
        return (report.node.reclaimable or 0) if report is not None else 0

    def _free_bytes(self, name: str) -> int | None:
        if name == self.settings.name:
            return self.free_space()
        report = self.health.last(name)
        return report.free_space if report is not None else None
