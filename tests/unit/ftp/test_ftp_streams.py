"""TLS data connections, whatever room there is to receive into: 0 means the client's end and nothing else."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from ftpgateway.ftp.data.streams import TlsStream


class Records:
    """What a TLS socket gives: never more than one record at a time, then the client's goodbye."""

    def __init__(self, *records: bytes) -> None:
        self.records = list(records)

    def fileno(self) -> int:
        return -1

    def recv_into(self, view: memoryview) -> int:
        if not self.records:
            return 0
        record = self.records.pop(0)
        if not record:
            raise ssl.SSLWantReadError
        count = min(len(view), len(record))
        view[:count] = record[:count]
        if record[count:]:
            self.records.insert(0, record[count:])
        return count


@pytest.mark.parametrize("size", [1, 100, 16_384, 100_000])
def test_all_that_comes_is_received(size: int) -> None:
    content = bytes(range(256)) * 200
    fake: Any = Records(content[:16_384], b"", content[16_384:20_000], content[20_000:])
    stream = TlsStream(fake)
    received = bytearray()
    view = memoryview(bytearray(size))
    waits = 0
    while True:
        try:
            count = stream.recv_into(view)
        except BlockingIOError:
            waits += 1
            continue
        if not count:
            break
        received += view[:count]
    assert (received == content, waits) == (True, 1 if size < 20_000 else 0)


def test_without_room_there_is_no_end() -> None:
    fake: Any = Records(b"data")
    with pytest.raises(ValueError, match="no room"):
        TlsStream(fake).recv_into(memoryview(b""))


def test_a_client_does_not_wait_for_an_acknowledgement() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        server: Any = listener.accept()[0]
        with server:
            for _ in range(20):  # by turns, as in a handshake: from then on the kernel waits for replies
                client.sendall(b"x")
                server.recv(1)
                server.sendall(b"x")
                client.recv(1)
            before = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
            TlsStream(server).acknowledge_at_once()
            assert (before, server.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)) == (0, 1)
