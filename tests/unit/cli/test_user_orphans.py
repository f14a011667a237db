"""`pixraft user orphans` and `adopt` against a cluster that makes its answers up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakeadmin import FakeCluster, fake_cluster

from ftpgateway.cli.main import group
from raftstore.wire import admin_pb2


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1"]) as running:
        running.users["anna"] = admin_pb2.UserPut(name="anna")
        yield running


def pixraft(cluster: FakeCluster, *arguments: str) -> Result:
    options = ("--cluster", str(cluster.directory), "--node", "n1")
    return CliRunner().invoke(group, ["user", *arguments, *options], prog_name="pixraft")


def test_orphans_are_shown_by_the_names_that_they_had(cluster: FakeCluster) -> None:
    assert pixraft(cluster, "orphans").stdout == "Everything belongs to an account.\n"
    cluster.orphans.update({"bob": 3, "bob/1x": 5})
    lines = [line.split() for line in pixraft(cluster, "orphans").stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["user", "owner", "files"],
        ["bob", "bob", "3"],
        ["bob", "bob/1x", "5"],
    ]
    shown = json.loads(pixraft(cluster, "orphans", "-o", "json").stdout)["orphans"]
    assert shown[1] == {"user": "bob", "owner": "bob/1x", "files": 5, "bytes": 5120}


def test_all_that_had_a_name_is_adopted_until_nothing_is_left(cluster: FakeCluster) -> None:
    cluster.orphans.update({"bob": 3, "bob/1x": 5, "bobby": 1})
    done = pixraft(cluster, "adopt", "anna", "--from", "bob")
    assert (done.exit_code, done.stdout) == (0, "User 'anna' has 8 names more.\n")
    assert done.stderr.splitlines() == ["2 names so far", "5 names so far", "7 names so far"]
    assert cluster.orphans == {"bobby": 1}
    done = pixraft(cluster, "adopt", "anna", "--from", "bobby", "-o", "json")
    assert json.loads(done.stdout) == {"user": "anna", "from": ["bobby"], "adopted": 1}
    done = pixraft(cluster, "adopt", "anna", "--from", "bob")
    assert done.exit_code == 10
    assert "`pixraft user orphans` lists what is" in done.stderr


def test_one_of_several_is_adopted_by_its_number(cluster: FakeCluster) -> None:
    cluster.orphans.update({"bob": 3, "bob/1x": 2})
    assert pixraft(cluster, "adopt", "anna", "--from", "bob/1x").exit_code == 0
    assert pixraft(cluster, "adopt", "nobody", "--from", "bob").exit_code == 10
    assert cluster.orphans == {"bob": 3}
