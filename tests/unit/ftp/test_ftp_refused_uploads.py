"""An upload that is refused on its way: the client may go on sending, within bounds, and reads why."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from ftpserver import Client, Server, certificate, serving

from ftpgateway.ftp.data import discarding
from raftstore.errors import NoQuorum, QuotaExceeded

BLOCK = os.urandom(1024 * 1024)
QUOTA = "452 It does not fit into your quota; delete something, or ask the operator for more."


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tls_certificate=certificate(tmp_path_factory.mktemp("tls"))) as running:
        yield running


@pytest.fixture
def server(shared: Server) -> Server:
    shared.reset()
    shared.run(shared.store.put, "/a", b"before", "alice")
    return shared


@pytest.fixture(params=["plain", "tls"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Client]:
    with server.client(None) as client:
        if request.param == "tls":
            insecure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
            assert client.command("AUTH TLS") == 234
            client.sock = insecure.wrap_socket(client.sock)
            plain = client.data

            def data() -> socket.socket:
                return insecure.wrap_socket(plain(), do_handshake_on_connect=False)

            client.data = data  # type: ignore[method-assign]
            client.command("PBSZ 0")
            client.command("PROT P")
        assert client.command("USER alice") == 331
        assert client.command("PASS correct horse") == 230
        yield client


def begin(client: Client) -> socket.socket:
    connection = client.data()
    assert client.command("STOR a") == 150, client.text
    if isinstance(connection, ssl.SSLSocket):
        connection.do_handshake()
    return connection


def end(connection: socket.socket) -> None:
    """Close in order, and see the other side do so."""
    if isinstance(connection, ssl.SSLSocket):
        connection = connection.unwrap()  # waits for the server's
    else:
        connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    connection.close()


def breaks(work: Callable[[], object]) -> None:
    with pytest.raises(OSError):
        while True:
            work()


def at_feed(server: Server) -> None:
    server.fail("feed", QuotaExceeded("0"))


def at_drained(server: Server) -> None:
    server.store.window = 1
    server.fail("drained", QuotaExceeded("0"))


@pytest.mark.parametrize("where", [at_feed, at_drained])
def test_who_sends_everything_first_reads_why_and_the_session_goes_on(
    where: Callable[[Server], None], server: Server, client: Client
) -> None:
    where(server)
    with begin(client) as connection:
        for _ in range(30):  # far more than sockets hold
            connection.sendall(BLOCK)
        assert client.reply() == 452
        assert client.text == QUOTA
        end(connection)
    server.heal()
    assert server.store.ended == {"suspend": 1}
    assert server.run(server.store.read, "/a") == b"before"
    with begin(client) as connection:
        connection.sendall(b"after")
        end(connection)
    assert client.reply() == 226
    assert server.run(server.store.read, "/a") == b"after"


def test_the_reply_does_not_wait_for_the_end_and_abor_ends_the_connection(
    server: Server, client: Client
) -> None:
    at_feed(server)
    with begin(client) as connection:
        connection.sendall(BLOCK)
        assert client.reply() == 452
        connection.sendall(BLOCK)
        assert client.command("ABOR") == 225
        breaks(lambda: connection.sendall(BLOCK))
    assert client.command("NOOP") == 200


def test_a_client_that_goes_takes_it_with_it(server: Server, client: Client) -> None:
    server.fail("feed", NoQuorum())
    with begin(client) as connection:
        connection.sendall(BLOCK)
        assert client.reply() == 451
        client.close()
        breaks(lambda: connection.sendall(BLOCK))
    server.wait_for(lambda: server.frontend.sessions == 0)


def test_the_bytes_that_are_thrown_away_are_bounded(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discarding, "SIZE_LIMIT", 4 * len(BLOCK))
    at_feed(server)
    with begin(client) as connection:
        breaks(lambda: connection.sendall(BLOCK))
    assert client.reply() == 452


def test_the_time_is_bounded(server: Server, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discarding, "TIME_LIMIT", 0.1)
    at_feed(server)
    with begin(client) as connection:
        with contextlib.suppress(OSError):  # the time may be over before all is sent
            connection.sendall(BLOCK)
        assert client.reply() == 452
        server.wait_for(lambda: not left(server))
        breaks(lambda: connection.sendall(b"x"))


def test_one_connection_of_a_session_is_read_at_a_time(server: Server, client: Client) -> None:
    at_feed(server)
    with begin(client) as first:
        first.sendall(BLOCK)
        assert client.reply() == 452
        assert len(server.run(left, server)) == 1
        with begin(client) as second:
            breaks(lambda: first.sendall(BLOCK))
            second.sendall(BLOCK)
            assert client.reply() == 452
            end(second)
    server.wait_for(lambda: not left(server))


def test_the_rate_of_the_user_holds_for_it(server: Server, client: Client) -> None:
    alice = server.store.accounts["alice"]
    at_feed(server)
    try:
        server.run(server.store.change_account, "alice", replace(alice, upload_rate=len(BLOCK)))
        assert client.command("NOOP") == 200
        with begin(client) as connection:
            connection.sendall(BLOCK)
            assert client.reply() == 452
            (discarding_,) = server.run(left, server)
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                while True:
                    connection.sendall(BLOCK)
            # So much, or more, is in the sockets; at full speed hundreds of megabytes would have been taken.
            taken = discarding.SIZE_LIMIT - discarding_._left
            assert taken < 32 * len(BLOCK)
    finally:
        server.run(server.store.change_account, "alice", alice)


def left(server: Server) -> list[discarding.Discarding]:
    """The data connections that are still read."""
    found = [session.link._discarding for session in server.frontend._sessions]
    return [one for one in found if one is not None and not one._over]
