"""What several buffers become for a transport."""

from __future__ import annotations

import asyncio

from raftstore.util.buffers import Buffer
from raftstore.util.sending import COPY_BELOW, write_all


class Recording(asyncio.WriteTransport):
    """Keeps what is written. Its `writelines` stands for asyncio's own, which in some releases never pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Buffer] = []

    def write(self, data: Buffer) -> None:
        self.written.append(data)

    def writelines(self, list_of_data: object) -> None:
        raise AssertionError("nobody would be told to pause")


def test_short_neighbours_are_joined_and_long_ones_go_as_they_are() -> None:
    long = memoryview(bytearray(COPY_BELOW))
    cases: list[tuple[list[Buffer], list[Buffer]]] = [
        ([], []),
        ([b"a"], [b"a"]),
        ([b"a", b"b", b""], [b"ab"]),
        ([b"a", bytearray(b"b"), long, b"c", b"d", long, long], [b"ab", long, b"cd", long, long]),
    ]
    for buffers, expected in cases:
        transport = Recording()
        write_all(transport, buffers)
        assert transport.written == expected
        assert [one is long for one in transport.written] == [one is long for one in expected]
