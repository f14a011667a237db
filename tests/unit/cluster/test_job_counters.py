"""Counts of jobs: their names stand in the log of the cluster, in -o json and in scripts of operators."""

from __future__ import annotations

from raftstore.cluster.jobs.counters import JobCounter, counted, total
from raftstore.cluster.jobs.task import Task
from raftstore.wire import commands_pb2 as commands

NAMES = {
    "VERIFIED": "verified",
    "DAMAGED": "damaged",
    "MISSING": "missing",
    "EXTRA": "extra",
    "YOUNG": "young",
    "UNLISTED": "unlisted",
    "COPIED": "copied",
    "FAILED": "failed",
    "BYTES": "bytes",
    "TRIMMED": "trimmed",
    "KEPT": "kept",
    "REMOVED": "removed",
    "VOLUMES": "volumes",
    "BYTES_COPIED": "bytes copied",
    "BYTES_FREED": "bytes freed",
}


def test_the_names_are_fixed() -> None:
    assert {counter.name: counter.value for counter in JobCounter} == NAMES


def test_what_a_job_reports_is_read_again_whatever_other_versions_count() -> None:
    task = Task(counts={JobCounter.VERIFIED: 3, JobCounter.BYTES_FREED: 0})
    progress = task.progress()
    assert [(count.name, count.value) for count in progress.counts] == [("verified", 3), ("bytes freed", 0)]
    progress.counts.add(name="of a version to come", value=7)
    assert counted(progress) == task.counts
    jobs = [commands.Job(progress=progress), commands.Job(), commands.Job(progress=progress)]
    assert (total(jobs, JobCounter.VERIFIED), total(jobs, JobCounter.DAMAGED)) == (6, 0)
