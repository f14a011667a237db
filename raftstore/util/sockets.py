"""What can be seen of a connection without taking anything from it."""

from __future__ import annotations

import socket

_PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)


def first_byte(connection: socket.socket) -> bytes | None:
    """Return the next byte that was received and leave it where it is, for whoever reads the connection.

    None: nothing has come yet; b"": the other side has hung up, or the connection broke. Never waits. Of TLS it is a
    byte beneath it: a program that was killed has sent FIN and no more.
    """
    try:
        return socket.socket.recv(connection, 1, _PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
