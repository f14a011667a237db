"""What was sent straight from a volume's file, and has not arrived yet, stays what it was."""

import os
import socket
import time

import pytest
from blake3 import blake3

from raftstore.chunks.format.needle import HEADER_SIZE, Kind
from raftstore.chunks.volumes.files import PAGE, Files
from raftstore.chunks.volumes.volume import Volume, volume_path

SIZE = 1 << 20


@pytest.fixture
def connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, theirs


def test_space_is_not_given_back_below_what_is_on_its_way(tmp_path, connection):
    ours, theirs = connection
    files, content = Files(), [os.urandom(SIZE) for _ in range(4)]
    volume = Volume.create(files, tmp_path, 1, bytes(16), bytes(32))
    offsets = volume.append([(Kind.DATA, blake3(data).digest(), data) for data in content])
    payloads = [(offset + HEADER_SIZE, SIZE) for offset in offsets]
    start, sent = payloads[1][0], 0
    try:
        while sent < SIZE:
            sent += os.sendfile(ours.fileno(), volume.fd, start + sent, SIZE - sent)
    except BlockingIOError:
        pass
    assert sent

    volume.punch(payloads[:3])
    received = b""
    while len(received) < sent:
        received += theirs.recv(SIZE)
    assert received == content[1][:sent]
    assert volume.read(*payloads[3]) == content[3]

    files.forget(volume.fd, 0)
    if files.in_memory(volume.fd, 0, PAGE):
        pytest.skip("this file system is all in memory")
    # The system lets go of what a socket had when it comes to it: what is in memory yet is left to the next time.
    deadline = time.monotonic() + 60
    while volume_path(tmp_path, 1).stat().st_blocks * 512 >= 2 * SIZE:
        assert time.monotonic() < deadline
        volume.punch(payloads[:3])
        time.sleep(0.01)
    assert volume.read(*payloads[3]) == content[3]
    volume.close()
