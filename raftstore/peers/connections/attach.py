"""From a connected socket to a transport, on event loops that do not agree whose the socket is meanwhile."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

from raftstore.peers.security.tls import SHUTDOWN_TIME


async def attach(
    factory: Callable[[], asyncio.BaseProtocol],
    connection: socket.socket,
    context: ssl.SSLContext | None,
    handshake_time: float,
) -> asyncio.Transport:
    """Give the socket to the loop, as the client of a TLS connection if there is a `context`.

    Raises as the loop's `create_connection`. The descriptor of the socket is negative afterwards if it is closed
    already; then uvloop (0.23) may never call the protocol's `connection_lost`, though `connection_made` was called.
    """
    before = os.fstat(connection.fileno())
    loop = asyncio.get_running_loop()
    try:
        if context is None:
            transport, _ = await loop.create_connection(factory, sock=connection)
        else:
            transport, _ = await loop.create_connection(
                factory,
                sock=connection,
                ssl=context,
                server_hostname="",  # members are known by the name in their certificate
                ssl_handshake_timeout=handshake_time,
                ssl_shutdown_timeout=SHUTDOWN_TIME,
            )
        return transport
    finally:
        _disown_closed(connection, before)


def _disown_closed(connection: socket.socket, before: os.stat_result) -> None:
    """Make the socket forget a descriptor that was closed behind its back, and may be another's by now.

    uvloop learns whose the descriptor is only when the connection is made. One that fails before (a reset that the
    first write meets) it closes without a word to the socket, which would close the number once more.
    """
    if connection.fileno() < 0:
        return
    try:
        if os.path.samestat(before, os.fstat(connection.fileno())):
            return
    except OSError:
        pass
    connection.detach()
