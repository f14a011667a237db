"""copy-data and copy-file: copies on the server, over real SFTP sessions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from ftpserver import PASSWORD
from openssh import OpenSsh
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED, int64
from sftpserver import SftpServer

CHUNK = 1024 * 1024
DATA = b"".join(number.to_bytes(4, "big") for number in range(CHUNK // 2)) + b"tail"  # two chunks and some


@pytest.fixture
def server(server: SftpServer) -> SftpServer:
    server.store.put("/a", DATA, "alice")
    server.store.calls.clear()
    return server


def copy_data(
    client: paramiko.SFTPClient,
    source: paramiko.SFTPFile,
    target: paramiko.SFTPFile,
    start: int = 0,
    length: int = 0,
    at: int = 0,
) -> None:
    numbers = int64(start), int64(length)
    client._request(CMD_EXTENDED, "copy-data", source.handle, *numbers, target.handle, int64(at))


def copy_file(client: paramiko.SFTPClient, source: str, target: str, *, over: bool) -> None:
    client._request(CMD_EXTENDED, "copy-file", source, target, 0x01000000 if over else 0)


def close(client: paramiko.SFTPClient, file: paramiko.SFTPFile) -> None:
    """Close, and hear of a failure, about which the library says nothing."""
    file._closed = True
    client._request(CMD_CLOSE, file.handle)


def test_a_whole_file_is_copied_without_a_byte(server: SftpServer) -> None:
    with server.sftp() as client:
        with client.open("a") as source:
            server.wait_for(lambda: server.store.calls["block"] <= 1)
            target = client.open("b", "w")
            copy_data(client, source, target)
            assert client.stat("b").st_size == len(DATA), "seen by who writes it"
            server.store.put("/a", b"another", "alice")
        close(client, target)
    assert server.store.read("/b") == DATA, "as it was when it was opened"
    assert server.store.calls["unfold"] == 0
    assert server.store.calls["block"] <= 1, "what is read ahead at the opening"


def test_what_was_copied_can_be_read_and_changed(server: SftpServer) -> None:
    with server.sftp() as client:
        for name, how in (("b", "write"), ("c", "cut"), ("d", "read"), ("e", "append"), ("f", "fsync")):
            with client.open("a") as source:
                target = client.open(name, "w+")
                copy_data(client, source, target)
                if how == "write":
                    target.seek(5)
                    target.write(b"changed")
                    expected = DATA[:5] + b"changed" + DATA[12:]
                elif how == "cut":
                    target.truncate(CHUNK + 7)
                    expected = DATA[: CHUNK + 7]
                elif how == "append":
                    target.seek(len(DATA))
                    target.write(b"more")
                    expected = DATA + b"more"
                elif how == "read":
                    assert target.read(10) == DATA[:10]
                    expected = DATA
                else:
                    client._request(CMD_EXTENDED, "fsync@openssh.com", target.handle)
                    assert server.store.read("/f") == DATA
                    expected = DATA
                close(client, target)
            assert server.store.read(f"/{name}") == expected, how


@pytest.mark.parametrize(
    ("start", "length", "at", "expected"),
    [
        (10, 0, 0, DATA[10:]),
        (0, 10, 0, DATA[:10]),
        (CHUNK, CHUNK, 0, DATA[CHUNK : 2 * CHUNK]),
        (0, 0, 5, bytes(5) + DATA),
        (len(DATA), 0, 0, b""),
        (0, len(DATA), 0, DATA),
    ],
)
def test_a_part_is_copied(server: SftpServer, start: int, length: int, at: int, expected: bytes) -> None:
    with server.sftp() as client, client.open("a") as source:
        target = client.open("b", "w")
        copy_data(client, source, target, start, length, at)
        close(client, target)
    assert server.store.read("/b") == expected


def test_into_a_file_that_has_something(server: SftpServer) -> None:
    server.store.put("/b", b"0123456789", "alice")
    with server.sftp() as client, client.open("a") as source:
        target = client.open("b", "r+")
        copy_data(client, source, target, 0, 4, 3)
        close(client, target)
    assert server.store.read("/b") == b"012" + DATA[:4] + b"789"


def test_more_than_there_is_ends_as_a_read_does(server: SftpServer) -> None:
    with server.sftp() as client, client.open("a") as source:
        target = client.open("b", "w")
        with pytest.raises(EOFError):
            copy_data(client, source, target, len(DATA) - 4, 100, 0)
        close(client, target)
    assert server.store.read("/b") == b"tail"


def test_what_the_session_writes_itself_is_copied(server: SftpServer) -> None:
    with server.sftp() as client:
        source = client.open("new", "w+")
        source.write(b"not published yet")
        target = client.open("b", "w")
        copy_data(client, source, target)
        close(client, target)
        assert server.store.read("/b") == b"not published yet"
        close(client, source)


def test_a_copy_onto_itself_leaves_what_was_there(server: SftpServer) -> None:
    with server.sftp() as client, client.open("a") as source:
        target = client.open("a", "w")
        with pytest.raises(OSError, match="onto itself"):
            copy_data(client, source, target)
        with pytest.raises(OSError, match="onto itself"):
            close(client, target)
    assert server.store.read("/a") == DATA


def test_wrong_handles_are_refused(server: SftpServer) -> None:
    with server.sftp() as client, client.open("a") as source, client.open("b", "w") as target:
        with pytest.raises(OSError, match="not opened for writing"):
            copy_data(client, source, client.open("a"))
        with pytest.raises(OSError, match="not opened for reading"):
            copy_data(client, target, client.open("c", "w"))
        with pytest.raises(OSError, match="no such handle"):
            client._request(CMD_EXTENDED, "copy-data", b"x", int64(0), int64(0), target.handle, int64(0))
        with pytest.raises(OSError, match="shorter"):
            client._request(CMD_EXTENDED, "copy-data", source.handle, int64(0))


def test_the_quota_counts_a_copy(server: SftpServer) -> None:
    alice = server.store.accounts["alice"]
    server.run(server.store.change_account, "alice", replace(alice, quota_bytes=len(DATA) + 10))
    with server.sftp() as client, client.open("a") as source:
        target = client.open("b", "w")
        with pytest.raises(OSError, match="quota"):
            copy_data(client, source, target)
        with pytest.raises(OSError, match="quota"):
            close(client, target)
    assert "b" not in server.store.root.children


def test_a_copy_that_is_not_closed_is_published_nowhere(server: SftpServer) -> None:
    with server.sftp() as client:
        files = client.open("a"), client.open("b", "w")
        copy_data(client, *files)
        for file in files:
            file._closed = True  # it would close itself when it is forgotten
    server.wait_for(lambda: server.frontend.sessions == 0)
    assert "b" not in server.store.root.children
    assert server.store.partials[server.store.accounts["alice"].owner, "/b"] == DATA, (
        "as of any upload that breaks"
    )


def test_files_are_copied_by_name(server: SftpServer) -> None:
    server.store.put("/there", b"there", "alice")
    with server.sftp() as client:
        copy_file(client, "a", "b", over=False)
        assert server.store.read("/b") == DATA
        with pytest.raises(OSError, match="exists"):
            copy_file(client, "a", "there", over=False)
        copy_file(client, "a", "there", over=True)
        assert server.store.read("/there") == DATA
        with pytest.raises(OSError, match="onto itself"):
            copy_file(client, "a", "a", over=True)
        with pytest.raises(FileNotFoundError):
            copy_file(client, "missing", "c", over=True)
        with client.open("c", "w") as file:
            file.write(b"x")
            with pytest.raises(OSError, match="close it first"):
                copy_file(client, "a", "c", over=True)


def test_links_are_refused_with_the_reason(server: SftpServer) -> None:
    with server.sftp() as client, pytest.raises(OSError, match="keeps no links"):
        client._request(CMD_EXTENDED, "hardlink@openssh.com", "a", "b")


@pytest.mark.skipif(shutil.which("sftp") is None, reason="no OpenSSH here")
def test_copies_of_openssh(server: SftpServer, tmp_path: Path) -> None:
    server.store.put("/d", None)
    ssh = OpenSsh(tmp_path, server.port, "alice", PASSWORD)
    done = ssh.sftp('cp a "d/a copy"\ncp a b\n')
    assert done.returncode == 0, done.stderr
    assert server.store.read("/d/a copy") == server.store.read("/b") == DATA
    assert server.store.calls["unfold"] == 0
    assert ssh.sftp("cp a a\n").returncode != 0
    assert server.store.read("/a") == DATA
