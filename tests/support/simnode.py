"""One member of a simulated cluster over all its lives: disk, process, engine, catalog."""

from __future__ import annotations

import contextlib
import random
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simdisk import Crash, SimDisk
from simmachine import Storage, WatchedCatalog
from simnet import SimLinks
from simprocess import Process, SimRuntime

from raftstore.cluster.membership.bootstrap import safe_term
from raftstore.consensus import driver
from raftstore.consensus.engine import Consensus
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import PREFIX
from raftstore.errors import Damaged, DiskFailed, DiskFull, StoreError, TooNew, Unavailable
from raftstore.metadata.levels import NEWEST, OLDEST
from raftstore.peers.model import Peer, Reply
from raftstore.util.space import Space

if TYPE_CHECKING:
    from simcluster import Cluster

TERM = "simulated.term"
AHEAD_BYTES = 4096
"""As segments are: small, so that their ends come often."""
JOURNAL = Path("/journal")
driver.QUICK = 0.005  # so that both ways to sync are gone, also where no disk is slow


class Node:
    """One member over all its lives."""

    def __init__(self, cluster: Cluster, name: str, known: Configuration, *, joining: bool = False) -> None:
        self.cluster = cluster
        self.name = name
        self.boot = 0
        self.rng = random.Random(f"{cluster.scenario.seed} node {name}")
        self.offset = self.rng.uniform(0.0, 1000.0)
        kind = int(name[1:]) % len(cluster.scenario.rates)
        self.rate = cluster.scenario.rates[kind]
        self.process: Process | None = None
        self.consensus: Consensus | None = None
        self.journal: Any = None
        self.links: SimLinks | None = None
        self.catalog: WatchedCatalog | None = None
        self.directory = cluster.directory / name
        self.disk = SimDisk(self.rng, self._pause, self._disk_fault)
        self.disk.usual = self.disk.latency = cluster.scenario.latencies[kind]
        self.storage = Storage(self.directory / "catalog", self.rng)
        self.ballast = 0
        """Pieces that are left of what is kept for a full disk."""
        self.rotten = False
        """A bit of its disk was flipped: it may refuse to start, or stop."""
        self.disk_faults = 0
        """Operations of its disk that have failed in this life."""
        self.failed = False
        """It has stopped for good: what its engine says of itself means nothing any more."""
        self.rejoining = joining
        """It has lost its log, or never had one, and has not caught up since."""
        self.newest = OLDEST if int(name[1:]) in cluster.scenario.old_programs else NEWEST
        """The highest level that its program knows."""
        self.initial = known
        self.roster = (0, known)
        """The newest committed configuration that it has heard of, with its entry."""
        self.seen_term = self.led_term = self.seen_commit = 0

    # Faults of the disk.

    def _pause(self, seconds: float) -> None:
        if self.process is not None:
            self.process.pause(seconds)

    def _disk_fault(self, what: str) -> None:
        self.disk_faults += 1
        self.cluster.trace.event(self.name, "disk", what)

    def fill_disk(self, left: int, pieces: int) -> None:
        """Something else takes the disk but for `left` bytes. The node notices that by and by, or by an error."""
        self.disk.space, self.ballast = left, pieces
        self.cluster.loop.call_later(self.rng.uniform(0.0, 1.0), self._look)

    def has_space(self) -> None:
        """There is space again."""
        self.disk.space = None
        self.cluster.loop.call_later(self.rng.uniform(0.0, 1.0), self._look)

    def _look(self) -> None:
        process = self.process
        if process is None:
            return

        def tell() -> None:
            if self.consensus is not None:
                full = self.disk.space is not None
                self.consensus.space = (
                    Space.ENOUGH if not full else Space.LITTLE if self.ballast else Space.NONE
                )

        process.run(tell)

    def _free_space(self) -> bool:
        if self.disk.space is None:
            return True
        if not self.ballast:
            return False
        self.ballast -= 1
        self.disk.space += 4096
        return True

    def _catalog_full(self) -> bool:
        """Whether a commit of the catalog finds no space: its files are not on the simulated disk."""
        space = self.disk.space
        return space is not None and space < 512 and self.rng.random() < 0.7

    @property
    def up(self) -> bool:
        return self.process is not None

    @property
    def impaired(self) -> bool:
        """Whether what it has acknowledged may be lost: so may the data of fewer than half of the nodes be."""
        return self.rotten or self.rejoining

    # Life.

    def start(self) -> None:
        """Begin a life."""
        assert self.process is None
        self.boot += 1
        self.disk_faults = 0
        self.failed = False
        cluster = self.cluster
        self.process = process = Process(
            cluster.loop, self.name, crashed=self._crashed, failed=self._escaped, after=self._observe
        )
        cluster.trace.event(self.name, "start", f"boot {self.boot}{' rejoining' if self.rejoining else ''}")
        process.run(lambda: self._open(process))

    def _open(self, process: Process) -> None:
        scenario = self.cluster.scenario
        try:
            self.journal = Journal(
                JOURNAL,
                disk=self.disk,
                segment_bytes=scenario.segment_bytes,
                ahead_bytes=AHEAD_BYTES,
                free_space=self._free_space,
            )
            self.cluster.checks.opened(self.name, self.journal)
            self.catalog = WatchedCatalog(
                self.name,
                self.storage,
                self.cluster.checks,
                scenario.compare_every,
                self._later(process),
                newest=self.newest,
                old_cluster=scenario.old_cluster,
                full=self._catalog_full,
                free_space=self._free_space,
            )
            self.links = links = SimLinks(self.cluster.network, process)
            self.know()
            links.serve(TERM, self._tell_term)
            self.cluster.network.join(links)
            if self.rejoining:
                process.task(self._rejoin(process, links))
            else:
                self._take_part(process, links)
        except StoreError as error:
            self.stopped_by(error)

    def _later(self, process: Process) -> Callable[[Callable[[], None]], object] | None:
        """How the catalog has its transactions committed: as in production, or at once after every entry."""
        settle = self.cluster.scenario.settle
        if settle is None:
            return None

        def settled(action: Callable[[], None]) -> None:
            # As the store does it: consensus has what did not fit applied again.
            with contextlib.suppress(DiskFull):
                action()

        return lambda action: self.cluster.loop.call_later(settle, process.run, lambda: settled(action))

    async def _rejoin(self, process: Process, links: SimLinks) -> None:
        def others() -> list[str]:
            return sorted(self.roster[1].names - {self.name})

        async def ask(name: str) -> int:
            reply = await links.call(name, TERM, b"", timeout=1.0)
            return int(reply.body)

        term = await safe_term(others, ask)
        process.run(lambda: self._go_on(process, links, term))

    def _go_on(self, process: Process, links: SimLinks, term: int) -> None:
        try:
            if term > self.journal.getCurrentTerm():
                self.journal.setCurrentTerm(term, self.name)
            self._take_part(process, links)
        except StoreError as error:
            self.stopped_by(error)

    async def _tell_term(self, peer: Peer, body: bytes, payload: memoryview) -> Reply:
        if self.consensus is None:
            raise Unavailable("not started yet")
        return Reply(str(self.consensus.term).encode())

    def _take_part(self, process: Process, links: SimLinks) -> None:
        scenario = self.cluster.scenario
        runtime = SimRuntime(
            process,
            f"{scenario.seed} {self.name} {self.boot}",
            offset=self.offset,
            rate=self.rate,
            slowness=lambda rng: 0.0004 * rng.random(),
        )
        self.seen_term = self.led_term = self.seen_commit = 0
        self.consensus = consensus = Consensus(
            node=self.name,
            members=self.initial,
            machine=self.catalog,  # type: ignore[arg-type]
            journal=self.journal,
            links=links,
            boot=self.boot,
            snapshot_dir=self.directory / "snapshots",
            on_fatal=lambda error: self._fatal(process, error),
            settings=scenario.settings,
            runtime=runtime,
            rejoining=self.rejoining,
            on_rejoined=self._rejoined,
        )
        consensus.successors = lambda: self._others_have_space()
        self.know()
        consensus.membership.watch(self.know)
        process.task(consensus.start())

    def _others_have_space(self) -> bool:
        others = [node for node in self.cluster.nodes.values() if node is not self and node.up]
        return any(node.disk.space is None for node in others)

    def know(self) -> None:
        """Hear, and have connections to, the members in the roster and in the log."""
        if self.cluster.members is None or self.links is None:
            return
        names = self.roster[1].names
        if self.consensus is not None:
            names |= self.consensus.membership.configuration[1].names
            self.consensus.membership.introduce(names - {self.name})
        self.links.set_members(names - {self.name})

    def _rejoined(self) -> None:
        self.rejoining = False
        self.cluster.trace.event(self.name, "rejoined", "")

    def _fatal(self, process: Process, error: BaseException) -> None:
        if process.alive:
            self.stopped_by(error)

    def stopped_by(self, error: BaseException) -> None:
        """The node refuses to start, or has stopped: it must have a reason. It will be started again."""
        self.failed = True
        self.cluster.trace.event(self.name, "stopped", f"{type(error).__name__}: {error}")
        outdated = isinstance(error, TooNew) and self.newest < NEWEST
        if outdated:
            self.newest = NEWEST  # as the message says: a newer version is installed
        # A full disk may keep a node from starting; one that runs goes on.
        starting = isinstance(error, DiskFull) and self.consensus is None
        disk = starting or (isinstance(error, DiskFailed) and self.disk_faults > 0)
        if not disk and not self.rotten and not outdated:
            self.cluster.violate("stops without a cause", f"{self.name} stops without a cause: {_text(error)}")
        must_wipe = isinstance(error, Damaged)
        process = self.process

        def end() -> None:
            if self.process is process and process is not None:
                self.die(power=False)
                if must_wipe and self.rotten:
                    self.wipe()
                self.start_later()

        self.cluster.loop.call_soon(end)

    def start_later(self, shortest: float = 0.05, longest: float = 1.5) -> None:
        """Start after a while, unless someone else does."""
        boot = self.boot

        def start() -> None:
            if self.boot == boot and not self.up and self.name in self.cluster.nodes:
                self.start()

        self.cluster.loop.call_later(self.rng.uniform(shortest, longest), start)

    def _escaped(self, process: Process, error: BaseException) -> None:
        self.cluster.violate("error escapes", f"an error escapes at {self.name}: {_text(error)}")

    def _crashed(self, process: Process, crash: Crash) -> None:
        if self.process is process:
            self.cluster.trace.event(self.name, "crash", str(crash))
            self.die(power=crash.power)
            self.start_later()

    def die(self, *, power: bool) -> None:
        """End a life without a word. `power`: what is not synced is gone."""
        process, self.process = self.process, None
        if process is None:
            return
        cluster = self.cluster
        cluster.trace.event(self.name, "power off" if power else "killed", "")
        process.die()
        cluster.network.leave(self.name, noticed_within=2.0 if power else 0.05)
        self.consensus = self.journal = self.links = None
        self.storage.die()
        if self.catalog is not None:
            self.catalog.close()
            self.catalog = None
        self.storage.bury()
        if power:
            self.disk.lose_power()
            self.storage.lose_power()
            # A snapshot under way is of no use, whatever is left of it.
            shutil.rmtree(self.directory / "snapshots", ignore_errors=True)
        else:
            self.disk.kill()

    def stop_gracefully(self) -> None:
        """Stop as on SIGTERM, and start again."""
        process, consensus, journal, catalog = self.process, self.consensus, self.journal, self.catalog
        if process is None or consensus is None or catalog is None:
            return

        async def stop() -> None:
            await consensus.stop()
            process.run(end)

        def end() -> None:
            try:
                journal.close()
            except DiskFailed as error:
                self.stopped_by(error)
                return
            self.die(power=False)
            self.start_later()

        process.run(lambda: void(process.task(stop())))

    def wipe(self) -> None:
        """A new, empty disk: the node is to be rebuilt by the others."""
        self.cluster.trace.event(self.name, "wiped", "")
        self.cluster.checks.wiped(self.name)
        self.disk.wipe()
        self.storage.wipe()
        shutil.rmtree(self.directory / "snapshots", ignore_errors=True)
        self.rotten, self.rejoining = False, True

    # Watching.

    def _observe(self, process: Process) -> None:
        """Look at the node after everything that it does."""
        consensus = self.consensus
        if consensus is None or self.process is not process or self.failed:
            return
        checks, term, commit = self.cluster.checks, consensus.term, consensus.commit_index
        if term < self.seen_term:
            self.cluster.violate(
                "term goes back", f"{self.name} goes back from term {self.seen_term} to {term}"
            )
        self.seen_term = term
        if consensus.is_leader and self.led_term != term:
            self.led_term = term
            self.cluster.trace.event(self.name, "leads", f"term {term}, log up to {self.journal[-1][1]}")
            checks.leads(self.name, self.boot, term, self.journal, self.seen_voters())
        if commit > self.seen_commit and len(self.journal):
            checks.commits(self.name, term, self.journal, self.seen_commit, commit)
            self.seen_commit = commit
            if consensus.is_leader:
                checks.counts(self.name, self.journal, commit, self.seen_voters())
                for watcher in self.cluster.at_commit:
                    watcher(self)

    def seen_voters(self) -> frozenset[str]:
        """Who votes by its log, whatever it says itself."""
        if self.cluster.members is None:
            return self.initial.voters
        for command, _, _ in reversed(self.journal[:]):
            if command.startswith(PREFIX):
                return Configuration.decode(command[len(PREFIX) :]).voters
        assert self.catalog is not None
        index, applied = self.catalog.configuration
        return (Configuration.decode(applied) if index else self.initial).voters


def void(_value: object) -> None:
    """Forget a value."""


def _text(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).strip()
    return f"{type(error).__name__}: {error}\n{lines}"
