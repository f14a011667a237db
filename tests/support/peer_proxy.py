"""A TCP proxy for tests: swallows bytes, changes them, cuts connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self


class PeerProxy:
    """Forwards connections to `target`. `swallow` makes it a black hole that keeps everything open.

    `going` cleared stops it from reading on. `mangle` sees every block that goes to the target: what it returns
    is forwarded instead.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.swallow = False
        self.going = asyncio.Event()
        self.going.set()
        self.mangle: Callable[[bytes], bytes] = lambda block: block
        self.accepted = 0
        self._cut = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Cut all connections."""
        self._cut.set()
        self._cut = asyncio.Event()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        ends = [writer]
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            ends.append(far_writer)
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, mangled=True))
                group.create_task(self._pump(far_reader, writer, mangled=False))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                end.transport.abort()
                self._writers.discard(end)
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, mangled: bool) -> None:
        try:
            while block := await reader.read(65536):
                if self.swallow:
                    continue
                await self.going.wait()
                writer.write(self.mangle(block) if mangled else block)
                await writer.drain()
        except OSError:
            pass
        if self.swallow:
            await self._cut.wait()  # a black hole does not tell either side that the other hung up
        raise ConnectionResetError  # one side's end is the end of both
