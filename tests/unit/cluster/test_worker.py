"""The worker: takes, does, reports and ends jobs, and lets go of what is not its own any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder
from waiting import until

from raftstore.cluster.jobs import worker as module
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.kind import all_kinds
from raftstore.cluster.jobs.task import Task
from raftstore.cluster.jobs.worker import Worker
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import StoreError, Unavailable
from raftstore.metadata.results import accepted
from raftstore.wire import commands_pb2 as commands

Job = commands.Job
NAMES = ["n1", "n2", "n3"]


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    monkeypatch.setattr(module, "POLL", 0.01)
    monkeypatch.setattr(module, "REPORT", 0.02)
    monkeypatch.setattr(module, "RENEW", 0.02)
    monkeypatch.setattr(module, "RETRY", 0.0)
    with Feeder(tmp_path / "catalog.db") as made:
        made.index += 1
        made.catalog.configure(made.index, Configuration.of(NAMES).encode())
        yield made


Handler = Callable[[Job, Task], Awaitable[None]]


async def working(
    feeder: Feeder, handlers: dict[int, Handler], done: Callable[[], bool], limit: int = 2
) -> None:
    """Run the worker of n1 over the feeder's catalog until something is so."""

    async def propose(command: commands.Command) -> commands.Result:
        await asyncio.sleep(0)
        return accepted(feeder.one(command).SerializeToString())

    worker = Worker(
        "n1",
        7,
        jobs=feeder.catalog.jobs,
        propose=propose,
        leads=lambda: False,
        kinds=all_kinds(),
        handlers=handlers,
        concurrency=limit,
    )
    worker.start()
    await until(done)
    await worker.stop()


def put(feeder: Feeder, kind: int, node: str = "n1") -> int:
    job = Job(kind=Job.Kind.Name(kind), node=node)  # type: ignore[arg-type]
    return feeder.one(commands.Command(put_job=commands.PutJob(job=job))).job


def state(feeder: Feeder, number: int) -> Job:
    job = feeder.catalog.job(number)
    assert job is not None
    return job


@pytest.fixture(autouse=True)
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's clock is the log's."""
    monkeypatch.setattr(module.time, "time_ns", lambda: NOW + 10**6)


def test_a_job_is_taken_reported_and_done(feeder: Feeder) -> None:
    number = put(feeder, Job.SCRUB)
    other = put(feeder, Job.SCRUB, "n2")
    seen: list[commands.Progress] = []

    async def scrub(job: Job, task: Task) -> None:
        task.unit, task.total, task.done = "chunks", 10, 3
        await until(lambda: state(feeder, number).progress.done == 3)
        seen.append(state(feeder, number).progress)
        task.done, task.counts[JobCounter.VERIFIED] = 10, 10

    asyncio.run(working(feeder, {Job.SCRUB: scrub}, lambda: state(feeder, number).state == Job.DONE))
    assert (seen[0].total, seen[0].unit) == (10, "chunks")
    assert [(count.name, count.value) for count in state(feeder, number).progress.counts] == [("verified", 10)]
    assert state(feeder, other).state == Job.WAITING


@pytest.mark.parametrize("error", [Unavailable("no luck"), KeyError("unforeseen")])
@pytest.mark.slow
def test_what_fails_is_tried_again_until_it_has_failed_for_good(feeder: Feeder, error: Exception) -> None:
    number = put(feeder, Job.COMPACT)
    tries = 0

    async def compact(job: Job, task: Task) -> None:
        nonlocal tries
        tries += 1
        raise error

    asyncio.run(working(feeder, {Job.COMPACT: compact}, lambda: state(feeder, number).state == Job.FAILED))
    assert tries == state(feeder, number).attempts > 1
    assert "no luck" in state(feeder, number).error or "unforeseen" in state(feeder, number).error


def test_a_cancelled_job_is_let_go(feeder: Feeder) -> None:
    number = put(feeder, Job.SCRUB)
    stopped = asyncio.Event()

    async def scrub(job: Job, task: Task) -> None:
        feeder.one(commands.Command(cancel_job=commands.CancelJob(id=number)))
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    asyncio.run(working(feeder, {Job.SCRUB: scrub}, stopped.is_set))
    assert state(feeder, number).state == Job.CANCELLED


def test_a_job_that_another_boot_has_taken_is_let_go(feeder: Feeder) -> None:
    number = put(feeder, Job.SCRUB)
    stopped = asyncio.Event()

    async def scrub(job: Job, task: Task) -> None:
        take = commands.TakeJob(id=number, node="n1", boot=8, lease_ns=10**12)
        feeder.one(commands.Command(take_job=take))
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    asyncio.run(working(feeder, {Job.SCRUB: scrub}, stopped.is_set))
    assert (state(feeder, number).state, state(feeder, number).boot) == (Job.RUNNING, 8)


def test_no_more_at_a_time_than_is_allowed(feeder: Feeder) -> None:
    numbers = [put(feeder, kind) for kind in (Job.SCRUB, Job.COLLECT, Job.COMPACT)]
    running = most = 0

    async def work(job: Job, task: Task) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1

    handlers: dict[int, Handler] = dict.fromkeys((Job.SCRUB, Job.COLLECT, Job.COMPACT), work)
    asyncio.run(
        working(feeder, handlers, lambda: all(state(feeder, n).state == Job.DONE for n in numbers), limit=2)
    )
    assert most == 2


def test_the_worker_survives_a_catalog_that_cannot_be_read(feeder: Feeder) -> None:
    number = put(feeder, Job.SCRUB)
    looks = 0

    async def scrub(job: Job, task: Task) -> None:
        return

    def jobs() -> list[Job]:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise StoreError("not now") if looks == 1 else KeyError("unforeseen")
        return original()

    original = feeder.catalog.jobs
    feeder.catalog.jobs = jobs  # type: ignore[method-assign]
    asyncio.run(working(feeder, {Job.SCRUB: scrub}, lambda: state(feeder, number).state == Job.DONE))
