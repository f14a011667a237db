"""One member of a stepped cluster over its lives: production consensus and journal on a disk in memory.

Nothing is left to chance: an election timeout is always in the middle of its range, and what a loss of power does to
the disk is said by the command.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from inwords import error_in_words, log_in_words, members_in_words, text_of
from raftcluster import CountingMachine
from simdisk import Latency, SimDisk
from simloop import SimHandle
from simprocess import Process, SimRuntime
from steppednet import SteppedLinks, SteppedLoop

from raftstore.cluster.membership.bootstrap import safe_term
from raftstore.consensus.engine import Consensus
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import PREFIX
from raftstore.errors import StoreError, Unavailable
from raftstore.util.space import Space

if TYPE_CHECKING:
    from steppedcluster import SteppedCluster

JOURNAL = Path("/journal")
WORKER = "journal"
SEGMENT_BYTES = 1 << 16
AHEAD_BYTES = 4096
MIDDLE = 0.5
"""What a node draws from [0, 1)."""


class Clock:
    """A node's clock and timers. It moves by `advance` alone."""

    def __init__(self, loop: SteppedLoop, now: float = 0.0) -> None:
        self.now = now
        self._loop = loop
        self._timers: list[tuple[float, int, SimHandle]] = []
        self._count = 0

    def call_at(self, when: float, handle: SimHandle) -> None:
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due is done, one thing after the other."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, handle = heapq.heappop(self._timers)
            self.now = max(self.now, when)
            self._loop.call_soon(handle.run)
            self._loop.settle()
        self.now = until


class SteppedRuntime(SimRuntime):
    """A node's runtime on a clock of its own."""

    def __init__(self, process: Process, clock: Clock) -> None:
        super().__init__(process, "", offset=0.0, rate=1.0, slowness=lambda rng: 0.0)
        self._clock = clock
        self._held = False

    def now(self) -> float:
        return self._clock.now

    def wall_ns(self) -> int:
        return int(self._clock.now * 1e9)

    def random(self) -> float:
        return MIDDLE

    def call_later(self, delay: float, action: Callable[[], None]) -> SimHandle:
        when = self._clock.now + max(0.0, delay)
        handle = SimHandle(self._process.run, (), None, when)
        handle.arguments = (action, handle)
        self._clock.call_at(when, handle)
        return handle

    def hold_log(self, held: bool) -> None:
        """Let syncs of the log wait, or go on."""
        self._held = held
        self._workers.setdefault(WORKER, deque())
        self._next(WORKER)

    def _next(self, worker: str) -> None:
        if not (self._held and worker == WORKER):
            super()._next(worker)


class _Fate:
    """What SimDisk draws: of what was not synced, a loss of power leaves the first `kept` sectors."""

    kept = 0

    def choice(self, options: tuple[Any, ...]) -> Any:
        if isinstance(options[0], float):
            return 1.0
        # Of files: the synced names. Of sizes: the long one, where something is kept.
        return options[1] if isinstance(options[0], dict) or self.kept else options[0]

    def randint(self, low: int, high: int) -> int:
        return low

    def random(self) -> float:
        if self.kept:
            self.kept -= 1
            return 0.0
        return 1.0


class SteppedNode:
    """See the module. `tell` is told of everything that can be seen of it."""

    def __init__(
        self, cluster: SteppedCluster, name: str, initial: Configuration, *, rejoining: bool = False
    ) -> None:
        self._cluster = cluster
        self.name = name
        self.boot = 0
        self.clock = Clock(cluster.loop)
        self.machine = CountingMachine()
        self.process: Process | None = None
        self.consensus: Consensus | None = None
        self.runtime: SteppedRuntime
        self.journal: Any = None
        self.polls = 0
        """How often it has asked for votes."""
        self._fate = _Fate()
        self._disk = SimDisk(cast(random.Random, self._fate), self._pause, lambda what: None)
        self._disk.usual = self._disk.latency = Latency(spread=0.0, worst=0.0, chance=0.0)
        self._initial = initial
        self._rejoining = rejoining
        self._seen: tuple[str, int] = ("follower", 0)
        self._commit = 0

    def tell(self, text: str) -> None:
        self._cluster.tell(self.name, text)

    def _pause(self, seconds: float) -> None:
        if self.process is not None:
            self.process.pause(seconds)

    # Life.

    def start(self) -> None:
        """Begin a life with what is on the disk."""
        self.boot += 1
        self.clock = Clock(self._cluster.loop, self.clock.now)
        self.process = process = Process(
            self._cluster.loop,
            self.name,
            crashed=lambda process, crash: None,
            failed=lambda process, error: self._stopped_by(error),
            after=lambda process: self._observe(),
        )
        process.run(lambda: self._open(process))

    def _open(self, process: Process) -> None:
        try:
            self.journal = Journal(
                JOURNAL, disk=self._disk, segment_bytes=SEGMENT_BYTES, ahead_bytes=AHEAD_BYTES
            )
            self._cluster.checks.opened(self.name, self.journal)
            links = SteppedLinks(self._cluster.network, process)
            self._cluster.network.join(links)
            if self._rejoining:
                process.task(self._rejoin(process, links))
            else:
                self._take_part(process, links)
        except StoreError as error:
            self._stopped_by(error)

    async def _rejoin(self, process: Process, links: SteppedLinks) -> None:
        term = await safe_term(self._cluster.others(self.name), self._cluster.term_of)
        if term > self.journal.getCurrentTerm():
            self.journal.setCurrentTerm(term, self.name)
        process.run(lambda: self._take_part(process, links))

    def _take_part(self, process: Process, links: SteppedLinks) -> None:
        self.runtime = SteppedRuntime(process, self.clock)
        self._seen, self._commit = ("follower", self.journal.getCurrentTerm()), 0
        self.consensus = Consensus(
            node=self.name,
            members=self._initial,
            machine=self.machine,
            journal=self.journal,
            links=links,
            boot=self.boot,
            snapshot_dir=self._cluster.directory / self.name,
            on_fatal=self._stopped_by,
            settings=self._cluster.settings,
            runtime=self.runtime,
            rejoining=self._rejoining,
            on_rejoined=self._rejoined,
        )
        process.task(self.consensus.start())

    def _rejoined(self) -> None:
        self._rejoining = False
        self.tell("has caught up, and may vote from now on")

    def _stopped_by(self, error: BaseException) -> None:
        if self.process is not None:
            self.tell(f"stops for good: {error_in_words(error)}")
            self._cluster.loop.call_soon(self.crash)

    def crash(self, kept: int = 0) -> None:
        """Lose power. Of what was not synced the first `kept` sectors stay."""
        process, self.process = self.process, None
        if process is None:
            return
        process.die()
        self._cluster.network.leave(self.name)
        self.consensus = self.journal = None
        self._fate.kept = kept
        self._disk.lose_power()
        self._fate.kept = 0
        self.machine = self.machine.crash()

    def wipe(self) -> None:
        """Get a new disk with nothing on it."""
        self._cluster.checks.wiped(self.name)
        self._disk.wipe()
        self.machine = CountingMachine()
        self._rejoining = True

    # What commands do.

    def do(self, action: Callable[[Consensus], object]) -> None:
        """Have the running node do something now."""
        process, consensus = self.process, self.consensus
        assert process is not None and consensus is not None
        self._cluster.loop.call_soon(process.run, partial(action, consensus))

    def begin(self, work: Callable[[Consensus], Coroutine[Any, Any, str]], failed: str) -> None:
        """Begin what a client asks for. The answer is a text, or a StoreError behind `failed`."""

        async def finish(consensus: Consensus) -> None:
            try:
                text = await work(consensus)
            except StoreError as error:
                text = f"{failed}: {error_in_words(error)}"
            if self.consensus is consensus:
                self._cluster.answer(self.name, text)

        def start(consensus: Consensus) -> None:
            assert self.process is not None
            self.process.task(finish(consensus))

        self.do(start)

    def fill_disk(self) -> None:
        """Something else takes all that is left of the disk; the node has noticed."""
        self._disk.space = 0
        self.do(lambda consensus: setattr(consensus, "space", Space.NONE))

    def free_disk(self) -> None:
        """There is space again."""
        self._disk.space = None
        self.do(lambda consensus: setattr(consensus, "space", Space.ENOUGH))

    # What can be seen.

    def _observe(self) -> None:
        consensus = self.consensus
        if consensus is None:
            return
        role, term = now = (consensus.role, consensus.term)
        if now != self._seen:
            same = role == self._seen[0] == "follower"
            self._seen = now
            self.tell(f"takes term {term}" if same else f"is {role} in term {term}")
            if role == "leader":
                self._cluster.checks.leads(self.name, self.boot, term, self.journal, self._voters())
        commit = consensus.commit_index
        if commit > self._commit and len(self.journal):
            if self._commit or commit > self.journal[0][1]:
                self.tell(f"has committed up to {commit}")
            self._cluster.checks.commits(self.name, term, self.journal, self._commit, commit)
            self._commit = commit
            if role == "leader":
                self._cluster.checks.counts(self.name, self.journal, commit, self._voters())

    def _voters(self) -> frozenset[str]:
        """Who votes by its log, whatever it says itself."""
        for command, _, _ in reversed(self.journal[:]):
            if command.startswith(PREFIX):
                return Configuration.decode(command[len(PREFIX) :]).voters
        index, applied = self.machine.configuration
        return (Configuration.decode(applied) if index else self._initial).voters

    def state(self) -> str:
        """What was applied."""
        return " ".join(map(text_of, self.machine.commands)) or "nothing"

    def members(self) -> str:
        """Who belongs to the cluster, as far as it knows."""
        assert self.consensus is not None
        index, configuration = self.consensus.membership.configuration
        origin = f"by entry {index}" if index else "from the start"
        return f"goes by the members {members_in_words(configuration)}, {origin}"

    def status(self) -> str:
        """One line of all that matters."""
        consensus = self.consensus
        if consensus is None:
            return "is down" if self.process is None else "waits for the terms of the others"
        voted = self.journal.getVotedForNodeId()
        vote = f", voted for {voted}" if voted else ""
        synced = consensus.durable_index
        behind = "" if synced == self.journal[-1][1] else f", synced up to {synced}"
        return (
            f"{consensus.role} in term {consensus.term}{vote}; log {log_in_words(self.journal[:])}; "
            f"committed {consensus.commit_index}{behind}; state {self.state()}"
        )


def term_of(node: SteppedNode | None) -> int:
    """Answer a node that has lost its disk. Raises Unavailable while it cannot be told."""
    if node is None or node.consensus is None:
        raise Unavailable("not there")
    return node.consensus.term
