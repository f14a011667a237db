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

from ftpgateway.cli.helpers import useroptions
from raftstore.cluster.calls.accounts import merged
from raftstore.cluster.calls.people import members_after
from raftstore.errors import AlreadyExists, Invalid, NotFound
from raftstore.metadata.tables.people.groups import Group
from raftstore.rights import ROLES
from raftstore.types import User
from raftstore.wire import admin_pb2

HOUR = 3600 * 10**9


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
    done = asked(cluster, "user", "set", "anna", "--no-people", "--home", "/a", "--purge")
    assert done == {"user": "anna", "done": "changed", "purged": 5}
    cluster.left["bob"] = 2
    assert (
        pixraft(cluster, "user", "remove", "bob", "--purge").stdout
        == "User 'bob' removed, 2 names of it deleted.\n"
    )
    cluster.left["bob"] = 3  # it was broken off
    assert asked(cluster, "user", "remove", "bob", "--purge")["purged"] == 3
    assert pixraft(cluster, "user", "remove", "bob", "--purge").exit_code == 10
    for wrong in (
        ("set", "anna", "--quota", "1G", "--purge"),
        ("set", "anna", "--role", "person", "--no-people"),
        ("set", "anna", "--expires", "soon"),
    ):
        assert pixraft(cluster, "user", *wrong).exit_code == 2


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
