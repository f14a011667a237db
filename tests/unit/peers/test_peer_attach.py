"""Dials that are given up, or reset, at any moment: each ends, and no descriptor is closed twice."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from typing import cast

import pytest
from peer_networks import DEADLINE, dialler, event_loops, identity, run_on
from waiting import until

from raftstore.errors import Unavailable
from raftstore.peers.connections.attach import attach
from raftstore.peers.connections.resolve import Found
from raftstore.peers.security.seal import Seal, Seals
from raftstore.peers.security.tls import client_context
from raftstore.util.addresses import Address
from raftstore.wire import peer_pb2

TURNS = 6
"""Of the loop; a transport is made in fewer."""


@pytest.fixture(params=sorted(event_loops()))
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["TLS", "sealed"])
def session(request: pytest.FixtureRequest) -> tuple[bytes, Seals] | None:
    return None if request.param == "TLS" else (b"preamble", Seals(Seal(bytes(32)), Seal(bytes(32))))


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_dial_that_is_given_up_ends_at_whatever_turn_of_the_loop(
    loop: str, session: tuple[bytes, Seals] | None, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connected(addresses: Found) -> socket.socket:
        return socket.create_connection(addresses[0])

    async def main() -> None:
        monkeypatch.setattr("raftstore.peers.connections.dial.reach", connected)
        own = dialler("a")
        for turns in range(TURNS):
            dial = own.dial(Address(*silent.getsockname()), peer_pb2.BULK, expected="b", session=session)
            task = asyncio.create_task(dial)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            _, hanging = await asyncio.wait([task], timeout=DEADLINE)
            assert not hanging, f"given up after {turns} turns"
            assert task.cancelled()

    run_on(loop, main())


def test_a_dial_that_is_reset_at_once_says_so(loop: str, session: tuple[bytes, Seals] | None) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            dial = dialler("a").dial(
                Address(*server.getsockname()), peer_pb2.BULK, expected="b", session=session
            )
            task = asyncio.create_task(dial)
            accepted, _ = await asyncio.get_running_loop().sock_accept(server)
            reset(accepted)
            with pytest.raises(Unavailable):
                await task

    run_on(loop, main())


@pytest.mark.parametrize("secure", [False, True])
def test_a_socket_that_was_reset_does_not_keep_a_closed_descriptor(
    loop: str, secure: bool, silent: socket.socket
) -> None:
    """It would close that number again when it is collected: by then a file's, or another connection's."""

    async def main() -> None:
        connection = socket.create_connection(silent.getsockname())
        reset(silent.accept()[0])
        descriptor, before = connection.fileno(), os.fstat(connection.fileno())
        try:
            await attach(Writer, connection, client_context(identity("a")) if secure else None, DEADLINE)
        except OSError:
            pass

        def closed() -> bool:
            try:
                return not os.path.samestat(before, os.fstat(descriptor))
            except OSError:
                return True

        await until(closed)
        assert connection.fileno() == -1

    run_on(loop, main())


class Writer(asyncio.Protocol):
    """Speaks first."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"hello")


def reset(connection: socket.socket) -> None:
    """Close with RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
