"""The audit log at real nodes: what an admin was told is done is there once, through leaders that are killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import pixraft
from harness import Cluster
from waiting import eventually

from raftstore.cluster.calls import accounts as account_calls
from raftstore.errors import NoQuorum, OutcomeUnknown, StoreError
from raftstore.wire import admin_pb2

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, sftp=False) as running:
        yield running


def audit(cluster: Cluster, node: str, *words: str) -> list[dict[str, Any]]:
    done = pixraft(
        "audit", "--cluster", str(cluster.local.directory), "--node", node, "-o", "json", "-n", "0", *words
    )
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


class Admins:
    """Change an account again and again at any node, and note which changes were acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        """Of these it is certain that they are not done."""
        self.asked = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Admins:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stopped.is_set():
            self.asked += 1
            node = self.cluster.names[self.asked % len(self.cluster.names)]
            request = admin_pb2.UserPut(name="demo", update=True, quota_bytes=10**9 + self.asked)
            try:
                asyncio.run(self.cluster.local.client(node).ask(account_calls.put_user, request))
            except OutcomeUnknown:
                continue
            except NoQuorum:
                self.refused.append(self.asked)
            except StoreError:
                continue
            else:
                self.acknowledged.append(self.asked)


def test_what_was_acknowledged_is_there_once_through_killed_leaders(cluster: Cluster) -> None:
    with Admins(cluster) as admins:
        for kills in range(1, 4):
            eventually(lambda kills=kills: len(admins.acknowledged) >= kills * 5)  # type: ignore[misc]
            leader = cluster.leader()
            cluster.kill(leader)
            seen = len(admins.acknowledged)
            eventually(lambda seen=seen: len(admins.acknowledged) >= seen + 3)  # type: ignore[misc]
            cluster.start_node(leader)
            cluster.wait_ready(leader)
    first, *others = [audit(cluster, node) for node in cluster.names]
    assert all(found == first for found in others)
    assert [record["number"] for record in first] == list(range(1, len(first) + 1))
    changes = [record for record in first if record["arguments"].get("quota_bytes")]
    assert {record["call"] for record in changes} == {"user_put"}
    done = Counter(
        int(record["arguments"]["quota_bytes"]) - 10**9 for record in changes if record["outcome"] == "done"
    )
    assert {number: done[number] for number in admins.acknowledged} == dict.fromkeys(admins.acknowledged, 1)
    assert not set(done) & set(admins.refused)
    assert max(done.values()) == 1
    assert len({record["index"] for record in changes if record["outcome"] == "done"}) == done.total()
    assert {(record["role"], record["address"]) for record in changes} == {("admin", "127.0.0.1")}


def test_refusals_secrets_and_who_may_not(cluster: Cluster) -> None:
    directory = str(cluster.local.directory)
    refused = pixraft("group", "remove", "nobody", "--cluster", directory, "--node", "n2")
    assert refused.exit_code == 10
    may_not = pixraft("jobs", "cancel", "1", "--config", str(cluster.config("n3")))
    assert may_not.exit_code != 0
    records = audit(cluster, "n1")
    passwords = [record["arguments"]["password_hash"] for record in records if record["call"] == "user_put"]
    assert passwords
    assert set(passwords) == {"(left out)"}
    assert "argon2" not in json.dumps(records)
    (removal,) = [record for record in records if record["call"] == "group_remove"]
    assert (removal["node"], removal["outcome"], removal["code"]) == ("n2", "refused", "NotFound")
    assert removal["arguments"] == {"name": "nobody"}

    def at_the_node() -> list[dict[str, Any]]:
        return [record for record in audit(cluster, "n1") if record["call"] == "job_cancel"]

    found = eventually(at_the_node)  # whatever node is asked refuses it
    assert {(each["caller"], each["role"], each["code"]) for each in found} == {("n3", "node", "Refused")}


def test_who_follows_hears_it_at_another_node(cluster: Cluster) -> None:
    last = audit(cluster, "n3")[-1]["number"]
    command = ["audit", "--follow", "--cluster", str(cluster.local.directory), "--node", "n3", "-o", "json"]
    following = subprocess.Popen(
        [sys.executable, "-m", "ftpgateway.cli", *command, "--after", str(last)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout is not None
        for number in range(1, 4):
            done = pixraft(
                *("retention", "set", "/cams", "30d", "--cluster", str(cluster.local.directory), "--node", "n1")
            )
            assert done.exit_code == 10, done.output
            record = json.loads(following.stdout.readline())
            assert (record["number"], record["call"]) == (last + number, "retention_set")
    finally:
        following.kill()
        following.communicate()
