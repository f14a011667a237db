"""`pixraft group`, `sent`, `inbox`, and what `pixraft user` does for persons, against made-up answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commandline
import pytest
from click.testing import Result
from fakeadmin import FakeCluster, fake_cluster

from ftpgateway.cli.helpers import asking, useroptions
from raftstore.cluster.calls.accounts import merged
from raftstore.cluster.calls.people import members_after
from raftstore.errors import AlreadyExists, Invalid, NotFound
from raftstore.metadata.tables.people.groups import Group
from raftstore.rights import ROLES
from raftstore.types import User
from raftstore.wire import admin_pb2

HOUR = 3600 * 10**9
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDGFfRkmJlTHSGVZkM2dkkHzRf1xGzfw6BvU6wPkHnHy anna@home"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    with fake_cluster(tmp_path / "c", up=["n1"], names=["n1"]) as running:
        yield running


def pixraft(cluster: FakeCluster, *arguments: str, stdin: str | None = None) -> Result:
    options = ("--cluster", str(cluster.directory), "--node", "n1")
    return commandline.pixraft(*arguments, *options, stdin=stdin)


def asked(cluster: FakeCluster, *arguments: str) -> Any:
    return json.loads(pixraft(cluster, *arguments, "-o", "json").stdout)


def test_groups_are_made_changed_listed_and_removed(cluster: FakeCluster) -> None:
    assert "There are no groups" in pixraft(cluster, "group", "list").stdout
    assert pixraft(cluster, "group", "add", "family", "--members", "bob,anna,bob").exit_code == 0
    assert pixraft(cluster, "group", "add", "family").exit_code == AlreadyExists.exit_code
    for name in ("club", "team"):
        assert pixraft(cluster, "group", "add", name, "--owner", "anna").exit_code == 0
    listed = asked(cluster, "group", "list")["groups"]
    assert [(one["name"], one["owner"], one["members"]) for one in listed] == [
        ("club", "anna", []),
        ("family", None, ["anna", "bob"]),
        ("team", "anna", []),
    ]
    changed = pixraft(cluster, "group", "members", "family", "--add", "carol,dave", "--remove", "bob")
    assert changed.stdout.split() == ["anna", "carol", "dave"]
    assert asked(cluster, "group", "members", "club")["members"] == []
    assert pixraft(cluster, "group", "members", "family", "--add", "x,,y").exit_code == 2
    assert pixraft(cluster, "group", "remove", "club").stdout == "Group 'club' removed.\n"
    assert pixraft(cluster, "group", "remove", "club").exit_code == NotFound.exit_code


def test_what_was_sent_is_told_page_by_page(cluster: FakeCluster) -> None:
    assert pixraft(cluster, "sent", "anna").stdout == "There is nothing.\n"
    for number in range(5, 0, -1):
        cluster.sent.append(
            admin_pb2.Sent(
                path=f"bob/{number}.jpg",
                recipient="bob",
                state="opened" if number % 2 else "delivered",
                size=number,
                sent_ns=10**18,
                expires_ns=10**18 + HOUR if number == 1 else 0,
                ended_ns=10**18 if number == 3 else 0,
                key=admin_pb2.SentKey(record=number, delivery=number),
            )
        )
    found = asked(cluster, "sent", "anna")["sent"]
    assert [one["path"] for one in found] == ["bob/5.jpg", "bob/4.jpg", "bob/2.jpg", "bob/1.jpg"]
    assert found[-1] == {
        "path": "bob/1.jpg",
        "recipient": "bob",
        "state": "opened",
        "bytes": 1,
        "sent": "2001-09-09T01:46:40Z",
        "expires": "2001-09-09T02:46:40Z",
        "ended": None,
    }
    assert [one["path"] for one in asked(cluster, "sent", "anna", "--ended")["sent"]] == ["bob/3.jpg"]
    lines = pixraft(cluster, "sent", "anna", "--limit", "1").stdout.splitlines()
    assert len(lines) == 2 and lines[1].split()[-1] == "bob/5.jpg"


def test_blocks_and_inboxes(cluster: FakeCluster) -> None:
    assert (
        pixraft(cluster, "user", "block", "anna", "bob").stdout == "User 'anna' takes no pictures from 'bob'.\n"
    )
    assert "2 of 0 files" in pixraft(cluster, "inbox", "anna").stdout
    assert asked(cluster, "inbox", "anna")["blocks"] == ["bob"]
    assert asked(cluster, "user", "unblock", "anna", "bob") == {
        "user": "anna",
        "other": "bob",
        "blocked": False,
    }
    assert cluster.blocks == []


def test_persons_are_made_and_unmade(cluster: FakeCluster) -> None:
    words = ("user", "add", "anna", "--person", "--expires", "30d", "--inbox", "1G", "--password-stdin")
    assert pixraft(cluster, *words, stdin="x\n").exit_code == 0
    made = cluster.users["anna"]
    assert made.person and not made.HasField("home") and made.rights == ROLES["member"]
    assert (made.expires_ns, made.inbox_bytes) == (30 * 24 * HOUR, 1 << 30)
    assert (
        pixraft(cluster, "user", "add", "bob", "--role", "person", "--password-stdin", stdin="x\n").exit_code
        == 0
    )
    assert cluster.users["bob"].person and cluster.users["bob"].rights == ROLES["member"]
    cluster.left["anna"] = 5
    done = asked(cluster, "user", "set", "anna", "--no-people", "--home", "/a", "--purge", "--yes")
    assert done == {"user": "anna", "done": "changed", "purged": 5}
    cluster.left["bob"] = 2
    assert (
        pixraft(cluster, "user", "remove", "bob", "--purge", "--yes").stdout
        == "User 'bob' removed, 2 names of it deleted.\n"
    )
    cluster.left["bob"] = 3  # it was broken off
    assert asked(cluster, "user", "remove", "bob", "--purge", "--yes")["purged"] == 3
    assert pixraft(cluster, "user", "remove", "bob", "--purge", "--yes").exit_code == 10
    for wrong in (
        ("set", "anna", "--quota", "1G", "--purge"),
        ("set", "anna", "--role", "person", "--no-people"),
        ("set", "anna", "--expires", "soon"),
    ):
        assert pixraft(cluster, "user", *wrong).exit_code == 2


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody can be asked."""
    monkeypatch.setattr(asking, "at_terminal", lambda: True)


def with_anna(cluster: FakeCluster, **fields: Any) -> None:
    cluster.users["anna"] = admin_pb2.UserPut(
        name="anna", home="/people/anna", rights=ROLES["member"], **fields
    )


@pytest.mark.parametrize(
    "words",
    [
        ("user", "remove", "anna", "--purge"),
        ("user", "set", "anna", "--no-people", "--home", "/a", "--purge"),
        ("trash", "anna", "--empty"),
    ],
)
def test_what_deletes_for_good_is_asked_for_first(cluster: FakeCluster, words: tuple[str, ...]) -> None:
    with_anna(cluster, person=True)
    cluster.left["anna"] = 1
    cluster.trash = [admin_pb2.Trashed(inode=1, name="a.jpg", size=2048)]
    refused = pixraft(cluster, *words)
    assert (refused.exit_code, "deleted for good" in refused.stderr, "--yes" in refused.stderr) == (
        2,
        True,
        True,
    )
    assert {method for _, method, _ in cluster.calls} == {"account"}
    assert pixraft(cluster, *words, "--yes").exit_code == 0
    assert "anna" not in cluster.users or not cluster.users["anna"].person or not cluster.trash


def test_at_a_terminal_one_is_asked(cluster: FakeCluster, terminal: None) -> None:
    with_anna(cluster, person=True)
    cluster.trash = [admin_pb2.Trashed(inode=1, name="a.jpg", size=2048)]
    said = pixraft(cluster, "trash", "anna", "--empty", stdin="n\n")
    assert said.exit_code == 130 and "1 files with 2.0 KiB in the trash of 'anna'" in said.stderr
    assert len(cluster.trash) == 1
    said = pixraft(cluster, "user", "remove", "anna", "--purge", stdin="n\n")
    assert said.exit_code == 130 and "2 in its inbox, 5 B" in said.stderr and "anna" in cluster.users
    assert pixraft(cluster, "trash", "anna", "--empty", stdin="y\n").stdout == "1 files are gone for good.\n"
    assert (
        pixraft(cluster, "trash", "anna", "--empty").stdout == "0 files are gone for good.\n"
    )  # nothing to ask
    assert pixraft(cluster, "user", "remove", "anna", "--purge", stdin="y\n").exit_code == 0
    assert cluster.users == {}


def test_no_trash_is_not_an_empty_one(cluster: FakeCluster) -> None:
    with_anna(cluster)
    assert "'anna' has no trash" in pixraft(cluster, "trash", "anna").stdout
    assert asked(cluster, "trash", "anna") == {"user": "anna", "trash": [], "kept": 0}
    cluster.users["anna"].trash_ns = 30 * 24 * HOUR
    empty = pixraft(cluster, "trash", "anna").stdout
    assert "The trash of 'anna' is empty" in empty and "30d" in empty
    cluster.trash = [admin_pb2.Trashed(inode=n, name=f"{n}.jpg", path=f"/{n}.jpg", size=n) for n in range(1, 6)]
    assert [line.split()[-1] for line in pixraft(cluster, "trash", "anna").stdout.splitlines()[1:]] == [
        f"/{n}.jpg" for n in range(1, 6)
    ]
    assert pixraft(cluster, "trash", "nobody").exit_code == NotFound.exit_code


def test_all_about_one_account(cluster: FakeCluster) -> None:
    with_anna(
        cluster, person=True, quota_bytes=1 << 20, trash_ns=24 * HOUR, expires_ns=48 * HOUR, max_sessions=3
    )
    cluster.users["anna"].set_rules.add(path="/team", rights=ROLES["read-only"])
    cluster.users["anna"].add_keys.append(KEY)
    cluster.groups["family"] = admin_pb2.Group(name="family", members=["anna"])
    cluster.trash = [admin_pb2.Trashed(inode=1, name="a.jpg", size=2048)]
    cluster.blocks = ["bob"]
    facts = {
        line[2:15].strip(): line[15:]
        for line in pixraft(cluster, "user", "show", "anna").stdout.splitlines()[1:]
    }
    assert facts["role"].startswith("person (") and facts["home"] == "/people/anna"
    assert facts["rule"] == "/team: read-only"
    assert facts["used"] == "0 B of 1.0 MiB, 0 files and directories"
    assert facts["sessions"] == "at most 3 at a node"
    assert facts["key"].startswith("ssh-ed25519 SHA256:")
    assert facts["sends"] == "what is gone after 2d"
    assert (facts["blocks"], facts["groups"]) == ("bob", "family")
    assert facts["trash"] == "1 files, 2.0 KiB; kept for 1d"
    shown = asked(cluster, "user", "show", "anna")
    assert (shown["name"], shown["role"], shown["keys"], shown["trash"]) == ("anna", "person", 1, 86_400)
    assert [key["key"] for key in shown["authorized_keys"]] == [KEY]
    assert (shown["inbox"]["files"], shown["inbox"]["blocks"]) == (2, ["bob"])
    assert (shown["trash_files"], shown["trash_bytes"], shown["groups"]) == (1, 2048, ["family"])
    cluster.users["bob"] = admin_pb2.UserPut(name="bob", home="/", rights="elr", disabled=True)
    cluster.trash = []
    plain = pixraft(cluster, "user", "show", "bob").stdout
    assert "inbox" not in plain and "enabled   no" in plain and "trash     off" in plain
    assert asked(cluster, "user", "show", "bob")["inbox"] is None
    assert pixraft(cluster, "user", "show", "nobody").exit_code == NotFound.exit_code


def test_a_person_gets_its_home_and_who_is_none_any_more_needs_one() -> None:
    anna = User("anna", "h", home="/anna", identity="anna/1")
    person = merged(anna, admin_pb2.UserPut(name="anna", person=True, update=True))
    assert (person.person, person.home) == (True, "/people/anna")
    with pytest.raises(Invalid, match="another home"):
        merged(person, admin_pb2.UserPut(name="anna", person=False, update=True))
    assert merged(person, admin_pb2.UserPut(name="anna", person=False, home="/b", update=True)).home == "/b"
    assert merged(anna, admin_pb2.UserPut(name="anna", person=False, update=True)).home == "/anna"


def test_members_come_and_go() -> None:
    group = Group("g", "", ("anna", "bob"), 7)
    assert members_after(group, admin_pb2.GroupPut(name="g", add=["dave"], remove=["anna"])) == ["bob", "dave"]
    assert members_after(None, admin_pb2.GroupPut(name="g", add=["b", "a"], create=True)) == ["a", "b"]
    with pytest.raises(NotFound, match="member carol"):
        members_after(group, admin_pb2.GroupPut(name="g", remove=["carol"]))
    with pytest.raises(NotFound, match="group g"):
        members_after(None, admin_pb2.GroupPut(name="g"))
    with pytest.raises(AlreadyExists):
        members_after(group, admin_pb2.GroupPut(name="g", create=True))


@pytest.mark.parametrize(("text", "ns"), [("24h", 24 * HOUR), ("none", 0), ("3650d", 87_600 * HOUR)])
def test_times_after_which_something_expires(text: str, ns: int) -> None:
    assert useroptions.Expiry().convert(text, None, None) == ns
