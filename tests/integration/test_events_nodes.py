"""Events at real nodes: the same at each, in one order, through a killed leader and a restart; followed at once."""

from __future__ import annotations

import asyncio
import ftplib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from commandline import pixraft
from harness import Cluster
from waiting import eventually

from raftstore.cluster.calls import events as event_calls
from raftstore.errors import StoreError
from raftstore.wire import admin_pb2

pytestmark = pytest.mark.integration

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, sftp=False) as running:
        for name in ("anna", "bob"):
            running.local.put_user(name, QUICK.hash(name), person=True)
        yield running


def session(cluster: Cluster, node: str, name: str) -> ftplib.FTP:
    ftp = ftplib.FTP(timeout=60, encoding="utf-8")
    at = cluster.local.nodes[node].ftp
    ftp.connect(at.host, at.port)
    ftp.login(name, name)
    return ftp


def send(cluster: Cluster, node: str, name: str) -> None:
    """Put it until it is acknowledged: a repeated put is the same delivery."""

    def done() -> bool:
        try:
            with session(cluster, node, "anna") as ftp:
                ftp.storbinary(f"STOR /send/bob/{name}", io.BytesIO(name.encode() * 100))
        except (ftplib.error_temp, OSError, EOFError):
            return False
        return True

    eventually(done)


def listed(cluster: Cluster, node: str, *words: str) -> list[dict[str, Any]]:
    done = pixraft("events", "--cluster", str(cluster.local.directory), "--node", node, "-o", "json", *words)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_all_nodes_have_the_same_events_through_kills_and_restarts(cluster: Cluster) -> None:
    local = cluster.local
    for number in range(5):
        send(cluster, f"n{number % 3 + 1}", f"{number}.jpg")
    leader = local.leader()
    assert leader is not None
    dead = leader[0]
    alive = next(name for name in local.nodes if name != dead)
    local.kill(dead)
    for number in range(5, 10):
        send(cluster, alive, f"{number}.jpg")
    with session(cluster, alive, "anna") as ftp:
        ftp.delete("/send/bob/9.jpg")
    local.start(dead)
    local.wait_ready()
    first, *others = [listed(cluster, node) for node in sorted(local.nodes)]
    assert all(found == first for found in others)
    assert [event["number"] for event in first] == list(range(1, len(first) + 1))
    happened = [each for each in first if not each["event"].startswith("node_")]  # a slow start is noted
    assert [(each["event"], each["path"]) for each in happened] == [
        *(("delivered", f"bob/{number}.jpg") for number in range(10)),
        ("recalled", "bob/9.jpg"),
    ]
    assert listed(cluster, dead, "--after", "9") == first[9:]
    failed = pixraft("events", "--cluster", str(local.directory), "--after", "1000")
    assert failed.exit_code == 57
    assert "1000 is yet to come: the last one is 1" in failed.output


def test_who_follows_hears_it_at_once_at_any_node(cluster: Cluster) -> None:
    local = cluster.local
    command = ["events", "--follow", "--cluster", str(local.directory), "--node", "n3", "-o", "json"]
    following = subprocess.Popen(
        [sys.executable, "-m", "ftpgateway.cli", *command], stdout=subprocess.PIPE, text=True
    )
    try:
        assert following.stdout is not None
        for number in range(3):
            send(cluster, "n1", f"{number}.jpg")
            event = json.loads(following.stdout.readline())
            assert (event["number"], event["path"]) == (number + 1, f"bob/{number}.jpg")
    finally:
        following.kill()
        following.communicate()


def test_a_call_that_waits_ends_without_an_event(cluster: Cluster) -> None:
    request = admin_pb2.EventsRequest(after=0, wait_ms=1)
    page = asyncio.run(cluster.local.client("n2").ask(event_calls.events, request))
    assert (list(page.events), page.last) == ([], 0)
    with pytest.raises(StoreError) as caught:
        asyncio.run(cluster.local.client("n2").ask(event_calls.events, admin_pb2.EventsRequest(after=1)))
    assert caught.value.code == "EventsLost"
