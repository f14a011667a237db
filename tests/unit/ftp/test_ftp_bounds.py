"""What an FTP client can make grow is bounded, and charged to its account and address."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ftpserver import PASSWORD, Client, Server, certificate, serving
from waiting import DEADLINE

from ftpgateway.access.ledger import UPLOAD_BEGINS, LedgerLimits, Limits, Resource
from ftpgateway.ftp import server as front
from ftpgateway.ftp.session import MOST_BEFORE_LOGIN, QUEUE_BYTES, QUEUE_LIMIT
from raftstore.types import CHUNK_SIZE
from raftstore.util.limits.rates import Rates


def held(server: Server, resource: Resource) -> int:
    used: int = server.run(lambda: server.access.ledger.figures()[resource.name.lower()].used)
    return used


def limits(**account: int) -> LedgerLimits:
    return LedgerLimits(node=Limits(), account=Limits(**account), network=Limits())


def test_an_upload_is_charged_for_the_chunk_that_it_fills() -> None:
    with serving(ledger=limits(memory=CHUNK_SIZE + 2 * UPLOAD_BEGINS)) as server, server.client() as client:
        with client.data() as data:
            assert client.command("STOR a") == 150
            assert held(server, Resource.MEMORY) == UPLOAD_BEGINS
            data.sendall(b"x" * (UPLOAD_BEGINS + 1))
            server.wait_for(lambda: server.access.ledger.figures()["memory"].used == CHUNK_SIZE)
            with server.client() as other, server.client("bob") as bob:
                # A small picture fits beside it, a large one does not; another account has its own.
                assert other.store("small", b"y" * 1000) == 226
                with other.data() as more:
                    assert other.command("STOR large") == 150
                    more.sendall(b"z" * (UPLOAD_BEGINS + 1))
                    assert other.reply() == 452
                    assert "your account has as much memory" in other.text
                assert other.store("small2", b"y") == 226
                assert bob.store("large", b"z" * (UPLOAD_BEGINS + 1)) == 226
        assert client.reply() == 226
        assert held(server, Resource.MEMORY) == 0


@pytest.mark.parametrize("end", ["abort", "control", "refused", "unconnected"])
def test_however_an_upload_ends_nothing_is_held(end: str) -> None:
    with serving(data_timeout=0.5 if end == "unconnected" else DEADLINE) as server, server.client() as client:
        if end == "unconnected":
            client.passive()
            assert client.command("STOR a") == 150
            assert client.reply() == 425
        elif end == "refused":
            server.store.put("/a", None)
            with client.data():
                assert client.command("STOR a") == 550
        else:
            with client.data() as data:
                assert client.command("STOR a") == 150
                data.sendall(b"x" * 100_000)
                if end == "abort":
                    assert client.command("ABOR") == 426
                    assert client.reply() == 226
                else:
                    client.sock.close()
                server.wait_for(lambda: server.access.ledger.figures()["memory"].used == 0)
        assert held(server, Resource.MEMORY) == 0


def test_a_checksum_is_charged_for_the_block_that_it_reads() -> None:
    with (
        serving(ledger=limits(memory=CHUNK_SIZE)) as server,
        server.client() as client,
        server.client() as other,
    ):
        server.store.put("/a", b"a" * 1000)
        gate = server.gate("download")
        client.send("HASH a")
        gate.wait_until_held()
        assert other.command("XCRC a") == 450
        gate.open()
        assert client.reply() == 213
        assert other.command("XCRC a") == 250
        assert held(server, Resource.MEMORY) == 0


def test_an_account_does_not_get_all_ports() -> None:
    with serving(ledger=limits(ports=2)) as server:
        clients = [server.client() for _ in range(3)]
        for client in clients[:2]:
            client.passive()
        assert clients[2].command("PASV") == 450
        assert "as many ports" in clients[2].text
        # A second PASV of a session replaces its first; and who is connected holds none.
        assert clients[0].command("EPSV") == 229
        with clients[1].data():
            server.wait_for(lambda: server.access.ledger.figures()["ports"].used == 1)
            assert clients[2].command("PASV") == 227
        with server.client("bob") as bob:
            bob.passive()
        for client in clients:
            client.close()
        server.wait_for(lambda: server.access.ledger.figures()["ports"].used == 0)


def test_lines_that_wait_are_bounded_in_bytes() -> None:
    """64 lines of 8 KiB each would wait for each of thousands of strangers."""
    with serving() as server, server.client(None) as client:
        gate = server.gate("user")
        client.send("USER alice")
        client.send("PASS x")
        gate.wait_until_held()
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                client.sock.sendall(b"USER " + b"x" * 8000 + b"\r\n")

        def waiting() -> int:
            (session,) = server.frontend._sessions
            assert len(session._lines) <= QUEUE_LIMIT
            return sum(len(argument) for *_, argument in session._lines) + len(session._begun)

        assert QUEUE_BYTES <= server.run(waiting) <= QUEUE_BYTES + 3 * 8192
        gate.open()


def test_handshakes_of_strangers_are_bounded_by_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "HANDSHAKES", 4.0)
    # All within a moment, on any machine.
    monkeypatch.setattr(front, "Rates", partial(Rates, clock=lambda: 0.0))
    settings: dict[str, Any] = {
        "tls_certificate": certificate(tmp_path),
        "implicit_tls_listen": ("127.0.0.1", 0),
    }
    with serving(handshake_timeout=1.0, **settings) as server:
        codes = []
        for _ in range(8):
            with Client("127.0.0.1", server.port, None) as client:
                codes.append(client.command("AUTH TLS"))
        assert codes == [234] * 4 + [421] * 4
        port = server.run(lambda: server.frontend.addresses[1][1])
        ended = []
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
                sock.setblocking(True)
                ended.append(sock.recv(1) == b"")
        assert all(ended)
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE, ("127.0.0.2", 0)) as sock:
            replies = sock.makefile("rb")
            assert replies.readline().startswith(b"220")
            sock.sendall(b"AUTH TLS\r\n")
            assert replies.readline().startswith(b"234")
            replies.close()


def test_the_kernel_takes_few_commands_for_a_session_that_reads_none() -> None:
    """Left to itself it takes six megabytes of each, and of two thousand strangers together twelve gigabytes."""
    with serving() as server, server.client() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        client.sock.settimeout(1.0)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 * 2**20:
                sent += client.sock.send(b"HELP\r\n" * 1000)
        assert sent < 2 * 2**20


def test_commands_before_a_login_are_bounded() -> None:
    with serving() as server, server.client() as known:
        with server.client(None) as client:
            client.sock.sendall(b"NOOP\r\n" * 3 * MOST_BEFORE_LOGIN)
            replies = [client.reply() for _ in range(MOST_BEFORE_LOGIN + 1)]
            assert replies == [200] * MOST_BEFORE_LOGIN + [421]
            assert client.at_end()
        for _ in range(3):
            for _ in range(MOST_BEFORE_LOGIN + 1):
                assert known.command("NOOP") == 200
            assert known.command("REIN") == 220
            for _ in range(MOST_BEFORE_LOGIN - 3):
                assert known.command("NOOP") == 200
            assert known.command("USER alice") == 331
            assert known.command(f"PASS {PASSWORD}") == 230
