"""`pixraft events`, against made-up answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import commandline
import pytest
from click.testing import Result
from fakeadmin import FakeCluster, fake_cluster

from raftstore.errors import Denied, EventsLost
from raftstore.types import EventKind
from raftstore.wire import admin_pb2

NOW = 1_790_000_000 * 10**9


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1"]) as running:
        for number, kind in enumerate(EventKind, 11):
            running.events.append(
                admin_pb2.Event(
                    number=number,
                    index=number * 10,
                    time_ns=NOW,
                    kind=kind.name.lower(),
                    files=3,
                    actor="anna",
                    subject="bob" if kind is not EventKind.DELIVERED else "",
                    path="group/a.jpg",
                )
            )
        yield running


def events(cluster: FakeCluster, *arguments: str) -> Result:
    return commandline.pixraft("events", *arguments, "--cluster", str(cluster.directory), "--node", "n1")


def test_all_that_is_kept_a_line_each(cluster: FakeCluster) -> None:
    result = events(cluster)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"      {number}  2026-09-21T14:13:20Z  {said}"
        for number, said in enumerate(
            (
                "anna sent a.jpg to group (3 inboxes)",
                "anna opened a.jpg from bob",
                "anna kept a.jpg from bob",
                "anna recalled a.jpg from bob",
                "a.jpg, which anna sent to bob, expired",
                "what bob had not opened bounced: the account is no person any more",
                "group/a.jpg of bob was restored from the trash",
                "3 in the trash of bob expired",
                "retention removed 3 of group/a.jpg",
                "bob uploaded group/a.jpg",
                "node bob cannot be reached",
                "node bob can be reached again",
            ),
            11,
        )
    ]
    assert set(cluster.waits) == {0}


def test_behind_a_number_as_json(cluster: FakeCluster) -> None:
    lines = events(cluster, "--after", "21", "-o", "json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "number": 22,
            "index": 220,
            "time": "2026-09-21T14:13:20Z",
            "event": "node_up",
            "actor": "anna",
            "subject": "bob",
            "files": 3,
            "path": "group/a.jpg",
        }
    ]


def test_what_is_not_kept_any_more_fails(cluster: FakeCluster) -> None:
    for after in ("5", "30"):
        result = events(cluster, "--after", after)
        assert result.exit_code == EventsLost.exit_code
        assert f"behind {after}: there are 11 to 22" in result.output


def test_following_waits_at_the_node_for_more(cluster: FakeCluster) -> None:
    result = events(cluster, "--follow", "--after", "20")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["21", "22"]
    assert result.exit_code == Denied.exit_code
    assert len(cluster.waits) == 4
    assert set(cluster.waits) == {2500}
