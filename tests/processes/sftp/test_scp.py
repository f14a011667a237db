"""The old scp over real SSH: OpenSSH's `scp -O`, PuTTY's and Dropbear's, and bytes made by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from ftpserver import PASSWORD
from openssh import OpenSsh
from sftpserver import SftpServer
from waiting import DEADLINE

from ftpgateway.sftp.scp.messages import LATEST
from raftstore.errors import DiskFull

DATA = os.urandom(3 * 1024 * 1024 + 11)


@pytest.fixture
def server(server: SftpServer) -> Iterator[SftpServer]:
    yield server
    server.wait_for(lambda: server.frontend.sessions == 0)
    assert not server.store.partials, "nothing is kept of what broke"


@pytest.fixture
def scp(server: SftpServer, tmp_path: Path) -> OpenSsh:
    if shutil.which("scp") is None:
        pytest.skip("no OpenSSH here")
    return OpenSsh(tmp_path / "client", server.port, "alice", PASSWORD)


def done(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.returncode == 0, ran.stderr


# Real clients.


def test_files_go_up_and_down(server: SftpServer, scp: OpenSsh) -> None:
    (scp.place / "a b.jpg").write_bytes(DATA)
    (scp.place / "empty").write_bytes(b"")
    os.utime(scp.place / "a b.jpg", (1_000_000_000, 1_000_000_000))
    server.store.put("/d", None)
    done(scp.scp("-O", "-p", "a b.jpg", "empty", "{}:d"))
    done(scp.scp("-O", "a b.jpg", "{}:/d/other.jpg"))
    done(scp.scp("-O", "a b.jpg", "{}:'d/with blanks.jpg'"))
    assert server.store.read("/d/a b.jpg") == DATA
    assert server.store.find("/d/a b.jpg").mtime_ns == 1_000_000_000 * 10**9
    assert server.store.read("/d/empty") == b""
    assert server.store.read("/d/other.jpg") == server.store.read("/d/with blanks.jpg") == DATA
    done(scp.scp("-O", "-p", "{}:d/a\\ b.jpg", "back.jpg"))
    assert (scp.place / "back.jpg").read_bytes() == DATA
    assert (scp.place / "back.jpg").stat().st_mtime == 1_000_000_000
    done(scp.scp("-O", "{}:d/empty", "{}:d/other.jpg", "."))
    assert (scp.place / "other.jpg").read_bytes() == DATA


def test_trees_go_up_and_down(server: SftpServer, scp: OpenSsh) -> None:
    tree = scp.place / "tree" / "deep"
    tree.mkdir(parents=True)
    (tree / "x.jpg").write_bytes(b"x")
    (tree.parent / "y.jpg").write_bytes(b"y")
    os.utime(tree, (1_000_000_000, 1_000_000_000))
    done(scp.scp("-O", "-r", "-p", "tree", "{}:"))
    assert (server.store.read("/tree/deep/x.jpg"), server.store.read("/tree/y.jpg")) == (b"x", b"y")
    assert server.store.find("/tree/deep").mtime_ns == 1_000_000_000 * 10**9
    done(scp.scp("-O", "-r", "tree", "{}:copy"))
    assert server.store.read("/copy/deep/x.jpg") == b"x", "what is not there becomes it"
    done(scp.scp("-O", "-r", "tree", "{}:copy"))
    assert server.store.read("/copy/tree/deep/x.jpg") == b"x"
    done(scp.scp("-O", "-r", "{}:tree", "down"))
    assert (scp.place / "down" / "deep" / "x.jpg").read_bytes() == b"x"
    done(scp.scp("-O", "{}:tree/*.jpg", "."))
    assert (scp.place / "y.jpg").read_bytes() == b"y"


def test_refusals_tell_why(server: SftpServer, scp: OpenSsh) -> None:
    (scp.place / "a.jpg").write_bytes(DATA)
    server.store.put("/d", None)
    server.store.put("/there", b"there", "bob")

    def refused(text: str, *arguments: str) -> None:
        ran = scp.scp("-O", *arguments)
        assert ran.returncode != 0 and text in ran.stderr, ran.stderr

    refused("No such file", "{}:missing", ".")
    refused("No such file", "{}:*.jpg", ".")
    refused("-r copies it", "{}:d", ".")
    refused("Not a directory", "a.jpg", "a.jpg", "{}:there")
    refused("Not a directory", "a.jpg", "{}:nowhere/")
    refused("No such file", "a.jpg", "{}:nowhere/a.jpg")
    refused("one target", "a.jpg", "{}:two words")
    alice = server.store.accounts["alice"]
    server.run(server.store.change_account, "alice", replace(alice, quota_bytes=len(DATA) - 1))
    refused("quota", "a.jpg", "{}:")
    server.run(server.store.change_account, "alice", replace(alice, rights="elr"))
    refused("right", "a.jpg", "{}:")
    server.run(server.store.change_account, "alice", replace(alice, rights="elw"))
    refused("right", "{}:there", ".")
    refused("exists", "a.jpg", "{}:there")
    assert server.store.read("/there") == b"there" and "a.jpg" not in server.store.root.children


def test_what_is_refused_in_its_middle_is_not_there_and_the_next_one_is(
    server: SftpServer, scp: OpenSsh
) -> None:
    (scp.place / "a.jpg").write_bytes(DATA)
    (scp.place / "b.jpg").write_bytes(b"b")

    def full(path: str, size: int) -> None:
        if path == "/a.jpg":
            raise DiskFull()

    server.store.hooks["feed"] = full
    ran = scp.scp("-O", "a.jpg", "b.jpg", "{}:")
    assert ran.returncode != 0 and "free disk" in ran.stderr
    assert "a.jpg" not in server.store.root.children and server.store.read("/b.jpg") == b"b"


@pytest.mark.skipif(shutil.which("pscp") is None, reason="no PuTTY here")
def test_pscp(server: SftpServer, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(DATA)
    options = ["-batch", "-scp", "-P", str(server.port), "-pw", PASSWORD, "-hostkey", fingerprint(server)]
    for source, target in (("a.jpg", "alice@127.0.0.1:b.jpg"), ("alice@127.0.0.1:b.jpg", "c.jpg")):
        ran = subprocess.run(
            ["pscp", *options, source, target],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout
    assert server.store.read("/b.jpg") == (tmp_path / "c.jpg").read_bytes() == DATA


def fingerprint(server: SftpServer) -> str:
    transport = server.transport()
    try:
        transport.start_client(timeout=DEADLINE)
        return str(transport.get_remote_server_key().fingerprint)
    finally:
        transport.close()


# By hand.


class Channel:
    """One command."""

    def __init__(self, server: SftpServer, command: str) -> None:
        self._transport = server.transport()
        self._transport.connect(username="alice", password=PASSWORD)
        self.channel = self._transport.open_session(timeout=DEADLINE)
        self.channel.settimeout(DEADLINE)
        self.channel.exec_command(command)

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def says(self, expected: bytes) -> None:
        got = b""
        while len(got) < len(expected):
            more = self.channel.recv(len(expected) - len(got))
            assert more, (got, expected)
            got += more
        assert got == expected

    def line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            more = self.channel.recv(1)
            assert more, line
            line += more
        return line.decode()

    def status(self) -> int:
        """Its exit status, when all is over."""
        assert not self.channel.recv(1)
        assert self.channel.status_event.wait(DEADLINE)
        return self.channel.recv_exit_status()

    def send(self, data: bytes) -> None:
        self.channel.sendall(data)


def test_the_protocol_byte_by_byte(server: SftpServer) -> None:
    with Channel(server, "scp -p -t /") as scp:
        scp.says(b"\0")
        for byte in b"T1000 0 900 0\n":
            scp.send(bytes([byte]))
        scp.says(b"\0")
        scp.send(b"C0644 3 a b\n")
        scp.says(b"\0")
        scp.send(b"xyz\0")
        scp.says(b"\0")
        scp.channel.shutdown_write()
        assert scp.status() == 0
    assert server.store.read("/a b") == b"xyz" and server.store.find("/a b").mtime_ns == 1000 * 10**9
    with Channel(server, "scp -f 'a b'") as scp:
        scp.send(b"\0")
        assert scp.line() == "C0644 3 a b\n"
        scp.send(b"\0")
        scp.says(b"xyz\0")
        scp.send(b"\0")
        assert scp.status() == 0


@pytest.mark.parametrize("late", [b"9223372037", b"99999999999", b"999999999999"])
def test_a_time_later_than_a_file_can_have_is_the_latest(server: SftpServer, late: bytes) -> None:
    with Channel(server, "scp -r -p -t /") as scp:
        scp.says(b"\0")
        for said in (
            b"T" + late + b" 0 0 0\n",
            b"D0755 0 d\n",
            b"T" + late + b" 0 0 0\n",
            b"C0644 1 a\n",
            b"x\0",
            b"E\n",
        ):
            scp.send(said)
            scp.says(b"\0")
        scp.channel.shutdown_write()
        assert scp.status() == 0
    for path in ("/d", "/d/a"):
        assert server.store.find(path).mtime_ns == LATEST * 10**9
    with Channel(server, "scp -p -f /d/a") as scp:
        scp.send(b"\0")
        assert scp.line() == f"T{LATEST} 0 {LATEST} 0\n"


@pytest.mark.parametrize("command", ["scp -t /", "scp -f /a"])
def test_what_nobody_expected_ends_the_command_with_a_failure(server: SftpServer, command: str) -> None:
    server.store.put("/a", b"a", "alice")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    server.store.hooks["feed"] = server.store.hooks["download"] = broken
    with Channel(server, command) as scp:
        if command.startswith("scp -t"):
            scp.says(b"\0")
            scp.send(b"C0644 3 b\n")
            scp.says(b"\0")
            scp.send(b"xyz\0")
        else:
            scp.send(b"\0")
        assert "Internal error" in scp.line()
        assert scp.status() == 1
    assert "b" not in server.store.root.children


@pytest.mark.parametrize(
    "hostile",
    [
        b"C0644 3 ../x\n",
        b"C0644 3 a/b\n",
        b"C0644 3 ..\n",
        b"C0644 -1 a\n",
        b"C0644 99999999999999999999999 a\n",
        b"C0644 3\n",
        b"C 3 a\n",
        b"D0755 0 d\n",
        b"E\n",
        b"\n",
        b"X\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"x" * 20_000,
        b"T-1 0 0 0\n",
    ],
)
def test_bad_input_ends_the_command_with_the_reason(server: SftpServer, hostile: bytes) -> None:
    with Channel(server, "scp -t /") as scp:
        scp.says(b"\0")
        scp.send(hostile)
        assert scp.line().startswith("\2scp: ")
        assert scp.status() == 1
    assert not server.store.root.children


@pytest.mark.parametrize(
    "sent",
    [b"", b"C0644 3 a", b"C0644 3 a\n", b"C0644 3 a\nxy", b"C0644 3 a\nxyz", b"C0644 3 a\nxyz\1cannot read\n"],
)
def test_what_is_not_whole_is_not_there(server: SftpServer, sent: bytes) -> None:
    server.store.put("/a", b"old", "alice")
    with Channel(server, "scp -t /") as scp:
        scp.send(sent)
        scp.channel.shutdown_write()
        while scp.channel.recv(100):
            pass
    server.wait_for(lambda: server.frontend.sessions == 0)
    assert server.store.read("/a") == b"old"


def test_a_name_that_cannot_be_is_left_out_and_the_next_one_taken(server: SftpServer) -> None:
    with Channel(server, "scp -t /") as scp:
        scp.says(b"\0")
        scp.send(b"C0644 3 " + b"n" * 300 + b"\n")
        assert "at most 255 bytes" in scp.line()
        scp.send(b"C0644 99999999999999 large\n")
        assert "Larger than this server takes" in scp.line()
        scp.send(b"C0644 1 a\n")
        scp.says(b"\0")
        scp.send(b"x\0")
        scp.says(b"\0")
        scp.channel.shutdown_write()
        assert scp.status() == 1, "something was left out"
    assert list(server.store.root.children) == ["a"]


@pytest.mark.parametrize(
    "command",
    [
        "scp",
        "scp -t",
        "scp -t a b",
        "scp -tf a",
        "scp -S x -t a",
        "scp -t 'a",
        "scp -t " + "x" * 9_000,
        "scpx -t a",
        "ls",
    ],
)
def test_other_commands_are_refused(server: SftpServer, command: str) -> None:
    with Channel(server, command) as scp:
        assert scp.channel.recv_stderr(10)
        assert scp.status() == 1


def test_a_channel_that_ends_leaves_the_others(server: SftpServer) -> None:
    with Channel(server, "scp -t /") as scp:
        sftp = paramiko.SFTPClient.from_transport(scp.channel.get_transport())
        assert sftp is not None
        scp.says(b"\0")
        scp.send(b"nonsense\n")
        assert scp.line().startswith("\2")
        assert scp.status() == 1
        assert sftp.listdir() == []


def test_a_reader_that_wants_no_more(server: SftpServer) -> None:
    server.store.put("/a", DATA, "alice")
    server.store.put("/b", b"b", "alice")
    with Channel(server, "scp -f a b missing") as scp:
        scp.send(b"\0")
        assert scp.line().startswith("C0644")
        scp.send(b"\1no room\n")
        assert scp.line() == "C0644 1 b\n"
        scp.send(b"\0")
        scp.says(b"b\0")
        scp.send(b"\0")
        assert "No such file" in scp.line()
        assert scp.status() == 1
    with Channel(server, "scp -f a") as scp:
        scp.send(b"\0")
        assert scp.line().startswith("C0644")
        scp.send(b"hello")
        assert scp.line().startswith("\2")
        assert scp.status() == 1
