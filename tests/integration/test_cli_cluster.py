"""`pixraft status`, `members` and `user` against a real cluster as its nodes go and come back."""

from __future__ import annotations

import json
from pathlib import Path

import commandline
import pytest
from click.testing import Result
from waiting import PATIENCE, eventually

from ftpgateway.demo.cluster import LocalCluster

pytestmark = pytest.mark.integration


def pixraft(cluster: LocalCluster, *arguments: str, stdin: str = "") -> Result:
    return commandline.pixraft(*arguments, "--cluster", str(cluster.directory), stdin=stdin)


def verdict(cluster: LocalCluster, *arguments: str) -> tuple[str, int]:
    result = pixraft(cluster, "status", "-o", "json", *arguments)
    return json.loads(result.stdout)["verdict"], result.exit_code


def test_from_healthy_to_unreachable_and_back(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "c") as cluster:
        cluster.start()
        cluster.wait_ready(PATIENCE)
        for name in cluster.nodes:
            asked = pixraft(cluster, "status", "-o", "json", "--node", name, "--wait", f"{PATIENCE:.0f}")
            shape = json.loads(asked.stdout)
            assert (shape["verdict"], shape["asked"]) == ("healthy", name)
            assert {node["name"] for node in shape["nodes"] if node["reachable"]} == set(cluster.nodes)
            assert sorted(node["role"] for node in shape["nodes"]) == ["follower", "follower", "leader"]
            for node in shape["nodes"]:
                counters = ("term", "commit_index", "applied_index", "lag", "pictures", "bytes", "free_disk")
                assert all(isinstance(node[key], int) for key in counters), node
        added = pixraft(cluster, "user", "add", "anna", "--password-stdin", "--quota", "1G", stdin="x\n")
        assert added.exit_code == 0, added.output

        leader = eventually(cluster.leader)
        cluster.kill(leader[0])
        one, two = (name for name in cluster.nodes if name != leader[0])
        cluster.wait_until(lambda: verdict(cluster) == ("degraded", 8), "the verdict degraded", PATIENCE)

        def reported(name: str) -> tuple[bool, bool, int | None]:
            shape = json.loads(pixraft(cluster, "members", "-o", "json", "--node", name).stdout)
            dead = next(node for node in shape["nodes"] if node["name"] == leader[0])
            return dead["reachable"], bool(dead["error"]), dead["term"]

        for name in (one, two):
            eventually(lambda name=name: reported(name) == (False, True, None))  # type: ignore[misc]
        assert pixraft(cluster, "user", "list").exit_code == 0

        cluster.kill(one)
        cluster.wait_until(lambda: verdict(cluster) == ("no quorum", 30), "the verdict no quorum", PATIENCE)
        text = pixraft(cluster, "status").stdout
        assert text.startswith("no quorum: ")
        assert "until 2 of 3 nodes reach each other" in text
        refused = pixraft(cluster, "user", "remove", "anna", "--timeout", "30")
        assert refused.exit_code in (30, 32), refused.output

        cluster.kill(two)
        assert verdict(cluster) == ("unreachable", 5)

        cluster.start()
        cluster.wait_ready(PATIENCE)
        assert verdict(cluster, "--wait", "60") == ("healthy", 0)
        assert "anna" in pixraft(cluster, "user", "list").stdout
