"""What is seen of a connection without taking anything from it."""

from __future__ import annotations

import socket
import struct

from raftstore.util.sockets import first_byte


def test_the_next_byte_is_seen_and_stays() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert first_byte(here) is None  # a blocking socket, too, is not waited for
        there.sendall(b"xy")
        there.shutdown(socket.SHUT_WR)
        assert first_byte(here) == first_byte(here) == b"x"
        assert here.recv(2) == b"xy"
        assert first_byte(here) == b""


def test_a_connection_that_broke_has_hung_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = socket.create_connection(listener.getsockname())
        here, _ = listener.accept()
        with here:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            there.close()
            assert first_byte(here) == b""
