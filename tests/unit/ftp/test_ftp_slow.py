"""Clients that hold places for nothing: each is closed at its timeout, and what it can pile up is bounded."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ftpserver import Server, certificate, serving
from ticking import MOST_IN_A_TURN, TickingClock
from waiting import DEADLINE

from ftpgateway.ftp.session import FtpSession
from raftstore.util.limits import slices

SHORT = 0.6
MIB = 1024 * 1024


@contextlib.contextmanager
def trickling(sock: socket.socket, data: bytes) -> Iterator[None]:
    """Send a byte of `data` over and over, many within any timeout, until the end."""
    over = threading.Event()

    def send() -> None:
        position = 0
        with contextlib.suppress(OSError):
            while not over.wait(SHORT / 20):
                sock.send(data[position % len(data) :][:1])
                position += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_who_does_not_log_in(tmp_path: Path) -> None:
    with (
        serving(login_timeout=SHORT) as server,
        server.client(None) as client,
        trickling(client.sock, b"USER x"),
    ):
        assert client.reply() == 421
        assert client.at_end()


def test_who_sends_no_whole_command() -> None:
    with serving() as server, server.client() as client, trickling(client.sock, b"NOOP"):
        server.timeouts(idle=SHORT)
        assert client.reply() == 421
        assert client.at_end()


@pytest.mark.parametrize("logged_in", [False, True])
def test_who_does_not_finish_the_tls_handshake(tmp_path: Path, logged_in: bool) -> None:
    user = "alice" if logged_in else None
    settings = {"tls_certificate": certificate(tmp_path), "handshake_timeout": SHORT}
    with serving(**settings) as server, server.client(user) as client:
        assert client.command("AUTH TLS") == 234
        # A record that is announced with 512 bytes and never complete.
        with trickling(client.sock, b"\x16\x03\x01\x02\x00" + bytes(512)):
            assert client.at_end()


def test_tls_does_not_stop_the_clock_for_logging_in(tmp_path: Path) -> None:
    settings = {"tls_certificate": certificate(tmp_path), "login_timeout": 60.0, "handshake_timeout": 60.0}
    with serving(**settings) as server, server.client(None) as client:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        assert client.command("AUTH TLS") == 234

        def age() -> None:
            for session in server.frontend._sessions:
                session.opened -= 59.5

        server.run(age)
        with context.wrap_socket(client.sock) as secured:
            assert secured.recv(100).startswith(b"421 ")


def test_an_upload_of_a_byte_now_and_then_is_ended() -> None:
    with serving(stall_timeout=SHORT) as server, server.client() as client:
        with client.data() as connection, trickling(connection, b"x"):
            assert client.command("STOR slow.jpg") == 150
            assert client.reply() == 426
        assert client.command("NOOP") == 200
        assert "/slow.jpg" not in server.store.root.children


def test_a_download_that_is_read_byte_by_byte_is_ended() -> None:
    with serving(stall_timeout=SHORT) as server, server.client() as client:
        assert client.store("large.jpg", b"x" * (24 * MIB)) == 226
        with client.data() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            assert client.command("RETR large.jpg") == 150
            client.sock.settimeout(SHORT / 20)
            deadline = time.monotonic() + DEADLINE
            while time.monotonic() < deadline:
                connection.recv(1)
                with contextlib.suppress(TimeoutError):
                    assert client.reply() == 426
                    break
            client.sock.settimeout(DEADLINE)
        assert client.command("NOOP") == 200


def ignoring(server: Server, send: Callable[[socket.socket], None]) -> socket.socket:
    """A session whose client sends and never reads."""
    client = server.client()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send(client.sock)
    return client.sock


def test_who_never_reads_replies_is_held_up_and_closed() -> None:
    """What waits for such a client is a reply, not all that it asked for; and goodbye is not waited for."""

    def flood(sock: socket.socket) -> None:
        sock.setblocking(False)
        deadline = time.monotonic() + DEADLINE
        sent, quiet = 0, 0
        with contextlib.suppress(OSError):
            while quiet < 10 and time.monotonic() < deadline:
                try:
                    sent += sock.send(b"HELP\r\n" * 1000)
                    quiet = 0
                except BlockingIOError:
                    quiet += 1
                    time.sleep(0.01)
        assert quiet == 10, f"the server took {sent} bytes of commands without its replies being read"

    with serving(idle_timeout=3.0) as server:
        sock = ignoring(server, flood)
        sessions = server.run(lambda: list(server.frontend._sessions))
        queued = server.run(lambda: sum(len(one) for session in sessions for one in session.producer_fifo))
        assert queued < 64 * 1024
        server.wait_for(lambda: server.frontend.sessions == 0)
        sock.settimeout(DEADLINE)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # at once, though most replies are unread
            sock.sendall(b"x" * MIB)
        sock.close()


def test_who_reads_late_gets_everything_in_order() -> None:
    with serving() as server, server.client() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        count = 1500

        def send() -> None:
            for number in range(count):
                client.sock.sendall(b"CWD /\r\n" if number % 2 else f"UNKNOWN{number} {'x' * 100}\r\n".encode())
            client.sock.sendall(b"QUIT\r\n")

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(0.2)  # let replies pile up
        codes = [client.reply() for _ in range(count + 1)]
        sender.join()
        assert codes == [250 if number % 2 else 500 for number in range(count)] + [221]


def test_reset_after_a_flood_leaves_nothing(tmp_path: Path) -> None:
    with serving() as server:
        client = server.client()
        client.sock.sendall(b"HELP\r\n" * 2000)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        server.wait_for(lambda: server.frontend.sessions == 0)


def test_a_flood_of_commands_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of commands fit into what is read at once."""
    monkeypatch.setattr(slices, "time", TickingClock())
    with serving() as server, server.client() as flooding, server.client() as other:
        over = threading.Event()

        def flood() -> None:
            with contextlib.suppress(OSError):
                while not over.is_set():
                    flooding.sock.sendall(b"NOOP\r\n" * 2000)

        def read() -> None:
            with contextlib.suppress(OSError):
                while flooding.sock.recv(65536):
                    pass

        threads = [threading.Thread(target=flood), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        longest = server.run(_longest_turn, server, 0.5)
        assert other.command("NOOP") == 200
        over.set()
        flooding.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        assert longest.result(DEADLINE) <= MOST_IN_A_TURN


def _longest_turn(server: Server, seconds: float) -> concurrent.futures.Future[int]:
    """Count commands between turns of the loop for a while; the future gets the most there were."""
    found: concurrent.futures.Future[int] = concurrent.futures.Future()
    loop, until, counts = server.loop, time.monotonic() + seconds, [0]
    begin = FtpSession._begin

    def counting(self: FtpSession, *line: Any) -> None:
        counts[-1] += 1
        begin(self, *line)

    def tick() -> None:
        if time.monotonic() < until:
            counts.append(0)
            loop.call_soon(tick)
        else:
            FtpSession._begin = begin  # type: ignore[method-assign]
            found.set_result(max(counts))

    FtpSession._begin = counting  # type: ignore[method-assign]
    tick()
    return found
