"""A flood of small requests leaves other sessions their turns."""

from __future__ import annotations

import asyncio
import struct

from ftpgateway.sftp import packets
from ftpgateway.sftp.requests import Reply, Requests
from ftpgateway.sftp.stream import TURN, Stream


class Transport(asyncio.Transport):
    """Takes everything."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def write(self, data: object) -> None:
        """Nobody reads."""

    def close(self) -> None:
        """Nothing to close."""


class Counting(Requests):
    """Answers everything at once; counts since it was last looked at."""

    def __init__(self) -> None:
        self.counted = 0

    def at_once(self, kind: int, request: int, data: memoryview) -> Reply | None:
        self.counted += 1
        return [packets.status(request, packets.OK)]

    def pause(self) -> float:
        return 0.0

    async def abandon(self) -> None:
        pass


def test_a_flood_of_requests_leaves_others_their_turns() -> None:
    async def main() -> None:
        requests = Counting()
        stream = Stream(requests, 30.0)
        stream.connection_made(Transport())
        data = struct.pack("!IBI", 5, packets.INIT, 3) + struct.pack("!IBI", 5, packets.READ, 1) * 20_000
        stream.get_buffer(-1)[: len(data)] = data
        stream.buffer_updated(len(data))
        running = asyncio.create_task(stream.run())
        counts = []
        while sum(counts) < 20_000:
            assert not running.done() or requests.counted
            await asyncio.sleep(0)
            counts.append(requests.counted)
            requests.counted = 0
        assert max(counts) <= TURN
        stream.eof_received()
        await running

    asyncio.run(main())
