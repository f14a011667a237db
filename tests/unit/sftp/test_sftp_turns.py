"""A flood of small requests leaves other sessions their turns."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace

import pytest

from ftpgateway.sftp import packets
from ftpgateway.sftp.requests import Reply, Requests
from ftpgateway.sftp.stream import TURN, TURN_SECONDS, Stream
from raftstore.util.limits import slices


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


def test_requests_that_take_long_leave_others_their_turns_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(slices, "time", SimpleNamespace(perf_counter=lambda: now))

    class Slow(Counting):
        def at_once(self, kind: int, request: int, data: memoryview) -> Reply | None:
            nonlocal now
            now += 0.001
            return super().at_once(kind, request, data)

    assert max(counts_of(Slow(), 200)) <= 1 + TURN_SECONDS / 0.001


def test_a_flood_of_requests_leaves_others_their_turns() -> None:
    assert max(counts_of(Counting(), 20_000)) == TURN


def counts_of(requests: Counting, total: int) -> list[int]:
    """Send so many requests at once; return how many were answered in each turn of the loop."""
    counts: list[int] = []

    async def main() -> None:
        stream = Stream(requests, 30.0)
        stream.connection_made(Transport())
        data = struct.pack("!IBI", 5, packets.INIT, 3) + struct.pack("!IBI", 5, packets.READ, 1) * total
        stream.get_buffer(-1)[: len(data)] = data
        stream.buffer_updated(len(data))
        running = asyncio.create_task(stream.run())
        while sum(counts) < total:
            assert not running.done() or requests.counted
            await asyncio.sleep(0)
            counts.append(requests.counted)
            requests.counted = 0
        stream.eof_received()
        await running

    asyncio.run(main())
    return counts
