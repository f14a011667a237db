"""Whatever is refused over SFTP: the session goes on, the client is told why, and so is the log, in the same words."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import paramiko
import pytest
from ftpserver import PASSWORD, every_refusal
from sftpserver import SftpServer, serve
from structlog.testing import capture_logs

from ftpgateway.sftp import packets, refusals
from ftpgateway.sftp.files.opened import File
from raftstore.errors import Denied, DiskFull, NoQuorum, QuotaExceeded
from raftstore.rights import Action

Lines = list[MutableMapping[str, Any]]
BLOCK = 128 * 1024


@pytest.fixture(scope="module")
def lines() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture(scope="module")
def server(lines: Lines) -> Iterator[SftpServer]:
    server = serve()
    server.store.put("/d", None)
    server.store.put("/a.jpg", b"picture", "alice")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: SftpServer) -> Iterator[paramiko.SFTPClient]:
    with server.sftp() as client:
        yield client


def unclosed(file: paramiko.SFTPFile) -> paramiko.SFTPFile:
    """Have a file that is forgotten not be closed by the library at some time."""
    file._closed = True
    return file


def written_with(failing: str, server: SftpServer, client: paramiko.SFTPClient) -> None:
    """Write a file that fails at `failing`, and close it."""
    server.store.window = 1
    server.fail(failing, QuotaExceeded("0"))
    try:
        file = unclosed(client.open(f"{failing}.jpg", "wb"))
        for number in range(16):
            client._request(packets.WRITE, file.handle, paramiko.sftp.int64(number * BLOCK), bytes(BLOCK))
        client._request(packets.CLOSE, file.handle)
    finally:
        server.heal()
        server.store.window = None


def written_to_read(server: SftpServer, client: paramiko.SFTPClient) -> None:
    with client.open("a.jpg") as file:
        client._request(packets.WRITE, file.handle, paramiko.sftp.int64(0), b"x")


Act = Callable[[SftpServer, paramiko.SFTPClient], object]
QUOTA = "It does not fit into your quota; delete something, or ask the operator for more."
TABLE: dict[str, tuple[Act, str, str, str]] = {
    "no such file": (lambda s, c: c.open("no.jpg"), "open", "no.jpg", "No such file or directory."),
    "not a directory": (lambda s, c: c.listdir("a.jpg"), "opendir", "a.jpg", "Not a directory."),
    "remove": (lambda s, c: c.remove("no.jpg"), "remove", "no.jpg", "No such file or directory."),
    "a name that cannot be": (lambda s, c: c.mkdir("a\nb"), "mkdir", "a\\x0ab", "Not a usable name"),
    "exists": (lambda s, c: c.mkdir("d"), "mkdir", "d", "It exists already; choose another name."),
    "home": (lambda s, c: c.rmdir("/"), "rmdir", "/", "the home directory stays where it is"),
    "two names": (lambda s, c: c.rename("no1", "no2"), "rename", "no1", "No such file or directory."),
    "over another": (
        lambda s, c: c.posix_rename("no1", "d"),
        "posix-rename@openssh.com",
        "no1",
        "No such file",
    ),
    "owner": (lambda s, c: c.chown("a.jpg", 5, 5), "setstat", "a.jpg", "This server keeps no owners"),
    "longer": (lambda s, c: c.truncate("a.jpg", 1 << 40), "setstat", "a.jpg", "Larger than this server takes"),
    "link": (lambda s, c: c.symlink("a.jpg", "l"), "symlink", "", "This server keeps no links"),
    "read link": (lambda s, c: c.readlink("a.jpg"), "readlink", "", "This server keeps no links"),
    "no handle": (lambda s, c: c._request(packets.CLOSE, b"x"), "close", "", "no such handle"),
    "short packet": (lambda s, c: c._request(packets.READ), "read", "", "a packet is shorter"),
    "request": (lambda s, c: c._request(99), "unknown", "", "This server does not do that"),
    "extension": (lambda s, c: c._request(200, "x@y"), "extended", "", "This server does not do that"),
    "written": (
        written_to_read,
        "write",
        "/a.jpg",
        "the file was not opened for writing",
    ),
    "past the quota at once": (lambda s, c: written_with("feed", s, c), "write", "/feed.jpg", QUOTA),
    "past the quota": (lambda s, c: written_with("drained", s, c), "write", "/drained.jpg", QUOTA),
    "past the quota at the end": (lambda s, c: written_with("commit", s, c), "close", "/commit.jpg", QUOTA),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_session_goes_on_and_the_log_tells_why(
    name: str, server: SftpServer, client: paramiko.SFTPClient, lines: Lines
) -> None:
    act, command, path, reason = TABLE[name]
    before = len(lines)
    with pytest.raises((OSError, paramiko.SFTPError)) as refused:
        act(server, client)
    assert client.stat("a.jpg").st_size == 7
    reported = [line for line in lines[before:] if line["event"] == "refused"]
    assert len(reported) == 1, reported
    assert (reported[0]["session"], reported[0]["user"], reported[0]["peer"]) == (1, "alice", "127.0.0.1")
    assert (reported[0]["command"], reported[0]["path"]) == (command, path)
    assert reported[0]["reason"].startswith(reason)
    if not isinstance(refused.value, FileNotFoundError):  # paramiko has a text of its own for that
        assert str(refused.value).removeprefix("[Errno 13] ") == reported[0]["reason"]


def test_every_error_of_the_store_is_told(
    server: SftpServer, client: paramiko.SFTPClient, lines: Lines
) -> None:
    for error in every_refusal():
        before = len(lines)
        server.fail("make_directory", error)
        with pytest.raises(OSError):
            client.mkdir("e")
        server.heal()
        reported = [line for line in lines[before:] if line["event"] == "refused"]
        assert [(line["command"], line["path"]) for line in reported] == [("mkdir", "e")]
        assert len(reported[0]["reason"]) > 10, error
    assert client.listdir("d") == []


def test_probes_are_for_who_debugs(client: paramiko.SFTPClient, lines: Lines) -> None:
    before = len(lines)
    for ask in (client.stat, client.lstat):
        with pytest.raises(FileNotFoundError):
            ask("nothing.jpg")
    reported = [line for line in lines[before:] if line["event"] == "refused"]
    assert [(line["command"], line["log_level"]) for line in reported] == [
        ("stat", "debug"),
        ("lstat", "debug"),
    ]


def test_an_upload_that_has_failed_is_told_once_and_keeps_no_more_with_each_write(
    server: SftpServer, client: paramiko.SFTPClient, lines: Lines
) -> None:
    before = len(lines)
    server.fail("feed", DiskFull())
    file = unclosed(client.open("f.jpg", "wb"))
    refused = 0
    for number in range(40):
        try:
            client._request(packets.WRITE, file.handle, paramiko.sftp.int64(number * BLOCK), bytes(BLOCK))
        except OSError as error:
            assert "Not enough free disk" in str(error)
            refused += 1
    assert refused > 20
    server.heal()
    reported = [line for line in lines[before:] if line["event"] == "refused"]
    assert [(line["path"], line["reason"][:23]) for line in reported] == [("/f.jpg", "Not enough free disk in")]
    (connection,) = server.frontend._connections
    (stream,) = connection._streams
    opened = [one for one in stream._requests._handles.values() if isinstance(one, File)][-1]
    assert opened.draft is not None
    failure = opened.draft._failure
    assert failure is not None and len(traceback.extract_tb(failure.__traceback__)) < 10
    with pytest.raises(OSError):
        client._request(packets.CLOSE, file.handle)


def test_what_is_no_sftp_is_refused_and_told(
    server: SftpServer, client: paramiko.SFTPClient, lines: Lines
) -> None:
    before = len(lines)
    transport = client.get_channel().get_transport()
    asked: dict[str, Callable[[paramiko.Channel], object]] = {
        "exec": lambda channel: channel.exec_command("ls"),
        "shell": lambda channel: channel.invoke_shell(),
        "subsystem": lambda channel: channel.invoke_subsystem("netconf"),
    }
    for ask in asked.values():
        with transport.open_session() as channel:
            try:
                ask(channel)
                assert channel.recv_exit_status() == 1
                assert channel.recv_stderr(1000).startswith(b"This server offers SFTP and scp only")
            except paramiko.SSHException:
                pass
    with pytest.raises(paramiko.SSHException):
        transport.open_channel("direct-tcpip", ("127.0.0.1", 25), ("127.0.0.1", 25))
    with pytest.raises(paramiko.SSHException):
        transport.request_port_forward("127.0.0.1", 8080)
    server.wait_for(lambda: len([line for line in lines[before:] if line["event"] == "refused"]) >= 5)
    reported = [line for line in lines[before:] if line["event"] == "refused"]
    assert [line["command"] for line in reported] == [*asked, "forwarding", "forwarding"]
    assert {line["user"] for line in reported} == {"alice"}
    assert all("SFTP and scp only" in line["reason"] for line in reported)
    assert client.listdir("d") == []


def test_what_is_refused_before_the_first_session_has_its_user_too(server: SftpServer, lines: Lines) -> None:
    before = len(lines)
    transport = server.transport()
    try:
        transport.connect(username="bob", password=PASSWORD)
        for _ in range(3):
            channel = transport.open_session()
            channel.exec_command("ls")
            assert channel.recv_exit_status() == 1
        transport.sock.shutdown(socket.SHUT_RDWR)  # no farewell
    finally:
        transport.close()
    server.wait_for(lambda: any(line["event"] == "session over" for line in lines[before:]))
    reported = [line for line in lines[before:] if line["event"] == "refused"]
    assert {(line["command"], line["user"], line["peer"]) for line in reported} == {
        ("exec", "bob", "127.0.0.1")
    }
    assert [line["log_level"] for line in reported] == ["info", "debug", "debug"]
    over = next(line for line in lines[before:] if line["event"] == "session over")
    assert (over["reason"], over["refused"], over["log_level"]) == ("the client has left", 3, "info")


def test_a_login_that_ends_with_keys_that_nobody_has_is_told(server: SftpServer, lines: Lines) -> None:
    transport = server.transport()
    try:
        transport.start_client(timeout=30)
        with pytest.raises(paramiko.SSHException):
            transport.auth_publickey("alice", paramiko.RSAKey.generate(2048))
    finally:
        transport.close()
    server.wait_for(lambda: any(line.get("reason") == "public key" for line in lines))
    server.fail("user", NoQuorum())
    transport = server.transport()
    try:
        transport.start_client(timeout=30)
        with pytest.raises(paramiko.SSHException):
            transport.auth_password("bob", "secret word")
    finally:
        transport.close()
        server.heal()
    assert any(line["event"] == "login refused" and "Too few nodes" in line["reason"] for line in lines)
    assert "secret" not in repr(lines)


def test_a_refusal_does_not_tell_where_in_the_store_the_home_lies() -> None:
    _, text = refusals.said(Denied("/customers/acme/alice/a.jpg"))
    assert "acme" not in text
    reason = "the home directory stays where it is"
    assert refusals.said(Denied(reason))[1] == reason


def test_a_right_that_is_missing_is_told_in_a_sentence_not_as_its_name() -> None:
    for action in Action:
        assert refusals.said(Denied(action.value))[1] == "You do not have the right to do that here."
