"""SSH sessions: keys, algorithms, new keys in mid-transfer, and the bounds on who comes in."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from ftpserver import PASSWORD
from openssh import OpenSsh
from paramiko.packet import Packetizer
from sftpserver import SftpServer, ShiftedLoop, running
from sshpair import FAILURE, SUCCESS, ByHand
from structlog.testing import capture_logs
from waiting import DEADLINE, eventually

from ftpgateway.sftp.connection import Connection
from ftpgateway.sftp.refusing import refusal
from ftpgateway.sftp.ssh import negotiation
from ftpgateway.sftp.ssh.sshfields import string
from ftpgateway.sftp.ssh.sshkex import GCM

DATA = os.urandom(2 * 1024 * 1024)
TOO_MANY = refusal("Too many logins at once; try again in a moment.")

needs_openssh = pytest.mark.skipif(
    shutil.which("sftp") is None and "PIXRAFT_TEST_INSTALLED" not in os.environ,
    reason="OpenSSH is not installed",
)


def test_the_library_is_the_one_that_was_read() -> None:
    """`sshd` and `sshpackets` replace parts of paramiko: look at what it uses again before this is changed."""
    assert paramiko.__version__.startswith("5.1.")
    for owner, names in {
        Packetizer: (
            *("_read_timeout", "handshake_timed_out", "need_rekey", "closed", "read_all", "readline"),
            *("read_message", "send_message", "write_all", "_trigger_rekey", "set_inbound_cipher"),
            *("set_outbound_cipher", "REKEY_PACKETS", "REKEY_BYTES"),
            *("REKEY_PACKETS_OVERFLOW_MAX", "REKEY_BYTES_OVERFLOW_MAX"),
        ),
        paramiko.Transport: (
            *("_send_user_message", "_check_banner", "run"),
            *("_queue_incoming_channel", "_unlink_channel"),
        ),
        paramiko.Channel: ("_check_add_window", "_feed", "_wait_for_send_window"),
    }.items():
        assert not [name for name in names if not hasattr(owner, name)]
    for name in ("in_buffer", "in_stderr_buffer", "in_window_threshold", "out_window_size"):
        assert name in vars(paramiko.Channel(0))
    one, other = socket.socketpair()
    with one, other:
        library = vars(paramiko.Transport(one))
    assert library["channels_seen"] == {} and library["server_accepts"] == []


def test_lists_of_algorithms_are_read_with_care() -> None:
    lists = [b"kex", b"key", b"aes128-ctr,aes128-gcm@openssh.com", b"aes256-gcm@openssh.com", *[b""] * 6]
    body = b"".join(len(one).to_bytes(4, "big") + one for one in lists)
    packet = b"\0\0\1\0" + b"\4" + b"\x14" + bytes(16) + body + bytes(5)
    assert negotiation.knows(packet, GCM)
    assert not negotiation.knows(packet.replace(b"aes256-gcm@openssh.com", b"aes256-ctr             "), GCM)
    assert not any(negotiation.knows(packet[:cut], GCM) for cut in range(len(packet)))
    assert not negotiation.knows(b"", GCM)


@needs_openssh
def test_openssh_with_a_key_gets_new_keys_in_mid_transfer(tmp_path: Path) -> None:
    with running() as server:
        client = OpenSsh(tmp_path / "c", server.port, "alice", "not her password")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
        key = (tmp_path / "id.pub").read_text().strip()
        alice = server.store.accounts["alice"]
        server.store.accounts["alice"] = replace(alice, authorized_keys=(key,))
        (client.place / "a.jpg").write_bytes(DATA)
        for cipher in (None, "aes256-ctr"):
            chosen = [] if cipher is None else ["-c", cipher]
            # Who does not tell within 0.3 s what it knows is not made to choose: on a busy machine, that happens.
            for _ in range(5):
                done = client.sftp(
                    "put a.jpg\nget a.jpg b.jpg\n",
                    "-v",
                    *("-i", str(tmp_path / "id"), "-oRekeyLimit=512K"),
                    *chosen,
                )
                assert done.returncode == 0, done.stderr
                if "cipher: aes128-gcm@openssh.com" in done.stderr or cipher:
                    break
            assert f"cipher: {cipher or 'aes128-gcm@openssh.com'}" in done.stderr
            assert (
                done.stderr.count("rekeying in progress") or done.stderr.count("SSH2_MSG_NEWKEYS received") > 4
            )
            assert server.store.read("/a.jpg") == DATA == (client.place / "b.jpg").read_bytes()
        server.store.accounts["alice"] = alice
        assert client.sftp("ls\n", "-i", str(tmp_path / "id")).returncode != 0


def banner(server: SftpServer) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as link:
        return link.recv(1000)


def ends(sock: socket.socket, send: Callable[[], object] = lambda: None) -> bool:
    """Whether the server ends the connection, whatever is sent meanwhile."""
    sock.settimeout(0.2)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            send()
            if not sock.recv(65536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_too_many_at_the_door_and_too_many_wrong_passwords() -> None:
    with running(max_logging_in=2, max_login_attempts=2) as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address) as first, socket.create_connection(address) as second:
            server.wait_for(lambda: server.frontend.sessions == 1)
            # One address has three quarters of two places: the newest one replaces who has not sent a byte.
            assert first.recv(1000) == TOO_MANY
            second.sendall(b"SSH-2.0-x\r\n")
            assert second.recv(8) == b"SSH-2.0-"
            assert banner(server) == TOO_MANY
        server.wait_for(lambda: server.frontend.sessions == 0)
        transport = server.transport()
        try:
            transport.start_client(timeout=DEADLINE)
            for _ in range(2):
                with pytest.raises(paramiko.SSHException):
                    transport.auth_password("alice", "wrong")
            server.wait_for(lambda: server.frontend.sessions == 0)
        finally:
            transport.close()


def test_who_does_not_log_in_is_sent_away() -> None:
    with running(login_timeout=1.0) as server:
        address = ("127.0.0.1", server.port)
        with socket.create_connection(address) as one, socket.create_connection(address) as two:
            # A byte now and then, or a packet without an end, does not keep a connection.
            assert ends(one, lambda: one.sendall(b"x"))
            with contextlib.suppress(OSError):
                two.sendall(b"SSH-2.0-x\r\n" + (2**30).to_bytes(4, "big"))
            assert ends(two)
        server.wait_for(lambda: server.frontend.sessions == 0)


def test_who_does_nothing_is_sent_away() -> None:
    with running(idle_timeout=2.0) as server:
        sent_away = False
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError), server.sftp():
            assert server.frontend.sessions == 1
            server.wait_for(lambda: server.frontend.sessions == 0)
            sent_away = True
        assert sent_away, "it never came in"


def warm(server: SftpServer) -> None:
    """Have the workers running: a start takes longer than the times that are tried here."""
    for _ in range(2):
        with server.sftp():
            pass


def test_keep_alives_keep_a_session_and_none_that_does_not_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    lived: Counter[int] = Counter()
    lives = Connection._lives

    def counted(connection: Connection, moving: bool) -> None:
        lives(connection, moving)
        lived[connection.number] += 1

    monkeypatch.setattr(Connection, "_lives", counted)
    # The node's times are by its loop's clock, which the test sets: however slow the machine is, none is over before.
    # The workers' are by the machine's; they only say how often the node is told that a client lives.
    with running(ShiftedLoop, idle_timeout=4.0) as server, contextlib.ExitStack() as stack:
        server.frontend.settings = replace(server.frontend.settings, idle_timeout=1000.0, login_timeout=2500.0)

        def connected() -> paramiko.Transport:
            transport = server.transport()
            stack.callback(transport.close)
            return transport

        def logged_in() -> paramiko.Transport:
            transport = connected()
            transport.connect(username="alice", password=PASSWORD)
            transport.set_keepalive(0.1)
            return transport

        def session(transport: paramiko.Transport) -> paramiko.SFTPClient:
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            client.get_channel().settimeout(DEADLINE)  # type: ignore[union-attr]
            return client

        client = session(logged_in())
        over = logged_in()  # a connection whose session is over
        session(over).close()
        # And one that opens none yet is not in time for a login, but idle (`ssh -N`, masters).
        none = logged_in()
        stranger = connected()
        stranger.start_client(timeout=DEADLINE)
        stranger.set_keepalive(0.1)
        server.wait_for(lambda: sum(one.logged_in for one in server.frontend._connections) == 3)
        assert server.frontend.sessions == 4
        for _ in range(4):  # together longer than the time for a login, and each within what one may be idle
            before = lived.copy()
            server.wait_for(
                lambda before=before: all(
                    lived[one.number] > before[one.number]
                    for one in server.frontend._connections
                    if one.logged_in
                )
            )
            assert server.run(lambda: sum(one.logged_in for one in server.frontend._connections)) == 3
            server.run(server.loop.forward, 700.0)  # type: ignore[attr-defined]
        server.wait_for(lambda: server.frontend.sessions == 3)
        assert client.listdir() == session(over).listdir() == session(none).listdir() == []
        eventually(lambda: not stranger.is_active())
        for transport in (client.get_channel().get_transport(), over, none):  # type: ignore[union-attr]
            transport.packetizer.set_keepalive(0, None)

        def all_gone() -> bool:
            """What was still on its way counts from when it comes."""
            server.loop.forward(300.0)  # type: ignore[attr-defined]
            return bool(server.frontend.sessions == 0)

        eventually(lambda: server.run(all_gone))


@needs_openssh
def test_a_shell_is_refused_with_a_message_and_nothing_hangs(tmp_path: Path) -> None:
    with running() as server:
        client = OpenSsh(tmp_path / "c", server.port, "alice", PASSWORD)
        for options in ((), ("-tt",), ("-T",), ("-C", "-oSetEnv=A=b"), ("-oMACs=umac-64@openssh.com",)):
            for command in ((), ("ls", "-l")):
                done = client.ssh(*options, *command)
                assert done.returncode == 1 and "This server offers SFTP and scp only" in done.stderr, done
        done = client.ssh("-N", "-oExitOnForwardFailure=yes", "-R", "0:localhost:1")
        assert done.returncode == 255 and "forwarding failed" in done.stderr, done
        done = client.ssh("-W", "localhost:1")
        assert done.returncode == 255 and "prohibited" in done.stderr, done


@needs_openssh
def test_openssh_shows_why_it_is_refused(tmp_path: Path) -> None:
    with running() as server, capture_logs() as lines:
        client = OpenSsh(tmp_path / "c", server.port, "alice", PASSWORD)
        done = client.ssh("-oHostKeyAlgorithms=ssh-rsa")
        assert done.returncode == 255 and "no matching host key type" in done.stderr
        server.wait_for(lambda: any(line["event"] == "session over" for line in lines))
        (over,) = [line for line in lines if line["event"] == "session over"]
        assert over["reason"] == "no host key algorithm in common; the client has ssh-rsa"
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "id"], check=True)
        done = client.sftp("ls\n", "-i", str(tmp_path / "id"), "-oPubkeyAcceptedAlgorithms=ssh-rsa")
        assert done.returncode == 0, done.stderr


def test_the_log_says_whose_keys_were_refused_and_of_what_kind() -> None:
    with running() as server, capture_logs() as lines:
        for kind in (b"ssh-ed25519", b"ssh-dss"):
            client = ByHand(socket.create_connection(("127.0.0.1", server.port)))
            try:
                client.start_client(timeout=DEADLINE)
                client.say(5, "ssh-userauth")
                assert client.asks("publickey", False, kind, string(kind) + string(bytes(32))) == FAILURE
            finally:
                client.close()
            server.wait_for(lambda: server.frontend.sessions == 0)
    known, unknown = [line for line in lines if line["event"] == "login refused"]
    assert (known["user"], known["peer"], known["keys"], known["kinds"]) == (
        "alice",
        "127.0.0.1",
        1,
        "ssh-ed25519",
    )
    assert (unknown["user"], unknown["peer"]) == ("alice", "127.0.0.1") and "ssh-dss" in unknown["reason"]


def test_why_the_node_ends_a_connection_is_told() -> None:
    # Long enough for a login on a busy machine, where there is one.
    for reason, logs_in, passwords, limits in (
        ("no login in time", False, (), {"login_timeout": 8.0}),
        ("too many wrong passwords", False, ("a", "b"), {"max_login_attempts": 2}),
        ("nothing came for too long", True, (PASSWORD,), {"idle_timeout": 4.0}),
    ):
        with running(**limits) as server:
            warm(server)
            client = ByHand(socket.create_connection(("127.0.0.1", server.port)))
            try:
                client.start_client(timeout=DEADLINE)
                client.say(5, "ssh-userauth")
                for password in passwords:
                    client.say(50, "alice", "ssh-connection", "password", False, password)
                    if password is not passwords[-1] or logs_in:
                        assert client.hears(FAILURE, SUCCESS)[0] == (SUCCESS if logs_in else FAILURE)
                farewell = paramiko.Message(client.hears(1)[1])
                assert (farewell.get_int(), farewell.get_text()) == (11, reason)
            finally:
                client.close()


@needs_openssh
def test_old_devices_are_let_in_where_that_is_wanted(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", tmp_path / "id"], check=True)
    key = (tmp_path / "id.pub").read_text().strip()
    old = ["-oKexAlgorithms=diffie-hellman-group14-sha1", "-oHostKeyAlgorithms=ssh-rsa", "-oMACs=hmac-sha1"]
    signs = ["-i", str(tmp_path / "id"), "-oPubkeyAcceptedAlgorithms=ssh-rsa", "-oBatchMode=yes"]
    for legacy in (False, True):
        with running(legacy_algorithms=legacy) as server:
            server.store.accounts["alice"] = replace(server.store.accounts["alice"], authorized_keys=(key,))
            client = OpenSsh(tmp_path / f"{legacy}", server.port, "alice", "not her password")
            (client.place / "a.jpg").write_bytes(DATA)
            outcomes = {
                client.sftp("put a.jpg\n", *algorithms, *signs).returncode == 0
                for algorithms in ([*old, "-oCiphers=aes128-cbc"], [*old, "-oCiphers=3des-cbc"], [])
            }
            assert outcomes == {legacy}
            if legacy:
                assert server.store.read("/a.jpg") == DATA


def test_sessions_are_bounded() -> None:
    with running(max_sessions=2, max_channels=2, max_sessions_per_address=2) as server:
        with server.sftp() as client, server.sftp("bob"):
            assert banner(server).startswith(b"Too many sessions")
            transport = client.get_channel().get_transport()
            second = paramiko.SFTPClient.from_transport(transport)
            assert second is not None and second.listdir() == []
            with pytest.raises(paramiko.SSHException):
                paramiko.SFTPClient.from_transport(transport)
            second.close()
            assert client.listdir() == []
        server.wait_for(lambda: server.frontend.sessions == 0)
        with server.sftp() as client:
            assert client.listdir() == []
