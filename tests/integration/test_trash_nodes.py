"""Trash and retention at real nodes: what is deleted at one is in /trash at all, and directories lose their oldest."""

from __future__ import annotations

import ftplib
from collections.abc import Iterator

import pytest
from harness import Cluster
from persons import QUICK, asked, fetched, names, put, put_person, said, sftp, store
from waiting import eventually

pytestmark = pytest.mark.integration

DAY = 86_400


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("trash"), sftp=True) as running:
        put_person(running, "anna")
        put(running, "cam", password_hash=QUICK.hash("cam"), create=True, trash_ns=DAY * 10**9, home="/cam")
        yield running


@pytest.mark.parametrize("user", ["anna", "cam"])
def test_what_is_deleted_or_replaced_is_in_the_trash_of_all_nodes(cluster: Cluster, user: str) -> None:
    with cluster.login("n1", user) as one, cluster.login("n3", user) as other:
        assert "trash" in names(other, "/") and names(other, "/trash") == []
        assert store(one, "/a.jpg", b"first").startswith("226")
        assert store(one, "/a.jpg", b"second").startswith("226")
        one.delete("/a.jpg")
        assert names(other, "/trash") == ["a (2).jpg", "a.jpg"]
        assert fetched(other, "/trash/a.jpg") == b"first" and fetched(other, "/trash/a (2).jpg") == b"second"
        other.voidcmd("TYPE I")
        assert other.size("/trash/a.jpg") == 5
        listed = asked(cluster, "trash", user)["trash"]
        assert [(each["name"], each["bytes"]) for each in listed] == [("a.jpg", 5), ("a (2).jpg", 6)]
        # Never over a file.
        assert store(one, "/taken.jpg", b"taken").startswith("226")
        with pytest.raises(ftplib.error_perm, match="55"):
            other.rename("/trash/a.jpg", "/taken.jpg")
        assert fetched(one, "/taken.jpg") == b"taken"
        other.rename("/trash/a.jpg", "/back.jpg")
        assert fetched(one, "/back.jpg") == b"first" and names(one, "/trash") == ["a (2).jpg"]
        home = "/people/anna" if user == "anna" else "/cam"
        assert asked(cluster, "restore", user, "/a.jpg")["restored"] == f"{home}/a.jpg"
        assert fetched(one, "/a.jpg") == b"second"
        one.delete("/a.jpg")
        other.delete("/trash/a.jpg")
        assert names(one, "/trash") == [] and asked(cluster, "trash", user)["trash"] == []
        for reply in (store(one, "/trash/x.jpg", b"x"), said(one.mkd, "/trash/x")):
            assert reply.startswith("550") and "only what is deleted" in reply
        with pytest.raises(ftplib.error_perm, match="nothing is moved into /trash"):
            one.rename("/back.jpg", "/trash/back.jpg")


def test_sftp_restores_too_and_nobody_reads_anothers(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna:
        assert store(anna, "/s.jpg", b"by sftp").startswith("226")
        anna.delete("/s.jpg")
        with sftp(cluster, "n2", "anna") as files:
            assert files.listdir("/trash") == ["s.jpg"] and files.stat("/trash/s.jpg").st_size == 7
            with pytest.raises(OSError):
                files.mkdir("/trash/x")
            files.rename("/trash/s.jpg", "/s.jpg")
        assert fetched(anna, "/s.jpg") == b"by sftp"
    shown = {each["name"]: each["trash"] for each in asked(cluster, "user", "list")["users"]}
    assert shown["anna"] == 30 * DAY and shown["cam"] == DAY


def test_a_directory_with_retention_loses_its_oldest_and_never_what_was_just_put(cluster: Cluster) -> None:
    with cluster.login("n2", "cam") as cam, cluster.login("n1", "cam") as other:
        cam.mkd("/roll")
        for number in range(3):
            assert store(cam, f"/roll/{number}.jpg", b"x" * 10).startswith("226")
        words = ("retention", "set", "/cam/roll", "none", "--max-files", "3")
        would = asked(cluster, *words[:-1], "2", "--dry-run")
        assert (would["files"], would["of_files"], would["oldest"]) == (1, 3, ["/cam/roll/0.jpg"])
        assert len(names(other, "/roll")) == 3
        asked(cluster, *words)
        eventually(lambda: asked(cluster, "retention", "list")["rules"][0]["settled"])
        for number in range(3, 8):
            assert store(cam, f"/roll/{number}.jpg", b"x" * 10).startswith("226")
            assert names(other, "/roll") == [f"{each}.jpg" for each in range(number - 2, number + 1)]
        assert names(other, "/trash") == [], "retention goes past the trash"
        asked(cluster, "retention", "remove", "/cam/roll")
        assert asked(cluster, "retention", "list")["rules"] == []
