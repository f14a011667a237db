"""Clients that are not served, and are told why: too many, or a node in maintenance."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import structlog

log = structlog.get_logger()

VERSION = b"SSH-2.0-pixraft"
PATIENCE = 2.0
"""Seconds that a client has to read the reason."""
MOST = 64
"""Of them at once; who comes then is closed at once, and may not get to read it."""

_DISCONNECT, _TOO_MANY_CONNECTIONS = 1, 12


def refusal(reason: str) -> bytes:
    """Return what a client gets that is not served. Pure.

    Some clients show the lines that come before the server's version (RFC 4253, 4.2), OpenSSH shows the text of a
    disconnect message (11.1): it comes before there are keys, so in the clear.
    """
    text = reason.encode()
    message = bytes([_DISCONNECT]) + struct.pack(">II", _TOO_MANY_CONNECTIONS, len(text)) + text + bytes(4)
    padding = 8 - (5 + len(message)) % 8
    padding += 8 if padding < 4 else 0
    packet = struct.pack(">IB", 1 + len(message) + padding, padding) + message + bytes(padding)
    return text + b"\r\n" + VERSION + b"\r\n" + packet


class Refusing:
    """Turns clients away. What they send is read for a moment: a reset would take the reason from them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._held: dict[socket.socket, asyncio.TimerHandle] = {}

    def turn_away(self, client: socket.socket, peer: str, reason: str) -> None:
        """Tell a client why, and close it."""
        log.warning("session refused", peer=peer, protocol="sftp", reason=reason)
        try:
            client.setblocking(False)
            client.send(refusal(reason))
            client.shutdown(socket.SHUT_WR)
        except OSError:
            client.close()
            return
        if len(self._held) >= MOST:
            client.close()
            return
        self._held[client] = self._loop.call_later(PATIENCE, self._close, client)
        self._loop.add_reader(client.fileno(), self._read, client)

    def _read(self, client: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                if client.recv(4096):
                    return
            except ConnectionError:
                pass
            self._close(client)

    def _close(self, client: socket.socket) -> None:
        self._held.pop(client).cancel()
        self._loop.remove_reader(client.fileno())
        client.close()

    def stop(self) -> None:
        """Close those that are left."""
        for client in list(self._held):
            self._close(client)
