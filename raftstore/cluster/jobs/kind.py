"""What a kind of job is: one module of this package says when it is due, who does it, how, and within which bounds.

**The rule.** Every module of the package is imported, and each `JobKind` in one is a kind that the leader plans and the
workers do (`all_kinds`); nothing else lists them. How people see a kind follows from it too: it is called as its value
of `Job.Kind` in proto/commands.proto, and counts in its `unit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raftstore.chunks.placement.topology import ClusterView
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.cluster import jobs as package
from raftstore.cluster.jobs.counters import Findings, JobCounter, counted
from raftstore.cluster.jobs.task import Handler
from raftstore.cluster.proposals import Propose
from raftstore.cluster.replicas.collector import Collector
from raftstore.cluster.replicas.copier import Copier
from raftstore.cluster.replicas.ownstore import OwnStore
from raftstore.cluster.replicas.recorder import ReplicaRecorder
from raftstore.cluster.settings import JobsSettings, StoreSettings
from raftstore.metadata import Catalog
from raftstore.util.limits.throttle import Throttle
from raftstore.util.modules import declared_in
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

SECOND_NS = 10**9

Job = commands.Job


@dataclass(frozen=True, slots=True)
class JobNode:
    """What a node offers to those who do its jobs, and to those who look, on the leader, what is due.

    `reclaimable` tells how many bytes a node says that a compaction would win there; `confirm` asks another store which
    chunks it has.
    """

    settings: StoreSettings
    boot: int
    catalog: Catalog
    volumes: VolumeSet
    view: Callable[[], ClusterView]
    own: OwnStore
    leads: Callable[[], bool]
    propose: Propose
    confirm: Callable[[int, Sequence[bytes]], Awaitable[set[bytes]]]
    recorder: ReplicaRecorder
    throttle: Throttle
    copier: Copier
    collector: Collector
    reclaimable: Callable[[str], int]
    scrubbed: Findings = field(default_factory=Findings)

    def held(self, view: ClusterView) -> dict[int, int]:
        """Return the bytes of pictures on each store, as the catalog lists them."""
        return {store.number: self.catalog.store_totals(store.number)[1] for store in view.stores}


@dataclass(frozen=True, slots=True)
class Situation:
    """What the leader decides on. Times in ns since the epoch, as in the jobs.

    `lost`: stores whose nodes were not reached for so long that their copies do not count any more. `short`: nodes
    that should make copies, as far as chunks up to number `upto` are concerned.

    `steady`: no store has come or gone for a while. `sizes`: of the stores that take pictures. `observed`: what kinds
    have seen beside that (`JobKind.observe`), by kind.
    """

    now_ns: int
    jobs: Sequence[Job]
    view: ClusterView
    lost: frozenset[int]
    short: Collection[str]
    upto: int
    settings: JobsSettings
    replicas: int = 0
    steady: bool = False
    sizes: Mapping[int, int] = field(default_factory=dict)
    observed: Mapping[int, Any] = field(default_factory=dict)

    @property
    def away(self) -> list[int]:
        """The stores whose copies do not count when it comes to giving others up."""
        return sorted({store.number for store in self.view.stores if not store.reachable} | self.lost)


@dataclass(frozen=True, slots=True)
class Look:
    """The leader looks at one node: `ended` has the last job of each kind there that is over."""

    situation: Situation
    node: str
    ended: Mapping[int, Job]

    def since(self, kind: int) -> float:
        """Seconds since the last one of that kind ended; very long if there was none."""
        job = self.ended.get(kind)
        if job is None:
            return float("inf")
        # The end is in that node's time, the beginning in a leader's: it is later only if the former is fast.
        now = self.situation.now_ns
        return (now - (job.finished_ns if job.finished_ns <= now else job.created_ns)) / SECOND_NS

    def count(self, kind: int, counter: JobCounter) -> int:
        """What the last one of that kind has counted of something; 0 if there was none."""
        job = self.ended.get(kind)
        return 0 if job is None else counted(job.progress).get(counter, 0)


def never(_look: Look) -> Job | None:
    """Of a kind that is made only when somebody asks for it."""
    return None


def stands(_situation: Situation, _job: Job) -> bool:
    """Of a kind whose jobs are never void."""
    return False


def as_asked(_node: JobNode, _job: Job, _request: admin.JobPut) -> None:
    """Of a kind whose job needs nothing more than what the operator has said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """A kind of job.

    `work` makes what does such jobs at a node; `unit` is what they count their progress in. `due`, which is pure,
    returns the job that a node is to get now, or None; `observe` sees for it, on the leader, what it needs beside the
    Situation, which comes as `observed`. `void`, pure too, tells whether an open job must be cancelled. `asked` adds
    to the job that an operator asks for what it needs, or raises Invalid.

    Bounds: a node does one job of a kind at a time, and so many of all kinds as `jobs.concurrency` says. `beside`:
    these do not count, because nothing that takes hours may keep them waiting. `several` at a time: they only watch.
    `by_leader`: the leader does it, not the node that it is about. `precedence`: the lower comes first when more is due
    than the leader makes at a time.
    """

    number: Job.Kind
    unit: str
    work: Callable[[JobNode], Handler]
    due: Callable[[Look], Job | None] = never
    observe: Callable[[JobNode, Situation], Any] | None = None
    void: Callable[[Situation, Job], bool] = stands
    asked: Callable[[JobNode, Job, admin.JobPut], None] = as_asked
    beside: bool = False
    several: bool = False
    by_leader: bool = False
    precedence: int = 100


def all_kinds() -> list[JobKind]:
    """Return all kinds of jobs that are declared in this package, by precedence."""
    return sorted(declared_in([package], JobKind), key=lambda kind: (kind.precedence, kind.number))


def shares_of(amounts: Mapping[int, int]) -> list[commands.Share]:
    """Return bytes by store as they are put into a job."""
    return [commands.Share(store=number, bytes=amount) for number, amount in amounts.items()]


def free_shares(view: ClusterView) -> list[commands.Share]:
    """Return the free space of each store, as it is seen here."""
    return shares_of({store.number: store.free_bytes for store in view.stores})


def shares(job: Job) -> dict[int, int]:
    """Return by store what the leader went by when it made the job."""
    return {share.store: share.bytes for share in job.shares}
