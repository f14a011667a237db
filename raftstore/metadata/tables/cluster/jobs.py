"""The jobs that the leader hands out, as part of the replicated state: who has which, until when, how far it is.

All times come in commands. A job is held by one boot of one node while its lease lasts; what somebody says who
does not hold it is refused. So a job goes on after the death of its holder, and of the leader that made it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Self

from raftstore.metadata.refusal import MAX_INTEGER, Refusal, check_label, no_node
from raftstore.metadata.registry import Context, Schema, Table, Tables, handles
from raftstore.metadata.tables.cluster.intents import Intents
from raftstore.metadata.tables.cluster.state import State
from raftstore.wire import commands_pb2 as commands

MAX_OPEN = 1000
"""Jobs that wait or run at a time."""

KEPT = 1000
"""Jobs that are over and kept, beside the last one of each kind for each node."""

KEPT_NS = 7 * 24 * 3600 * 10**9
"""For which they are kept."""

MAX_ATTEMPTS = 5
MAX_TEXT = 1000
MAX_LEASE_NS = 24 * 3600 * 10**9
MAX_COUNTS = 32
MAX_STORES = 64

Job = commands.Job
OPEN = frozenset({Job.WAITING, Job.RUNNING})


class Jobs(Table):
    """The table `jobs`, whole in memory."""

    schemas = (
        Schema(
            "jobs",
            "id",
            """
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  job BLOB NOT NULL
) STRICT;
""",
        ),
    )

    def __init__(self, database: sqlite3.Connection, state: State, intents: Intents) -> None:
        super().__init__(database)
        self._state = state
        self._intents = intents
        rows = self._execute("SELECT id, job FROM jobs ORDER BY id").fetchall()
        self._jobs = {row[0]: Job.FromString(row[1]) for row in rows}

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with who the members are."""
        return cls(tables.database, tables[State], tables[Intents])

    def untouched(self) -> bool:
        """Whether there never was a job."""
        return self._state.next_job == 1

    def list(self) -> list[Job]:
        """Return all by number; not to be changed."""
        return list(self._jobs.values())

    def find(self, number: int) -> Job | None:
        """Return a job, not to be changed; None when there is none."""
        return self._jobs.get(number)

    @handles("put_job", level=1)
    def put(self, command: commands.PutJob, at: Context) -> commands.Result:
        """Take a new job; return its number. Refuses a second open one of a kind for a node."""
        wanted, members = command.job, self._intents.members
        if wanted.kind not in Job.Kind.values():
            raise Refusal(commands.INVALID, f"there is no kind of job {wanted.kind}")
        if wanted.node not in members:
            raise no_node(wanted.node, members)
        check_label(wanted.reason, "a reason")
        if max(len(wanted.without), len(wanted.shares)) > MAX_STORES or not (
            0 <= wanted.not_before_ns <= MAX_INTEGER and wanted.amount <= MAX_INTEGER
        ):
            raise Refusal(commands.INVALID, "not a usable job")
        standing = OPEN | {Job.DONE} if wanted.kind == Job.DRAIN else OPEN
        for other in self._jobs.values():
            if (other.kind, other.node) == (wanted.kind, wanted.node) and other.state in standing:
                raise Refusal(commands.EXISTS, f"job {other.id} does that already")
        if wanted.kind == Job.DRAIN:
            # As many must stay as keep a copy when any minority of all nodes is lost.
            staying = len(set(members) - draining(self._jobs.values()) - {wanted.node})
            if staying < (len(members) - 1) // 2 + 1:
                raise Refusal(commands.INVALID, f"only {staying} nodes would be left for pictures")
            if staying < wanted.replicas and not wanted.force:
                raise Refusal(
                    commands.INVALID,
                    f"only {staying} nodes would be left for {wanted.replicas} copies of each picture;"
                    " add a node first, or force it",
                )
        self._prune(at.time_ns)
        if sum(job.state in OPEN for job in self._jobs.values()) >= MAX_OPEN:
            raise Refusal(commands.INVALID, "too many jobs are open")
        job = Job(
            id=self._state.next_job,
            kind=wanted.kind,
            node=wanted.node,
            without=wanted.without,
            apply=wanted.apply,
            upto=wanted.upto,
            shares=wanted.shares,
            replicas=wanted.replicas,
            force=wanted.force,
            amount=wanted.amount,
            reason=wanted.reason,
            not_before_ns=wanted.not_before_ns,
            created_ns=at.time_ns,
        )
        self._state.next_job += 1
        return self._keep(job)

    @handles("take_job", level=1)
    def take(self, command: commands.TakeJob, at: Context) -> commands.Result:
        """Give a job to a node."""
        time_ns = at.time_ns
        job = self._open(command.id)
        if not command.node or not 0 < command.lease_ns <= MAX_LEASE_NS or command.boot > MAX_INTEGER:
            raise Refusal(commands.INVALID, "a job is taken by a node for a time")
        check_label(command.node, "a node's name")
        if job.kind != Job.DRAIN and command.node != job.node:
            raise Refusal(commands.CHANGED, f"job {job.id} is for {job.node}")
        # A node that was started again knows best that its earlier boot is over.
        again = job.holder == command.node and job.boot < command.boot
        if job.state == Job.RUNNING and time_ns < job.lease_until_ns and not again:
            raise Refusal(commands.CHANGED, f"{job.holder} has job {job.id}")
        if job.state == Job.WAITING and time_ns < job.not_before_ns:
            raise Refusal(commands.CHANGED, f"it is too early for job {job.id}")
        job.state, job.holder, job.boot = Job.RUNNING, command.node, command.boot
        job.lease_until_ns = _later(time_ns, command.lease_ns)
        job.attempts += 1
        job.started_ns = job.started_ns or time_ns
        if job.kind != Job.SCRUB:  # which goes on where it was
            job.ClearField("progress")
        return self._keep(job)

    @handles("report_job", level=1)
    def report(self, command: commands.ReportJob, at: Context) -> commands.Result:
        """Note how far a job is, and renew its lease."""
        time_ns = at.time_ns
        job = self.held(command.id, command.node, command.boot, time_ns)
        if not 0 < command.lease_ns <= MAX_LEASE_NS:
            raise Refusal(commands.INVALID, "a lease has a length")
        _check_progress(command.progress)
        job.lease_until_ns = _later(time_ns, command.lease_ns)
        job.progress.CopyFrom(command.progress)
        return self._keep(job)

    @handles("finish_job", level=1)
    def finish(self, command: commands.FinishJob, at: Context) -> commands.Result:
        """End a job, or have it tried again when it failed."""
        time_ns = at.time_ns
        job = self.held(command.id, command.node, command.boot, time_ns)
        _check_progress(command.progress)
        job.progress.CopyFrom(command.progress)
        job.error = command.error[:MAX_TEXT]
        job.ClearField("holder")
        job.ClearField("boot")
        job.ClearField("lease_until_ns")
        if not command.error:
            job.state, job.finished_ns = Job.DONE, time_ns
        elif job.kind == Job.DRAIN or job.attempts < MAX_ATTEMPTS:
            job.state, job.not_before_ns = Job.WAITING, _later(time_ns, max(0, command.retry_ns))
        else:
            job.state, job.finished_ns = Job.FAILED, time_ns
        return self._keep(job)

    @handles("cancel_job", level=1)
    def cancel(self, command: commands.CancelJob, at: Context) -> commands.Result:
        """Give a job up."""
        known = self._jobs.get(command.id)
        if known is None:
            raise Refusal(commands.NOT_FOUND, f"job {command.id}")
        if known.state not in OPEN and (known.kind, known.state) != (Job.DRAIN, Job.DONE):
            raise Refusal(commands.CHANGED, f"job {command.id} is over")
        job = _copy(known)
        job.state, job.finished_ns = Job.CANCELLED, at.time_ns
        job.ClearField("lease_until_ns")
        return self._keep(job)

    def keep_of(self, members: Collection[str]) -> None:
        """Forget the jobs of all other nodes: those are no members any more."""
        for job in self.list():
            if job.node not in members:
                self._forget(job.id)

    def _open(self, number: int) -> Job:
        """Return a copy of an open job, to be changed and kept."""
        job = self._jobs.get(number)
        if job is None:
            raise Refusal(commands.NOT_FOUND, f"job {number}")
        if job.state not in OPEN:
            raise Refusal(commands.CHANGED, f"job {number} is over")
        return _copy(job)

    def held(self, number: int, node: str, boot: int, time_ns: int) -> Job:
        """Return a copy of a job that somebody holds now. Refuses with NOT_FOUND, CHANGED."""
        job = self._open(number)
        if job.state != Job.RUNNING or (job.holder, job.boot) != (node, boot) or time_ns >= job.lease_until_ns:
            raise Refusal(commands.CHANGED, f"{node} does not have job {number} any more")
        return job

    def _prune(self, time_ns: int) -> None:
        over = [job for job in reversed(self._jobs.values()) if job.state not in OPEN]
        latest: set[tuple[int, str]] = set()
        kept = 0
        for job in over:
            last = (job.kind, job.node) not in latest
            latest.add((job.kind, job.node))
            standing = job.kind == Job.DRAIN and job.state == Job.DONE
            if last or standing:
                continue
            kept += 1
            if kept > KEPT or job.finished_ns < time_ns - KEPT_NS:
                self._forget(job.id)

    def _keep(self, job: Job) -> commands.Result:
        self._jobs[job.id] = job
        data = job.SerializeToString(deterministic=True)
        self._execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", (job.id, data))
        return commands.Result(job=job.id)

    def _forget(self, number: int) -> None:
        del self._jobs[number]
        self._execute("DELETE FROM jobs WHERE id = ?", (number,))


def draining(jobs: Iterable[Job]) -> set[str]:
    """Return the nodes that are drained, or to be drained: they get nothing new, and what they have counts as gone."""
    return set(drain_states(jobs))


def drain_states(jobs: Iterable[Job]) -> dict[str, str]:
    """Return by node `draining` or `drained`; others take pictures."""
    standing = [job for job in jobs if job.kind == Job.DRAIN and job.state in (*OPEN, Job.DONE)]
    return {job.node: "drained" if job.state == Job.DONE else "draining" for job in standing}


def _copy(job: Job) -> Job:
    copy = Job()
    copy.CopyFrom(job)
    return copy


def _later(time_ns: int, by_ns: int) -> int:
    return min(time_ns + by_ns, MAX_INTEGER)


def _check_progress(progress: commands.Progress) -> None:
    counts = [progress.done, progress.total, progress.volume, progress.offset]
    counts += [count.value for count in progress.counts]
    if len(counts) > MAX_COUNTS or max(counts) > MAX_INTEGER:
        raise Refusal(commands.INVALID, "not a progress")
    for label in (progress.unit, *(count.name for count in progress.counts)):
        check_label(label, "a unit or count")
