"""`pixraft partials` against a cluster that makes its answers up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakeadmin import FakeCluster, fake_cluster

from ftpgateway.cli.main import group
from raftstore.wire import admin_pb2

DAY = 86_400


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1"]) as running:
        now = time.time_ns()
        for number, (path, owner, size, days) in enumerate(
            [
                ("/cam/new.jpg", "anna", 1000, 0),
                ("/cam/old.jpg", "anna", 2 << 20, 5),
                ("/cam/old.jpg", "bob", 3, 4),
                ("/camera.jpg", "bob", 40, 3),
                ("/evil\u202egpj.exe", "bob", 50, 2),
            ]
        ):
            running.partials.append(
                admin_pb2.PartialUpload(
                    path=path,
                    owner=owner,
                    size=size,
                    mtime_ns=now - days * DAY * 10**9,
                    left=(7 - days) * DAY,
                    place=admin_pb2.PartialPlace(parent=number + 1),
                )
            )
        yield running


def pixraft(cluster: FakeCluster, *arguments: str, code: int = 0) -> Result:
    options = ("--cluster", str(cluster.directory), "--node", "n1")
    done = CliRunner().invoke(group, [*arguments, *options], prog_name="pixraft")
    assert done.exit_code == code, done.output
    return done


def listed(cluster: FakeCluster, *arguments: str) -> list[tuple[str, str]]:
    answer = json.loads(pixraft(cluster, "partials", "list", *arguments, "-o", "json").stdout)
    return [(one["path"], one["owner"]) for one in answer["partials"]]


def left(cluster: FakeCluster) -> list[tuple[str, str]]:
    return [(one.path, one.owner) for one in cluster.partials]


def test_list_shows_the_oldest_first(cluster: FakeCluster) -> None:
    lines = pixraft(cluster, "partials").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:-1]] == [
        *("/cam/old.jpg", "/cam/old.jpg", "/camera.jpg", "/evil\\u202egpj.exe", "/cam/new.jpg"),
    ]
    assert lines[0].split() == ["changed", "bytes", "left", "owner", "path"]
    assert "2.0 MiB" in lines[1] and " 2 d " in lines[1]
    assert lines[-1] == "5 interrupted uploads, 2.0 MiB; each goes 7 d after something was added last."


def test_list_as_json(cluster: FakeCluster) -> None:
    answer: dict[str, Any] = json.loads(pixraft(cluster, "partials", "list", "-o", "json").stdout)
    assert (answer["kept"], answer["bytes"]) == (7 * DAY, (2 << 20) + 1093)
    first = answer["partials"][0]
    assert {key: first[key] for key in ("path", "owner", "bytes", "left")} == {
        "path": "/cam/old.jpg",
        "owner": "anna",
        "bytes": 2 << 20,
        "left": 2 * DAY,
    }
    cluster.kept = 0
    answer = json.loads(pixraft(cluster, "partials", "list", "-o", "json").stdout)
    assert answer["kept"] is None and answer["partials"][0]["left"] is None


def test_list_selects(cluster: FakeCluster) -> None:
    assert listed(cluster, "/cam") == [
        *(("/cam/old.jpg", "anna"), ("/cam/old.jpg", "bob"), ("/cam/new.jpg", "anna")),
    ]
    assert listed(cluster, "--user", "anna", "--older-than", "1d") == [("/cam/old.jpg", "anna")]
    assert listed(cluster, "/nothing") == []


def test_remove_takes_what_was_selected(cluster: FakeCluster) -> None:
    before = left(cluster)
    refused = pixraft(cluster, "partials", "remove", "/cam", code=2)
    assert "3 would go: give --yes if that is meant" in refused.output
    assert left(cluster) == before
    said = pixraft(cluster, "partials", "remove", "/cam/old.jpg", "--user", "anna", "--yes")
    assert said.output.endswith("1 removed, 2.0 MiB.\n")
    assert left(cluster) == [one for one in before if one != ("/cam/old.jpg", "anna")]
    answer = pixraft(cluster, "partials", "remove", "--older-than", "60h", "--yes", "-o", "json")
    removed = json.loads(answer.stdout)["removed"]
    assert [(one["path"], one["owner"]) for one in removed] == [("/cam/old.jpg", "bob"), ("/camera.jpg", "bob")]
    assert left(cluster) == [("/cam/new.jpg", "anna"), ("/evil\u202egpj.exe", "bob")]


def test_remove_must_be_told_which(cluster: FakeCluster) -> None:
    assert "Say which" in pixraft(cluster, "partials", "remove", "--yes", code=2).output
    missing = pixraft(cluster, "partials", "remove", "/nothing", "--yes", code=10)
    assert "`pixraft partials list` shows all" in missing.output
    assert len(left(cluster)) == 5


def test_status_counts_them(cluster: FakeCluster) -> None:
    assert "; 5 interrupted uploads, 2.0 MiB" in pixraft(cluster, "status").stdout
    answer = json.loads(pixraft(cluster, "status", "-o", "json").stdout)
    assert (answer["partials"], answer["partial_bytes"]) == (5, (2 << 20) + 1093)
    cluster.partials.clear()
    assert "interrupted" not in pixraft(cluster, "status").stdout
