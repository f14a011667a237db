"""What the leader hands out, what a node takes, and the small parts beside: pure, or with a clock of our own."""

from __future__ import annotations

import asyncio
import random

import pytest

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs import dispatch
from raftstore.cluster.jobs.compact import REST as COMPACT_REST
from raftstore.cluster.jobs.dispatch import Absence, Steadiness, Watermark
from raftstore.cluster.jobs.drain import DRAIN
from raftstore.cluster.jobs.kind import SECOND_NS, Situation, all_kinds
from raftstore.cluster.jobs.rebalance import REST as REBALANCE_REST
from raftstore.cluster.jobs.repair import EMPTY as REPAIR_EMPTY
from raftstore.cluster.jobs.repair import REST as REPAIR_REST
from raftstore.cluster.jobs.trim import AGAIN as MOVE_PAUSE
from raftstore.cluster.jobs.trim import REST as TRIM_REST
from raftstore.cluster.jobs.worker import takeable
from raftstore.cluster.replicas.candidates import Candidates
from raftstore.cluster.settings import JobsSettings
from raftstore.util.limits.throttle import LONGEST_REST, Throttle
from raftstore.wire import commands_pb2 as commands

Job = commands.Job
NOW = 10**18
KINDS = all_kinds()
OBSERVED = {"reclaimable": Job.COMPACT, "excess": Job.TRIM, "lacking": Job.REBALANCE}
SETTINGS = JobsSettings(collect_grace=4 * 3600.0)


def view(*away: int) -> ClusterView:
    stores = tuple(StoreState(n, f"n{n}", reachable=n not in away) for n in (1, 2, 3))
    return ClusterView(stores, nodes=3)


def plan(situation: Situation) -> list[Job]:
    return dispatch.plan(situation, KINDS)


def void(situation: Situation) -> list[int]:
    return dispatch.void(situation, KINDS)


def situation(*jobs: Job, **changes: object) -> Situation:
    observed = {kind: changes.pop(name) for name, kind in OBSERVED.items() if name in changes}
    values: dict[str, object] = {
        "now_ns": NOW,
        "jobs": jobs,
        "view": view(),
        "lost": frozenset(),
        "short": (),
        "upto": 0,
        "settings": SETTINGS,
        "observed": observed,
        **changes,
    }
    return Situation(**values)  # type: ignore[arg-type]


def ended(kind: int, node: str, seconds_ago: float, **counts: int) -> Job:
    job = Job(id=1, kind=Job.Kind.Name(kind), node=node, state=Job.DONE)  # type: ignore[arg-type]
    job.finished_ns = NOW - int(seconds_ago * SECOND_NS)
    job.progress.counts.extend(
        commands.Count(name=name.replace("_", " "), value=n) for name, n in counts.items()
    )
    return job


def made(situation: Situation, kind: int) -> list[str]:
    return [job.node for job in plan(situation) if job.kind == kind]


def test_every_node_gets_its_periodic_jobs_once() -> None:
    jobs = plan(situation())
    assert {(job.kind, job.node) for job in jobs} == {
        (kind, node) for kind in (Job.COLLECT, Job.SCRUB) for node in ("n1", "n2", "n3")
    }
    # With those open there is nothing more to do, and a scrub waits for its time.
    assert plan(situation(*jobs)) == []
    assert {job.not_before_ns for job in jobs if job.kind == Job.SCRUB} == {
        NOW + int(SETTINGS.scrub_period * SECOND_NS)
    }
    assert plan(situation(view=view(1, 2, 3))) == []


def test_collection_and_scrub_come_again_in_their_time() -> None:
    hour = 3600
    assert made(situation(ended(Job.COLLECT, "n1", hour - 1)), Job.COLLECT) == ["n2", "n3"]
    assert made(situation(ended(Job.COLLECT, "n1", hour + 1)), Job.COLLECT) == ["n1", "n2", "n3"]
    scrub = next(job for job in plan(situation(ended(Job.SCRUB, "n1", 100))) if job.kind == Job.SCRUB)
    assert scrub.not_before_ns == NOW + int((SETTINGS.scrub_period - 100) * SECOND_NS)


def test_repair_goes_to_those_who_lack_copies_and_rests_after_failures() -> None:
    assert made(situation(short={"n2"}), Job.REPAIR) == ["n2"]
    assert made(situation(short={"n2"}, view=view(2)), Job.REPAIR) == []
    whole = situation(short={"n2"}, lost=frozenset({3, 1}), upto=77)
    repair = next(job for job in plan(whole) if job.kind == Job.REPAIR)
    assert (list(repair.without), repair.upto) == ([1, 3], 77)
    assert [(share.store, share.bytes) for share in repair.shares] == [(n, 1 << 62) for n in (1, 2, 3)]
    assert made(situation(ended(Job.REPAIR, "n2", 2, copied=7), short={"n2"}), Job.REPAIR) == ["n2"]
    # The node found nothing to do: it sees something else than the leader.
    for seconds, again in ((REPAIR_EMPTY - 1, []), (REPAIR_EMPTY + 1, ["n2"])):
        assert made(situation(ended(Job.REPAIR, "n2", seconds), short={"n2"}), Job.REPAIR) == again
    for seconds, again in ((2, []), (REPAIR_REST + 1, ["n2"])):
        assert made(situation(ended(Job.REPAIR, "n2", seconds, failed=1), short={"n2"}), Job.REPAIR) == again


def test_a_node_whose_clock_is_fast_is_repaired_and_collected_as_often_as_others() -> None:
    repair, collect = ended(Job.REPAIR, "n2", -7200, copied=1), ended(Job.COLLECT, "n2", -7200)
    for seconds, again in ((0.5, []), (2, ["n2"])):
        repair.created_ns = NOW - int(seconds * SECOND_NS)
        assert made(situation(repair, short={"n2"}), Job.REPAIR) == again
    for hours, collected in ((0.9, ["n1", "n3"]), (1.1, ["n1", "n2", "n3"])):
        collect.created_ns = NOW - int(hours * 3600 * SECOND_NS)
        assert made(situation(collect), Job.COLLECT) == collected


def test_compaction_comes_when_it_pays_and_rests_when_it_has_won_nothing() -> None:
    assert made(situation(reclaimable={"n3": 5}), Job.COMPACT) == ["n3"]
    assert made(situation(reclaimable={"n3": 0}), Job.COMPACT) == []
    for seconds, freed, again in ((60, 9, ["n3"]), (60, 0, []), (COMPACT_REST + 1, 0, ["n3"])):
        last = ended(Job.COMPACT, "n3", seconds, bytes_freed=freed)
        assert made(situation(last, reclaimable={"n3": 5}), Job.COMPACT) == again


def test_copies_are_moved_when_it_is_calm_and_rest_when_nothing_was_moved() -> None:
    calm = {
        "steady": True,
        "excess": {"n1"},
        "lacking": {"n3": 500},
        "sizes": {1: 10, 2: 20},
        "replicas": 3,
        "upto": 9,
    }
    jobs = {job.kind: job for job in plan(situation(**calm)) if job.kind in (Job.TRIM, Job.REBALANCE)}
    trim, rebalance = jobs[Job.TRIM], jobs[Job.REBALANCE]
    assert (trim.node, trim.replicas, trim.upto) == ("n1", 3, 9)
    assert (rebalance.node, rebalance.amount, rebalance.upto) == ("n3", 500, 9)
    for job in (trim, rebalance):
        assert {share.store: share.bytes for share in job.shares} == {1: 10, 2: 20}
    for change in ({"steady": False}, {"excess": ()}):
        assert made(situation(**{**calm, **change}), Job.TRIM) == []
    # What is missing comes first.
    for change in ({"steady": False}, {"short": {"n2"}}):
        assert made(situation(**{**calm, **change}), Job.REBALANCE) == []
    for kind, node, count, rest in (
        (Job.TRIM, "n1", "trimmed", TRIM_REST),
        (Job.REBALANCE, "n3", "copied", REBALANCE_REST),
    ):
        for seconds, moved, again in ((MOVE_PAUSE + 1, 1, [node]), (rest - 1, 0, []), (rest + 1, 0, [node])):
            last = ended(kind, node, seconds, **{count: moved})
            assert made(situation(last, **calm), kind) == again


def test_no_copy_is_given_up_for_one_that_is_out_of_sight() -> None:
    trim = Job(id=5, kind=Job.TRIM, node="n1", state=Job.RUNNING, without=[3])
    other = Job(id=6, kind=Job.REBALANCE, node="n1", state=Job.RUNNING)
    over = Job(id=7, kind=Job.TRIM, node="n2", state=Job.DONE)
    for away, cancelled in (((), []), ((3,), []), ((2,), [5]), ((2, 3), [5])):
        assert void(situation(trim, other, over, view=view(*away))) == cancelled
    assert made(situation(steady=True, excess={"n1"}, view=view(2), lost=frozenset({9})), Job.TRIM) == ["n1"]
    made_now = plan(situation(steady=True, excess={"n1"}, view=view(2), lost=frozenset({9})))
    assert [list(job.without) for job in made_now if job.kind == Job.TRIM] == [[2, 9]]


def test_it_is_steady_when_nothing_has_come_or_gone_for_a_while() -> None:
    now = [0.0]
    steadiness = Steadiness(lambda: now[0])
    seen = []
    for second, away in ((0, ()), (9, ()), (10, ()), (11, (2,)), (20, (2,)), (21, (2,)), (22, ()), (33, ())):
        now[0] = second
        seen.append(steadiness.lasts(view(*away), 10))
    assert seen == [False, False, True, False, False, True, False, True]
    steadiness.forget()
    assert not steadiness.lasts(view(), 10)


def test_a_node_is_lost_after_a_while_without_a_break() -> None:
    now = [0.0]
    absence = Absence(lambda: now[0])
    assert absence.lost(view(2), 10) == frozenset()
    now[0] = 9
    assert absence.lost(view(), 10) == frozenset()
    assert absence.lost(view(2), 10) == frozenset()
    now[0] = 18.5
    assert absence.lost(view(2), 10) == frozenset()
    now[0] = 19
    assert absence.lost(view(2), 10) == {2}
    assert absence.lost(view(), 10) == frozenset()
    # What was seen before another node led says nothing about the time between.
    assert absence.lost(view(2), 10) == frozenset()
    absence.forget()
    now[0] = 100
    assert absence.lost(view(2), 10) == frozenset()


def test_chunks_settle_before_they_are_judged() -> None:
    now = [0.0]
    watermark = Watermark(3, lambda: now[0])
    seen = []
    for second in range(8):
        now[0] = second
        seen.append(watermark.upto(10 * second))
    assert seen == [0, 0, 0, 0, 10, 20, 30, 40]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"node": "n2"}, False),
        ({"not_before_ns": NOW + 1}, False),
        ({"state": Job.RUNNING, "holder": "n1", "boot": 5, "lease_until_ns": NOW + 1}, False),
        ({"state": Job.RUNNING, "holder": "n1", "boot": 4, "lease_until_ns": NOW + 1}, True),
        ({"state": Job.RUNNING, "holder": "n1", "boot": 5, "lease_until_ns": NOW}, True),
        ({"state": Job.DONE}, False),
        ({"state": Job.CANCELLED}, False),
        ({"kind": Job.DRAIN, "node": "n2"}, False),
    ],
)
def test_what_a_node_takes(fields: dict[str, object], expected: bool) -> None:
    job = Job(**{"id": 1, "kind": Job.SCRUB, "node": "n1", **fields})  # type: ignore[arg-type]
    kind = next(kind for kind in KINDS if kind.number == job.kind)
    assert takeable(kind, job, "n1", 5, NOW, leads=False) is expected


def test_the_leader_watches_over_drains() -> None:
    job = Job(id=1, kind=Job.DRAIN, node="n2")
    assert takeable(DRAIN, job, "n1", 5, NOW, leads=True)
    assert not takeable(DRAIN, job, "n2", 5, NOW, leads=False)


def test_candidates_are_a_set() -> None:
    generator = random.Random(4)
    candidates, expected = Candidates(5000), set[bytes]()
    names = [generator.randbytes(32) for _ in range(800)]
    for _ in range(6000):
        name = generator.choice(names)
        if generator.random() < 0.6:
            candidates.add(name)
            expected.add(name[:16])
        else:
            candidates.discard(name)
            expected.discard(name[:16])
        assert len(candidates) == len(expected)
    assert {name for name in names if name in candidates} == {name for name in names if name[:16] in expected}
    assert sorted(key for portion in candidates.portions() for key in portion) == sorted(expected)


def test_candidates_are_bounded() -> None:
    candidates = Candidates(3)
    for number in range(5):
        candidates.add(bytes([number]) * 32)
    assert candidates.full
    assert len(candidates) == 3


def test_a_throttle_keeps_its_rate_and_yields() -> None:
    async def scenario(busy: bool, seconds: float = 0.0) -> float:
        loop = asyncio.get_running_loop()
        passed = 0.0

        async def sleep(seconds: float) -> None:
            nonlocal passed
            passed += seconds

        began = loop.time()
        loop.time = lambda: began + passed  # type: ignore[method-assign]
        throttle = Throttle(1000, busy=lambda: busy, yielding=0.25, share=0.25)
        original, asyncio.sleep = asyncio.sleep, sleep  # type: ignore[assignment]
        try:
            for _ in range(40):
                await throttle.take(100)
                with throttle.working():
                    passed += seconds
        finally:
            asyncio.sleep = original
        return passed

    assert 3.4 <= asyncio.run(scenario(busy=False)) <= 4.0
    assert 14.5 <= asyncio.run(scenario(busy=True)) <= 16.0
    # What takes long leaves three times as long to the others, however few bytes it moves; but there is a bound.
    assert asyncio.run(scenario(busy=False, seconds=0.15)) <= 7.0
    assert asyncio.run(scenario(busy=True, seconds=0.15)) >= 0.9 * 40 * 4 * 0.15
    assert asyncio.run(scenario(busy=True, seconds=2.0)) <= 1.1 * 40 * (2.0 + LONGEST_REST + 0.4)
