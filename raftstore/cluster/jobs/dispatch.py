"""The dispatcher: while this node leads, it makes the jobs that are due. Who does them is said in each.

Nothing is kept of what was handed out: every look begins from the jobs in the catalog and what can be seen of the
nodes, so a new leader goes on where the last one stopped. `plan` is pure; when a kind is due stands in its own module.
All that a leader keeps for itself is for how long it has not been able to reach a node.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from raftstore.chunks.placement.topology import ClusterView
from raftstore.cluster.jobs.kind import JobKind, Look, Situation
from raftstore.cluster.jobs.task import OPEN
from raftstore.cluster.proposals import Propose
from raftstore.errors import AlreadyExists, Changed, NotFound
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

PERIOD = 1.0
SETTLE = 3.0
"""Seconds for which a chunk's last copies may still be on their way: repair leaves younger chunks alone."""

MOST = 32
"""Jobs that are made in one look."""

Job = commands.Job


def plan(situation: Situation, kinds: Iterable[JobKind]) -> list[Job]:
    """Return the jobs to be made now. Pure."""
    kinds = list(kinds)
    open_jobs = {(job.kind, job.node) for job in situation.jobs if job.state in OPEN}
    ended: dict[str, dict[int, Job]] = {}
    for job in situation.jobs:
        if job.state not in OPEN:
            ended.setdefault(job.node, {})[job.kind] = job
    made: list[Job] = []
    for store in situation.view.stores:
        if not store.reachable:
            continue
        look = Look(situation, store.node, ended.get(store.node, {}))
        for kind in kinds:
            due = kind.due(look)
            if due is not None and (due.kind, due.node) not in open_jobs and len(made) < MOST:
                made.append(due)
    return made


def void(situation: Situation, kinds: Iterable[JobKind]) -> list[int]:
    """Return the jobs to be cancelled. Pure."""
    by_number = {kind.number: kind for kind in kinds}
    return [
        job.id
        for job in situation.jobs
        if job.state in OPEN and job.kind in by_number and by_number[job.kind].void(situation, job)
    ]


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
        kinds: Iterable[JobKind],
        leads: Callable[[], bool],
        situation: Callable[[], Situation],
        resting: Callable[[], None],
        propose: Propose,
    ) -> None:
        super().__init__("dispatcher", PERIOD, waits="jobs wait")
        self._kinds = list(kinds)
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
        for number in void(situation, self._kinds):
            try:
                await self._propose(commands.Command(cancel_job=commands.CancelJob(id=number)))
            except (Changed, NotFound):
                continue  # it is over
        for job in plan(situation, self._kinds):
            try:
                await self._propose(commands.Command(put_job=commands.PutJob(job=job)))
            except (AlreadyExists, Changed):
                continue  # another leader was faster
