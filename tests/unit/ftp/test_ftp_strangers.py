"""Who holds connections without a login keeps nobody out; who connects through a balancer is known by its address."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
from ftpserver import PASSWORD, Client, Server, certificate, serving
from waiting import DEADLINE

from ftpgateway.serving.proxyprotocol import SIGNATURE

BALANCER = (ipaddress.ip_network("127.0.0.9/32"),)


def connect(server: Server, source: str = "127.0.0.1", port: int = 0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port or server.port), DEADLINE, (source, 0))


def peers(server: Server) -> list[str]:
    """The clients' addresses, as the server knows them."""
    found: list[str] = server.run(lambda: [session.peer for session in server.frontend._sessions])
    return found


class From(Client):
    """A client from an address of its own, or through a balancer that sends `header`."""

    def __init__(self, server: Server, source: str, header: bytes = b"", user: str | None = "alice") -> None:
        self._buffer = b""
        self.sock = connect(server, source)
        self.sock.sendall(header)
        self.greeting = self.reply()
        if user is not None:
            assert self.command(f"USER {user}") == 331
            assert self.command(f"PASS {PASSWORD}") == 230, self.text


def version_2(source: str, command: int = 1, options: bytes = b"") -> bytes:
    address = ipaddress.ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed + address.packed + struct.pack("!HH", 40000, 21) + options
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


def test_idle_connections_keep_nobody_out_and_cut_off_nobody_who_has_logged_in() -> None:
    with serving(max_sessions=12, max_logging_in=8) as server, server.client() as before:
        idle = [connect(server) for _ in range(40)]
        server.wait_for(lambda: server.frontend.sessions == 7)
        # From the same address, and from another one, while the places are taken.
        with From(server, "127.0.0.1") as same, From(server, "127.0.0.2", user="bob") as other:
            for client in (before, same, other):
                assert client.command("NOOP") == 200
        for sock in idle[:20]:
            assert b"421 Too many logins at once" in b"".join(iter(lambda sock=sock: sock.recv(200), b""))
        for sock in idle:
            sock.close()


def test_logins_under_way_are_not_pushed_out_by_newcomers_of_their_address() -> None:
    with serving(max_logging_in=4) as server:
        busy = [From(server, "127.0.0.1", user=None) for _ in range(3)]
        for client in busy:
            assert client.command("USER alice") == 331
        with From(server, "127.0.0.1", user=None) as refused:
            assert refused.greeting == 421 and refused.at_end()
        with From(server, "127.0.0.2", user="bob") as other:
            assert other.command("NOOP") == 200
        for client in busy:
            assert client.command(f"PASS {PASSWORD}") == 230
            client.close()


def test_an_account_does_not_get_all_places() -> None:
    with serving(max_sessions=4) as server:
        mine = [server.client() for _ in range(3)]
        with From(server, "127.0.0.1", user=None) as fourth:
            fourth.command("USER alice")
            assert fourth.command(f"PASS {PASSWORD}") == 421
            assert "as many sessions at this node as it may" in fourth.text
        with From(server, "127.0.0.1", user="bob") as other:
            assert other.command("NOOP") == 200
        for client in mine:
            client.close()


def test_who_logs_out_is_a_stranger_again() -> None:
    with serving(max_sessions=4, max_logging_in=1) as server, server.client() as client:
        assert server.run(lambda: server.frontend.connections.logging_in) == 0
        assert client.command("REIN") == 220
        assert server.run(lambda: server.frontend.connections.logging_in) == 1
        assert client.command("USER bob") == 331
        assert client.command(f"PASS {PASSWORD}") == 230
        assert server.run(lambda: server.frontend.connections.logging_in) == 0
        # There is one place, and a login under way has it: who logs out now has to go.
        with From(server, "127.0.0.1", user=None) as under_way:
            assert under_way.command("USER alice") == 331
            assert client.command("REIN") == 421
            assert client.at_end()
            assert under_way.command(f"PASS {PASSWORD}") == 230
    assert not list(server.access.ledger.holders())


@pytest.mark.parametrize(
    "header",
    [
        version_2("198.51.100.7"),
        version_2("198.51.100.7", options=b"\x04\x00\x03abc\xee\x00\x01x"),
        version_2("::ffff:198.51.100.7"),
        b"PROXY TCP4 198.51.100.7 127.0.0.1 40000 21\r\n",
    ],
)
def test_a_balancer_tells_who_the_client_is(header: bytes) -> None:
    with (
        serving(proxy_networks=BALANCER, max_sessions_per_address=1) as server,
        From(server, "127.0.0.9", header) as client,
    ):
        assert client.command("NOOP") == 200
        assert peers(server) == ["198.51.100.7"]
        with From(server, "127.0.0.9", header, user=None) as again:
            assert again.greeting == 421 and "from your address" in again.text
        with From(server, "127.0.0.9", version_2("198.51.100.8"), user="bob") as other:
            assert other.command("NOOP") == 200


def test_the_header_may_come_in_pieces_and_with_the_first_command() -> None:
    with serving(proxy_networks=BALANCER) as server:
        sock = connect(server, "127.0.0.9")
        header = version_2("2001:db8::1")
        for byte in header[:-1]:
            sock.sendall(bytes([byte]))
        sock.sendall(header[-1:] + b"USER alice\r\n")
        assert sock.recv(3) == b"220"
        sock.close()


def test_a_balancer_that_checks_is_itself() -> None:
    with (
        serving(proxy_networks=BALANCER) as server,
        From(server, "127.0.0.9", version_2("0.0.0.0", 0)) as client,
    ):
        assert peers(server) == ["127.0.0.9"]
        assert client.command("NOOP") == 200


@pytest.mark.parametrize("said", [b"USER alice\r\n", b"PROXY TCP4 nonsense\r\n", SIGNATURE + b"\x41\0\0\0"])
def test_a_listed_network_without_a_header_is_refused(said: bytes) -> None:
    with serving(proxy_networks=BALANCER) as server:
        with connect(server, "127.0.0.9") as sock:
            sock.sendall(said)
            assert _ended(sock)
        assert server.run(lambda: server.frontend.sessions) == 0


def test_a_header_from_elsewhere_is_not_believed() -> None:
    header = b"PROXY TCP4 198.51.100.7 127.0.0.1 1 2\r\n"
    with serving(proxy_networks=BALANCER) as server, From(server, "127.0.0.1", header, user=None) as client:
        assert client.greeting == 220
        assert client.reply() == 500
        assert peers(server) == ["127.0.0.1"]


def test_before_tls_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "tls_certificate": certificate(tmp_path),
        "implicit_tls_listen": ("127.0.0.1", 0),
    }
    with serving(proxy_networks=BALANCER, **settings) as server:
        port = server.run(lambda: server.frontend.addresses[1][1])
        sock = connect(server, "127.0.0.9", port)
        sock.sendall(version_2("198.51.100.7"))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(sock) as tls:
            assert tls.recv(3) == b"220"
            assert peers(server) == ["198.51.100.7"]


def test_data_connections_come_from_the_client_or_through_the_balancer() -> None:
    with (
        serving(proxy_networks=BALANCER) as server,
        From(server, "127.0.0.9", version_2("127.0.0.5")) as client,
    ):
        server.store.put("/a.jpg", b"picture")
        for source, header, ours in (
            ("127.0.0.5", b"", True),
            ("127.0.0.9", version_2("127.0.0.5"), True),
            ("127.0.0.9", version_2("127.0.0.6"), False),
            ("127.0.0.9", version_2("127.0.0.5", command=0), False),
            ("127.0.0.6", version_2("127.0.0.5"), False),
        ):
            port = client.passive()[1]
            with socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0)) as data:
                data.sendall(header)
                if not ours:
                    assert _ended(data)
                    continue
                assert client.command("RETR a.jpg") == 150
                assert data.recv(100) == b"picture"
                assert client.reply() == 226


def test_balancers_that_send_nothing_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftpgateway.serving.proxies.MOST_READING", 3)
    with serving(proxy_networks=BALANCER) as server:
        waiting = [connect(server, "127.0.0.9") for _ in range(5)]
        assert _ended(waiting[0]) and _ended(waiting[1])
        waiting[4].sendall(version_2("198.51.100.7"))
        assert waiting[4].recv(3) == b"220"
        for sock in waiting:
            sock.close()


def _ended(sock: socket.socket) -> bool:
    try:
        return not sock.recv(100)
    except ConnectionResetError:
        return True
