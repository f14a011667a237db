"""`pixraft audit`, against made-up answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import commandline
import pytest
from click.testing import Result
from fakeadmin import FakeCluster, fake_cluster

from raftstore.errors import Denied
from raftstore.wire import admin_pb2

NOW = 1_790_000_000 * 10**9


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1"]) as running:
        for number, (code, detail) in enumerate(
            [("", ""), ("NotFound", "Not found: user bob"), ("OutcomeUnknown", "")], 7
        ):
            running.audit.append(
                admin_pb2.AuditEntry(
                    number=number,
                    index=number * 10,
                    time_ns=NOW,
                    call=bytes([number]) * 16,
                    caller="olga",
                    role="admin",
                    address="192.0.2.7",
                    node="n1",
                    method="admin.user_remove",
                    arguments='{"name": "bob"}',
                    code=code,
                    detail=detail,
                    omitted=4 if code == "NotFound" else 0,
                )
            )
        yield running


def audit(cluster: FakeCluster, *arguments: str) -> Result:
    return commandline.pixraft("audit", *arguments, "--cluster", str(cluster.directory), "--node", "n1")


def test_who_asked_what_a_line_each(cluster: FakeCluster) -> None:
    result = audit(cluster)
    assert result.exit_code == 0, result.output
    asked = '2026-09-21T14:13:20Z  admin olga from 192.0.2.7 at n1: user_remove {"name": "bob"}'
    assert result.stdout.splitlines() == [
        f"       7  {asked} done",
        f"       8  {asked} refused (Not found: user bob); 4 refusals before it are not recorded",
        f"       9  {asked} unknown (OutcomeUnknown)",
    ]
    assert set(cluster.waits) == {0}


def test_behind_a_number_as_json(cluster: FakeCluster) -> None:
    lines = audit(cluster, "--after", "7", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [8, 9]
    assert json.loads(lines[0]) == {
        "number": 8,
        "index": 80,
        "time": "2026-09-21T14:13:20Z",
        "caller": "olga",
        "role": "admin",
        "address": "192.0.2.7",
        "node": "n1",
        "call": "user_remove",
        "arguments": {"name": "bob"},
        "outcome": "refused",
        "code": "NotFound",
        "detail": "Not found: user bob",
        "omitted": 4,
        "id": "08" * 16,
    }


def test_the_newest_ones(cluster: FakeCluster) -> None:
    assert [line.split()[0] for line in audit(cluster, "-n", "1").stdout.splitlines()] == ["9"]
    assert len(audit(cluster, "-n", "0").stdout.splitlines()) == 3


def test_following_waits_at_the_node_for_more(cluster: FakeCluster) -> None:
    result = audit(cluster, "--follow", "-n", "2")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["8", "9"]
    assert result.exit_code == Denied.exit_code
    assert set(cluster.waits) == {2500}
