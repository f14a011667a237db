"""The commands against nodes that answer admin calls over the real channel."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import argon2
import pytest
from commandline import pixraft
from fakeadmin import FakeCluster, fake_cluster

from ftpgateway.cli import client
from raftstore.errors import NoQuorum, OutcomeUnknown

NAMES = ["n1", "n2", "n3"]
NODE_KEYS = [
    "name",
    "address",
    "role",
    "voter",
    "reachable",
    "term",
    "commit_index",
    "applied_index",
    "lag",
    "pictures",
    "bytes",
    "free_disk",
    "reclaimable",
    "quarantined",
    "zone",
    "drain",
    "services",
    "loop",
    "clients",
    "error",
    "program",
    "oldest",
    "newest",
    "level",
    "certificates",
    "maintenance",
]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=NAMES) as made:
        yield made


def where(cluster: FakeCluster, *more: str) -> tuple[str, ...]:
    return ("--cluster", str(cluster.directory), *more)


def test_status_of_a_healthy_cluster(cluster: FakeCluster) -> None:
    result = pixraft("status", *where(cluster))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "healthy: leader n1, term 4; 3 of 3 nodes reachable; 2 pictures, 2.9 KiB"
    assert lines[1].split() == (
        [
            "node",
            "address",
            "role",
            "voter",
            "reachable",
            "term",
            "commit",
            "applied",
            "lag",
            "pictures",
            "bytes",
            "free",
            "error",
        ]
    )
    assert [line.split()[0] for line in lines[2:]] == NAMES
    assert "leader" in lines[2]
    assert cluster.calls == [("n1", "status", "admin")]


def test_status_as_json_has_the_documented_shape(cluster: FakeCluster) -> None:
    result = pixraft("status", *where(cluster), "-o", "json")
    shape = json.loads(result.stdout)
    lists = {"nodes", "short", "short_count", "lost_count", "partials", "partial_bytes"}
    assert set(shape) == lists | {"verdict", "asked", "leader", "term", "files", "bytes", "error"}
    assert [list(node) for node in shape["nodes"]] == [NODE_KEYS] * 3
    assert (shape["verdict"], shape["leader"], shape["asked"]) == ("healthy", "n1", "n1")


def test_degraded_names_what_is_short_and_has_its_exit_code(cluster: FakeCluster) -> None:
    cluster.verdict = dict.fromkeys(NAMES, "degraded")
    result = pixraft("status", *where(cluster))
    assert result.exit_code == 8
    assert result.stdout.startswith("degraded: ")
    assert "/a.jpg" in result.stdout
    assert "n3 cannot be reached" in result.stdout


def test_a_node_without_quorum_is_passed_over(cluster: FakeCluster) -> None:
    cluster.verdict["n1"] = "no quorum"
    result = pixraft("status", *where(cluster), "-o", "json")
    assert (result.exit_code, json.loads(result.stdout)["asked"]) == (0, "n2")
    named = pixraft("status", *where(cluster), "--node", "n1")
    assert named.exit_code == 30
    assert named.stdout.startswith("no quorum: no leader; 1 of 3 nodes reachable")
    assert "until 2 of 3 nodes reach each other" in named.stdout


def test_status_with_a_nodes_own_configuration(cluster: FakeCluster) -> None:
    result = pixraft("status", env={"PIXRAFT_CONFIG": str(cluster.directory / "n2" / "pixraft.toml")})
    assert result.exit_code == 0, result.output
    own = pixraft("status", "--node", "n2", "-c", str(cluster.directory / "n2" / "pixraft.toml"))
    assert own.exit_code == 0, own.output
    assert cluster.calls[-1] == ("n2", "status", "node")


@pytest.mark.parametrize("up", [["n3"], ["n2", "n3"]])
def test_nodes_that_are_down_are_passed_over(tmp_path: Path, up: list[str]) -> None:
    with fake_cluster(tmp_path / "c", up=up) as cluster:
        result = pixraft("status", *where(cluster), "-o", "json")
        assert json.loads(result.stdout)["asked"] == up[0]


def test_no_node_answers(tmp_path: Path) -> None:
    with fake_cluster(tmp_path / "c", up=[]) as cluster:
        status = pixraft("status", *where(cluster))
        assert status.exit_code == 5
        assert status.stdout.startswith("unreachable: 0 of 3 nodes reachable")
        assert [line.split()[0] for line in status.stdout.splitlines()[2:5]] == NAMES
        assert "are they started" in status.stdout
        members = pixraft("members", *where(cluster), "-o", "json")
        assert members.exit_code == 5
        nodes = json.loads(members.stdout)["nodes"]
        assert [(node["name"], node["reachable"]) for node in nodes] == [(name, False) for name in NAMES]
        assert all(node["error"] for node in nodes)
        add = pixraft("user", "list", *where(cluster), "-o", "json")
        assert add.exit_code == 5
        assert json.loads(add.stderr)["error"] == "NotReachable"
        assert "n1: " in add.stderr and "n1 at" not in add.stderr + status.stdout


def test_members(cluster: FakeCluster) -> None:
    cluster.verdict = dict.fromkeys(NAMES, "degraded")
    result = pixraft("members", *where(cluster))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == NAMES
    assert lines[4].startswith("degraded: ")
    shape = json.loads(pixraft("members", *where(cluster), "-o", "json").stdout)
    assert list(shape) == ["verdict", "asked", "leader", "nodes"]


def test_an_unknown_node(cluster: FakeCluster) -> None:
    result = pixraft("status", *where(cluster), "--node", "n9")
    assert result.exit_code == 10
    assert "node n9; the configuration that was given has n1, n2, n3" in result.stderr


def test_users(cluster: FakeCluster) -> None:
    added = pixraft(
        *(
            "user",
            "add",
            "anna",
            "--password-stdin",
            "--quota",
            "20G",
            "--home",
            "/anna/",
            "--role",
            "read-only",
        ),
        *where(cluster),
        stdin="secret ü\n",
    )
    assert (added.exit_code, added.stdout) == (0, "User 'anna' added.\n"), added.output
    stored = cluster.users["anna"]
    assert (stored.home, stored.rights, stored.quota_bytes) == ("/anna", "elr", 20 << 30)
    assert argon2.extract_parameters(stored.password_hash).type is argon2.Type.ID
    argon2.PasswordHasher().verify(stored.password_hash, "secret ü")

    again = pixraft("user", "add", "anna", "--password-stdin", *where(cluster), stdin="x\n")
    assert again.exit_code == 11
    assert again.stderr == "pixraft: It exists already: user anna\n"

    changed = pixraft(
        "user", "passwd", "anna", "--password-stdin", *where(cluster, "-o", "json"), stdin="new\n"
    )
    assert json.loads(changed.stdout) == {"user": "anna", "done": "has a new password"}
    argon2.PasswordHasher().verify(cluster.users["anna"].password_hash, "new")
    assert cluster.users["anna"].rights == "elr"

    listed = pixraft("user", "list", *where(cluster))
    assert listed.stdout.splitlines()[1].split() == [
        "anna",
        "/anna",
        "read-only",
        "0",
        "B",
        "/",
        "20.0",
        "GiB",
        "0",
        "yes",
    ]
    shape = json.loads(pixraft("user", "list", *where(cluster, "-o", "json")).stdout)
    assert list(shape["users"][0]) == [
        "name",
        "home",
        "rights",
        "quota_bytes",
        "used_bytes",
        "quota_files",
        "used_files",
        "replicas",
        "upload_rate",
        "download_rate",
        "max_sessions",
        "disabled",
        *("person", "inbox_bytes", "inbox_files", "sender_bytes", "sender_files"),
        "role",
        "expires",
        "trash",
        "rules",
        "keys",
    ]

    assert pixraft("user", "remove", "anna", *where(cluster)).exit_code == 0
    gone = pixraft("user", "remove", "anna", *where(cluster, "-o", "json"))
    assert gone.exit_code == 10
    assert json.loads(gone.stderr) == {
        "error": "NotFound",
        "message": "Not found: user anna",
        "exit_code": 10,
    }
    assert "There are no users" in pixraft("user", "list", *where(cluster)).stdout


def test_more_copies_than_nodes_and_names_of_two_words(cluster: FakeCluster) -> None:
    for name, replicas, warning in (
        ("bob bob", 3, ""),
        (
            "cleo",
            4,
            "pixraft: warning: 4 copies are wanted, but there are 3 nodes: a picture has 3 until more join\n",
        ),
    ):
        wanted = ("user", "add", name, "--replicas", str(replicas), "--password-stdin")
        added = pixraft(*wanted, *where(cluster), stdin="x\n")
        assert (added.exit_code, added.stdout, added.stderr) == (0, f"User {name!r} added.\n", warning)
    listed = pixraft("user", "list", *where(cluster)).stdout.splitlines()
    assert [line.split("  ")[0] for line in listed[1:]] == ["'bob bob'", "cleo"]


def test_a_rule_that_its_user_never_meets(cluster: FakeCluster) -> None:
    wanted = ("user", "add", "bob", "--home", "/home/bob", "--password-stdin")
    assert pixraft(*wanted, *where(cluster), stdin="x\n").exit_code == 0
    for path, warned in (
        ("/", 0),
        ("/home", 0),
        ("/home/bob", 0),
        ("/home/bob/in", 0),
        ("/home/bobby", 1),
        ("/team", 1),
    ):
        granted = pixraft("user", "grant", "bob", path, "read-only", *where(cluster))
        assert (granted.exit_code, granted.stderr.count("sees only its home, /home/bob")) == (0, warned), path


def test_rules_and_keys_of_users(cluster: FakeCluster, tmp_path: Path) -> None:
    def ask(*arguments: str) -> Any:
        result = pixraft("user", *arguments, *where(cluster, "-o", "json"), stdin="x\n")
        return json.loads(result.stdout) if not result.exit_code else result.exit_code

    assert ask("add", "anna", "--password-stdin")["done"] == "added"
    assert ask("set", "anna") == 2
    assert ask("set", "anna", "--quota-files", "7", "--disable", "--upload-rate", "2M/s")["done"] == "changed"
    stored = cluster.users["anna"]
    assert (stored.quota_files, stored.disabled, stored.upload_rate, stored.rights) == (
        7,
        True,
        2 << 20,
        "elradfmwMT",
    )
    assert ask("grant", "anna", "/team//in/", "drop-box")["done"] == "is drop-box in /team/in"
    assert ask("list")["users"][0]["rules"] == [{"path": "/team/in", "rights": "emwo", "role": "drop-box"}]
    assert ask("revoke", "anna", "/team/in")["user"] == "anna"
    assert list(stored.drop_rules) == ["/team/in"]

    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
    file = tmp_path / "id.pub"
    file.write_text(f"# mine\nssh-ed25519 {blob}  anna@laptop\n")
    added = ask("key", "add", "anna", str(file))["added"]
    assert added[0]["comment"] == "anna@laptop"
    assert ask("key", "list", "anna")["keys"] == added
    assert ask("key", "list", "bo") == 10
    assert ask("key", "add", "anna", "/nowhere.pub") == 2
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert ask("key", "add", "anna", str(file)) == 2
    assert ask("key", "remove", "anna", "bo@laptop") == 10
    assert ask("key", "remove", "anna", added[0]["fingerprint"])["removed"] == added
    assert ask("key", "list", "anna")["keys"] == []


def test_a_refusal_without_quorum_is_tried_elsewhere_but_an_unknown_outcome_is_not(
    cluster: FakeCluster,
) -> None:
    cluster.raises["n1"] = NoQuorum("cut off")
    assert pixraft("user", "list", *where(cluster)).exit_code == 0
    cluster.raises["n1"] = OutcomeUnknown("deadline")
    result = pixraft("user", "add", "bo", "--password-stdin", *where(cluster), stdin="x\n")
    assert result.exit_code == 32
    assert not cluster.users
    cluster.raises = {name: NoQuorum("cut off") for name in NAMES}
    refused = pixraft("user", "list", *where(cluster))
    assert refused.exit_code == 30
    assert "A majority of the cluster cannot be reached" in refused.stderr


def test_a_change_that_was_sent_and_not_answered_is_not_sent_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a minute to connect, one second of it for the answer.
    monkeypatch.setattr(client, "COMMAND_TIME", -29.0)
    cluster.silent = {"n1"}
    arguments = (*where(cluster), "--timeout", "30")
    result = pixraft("user", "add", "bo", "--password-stdin", *arguments, stdin="x\n")
    assert result.exit_code == 32
    assert "n1" in result.stderr
    assert {name for name, _, _ in cluster.calls} == {"n1"}
    assert pixraft("user", "list", *arguments).exit_code == 0


def test_waiting_until_it_is_healthy(cluster: FakeCluster) -> None:
    cluster.verdict = dict.fromkeys(NAMES, "degraded")
    assert pixraft("status", *where(cluster), "--wait", "0.1").exit_code == 8
    asked = len(cluster.calls)

    def mend() -> None:
        while len(cluster.calls) < asked + 3:
            time.sleep(0.01)
        cluster.verdict.update(dict.fromkeys(NAMES, "healthy"))

    mender = threading.Thread(target=mend, daemon=True)
    mender.start()
    assert pixraft("status", *where(cluster), "--wait", "60").exit_code == 0
    mender.join(60)
    assert len(cluster.calls) > asked + 3


def test_watching_ends_with_an_interrupt_and_no_failure(cluster: FakeCluster) -> None:
    arguments = [
        sys.executable,
        "-m",
        "ftpgateway.cli",
        "status",
        *where(cluster),
        "--watch",
        "--interval",
        "0.2",
    ]
    with subprocess.Popen([*arguments, "-o", "json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert [line["verdict"] for line in lines] == ["healthy", "healthy"]
