"""Who holds SSH connections without a login keeps nobody out; balancers tell who the client is, before SSH begins."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct

import paramiko
from ftpserver import PASSWORD
from sftpserver import SftpServer, running
from waiting import DEADLINE

from ftpgateway.serving.proxyprotocol import SIGNATURE

BALANCER = (ipaddress.ip_network("127.0.0.9/32"),)
HEADER = SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, bytes([198, 51, 100, 7]), bytes(4), 40000, 22)


def connect(server: SftpServer, source: str = "127.0.0.1", first: bytes = b"") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), DEADLINE, (source, 0))
    sock.sendall(first)
    return sock


def names(server: SftpServer, source: str, first: bytes = b"") -> list[str]:
    """Log in and list."""
    transport = paramiko.Transport(connect(server, source, first))
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = DEADLINE
    try:
        transport.connect(username="alice", password=PASSWORD)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        return client.listdir()
    finally:
        transport.close()


def ended(sock: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1000):
            pass
    return True


def test_idle_connections_keep_nobody_out_and_take_few_workers_threads() -> None:
    with running(max_logging_in=8) as server, server.sftp("bob") as before:
        idle = [connect(server) for _ in range(64)]
        assert names(server, "127.0.0.1") == []
        assert names(server, "127.0.0.2") == []
        assert before.listdir() == []
        # All that went beyond the share of one address were closed.
        assert all(ended(sock) for sock in idle[:50])
        for sock in idle:
            sock.close()
        server.wait_for(lambda: server.frontend.sessions == 1)


def test_who_leaves_without_a_word_never_reaches_a_worker() -> None:
    with running() as server:
        for _ in range(50):
            connect(server).close()
        server.wait_for(lambda: server.frontend.sessions == 0)
        assert server.frontend.worker_pids == []
        assert names(server, "127.0.0.1") == []


def test_who_waits_for_the_servers_version_gets_it() -> None:
    with running() as server, connect(server) as sock:
        assert sock.recv(8) == b"SSH-2.0-"


def test_a_balancer_tells_who_the_client_is() -> None:
    with running(proxy_networks=BALANCER) as server:
        held: list[str] = []
        server.store.hooks["listing"] = lambda *_: held.extend(
            connection.peer for connection in server.frontend._connections
        )
        assert names(server, "127.0.0.9", HEADER) == []
        assert held == ["198.51.100.7"]
        with connect(server, "127.0.0.9", b"SSH-2.0-x\r\n") as without:
            assert ended(without)
        with connect(server, "127.0.0.1", HEADER) as unlisted:
            # No header to us: what begins thus is not SSH.
            assert ended(unlisted)


def test_nothing_is_held_when_all_have_left() -> None:
    with running(proxy_networks=BALANCER) as server:
        names(server, "127.0.0.9", HEADER)
        with connect(server), connect(server, "127.0.0.9"):
            pass
        server.wait_for(lambda: server.frontend.sessions == 0)
        assert not list(server.access.ledger.holders())
