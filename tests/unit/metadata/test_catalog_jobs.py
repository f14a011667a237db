"""Jobs as replicated state: who has one, until when, and what is refused; random histories against a plain model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, digest, put

from raftstore.consensus.membership.configuration import Configuration
from raftstore.metadata.tables.cluster import jobs as module
from raftstore.metadata.tables.cluster.jobs import drain_states
from raftstore.wire import commands_pb2 as commands

Job = commands.Job
SECOND = 10**9


class Jobs:
    """A catalog that is given job commands at chosen times."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.now = NOW
        feeder.index += 1
        feeder.catalog.configure(feeder.index, Configuration.of(["n1", "n2", "n3"]).encode())

    def do(self, **command: object) -> tuple[str, int]:
        operation = self.feeder.operation(commands.Command(**command))  # type: ignore[arg-type]
        operation.time_ns = self.now
        result = self.feeder.apply(operation)[0]
        return commands.Status.Name(result.status), result.job

    def put(self, kind: Job.Kind.ValueType = Job.SCRUB, node: str = "n1", **fields: object) -> tuple[str, int]:
        return self.do(put_job=commands.PutJob(job=Job(kind=kind, node=node, **fields)))  # type: ignore[arg-type]

    def take(self, number: int, node: str = "n1", boot: int = 1, lease: int = SECOND) -> str:
        return self.do(take_job=commands.TakeJob(id=number, node=node, boot=boot, lease_ns=lease))[0]

    def report(self, number: int, done: int = 1, node: str = "n1", boot: int = 1) -> str:
        progress = commands.Progress(done=done, total=9, unit="chunks")
        command = commands.ReportJob(id=number, node=node, boot=boot, lease_ns=SECOND, progress=progress)
        return self.do(report_job=command)[0]

    def finish(self, number: int, error: str = "", node: str = "n1", boot: int = 1, retry: int = 0) -> str:
        command = commands.FinishJob(id=number, node=node, boot=boot, error=error, retry_ns=retry)
        return self.do(finish_job=command)[0]

    def cancel(self, number: int) -> str:
        return self.do(cancel_job=commands.CancelJob(id=number))[0]

    def __getitem__(self, number: int) -> Job:
        job = self.feeder.catalog.job(number)
        assert job is not None
        return job


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with Feeder(tmp_path / "catalog.db") as feeder:
        yield Jobs(feeder)


def test_the_life_of_a_job(jobs: Jobs) -> None:
    assert jobs.put(reason="it is time") == ("OK", 1)
    assert (jobs[1].state, jobs[1].reason, jobs[1].created_ns) == (Job.WAITING, "it is time", NOW)
    assert jobs.take(1) == "OK"
    assert (jobs[1].holder, jobs[1].boot, jobs[1].lease_until_ns) == ("n1", 1, NOW + SECOND)
    jobs.now += SECOND - 1
    assert jobs.report(1, 5) == "OK"
    assert (jobs[1].progress.done, jobs[1].lease_until_ns) == (5, jobs.now + SECOND)
    jobs.feeder.reopen()
    assert jobs.finish(1) == "OK"
    assert (jobs[1].state, jobs[1].finished_ns, jobs[1].holder) == (Job.DONE, jobs.now, "")
    assert [jobs.take(1), jobs.report(1), jobs.finish(1), jobs.cancel(1)] == ["CHANGED"] * 4
    assert [jobs.take(9), jobs.cancel(9)] == ["NOT_FOUND"] * 2


def test_one_open_job_of_a_kind_for_a_node(jobs: Jobs) -> None:
    assert jobs.put() == ("OK", 1)
    assert jobs.put()[0] == "EXISTS"
    assert jobs.put(node="n2") == ("OK", 2)
    assert jobs.put(Job.COLLECT) == ("OK", 3)
    assert jobs.cancel(1) == "OK"
    assert jobs.put() == ("OK", 4)
    assert jobs.put(node="n9")[0] == "NOT_FOUND"
    assert jobs.put(without=[1] * 100)[0] == "INVALID"


def test_a_job_is_taken_again_when_its_lease_has_run_out(jobs: Jobs) -> None:
    jobs.put()
    assert jobs.take(1) == "OK"
    assert jobs.take(1) == "CHANGED"
    jobs.now += SECOND
    assert jobs.report(1) == "CHANGED"
    assert jobs.take(1) == "OK"
    assert jobs[1].attempts == 2
    assert jobs.finish(1) == "OK"


def test_a_later_boot_takes_its_jobs_back_at_once_and_the_earlier_has_none(jobs: Jobs) -> None:
    jobs.put()
    assert jobs.take(1, boot=1) == "OK"
    assert jobs.take(1, boot=2) == "OK"
    assert [jobs.report(1, boot=1), jobs.finish(1, boot=1), jobs.take(1, boot=1)] == ["CHANGED"] * 3
    assert jobs.finish(1, boot=2) == "OK"


def test_a_job_is_for_its_node_but_a_drain_for_whoever_leads(jobs: Jobs) -> None:
    jobs.put()
    assert jobs.take(1, "n2") == "CHANGED"
    jobs.put(Job.DRAIN, "n3")
    assert jobs.take(2, "n1") == "OK"
    assert jobs.take(2, "n2") == "CHANGED"
    assert jobs.finish(2, node="n1") == "OK"
    # It stays in force.
    assert jobs.put(Job.DRAIN, "n3")[0] == "EXISTS"
    assert jobs.cancel(2) == "OK"
    assert jobs.put(Job.DRAIN, "n3") == ("OK", 3)


def test_what_fails_is_tried_again_later_and_not_for_ever(jobs: Jobs) -> None:
    jobs.put()
    for attempt in range(1, module.MAX_ATTEMPTS + 1):
        assert jobs.take(1) == "OK"
        assert jobs.finish(1, "the disk is full", retry=SECOND) == "OK"
        assert jobs[1].attempts == attempt
        if attempt < module.MAX_ATTEMPTS:
            assert (jobs[1].state, jobs.take(1)) == (Job.WAITING, "CHANGED")
        jobs.now += SECOND
    assert (jobs[1].state, jobs[1].error) == (Job.FAILED, "the disk is full")


def test_a_job_can_wait_for_its_time(jobs: Jobs) -> None:
    jobs.put(not_before_ns=NOW + 5)
    assert jobs.take(1) == "CHANGED"
    jobs.now += 5
    assert jobs.take(1) == "OK"


def test_a_cancelled_job_is_nobodys(jobs: Jobs) -> None:
    jobs.put()
    jobs.take(1)
    assert jobs.cancel(1) == "OK"
    assert [jobs.report(1), jobs.finish(1), jobs.take(1), jobs.cancel(1)] == ["CHANGED"] * 4


def test_the_jobs_of_a_removed_node_are_forgotten(jobs: Jobs) -> None:
    jobs.put(node="n2")
    jobs.put(Job.DRAIN, "n3")
    jobs.feeder.index += 1
    jobs.feeder.catalog.configure(jobs.feeder.index, Configuration.of(["n1", "n2"]).encode())
    assert [job.node for job in jobs.feeder.catalog.jobs()] == ["n2"]


def test_of_what_is_over_some_is_kept_and_the_last_of_each(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    jobs.put(Job.DRAIN, "n3")
    jobs.take(1)
    jobs.finish(1)
    jobs.put(Job.COLLECT)
    jobs.cancel(2)
    for number in range(3, 20):
        assert jobs.put() == ("OK", number)
        jobs.cancel(number)
    jobs.put(node="n2")
    assert [job.id for job in jobs.feeder.catalog.jobs()] == [1, 2, 16, 17, 18, 19, 20]
    jobs.now += module.KEPT_NS + 1
    jobs.put(Job.COLLECT, "n2")
    assert [job.id for job in jobs.feeder.catalog.jobs()] == [1, 2, 19, 20, 21]


@dataclass(frozen=True)
class Known:
    """What the model knows of a job."""

    node: str
    kind: int
    state: str = "waiting"
    holder: tuple[str, int] = ("", 0)
    until: int = 0
    after: int = 0
    tries: int = 0


def test_a_drain_leaves_as_many_nodes_as_there_are_to_be_copies_unless_it_is_forced(jobs: Jobs) -> None:
    wanted = Job(kind=Job.DRAIN, node="n3", replicas=3)
    operation = jobs.feeder.operation(commands.Command(put_job=commands.PutJob(job=wanted)))
    refused = jobs.feeder.apply(operation)[0]
    assert commands.Status.Name(refused.status) == "INVALID"
    assert refused.detail.startswith("only 2 nodes would be left for 3 copies of each picture")
    assert jobs.put(Job.DRAIN, "n3", replicas=2) == ("OK", 1)
    jobs.cancel(1)
    assert jobs.put(Job.DRAIN, "n3", replicas=3, force=True) == ("OK", 2)
    assert drain_states(jobs.feeder.catalog.jobs()) == {"n3": "draining"}
    jobs.take(2)
    jobs.finish(2)
    assert drain_states(jobs.feeder.catalog.jobs()) == {"n3": "drained"}
    # With or without: no minority of the nodes may have all copies of anything.
    assert jobs.put(Job.DRAIN, "n2", replicas=1, force=True)[0] == "INVALID"


def test_a_scrub_keeps_its_place_for_the_next_attempt(jobs: Jobs) -> None:
    for number, kind in ((1, Job.SCRUB), (2, Job.FSCK)):
        jobs.put(kind)
        jobs.take(number)
        progress = commands.Progress(done=7, volume=3, offset=4096)
        held = {"id": number, "node": "n1", "boot": 1}
        jobs.do(report_job=commands.ReportJob(lease_ns=SECOND, progress=progress, **held))  # type: ignore[arg-type]
        assert jobs.take(number, boot=2) == "OK"
        assert jobs[number].progress == (progress if kind == Job.SCRUB else commands.Progress())


def test_copies_are_dropped_by_whoever_holds_the_job_and_only_where_enough_are_left(jobs: Jobs) -> None:
    feeder = jobs.feeder
    for seed in (1, 2):
        feeder.one(put(f"/{seed}", seed))

    def stores(seed: int = 1) -> tuple[int, ...]:
        return feeder.catalog.chunk_stores(digest(seed))

    def drop(
        *seeds: int, number: int = 1, store: int = 3, keepers: tuple[int, ...] = (1, 2), **who: object
    ) -> str:
        held = {"node": "n3", "boot": 1, **who}
        drops = [commands.Drop(digest=digest(seed), keepers=keepers) for seed in seeds]
        return jobs.do(drop_replicas=commands.DropReplicas(job=number, store=store, drops=drops, **held))[0]  # type: ignore[arg-type]

    def trim(node: str, **fields: object) -> int:
        number = jobs.put(Job.TRIM, node, **{"replicas": 2, **fields})[1]
        jobs.take(number, node)
        return number

    assert jobs.put(Job.TRIM, "n3", replicas=2) == ("OK", 1)
    assert drop(1) == "CHANGED"
    jobs.take(1, "n3")
    assert [drop(1, node="n2"), drop(1, boot=2), drop(1, number=9)] == ["CHANGED", "CHANGED", "NOT_FOUND"]
    assert drop(1, store=2) == "INVALID"
    # Too few have confirmed theirs: nothing happens, and what stores said before still counts.
    before = feeder.catalog.swept()[3]
    assert (drop(1, keepers=(2,)), stores(), feeder.catalog.swept()[3]) == ("OK", (1, 2, 3), before)
    assert (drop(1, 7), stores(), stores(2)) == ("OK", (1, 2), (1, 2, 3))
    assert feeder.catalog.swept()[3] == feeder.index
    assert [drop(1), stores()] == ["OK", (1, 2)]
    # Another one believes that store 3 has it still.
    second = trim("n2")
    assert drop(1, number=second, store=2, node="n2", keepers=(1, 3)) == "OK"
    assert stores() == (1, 2)
    # Late: the lease is over, or the leader has given the job up.
    jobs.now += SECOND
    assert drop(2) == "CHANGED"
    jobs.cancel(1)
    third = trim("n3", without=[1])
    # The leader did not see node 1, whatever it has confirmed.
    assert (drop(2, number=third), stores(2)) == ("OK", (1, 2, 3))
    jobs.cancel(third)
    assert (drop(2, number=third), stores(2)) == ("CHANGED", (1, 2, 3))
    # Nor does a node count that is to leave.
    jobs.put(Job.DRAIN, "n1")
    fourth = trim("n3")
    assert (drop(2, number=fourth), stores(2)) == ("OK", (1, 2, 3))
    jobs.cancel(next(job.id for job in feeder.catalog.jobs() if job.kind == Job.DRAIN))
    # It does again.
    assert (drop(2, number=fourth), stores(2)) == ("OK", (1, 2))


class Model:
    """The rules again, over plain values."""

    def __init__(self) -> None:
        self.jobs: dict[int, Known] = {}

    def apply(self, now: int, what: str, number: int, who: tuple[str, int], extra: int) -> str:
        if what == "put":
            same = [j for j in self.jobs.values() if (j.node, j.kind) == (who[0], extra)]
            standing = ("waiting", "running", "done") if extra == Job.DRAIN else ("waiting", "running")
            if any(job.state in standing for job in same):
                return "EXISTS"
            drained = {j.node for j in self.jobs.values() if j.kind == Job.DRAIN and j.state in standing}
            if extra == Job.DRAIN and drained:
                return "INVALID"  # two of three nodes must stay
            self.jobs[len(self.jobs) + 1] = Known(who[0], extra)
            return "OK"
        job = self.jobs.get(number)
        if job is None:
            return "NOT_FOUND"
        if what == "cancel":
            if job.state in ("waiting", "running") or (job.state == "done" and job.kind == Job.DRAIN):
                self.jobs[number] = replace(job, state="cancelled")
                return "OK"
            return "CHANGED"
        if what == "take":
            mine = job.kind == Job.DRAIN or job.node == who[0]
            free = (job.state == "waiting" and now >= job.after) or (
                job.state == "running"
                and (now >= job.until or (job.holder[0] == who[0] and job.holder[1] < who[1]))
            )
            if not mine or not free:
                return "CHANGED"
            self.jobs[number] = replace(job, state="running", holder=who, until=now + 10, tries=job.tries + 1)
            return "OK"
        if job.state != "running" or job.holder != who or now >= job.until:
            return "CHANGED"
        if what == "report":
            self.jobs[number] = replace(job, until=now + 10)
        elif what == "done":
            self.jobs[number] = replace(job, state="done")
        else:
            state = "waiting" if job.tries < module.MAX_ATTEMPTS else "failed"
            self.jobs[number] = replace(job, state=state, after=now + 5)
        return "OK"


def test_random_histories_against_a_model(jobs: Jobs) -> None:
    for seed in range(5):
        generator = random.Random(seed)
        if seed:
            feeder = jobs.feeder
            for job in feeder.catalog.jobs():
                jobs.cancel(job.id)
        base = jobs.feeder.catalog.jobs()[-1].id if jobs.feeder.catalog.jobs() else 0
        model = Model()
        for _ in range(400):
            jobs.now += generator.randrange(6)
            what = generator.choice(["put", "take", "take", "report", "done", "fail", "cancel"])
            number = generator.randrange(1, len(model.jobs) + 2)
            who = generator.choice(["n1", "n2"]), generator.randrange(1, 3)
            extra = generator.choice([Job.SCRUB, Job.DRAIN])
            expected = model.apply(jobs.now, what, number, who, extra)
            assert do(jobs, what, base + number, who, extra) == expected, (seed, what, number, who)
        jobs.feeder.reopen()
        states = {job.id - base: Job.State.Name(job.state).lower() for job in jobs.feeder.catalog.jobs()}
        assert {n: job.state for n, job in model.jobs.items() if n in states} == {
            n: state for n, state in states.items() if n > 0
        }


def do(jobs: Jobs, what: str, number: int, who: tuple[str, int], extra: int) -> str:
    node, boot = who
    if what == "put":
        return jobs.put(Job.Kind.Value(Job.Kind.Name(extra)), node)[0]  # type: ignore[arg-type]
    if what == "take":
        return jobs.take(number, node, boot, lease=10)
    if what == "cancel":
        return jobs.cancel(number)
    if what == "report":
        command = commands.ReportJob(id=number, node=node, boot=boot, lease_ns=10)
        return jobs.do(report_job=command)[0]
    return jobs.finish(number, "" if what == "done" else "no luck", node, boot, retry=5)
