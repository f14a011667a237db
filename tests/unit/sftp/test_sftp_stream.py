"""What a stream does with requests that came before it is closed."""

from __future__ import annotations

import asyncio
import struct

from ftpgateway.sftp import packets
from ftpgateway.sftp.requests import Reply
from ftpgateway.sftp.stream import Stream


class Closing:
    """Stands for the requests of a session that is ended while the first of them is under way."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.answered: list[int] = []
        self.abandoned = False
        self.busy = False

    def at_once(self, kind: int, request: int, data: memoryview) -> Reply | None:
        return None

    async def answer(self, kind: int, request: int, data: memoryview) -> Reply:
        self.answered.append(request)
        assert self.stream is not None
        self.stream.close()
        return [packets.status(request, packets.OK)]

    def stop(self) -> None:
        """Nothing takes long."""

    def pause(self) -> float:
        return 0.0

    async def abandon(self) -> None:
        self.abandoned = True


def test_requests_behind_the_end_of_a_session_are_dropped() -> None:
    async def test() -> None:
        requests = Closing()
        stream = requests.stream = Stream(requests, 60.0)  # type: ignore[arg-type]
        data = struct.pack(">IBI", 5, packets.INIT, 3)
        data += b"".join(struct.pack(">IBI", 5, packets.CLOSE, number) for number in (1, 2))
        stream.get_buffer(len(data))[: len(data)] = data
        stream.buffer_updated(len(data))
        await stream.run()
        assert requests.answered == [1]
        assert requests.abandoned

    asyncio.run(test())
