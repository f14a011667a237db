"""`pixraft upgrade` against a cluster that makes its answers up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakeadmin import FakeCluster, fake_cluster

from ftpgateway.cli.helpers import jobview, statusview
from ftpgateway.cli.main import group
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1", "n2"]) as running:
        running.upgrade.target = 2
        running.upgrade.nodes.add(name="n1", reachable=True, program="1.2", oldest=1, newest=2, level=1)
        running.upgrade.nodes.add(name="n2", reachable=False, error="cannot be reached")
        yield running


def pixraft(cluster: FakeCluster, *arguments: str) -> Result:
    options = ("--cluster", str(cluster.directory), "--node", "n1")
    return CliRunner().invoke(group, [*arguments, *options], prog_name="pixraft")


def asked(cluster: FakeCluster) -> list[str]:
    return [method for _, method, _ in cluster.calls]


def test_the_status_shows_versions_levels_and_what_is_in_the_way(cluster: FakeCluster) -> None:
    cluster.upgrade.obstacles.append("n2: cannot be reached; start it")
    shown = pixraft(cluster, "upgrade", "status")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[:2] == [
        "Level 1 is in force; level 2 waits for these nodes:",
        "  n2: cannot be reached; start it",
    ]
    assert lines[3].split() == ["n1", "1.2", "1", "to", "2", "1"]
    assert lines[4].split() == ["n2", "-", "-", "-", "cannot", "be", "reached"]
    shape = json.loads(pixraft(cluster, "upgrade", "status", "-o", "json").stdout)
    assert (shape["level"], shape["target"], shape["finished"]) == (1, 2, False)
    assert shape["nodes"][1] == {
        "name": "n2",
        "reachable": False,
        "program": None,
        "oldest": None,
        "newest": None,
        "level": None,
        "error": "cannot be reached",
    }
    assert json.loads(pixraft(cluster, "upgrade", "-o", "json").stdout) == shape


def test_finishing_asks_first_and_says_what_it_did(cluster: FakeCluster) -> None:
    refused = pixraft(cluster, "upgrade", "finish")
    assert refused.exit_code == 2
    assert (
        "raises the level from 1 to 2; the version before cannot be used any more: give --yes" in refused.stderr
    )
    assert "upgrade_finish" not in asked(cluster)
    done = pixraft(cluster, "upgrade", "finish", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith(
        "Raised from level 1 to 2: versions that do not know it cannot take part any more."
    )
    cluster.upgrade.before = 2
    again = pixraft(cluster, "upgrade", "finish")  # nothing to ask for
    assert again.stdout.startswith(
        "Level 2 is in force, the newest that a node here knows: there is nothing to finish."
    )


def test_what_is_in_the_way_is_said_with_its_exit_code(cluster: FakeCluster) -> None:
    cluster.upgrade.obstacles.append("n2: cannot be reached; start it")
    refused = pixraft(cluster, "upgrade", "finish")
    assert refused.exit_code == 55
    assert "n2: cannot be reached; start it" in refused.stderr


def test_status_tells_of_an_upgrade_that_is_not_finished() -> None:
    nodes = [
        NodeStatus("n1", "", reachable=True, newest=2, level=1),
        NodeStatus("n2", "", reachable=True, newest=1, level=1),
    ]
    status = ClusterStatus("healthy", "n1", "n1", 1, nodes)
    assert [line for line in statusview.advice(status) if "level 1 is in force, 2 is known" in line]
    for node in nodes:
        node.level = 2
    assert statusview.advice(status) == []


def test_jobs_of_a_later_version_are_shown_by_number() -> None:
    job = commands.Job.FromString(b"\x10\x63\x40\x62")
    assert (jobview.as_json(job)["kind"], jobview.as_json(job)["state"]) == ("99", "98")
    assert "99" in "".join(jobview.rows([job]))
