"""Passive listeners that are used again: by their own session only, and never when somebody else needs the port."""

from __future__ import annotations

import asyncio
import socket

import pytest
from ftpserver import read_all, serving
from waiting import DEADLINE

from ftpgateway.demo import ports
from ftpgateway.ftp.data.spares import Spares


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def test_a_session_gets_its_own_listener_back() -> None:
    async def main() -> None:
        spares = Spares()
        one, two = listening(), listening()
        spares.keep("a", one)
        spares.keep("b", two)
        assert spares.take("c") is None
        assert spares.take("a") is one
        assert spares.take("a") is None
        spares.keep("a", one)
        third = listening()
        spares.keep("a", third)  # instead of the first
        assert one.fileno() < 0
        assert len(spares) == 2
        spares.drop("a")
        spares.clear()
        assert (two.fileno(), third.fileno(), len(spares)) == (-1, -1, 0)

    asyncio.run(main())


def test_who_came_when_nobody_waited_is_reset() -> None:
    async def main() -> None:
        spares = Spares()
        sock = listening()
        spares.keep("a", sock)
        stray = socket.create_connection(sock.getsockname(), timeout=DEADLINE)
        assert spares.take("a") is sock
        assert stray.recv(1) == b""
        with pytest.raises(BlockingIOError):
            sock.accept()
        stray.close()
        sock.close()

    asyncio.run(main())


def test_listeners_are_kept_for_a_while_and_not_too_many() -> None:
    async def main() -> None:
        clock = Clock()
        spares = Spares(rest=0.01, limit=3, clock=clock)
        socks = [listening() for _ in range(5)]
        for number, sock in enumerate(socks):
            spares.keep(number, sock)
        assert [sock.fileno() >= 0 for sock in socks] == [False, False, True, True, True]
        clock.now = 1.0
        async with asyncio.timeout(DEADLINE):
            while spares:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert all(sock.fileno() < 0 for sock in socks)

    asyncio.run(main())


def test_downloads_of_a_session_use_one_port_and_others_another() -> None:
    with serving() as server:
        server.run(server.store.put, "/a", b"picture")
        with server.client() as client, server.client() as other:
            used = set()
            for _ in range(5):
                address = client.passive()
                used.add(address[1])
                with socket.create_connection(address, timeout=DEADLINE) as connection:
                    assert client.command("RETR a") == 150
                    assert read_all(connection) == b"picture"
                assert client.reply() == 226
            assert len(used) == 1
            assert other.passive()[1] not in used


def test_a_kept_listener_gives_way_to_a_session_that_needs_its_port() -> None:
    (port,) = ports.free("127.0.0.1", 1)
    with serving(passive_ports=(port, port)) as server:
        server.run(server.store.put, "/a", b"picture")
        with server.client() as client, server.client() as other:
            for one in (client, other, client, client, other):
                assert one.fetch("RETR a") == b"picture"
