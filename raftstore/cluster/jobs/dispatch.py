"""The dispatcher: while this node leads, it makes the jobs that are due. Who does them is said in each.

Nothing is kept of what was handed out: every look begins from the jobs in the catalog and what can be seen of the
nodes, so a new leader goes on where the last one stopped. `plan` is pure. All that a leader keeps for itself is for
how long it has not been able to reach a node.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from raftstore.chunks.placement.topology import ClusterView
from raftstore.cluster.jobs.counters import JobCounter, counted
from raftstore.cluster.proposals import Propose
from raftstore.cluster.settings import JobsSettings
from raftstore.errors import AlreadyExists, Changed, NotFound
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

PERIOD = 1.0
SETTLE = 3.0
"""Seconds for which a chunk's last copies may still be on their way: repair leaves younger chunks alone."""

MOST = 32
"""Jobs that are made in one look."""

REPAIR_PAUSE = 1.0
REPAIR_EMPTY = 5.0
REPAIR_REST = 30.0
"""Seconds between two repairs on a node: when all went well, when there was nothing to do (the node knows better, or
will soon see what the leader sees), and when something could not be copied."""

COMPACT_PAUSE = 5.0
COMPACT_REST = 600.0
"""The same for compaction, when the last one has won space, and when it has not."""

MOVE_PAUSE = 2.0
TRIM_REST = 30.0
REBALANCE_REST = 600.0
"""The same for what moves copies: when the last one has moved something, and when it has not."""

LONGEST_COLLECT = 6 * 3600.0
SECOND_NS = 10**9

Job = commands.Job
OPEN = (Job.WAITING, Job.RUNNING)


@dataclass(frozen=True, slots=True)
class Situation:
    """What `plan` decides on. Times in ns since the epoch, as in the jobs.

    `lost`: stores whose nodes were not reached for so long that their copies do not count any more. `short`: nodes
    that should make copies, as far as chunks up to number `upto` are concerned. `reclaimable`: bytes that a
    compaction would win, by node.

    `steady`: no store has come or gone for a while. `excess`: nodes with copies that are too many. `lacking`: bytes
    that nodes lack which hold far less than their share. `sizes`: of the stores that take pictures.
    """

    now_ns: int
    jobs: Sequence[Job]
    view: ClusterView
    lost: frozenset[int]
    short: Collection[str]
    upto: int
    reclaimable: Mapping[str, int]
    settings: JobsSettings
    replicas: int = 0
    steady: bool = False
    excess: Collection[str] = ()
    lacking: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[int, int] = field(default_factory=dict)

    @property
    def away(self) -> list[int]:
        """The stores whose copies do not count when it comes to giving others up."""
        return sorted({store.number for store in self.view.stores if not store.reachable} | self.lost)


def plan(situation: Situation) -> list[Job]:
    """Return the jobs to be made now."""
    open_jobs = {(job.kind, job.node) for job in situation.jobs if job.state in OPEN}
    last: dict[tuple[int, str], Job] = {
        (job.kind, job.node): job for job in situation.jobs if job.state not in OPEN
    }
    made: list[Job] = []
    for store in situation.view.stores:
        if not store.reachable:
            continue
        for job in _due(situation, store.node, last):
            if (job.kind, job.node) not in open_jobs and len(made) < MOST:
                made.append(job)
    return made


def _due(situation: Situation, node: str, last: Mapping[tuple[int, str], Job]) -> list[Job]:
    settings, now = situation.settings, situation.now_ns
    due = []

    def since(kind: int) -> float:
        """Seconds since the last one of that kind ended; very long if there was none."""
        job = last.get((kind, node))
        if job is None:
            return float("inf")
        # The end is told by that node's clock, the beginning by a leader's: it is later only if the former is fast.
        return (now - (job.finished_ns if job.finished_ns <= now else job.created_ns)) / SECOND_NS

    if node in situation.short and since(Job.REPAIR) >= _repair_pause(last.get((Job.REPAIR, node))):
        job = Job(kind=Job.REPAIR, node=node, without=sorted(situation.lost), upto=situation.upto)
        job.reason = "copies are missing"
        job.shares.extend(shares_of(situation.view))
        due.append(job)
    for job in _moves(situation, node):
        moved = JobCounter.COPIED if job.kind == Job.REBALANCE else JobCounter.TRIMMED
        kept = _count(last.get((job.kind, node)), moved) == 0
        rest = REBALANCE_REST if job.kind == Job.REBALANCE else TRIM_REST
        if since(job.kind) >= (rest if kept else MOVE_PAUSE):
            due.append(job)
    if since(Job.COLLECT) >= max(1.0, min(LONGEST_COLLECT, settings.collect_grace / 4)):
        due.append(Job(kind=Job.COLLECT, node=node, reason="it is time"))
    if situation.reclaimable.get(node, 0):
        previous = last.get((Job.COMPACT, node))
        won = previous is None or _count(previous, JobCounter.BYTES_FREED) > 0
        if since(Job.COMPACT) >= (COMPACT_PAUSE if won else COMPACT_REST):
            due.append(Job(kind=Job.COMPACT, node=node, reason="removed chunks fill volumes"))
    if (Job.SCRUB, node) not in last:
        begin = now + int(settings.scrub_period * SECOND_NS)
    else:
        begin = last[Job.SCRUB, node].finished_ns + int(settings.scrub_period * SECOND_NS)
    due.append(Job(kind=Job.SCRUB, node=node, reason="it is time", not_before_ns=begin))
    return due


def shares_of(view: ClusterView) -> list[commands.Share]:
    """Return the free space of each store, as it is seen here."""
    return [commands.Share(store=store.number, bytes=store.free_bytes) for store in view.stores]


def _repair_pause(last: Job | None) -> float:
    if last is None or _count(last, JobCounter.COPIED):
        return REPAIR_PAUSE
    return REPAIR_REST if _count(last, JobCounter.FAILED) else REPAIR_EMPTY


def _moves(situation: Situation, node: str) -> list[Job]:
    """Return what would bring a node to its share, and the copies on it to what is wanted."""
    if not situation.steady:
        return []
    found = []
    if node in situation.excess:
        found.append(Job(kind=Job.TRIM, node=node, replicas=situation.replicas, reason="copies are too many"))
    if node in situation.lacking and not situation.short:
        amount = situation.lacking[node]
        found.append(Job(kind=Job.REBALANCE, node=node, amount=amount, reason="it holds less than its share"))
    for job in found:
        job.upto = situation.upto
        job.without.extend(situation.away)
        job.shares.extend(commands.Share(store=number, bytes=size) for number, size in situation.sizes.items())
    return found


def void(situation: Situation) -> list[int]:
    """Return the jobs to be cancelled: those that give copies up for the sake of one that is out of sight now."""
    away = set(situation.away)
    return [
        job.id
        for job in situation.jobs
        if job.kind == Job.TRIM and job.state in OPEN and away - set(job.without)
    ]


def _count(job: Job | None, counter: JobCounter) -> int:
    return 0 if job is None else counted(job.progress).get(counter, 0)


class Absence:
    """For how long nodes cannot be reached, as seen from here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[int, float] = {}

    def lost(self, view: ClusterView, after: float) -> frozenset[int]:
        """Return the stores that have not been reached for `after` seconds or longer; look at each view."""
        now = self._clock()
        away = [store.number for store in view.stores if not store.reachable]
        self._since = {number: self._since.get(number, now) for number in away}
        return frozenset(number for number in away if now - self._since[number] >= after)

    def forget(self) -> None:
        """Begin to count anew: nobody has looked for a while."""
        self._since.clear()


class Steadiness:
    """For how long no store has come or gone, as seen from here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: frozenset[tuple[int, bool, bool]] | None = None
        self._since = 0.0

    def lasts(self, view: ClusterView, seconds: float) -> bool:
        """Whether it has been like this for so long; look at each view."""
        now = self._clock()
        seen = frozenset((store.number, store.reachable, store.leaving) for store in view.stores)
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since >= seconds

    def forget(self) -> None:
        """Begin to count anew."""
        self._seen = None


class Watermark:
    """Which chunks are old enough to be judged: the newest one of some seconds ago."""

    def __init__(self, settle: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle = settle
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._upto = 0

    def upto(self, newest: int) -> int:
        """Note the newest chunk's number; return that of the newest one that has settled."""
        now = self._clock()
        self._seen.append((now, newest))
        while self._seen and self._seen[0][0] <= now - self._settle:
            self._upto = self._seen.popleft()[1]
        return self._upto


class Dispatcher(Periodic):
    """Looks once a second; while another node leads, `resting` is called instead."""

    def __init__(
        self,
        *,
        leads: Callable[[], bool],
        situation: Callable[[], Situation],
        resting: Callable[[], None],
        propose: Propose,
    ) -> None:
        super().__init__("dispatcher", PERIOD, waits="jobs wait")
        self._leads = leads
        self._situation = situation
        self._resting = resting
        self._propose = propose

    async def look(self) -> None:
        """Make the jobs that are due, and cancel those that are void, if this node leads."""
        if not self._leads():
            self._resting()
            return
        situation = self._situation()
        for number in void(situation):
            try:
                await self._propose(commands.Command(cancel_job=commands.CancelJob(id=number)))
            except (Changed, NotFound):
                continue  # it is over
        for job in plan(situation):
            try:
                await self._propose(commands.Command(put_job=commands.PutJob(job=job)))
            except (AlreadyExists, Changed):
                continue  # another leader was faster
