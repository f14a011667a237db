"""Copies on the server and the old scp at real nodes: the same rights, the same deliveries."""

from __future__ import annotations

import asyncio
import ftplib
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from harness import Cluster
from openssh import OpenSsh
from waiting import eventually

from raftstore.cluster.calls import accounts as accounts_calls
from raftstore.cluster.calls import people as people_calls
from raftstore.errors import StoreError
from raftstore.wire import admin_pb2

pytestmark = pytest.mark.integration

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PERSONS = ("anna", "bob")
DATA = os.urandom(5 * 1024 * 1024 + 7)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("copies"), sftp=True) as running:
        for name in PERSONS:
            eventually(lambda name=name: made(running, name))
        yield running


def made(cluster: Cluster, name: str) -> bool:
    request = admin_pb2.UserPut(name=name, password_hash=QUICK.hash(name), person=True, create=True)
    try:
        asyncio.run(cluster.local.client("n1").ask(accounts_calls.put_user, request, repeat=True))
    except StoreError as error:
        return error.code == "AlreadyExists"
    return True


def store(ftp: ftplib.FTP, path: str, data: bytes) -> None:
    assert ftp.storbinary(f"STOR {path}", io.BytesIO(data)).startswith("226")


def fetched(ftp: ftplib.FTP, path: str) -> bytes:
    parts: list[bytes] = []
    ftp.retrbinary(f"RETR {path}", parts.append)
    return b"".join(parts)


def became(cluster: Cluster, path: str) -> str:
    """Return what became of something that anna has sent to one person."""
    request = admin_pb2.SentRequest(name="anna")
    page = asyncio.run(cluster.local.client("n1").ask(people_calls.sent, request))
    (state,) = (each.state for each in page.sent if each.path == path)
    return state


def said(ftp: ftplib.FTP, line: str) -> str:
    try:
        return ftp.sendcmd(line)
    except ftplib.Error as error:
        return str(error)


def test_ftp_copies_keep_and_deliver_without_a_byte(cluster: Cluster) -> None:
    with cluster.login("n1", "anna") as anna, cluster.login("n3", "bob") as bob:
        assert " SITE COPY" in anna.sendcmd("FEAT").splitlines()
        store(anna, "/a b.jpg", DATA)
        assert said(anna, "SITE CPFR /a b.jpg").startswith("350")
        assert said(anna, "SITE CPTO /send/bob/a b.jpg").startswith("250")
        assert fetched(bob, "/inbox/anna/a b.jpg") == DATA
        assert said(bob, "SITE CPFR /inbox/anna/a b.jpg").startswith("350")
        assert said(bob, "SITE CPTO /kept.jpg").startswith("250")
        anna.delete("/send/bob/a b.jpg")
        assert fetched(bob, "/kept.jpg") == fetched(bob, "/inbox/anna/a b.jpg") == DATA
        for target, text in (("/inbox/anna/x.jpg", "/send/NAME/"), ("/trash/x.jpg", "only what is deleted")):
            said(bob, "SITE CPFR /kept.jpg")
            refused = said(bob, f"SITE CPTO {target}")
            assert refused.startswith("550") and text in refused
        said(bob, "SITE CPFR /kept.jpg")
        assert said(bob, "SITE CPTO /send/nobody/x.jpg") == "550 nobody takes no pictures from you."
        assert said(anna, "SITE CPFR /people/bob/kept.jpg").startswith("550")
        said(anna, "SITE CPFR /a b.jpg")
        assert said(anna, "SITE CPTO /a b.jpg").startswith("550")


@pytest.mark.skipif(shutil.which("sftp") is None, reason="no OpenSSH here")
def test_openssh_copies_and_the_old_scp(cluster: Cluster, tmp_path: Path) -> None:
    _, port = cluster.sftp_address("n2")
    anna = OpenSsh(tmp_path / "anna", port, "anna", "anna")
    _, port = cluster.sftp_address("n3")
    bob = OpenSsh(tmp_path / "bob", port, "bob", "bob")
    (anna.place / "p.jpg").write_bytes(DATA)
    (anna.place / "tree").mkdir()
    for number in range(20):
        (anna.place / "tree" / f"{number}.jpg").write_bytes(b"%d" % number)
    put = anna.sftp("put p.jpg\ncp p.jpg copy.jpg\ncp p.jpg /send/bob/copied.jpg\n")
    assert put.returncode == 0, put.stderr
    up = anna.scp("-O", "-r", "-p", "p.jpg", "tree", "{}:/send/bob/")
    assert up.returncode == 0, up.stderr
    down = bob.scp("-O", "-r", "{}:/inbox/anna/tree", "{}:/inbox/anna/*.jpg", ".")
    assert down.returncode == 0, down.stderr
    for name in ("p.jpg", "copied.jpg"):
        assert hashlib.sha256((bob.place / name).read_bytes()).digest() == hashlib.sha256(DATA).digest()
    kept = bob.sftp("cp /inbox/anna/copied.jpg kept-by-copy.jpg\n")
    assert kept.returncode == 0, kept.stderr
    assert became(cluster, "bob/copied.jpg") == "kept"
    assert sorted(os.listdir(bob.place / "tree")) == sorted(f"{number}.jpg" for number in range(20))
    (bob.place / "x.jpg").write_bytes(b"x")
    for target in ("/inbox/anna/x.jpg", "/send/nobody/x.jpg", "/people/anna/x.jpg"):
        assert bob.scp("-O", "x.jpg", f"{{}}:{target}").returncode != 0
    assert bob.scp("-O", "{}:/people/anna/p.jpg", "stolen.jpg").returncode != 0
    with cluster.login("n1", "anna") as ftp:
        assert fetched(ftp, "/copy.jpg") == DATA
