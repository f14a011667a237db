"""`pixraft jobs`, `repair`, `scrub`, `drain`, `fsck` against a cluster that makes its answers up."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakeadmin import FakeCluster, fake_cluster
from rich.console import Console

from ftpgateway.cli import output
from ftpgateway.cli.main import group
from raftstore.errors import Changed, NoQuorum
from raftstore.wire import commands_pb2 as commands

Job = commands.Job


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1", "n2", "n3"]) as running:
        yield running


def pixraft(cluster: FakeCluster, *arguments: str) -> Result:
    options = ("--cluster", str(cluster.directory), "--node", "n1")
    return CliRunner().invoke(group, [*arguments, *options], prog_name="pixraft")


def answer(cluster: FakeCluster, *arguments: str, code: int = 0) -> Any:
    done = pixraft(cluster, *arguments, "-o", "json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def counts(**values: int) -> Job:
    progress = commands.Progress(
        done=9,
        total=10,
        unit="bytes",
        counts=[commands.Count(name=name, value=n) for name, n in values.items()],
    )
    return Job(state=Job.DONE, progress=progress)


def test_jobs_are_listed_shown_and_cancelled(cluster: FakeCluster) -> None:
    cluster.jobs[1] = Job(id=1, kind=Job.SCRUB, node="n1", state=Job.RUNNING, holder="n1", reason="it is time")
    cluster.jobs[1].progress.MergeFrom(counts(verified=7).progress)
    cluster.jobs[2] = Job(id=2, kind=Job.COLLECT, node="n2", state=Job.FAILED, error="the disk is full")
    cluster.short = 3
    listed = answer(cluster, "jobs", "list")
    assert [job["id"] for job in listed["jobs"]] == [1]
    assert (listed["short"], listed["jobs"][0]["counts"], listed["jobs"][0]["holder"]) == (
        3,
        {"verified": 7},
        "n1",
    )
    assert [job["id"] for job in answer(cluster, "jobs", "list", "--all")["jobs"]] == [1, 2]
    text = pixraft(cluster, "jobs", "list", "--all").stdout
    assert "90%, verified 7" in text
    assert "the disk is full" in text
    assert "3 chunks have fewer copies" in text
    assert answer(cluster, "jobs", "show", "2")["error"] == "the disk is full"
    assert "\ncounts      verified 7\n" in pixraft(cluster, "jobs", "show", "1").stdout
    for arguments in (("scrub", "n2", "n9"), ("scrub", "n9")):
        unknown = pixraft(cluster, *arguments)
        assert (unknown.exit_code, unknown.stderr) == (
            10,
            "pixraft: Not found: node n9; the cluster has n1, n2, n3\n",
        )
    assert "collect" in pixraft(cluster, "jobs", "show", "2").stdout
    assert pixraft(cluster, "jobs", "show", "9").exit_code == 10
    assert answer(cluster, "jobs", "cancel", "1") == {"id": 1, "done": "cancelled"}
    assert cluster.jobs[1].state == Job.CANCELLED
    assert pixraft(cluster, "jobs").output == pixraft(cluster, "jobs", "list").output
    cluster.raises["n1"] = Changed("job 1 is over")
    over = pixraft(cluster, "jobs", "cancel", "1")
    assert (over.exit_code, "job 1 is over already" in over.stderr) == (51, True)
    cluster.raises.clear()


def test_a_repair_is_waited_for_and_tells_what_is_left(cluster: FakeCluster) -> None:
    cluster.outcome, cluster.short = counts(copied=4), 2
    done = answer(cluster, "repair")
    assert ([job["node"] for job in done["jobs"]], done["short"]) == (["n1", "n2", "n3"], 2)
    assert "2 chunks have fewer copies" in pixraft(cluster, "repair").stdout
    assert answer(cluster, "repair", "--no-wait") == {"begun": [7, 8, 9]}


@pytest.mark.slow
def test_what_fails_or_takes_too_long_is_told_by_the_exit_code(cluster: FakeCluster) -> None:
    cluster.outcome = Job(state=Job.FAILED, error="no luck")
    assert pixraft(cluster, "scrub", "--now").exit_code == 1
    cluster.outcome = Job(state=Job.RUNNING)
    waited = pixraft(cluster, "scrub", "--now", "--wait", "1s")
    assert (waited.exit_code, "it goes on" in waited.stderr) == (32, True)


def test_a_scrub_begins_only_when_it_is_told_to(cluster: FakeCluster) -> None:
    cluster.jobs[1] = Job(id=1, kind=Job.SCRUB, node="n1", not_before_ns=2 * 10**18)
    cluster.jobs[2] = Job(id=2, kind=Job.SCRUB, node="n2", state=Job.DONE, finished_ns=10**18)
    assert [job["id"] for job in answer(cluster, "scrub")["jobs"]] == [1, 2]
    assert [job["id"] for job in answer(cluster, "scrub", "n2")["jobs"]] == [2]
    assert "from 2033-05-18" in pixraft(cluster, "scrub", "n1").stdout
    assert len(cluster.jobs) == 2
    cluster.outcome = counts(verified=5)
    assert [job["node"] for job in answer(cluster, "scrub", "--now", "n3")["jobs"]] == ["n3"]


def test_a_drain_and_its_cancellation(cluster: FakeCluster) -> None:
    assert answer(cluster, "drain", "n2")["jobs"][0]["kind"] == "drain"
    assert answer(cluster, "drain", "n2", "--cancel") == {"node": "n2", "done": "cancelled"}
    assert cluster.jobs[1].state == Job.CANCELLED
    assert pixraft(cluster, "drain", "n2", "--cancel").exit_code == 10


@pytest.mark.parametrize(
    ("found", "code", "clean"),
    [
        ({"verified": 5, "young": 1, "unlisted": 2}, 0, True),
        ({"missing": 1}, 7, False),
        ({"damaged": 1}, 7, False),
        ({"extra": 1}, 7, False),
    ],
)
@pytest.mark.slow
def test_fsck_counts_and_tells_by_its_exit_code(
    cluster: FakeCluster, found: dict[str, int], code: int, clean: bool
) -> None:
    cluster.outcome = counts(**found)
    reported = answer(cluster, "fsck", code=code)
    assert (reported["clean"], reported["applied"]) == (clean, False)
    assert {name: reported[name] for name in found} == {name: 3 * value for name, value in found.items()}
    # What is found is mended with --apply.
    assert answer(cluster, "fsck", "--apply")["applied"] is True
    assert cluster.jobs[len(cluster.jobs)].apply


def test_fsck_tells_of_pictures_without_any_copy(cluster: FakeCluster) -> None:
    cluster.outcome, cluster.lost = counts(verified=5), 2
    for more in ((), ("--apply",)):
        reported = answer(cluster, "fsck", *more, code=7)
        assert (reported["clean"], reported["lost"]) == (False, 2)


def test_fsck_names_the_nodes_that_it_did_not_check(cluster: FakeCluster) -> None:
    cluster.outcome, cluster.verdict["n1"], cluster.storeless = counts(verified=5), "degraded", {"n3"}
    reported = answer(cluster, "fsck", code=1)
    assert (reported["clean"], reported["not_checked"], reported["missing"]) == (False, ["n3"], 0)
    assert "Not checked: n3" in pixraft(cluster, "fsck").stdout
    assert answer(cluster, "fsck", "n1")["not_checked"] == []


def test_without_a_quorum_the_next_step_is_named(cluster: FakeCluster) -> None:
    cluster.raises["n1"] = NoQuorum("no majority confirmed the leader within 5 s")
    for command in (("jobs", "list"), ("user", "list"), ("fsck",), ("drain", "n2")):
        refused = pixraft(cluster, *command)
        assert (refused.exit_code, "`pixraft status` tells which nodes answer" in refused.stderr) == (30, True)


def test_a_nodes_directory_is_told_from_the_clusters(cluster: FakeCluster) -> None:
    own = cluster.directory / "n1"
    for arguments in (("status", "--cluster", str(own)), ("config", "check", "--config", str(own))):
        refused = CliRunner().invoke(group, [*arguments], prog_name="pixraft")
        assert (refused.exit_code, str(own / "pixraft.toml") in refused.output) == (3, True)


def test_progress_bars_on_a_terminal(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=screen, force_terminal=True, width=100))
    cluster.outcome = counts(verified=5)
    assert pixraft(cluster, "scrub", "--now", "n1").exit_code == 0
    assert "scrub n1" in screen.getvalue()
    assert "verified 5" in screen.getvalue()
