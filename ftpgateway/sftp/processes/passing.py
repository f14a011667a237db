"""Messages with descriptors over a pair of sockets that keep packets apart (SOCK_SEQPACKET). Both sides use it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

MAX_MESSAGE = 64 * 1024
MAX_DESCRIPTORS = 2

_M = TypeVar("_M", bound=Message)


def pair() -> tuple[socket.socket, socket.socket]:
    """Make a pair of connected sockets. Raises OSError."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Send a message; the descriptors stay open here. Raises OSError, also when the other side does not read."""
    socket.send_fds(sock, [message.SerializeToString()], list(descriptors), socket.MSG_NOSIGNAL)


def receive(sock: socket.socket, kind: type[_M], flags: int = 0) -> tuple[_M, list[int]] | None:
    """Receive a message with its descriptors, which are the caller's to close; None: the other side is gone.

    Raises BlockingIOError when nothing is there, OSError, ValueError for what is no such message.
    """
    flags |= socket.MSG_CMSG_CLOEXEC
    data, descriptors, flags, _ = socket.recv_fds(sock, MAX_MESSAGE, MAX_DESCRIPTORS, flags)
    if not data and not descriptors:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("a message is too long")
        return kind.FromString(data), descriptors
    except (ValueError, DecodeError) as error:
        close(descriptors)
        raise ValueError(str(error)) from None


def close(descriptors: Sequence[int]) -> None:
    """Close descriptors that nobody wants."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
