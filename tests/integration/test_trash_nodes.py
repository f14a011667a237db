"""Trash and retention at real nodes: what is deleted at one is in /trash at all, and directories lose their oldest."""

from __future__ import annotations

import asyncio
import ftplib
import io
import json
from collections.abc import Iterator
from typing import Any

import paramiko
import pytest
from argon2 import PasswordHasher
from commandline import pixraft
from harness import Cluster
from waiting import eventually

from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.errors import StoreError
from raftstore.wire import admin_pb2

pytestmark = pytest.mark.integration

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
DAY = 86_400


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("trash"), sftp=True) as running:
        put(running, "anna", person=True)
        put(running, "cam", trash_ns=DAY * 10**9, home="/cam")
        yield running


def put(cluster: Cluster, name: str, **fields: Any) -> None:
    request = admin_pb2.UserPut(name=name, password_hash=QUICK.hash(name), create=True, **fields)

    def done() -> bool:
        try:
            asyncio.run(cluster.local.client("n1").ask(accounts_calls.put_user, request, repeat=True))
        except StoreError as error:
            return error.code == "AlreadyExists"
        return True

    eventually(done)


def asked(cluster: Cluster, *words: str) -> Any:
    done = pixraft(*words, "--cluster", str(cluster.local.directory), "-o", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def store(ftp: ftplib.FTP, path: str, data: bytes) -> None:
    assert ftp.storbinary(f"STOR {path}", io.BytesIO(data)).startswith("226")


def fetched(ftp: ftplib.FTP, path: str) -> bytes:
    parts: list[bytes] = []
    ftp.retrbinary(f"RETR {path}", parts.append)
    return b"".join(parts)


def names(ftp: ftplib.FTP, path: str) -> list[str]:
    return sorted(name for name, facts in ftp.mlsd(path) if facts["type"] in ("file", "dir"))


@pytest.mark.parametrize("user", ["anna", "cam"])
def test_what_is_deleted_or_replaced_is_in_the_trash_of_all_nodes(cluster: Cluster, user: str) -> None:
    with cluster.login("n1", user) as one, cluster.login("n3", user) as other:
        assert "trash" in names(other, "/") and names(other, "/trash") == []
        store(one, "/a.jpg", b"first")
        store(one, "/a.jpg", b"second")
        one.delete("/a.jpg")
        assert names(other, "/trash") == ["a (2).jpg", "a.jpg"]
        assert fetched(other, "/trash/a.jpg") == b"first" and fetched(other, "/trash/a (2).jpg") == b"second"
        other.voidcmd("TYPE I")
        assert other.size("/trash/a.jpg") == 5
        listed = asked(cluster, "trash", user)["trash"]
        assert [(each["name"], each["bytes"]) for each in listed] == [("a.jpg", 5), ("a (2).jpg", 6)]
        # Never over a file.
        store(one, "/taken.jpg", b"taken")
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
        for call in (lambda: store(one, "/trash/x.jpg", b"x"), lambda: one.mkd("/trash/x")):
            with pytest.raises(ftplib.error_perm, match="only what is deleted"):
                call()
        with pytest.raises(ftplib.error_perm, match="nothing is moved into /trash"):
            one.rename("/back.jpg", "/trash/back.jpg")


def test_sftp_restores_too_and_nobody_reads_anothers(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, paramiko.SSHClient() as client:
        store(anna, "/s.jpg", b"by sftp")
        anna.delete("/s.jpg")
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        host, port = cluster.sftp_address("n2")
        client.connect(host, port, "anna", "anna", look_for_keys=False, allow_agent=False, timeout=120)
        with client.open_sftp() as files:
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
            store(cam, f"/roll/{number}.jpg", b"x" * 10)
        words = ("retention", "set", "/cam/roll", "none", "--max-files", "3")
        would = asked(cluster, *words[:-1], "2", "--dry-run")
        assert (would["files"], would["of_files"], would["oldest"]) == (1, 3, ["/cam/roll/0.jpg"])
        assert len(names(other, "/roll")) == 3
        asked(cluster, *words)
        eventually(lambda: asked(cluster, "retention", "list")["rules"][0]["settled"])
        for number in range(3, 8):
            store(cam, f"/roll/{number}.jpg", b"x" * 10)
            assert names(other, "/roll") == [f"{each}.jpg" for each in range(number - 2, number + 1)]
        assert names(other, "/trash") == [], "retention goes past the trash"
        asked(cluster, "retention", "remove", "/cam/roll")
        assert asked(cluster, "retention", "list")["rules"] == []
