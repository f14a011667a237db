"""A transfer's steps with a socket that takes what it is told to."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from ftpgateway.ftp.data.sending import Sending
from ftpgateway.ftp.data.streams import PlainStream
from ftpgateway.ftp.data.transfers import Transfer, Unconnected
from ftpgateway.ftp.data.watch import Watch
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.pyftp import WRITE
from raftstore.errors import Unavailable
from raftstore.types import Span


class Wire:
    """A stream that takes `room` bytes at a time, then blocks; `broken` makes it fail."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.left = window
        self.sent = b""
        self.end = ""
        self.broken = False
        self._socket = socket.socket()

    def fileno(self) -> int:
        return self._socket.fileno()

    def no_delay(self) -> None:
        pass

    def recv_into(self, view: memoryview) -> int:
        raise NotImplementedError

    def pending(self) -> bool:
        return False

    def send(self, view: memoryview) -> int:
        if self.broken:
            raise ConnectionResetError
        taken = bytes(view[: self.left])
        if not taken:
            raise BlockingIOError
        self.left -= len(taken)
        self.sent += taken
        return len(taken)

    def send_file(self, fd: int, offset: int, count: int) -> int:
        with memoryview(os.pread(fd, count, offset)) as view:
            return self.send(view)

    def finish(self) -> bool:
        self.end += "finish"
        self._socket.close()
        return True

    def linger(self) -> bool:
        return True

    def reset(self) -> None:
        self.end += "reset"
        self._socket.close()


class Window:
    """Session and front-end in one."""

    def __init__(self) -> None:
        self.host = self
        self.events = structlog.get_logger()
        self.loop = self
        self.watch_ = Watch(60)
        self.buffer = memoryview(bytearray(10))
        self.wait_limit = 30.0
        self.replies: list[str] = []
        self.over = asyncio.Event()
        self.watched: dict[int, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.closed = 0

    def watch(self, fd: int, instance: object, events: int) -> None:
        self.watched[fd] = events

    def unwatch(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        return task

    def hung_up(self) -> bool:
        return False

    def transfer_over(self, transfer: Transfer, reply: str) -> None:
        self.replies.append(reply[:3])
        self.over.set()

    async def release(self) -> None:
        self.closed += 1


class Host:
    """What `Room` cannot be at once: its `watch` is the event loop's."""

    def __init__(self, window: Window) -> None:
        self.loop = window
        self.watch = window.watch_
        self.buffer = window.buffer
        self.wait_limit = window.wait_limit
        self.spawn = window.spawn


def run(test: Callable[[Window], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        window = Window()
        window.host = Host(window)  # type: ignore[assignment]
        async with asyncio.timeout(30):
            await test(window)
        if window.tasks:
            await asyncio.wait(window.tasks)
        window.watch_.close()
        assert len(window.replies) == 1
        assert not window.watched

    asyncio.run(main())


async def blocks(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        if isinstance(part, Exception):
            raise part
        yield part


def ready(transfer: Sending, wire: Wire) -> None:
    wire.left = wire.window
    transfer.on_events(WRITE)


def test_one_block_in_pieces() -> None:
    async def test(window: Window) -> None:
        wire = Wire(4)
        transfer = Sending(window, "RETR", "/a", b"0123456789")  # type: ignore[arg-type]
        transfer.start(wire)
        assert window.watched == {wire.fileno(): WRITE}
        assert transfer.stallable
        ready(transfer, wire)
        assert not window.replies
        ready(transfer, wire)
        assert wire.sent == b"0123456789"
        assert wire.end == "finish"
        assert window.replies == ["226"]
        assert transfer.moved == 10
        transfer.lost_control()

    run(test)


def test_nothing_to_send() -> None:
    async def test(window: Window) -> None:
        wire = Wire(4)
        Sending(window, "RETR", "/a", b"").start(wire)  # type: ignore[arg-type]
        assert wire.end == "finish"
        assert window.replies == ["226"]

    run(test)


@pytest.mark.parametrize("how", ["break", "abort", "lost_control", "stalled"])
def test_one_block_that_does_not_get_through(how: str) -> None:
    async def test(window: Window) -> None:
        wire = Wire(4)
        transfer = Sending(window, "RETR", "/a", b"0123456789")  # type: ignore[arg-type]
        transfer.start(wire)
        if how == "break":
            wire.broken = True
            ready(transfer, wire)
        else:
            getattr(transfer, how)()
        assert wire.end == "reset"
        assert window.replies == ["426"]
        assert transfer.phase is Phase.SETTLING

    run(test)


@pytest.mark.parametrize("window_a_turn", [1, 3, 4, 100])
def test_several_blocks(window_a_turn: int) -> None:
    async def test(window: Window) -> None:
        wire = Wire(window_a_turn)
        transfer = Sending(window, "RETR", "/a", b"0123", blocks(b"4567", b"89"), window.release)  # type: ignore[arg-type]
        transfer.start(wire)
        while not window.over.is_set():
            await asyncio.sleep(0)
            if window.watched:
                ready(transfer, wire)
            wire.left = wire.window
        assert wire.sent == b"0123456789"
        assert wire.end == "finish"
        assert window.replies == ["226"]
        assert window.closed == 1

    run(test)


@pytest.mark.parametrize("how", ["break", "abort", "lost_control", "stalled", "store", "bug"])
@pytest.mark.parametrize("steps", range(6))
def test_several_blocks_that_do_not_get_through(how: str, steps: int) -> None:
    async def test(window: Window) -> None:
        wire = Wire(3)
        problem = {"store": Unavailable(), "bug": ValueError("a bug")}.get(how)
        rest = blocks(b"4567", problem or b"89", b"end")
        transfer = Sending(window, "RETR", "/a", b"0123", rest, window.release)  # type: ignore[arg-type]
        transfer.start(wire)
        for _ in range(steps):
            await asyncio.sleep(0)
        if how == "break":
            wire.broken = True
        elif problem is None:
            getattr(transfer, how)()
        while not window.over.is_set():
            if window.watched:
                ready(transfer, wire)
            await asyncio.sleep(0)
        assert wire.end == "reset"
        assert b"0123456789end".startswith(wire.sent)
        assert window.replies == [{"store": "450", "bug": "451"}.get(how, "426")]
        assert window.closed == 1

    run(test)


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("why", Unconnected)
def test_no_data_connection(rest: bool, why: Unconnected) -> None:
    async def test(window: Window) -> None:
        more = (blocks(b"x"), window.release) if rest else ()
        Sending(window, "RETR", "/a", b"0123", *more).unconnected(why)  # type: ignore[arg-type]
        await window.over.wait()
        assert window.replies == [why.value[:3]]
        assert window.closed == rest

    run(test)


@contextmanager
def file_of(directory: Path, content: bytes) -> Iterator[int]:
    (directory / "f").write_bytes(content)
    fd = os.open(directory / "f", os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("window_a_turn", [1, 3, 100])
def test_parts_of_a_file_and_bytes_in_turn(tmp_path: Path, window_a_turn: int) -> None:
    closed: list[int] = []

    async def test(window: Window) -> None:
        with file_of(tmp_path, b"0123456789abcdef") as fd:

            async def more() -> AsyncIterator[bytes | Span]:
                yield b"xy"
                await asyncio.sleep(0)
                yield Span(fd, 10, 4, lambda: closed.append(2))

            wire = Wire(window_a_turn)
            first = Span(fd, 3, 5, lambda: closed.append(1))
            transfer = Sending(window, "RETR", "/a", first, more(), window.release)  # type: ignore[arg-type]
            transfer.start(wire)
            while not window.replies:
                await asyncio.sleep(0)
                if window.watched:
                    ready(transfer, wire)
        assert wire.sent == b"34567xyabcd"
        assert (wire.end, window.replies, closed, transfer.moved) == ("finish", ["226"], [1, 2], 11)

    run(test)


def test_a_part_of_a_file_that_is_not_sent_is_given_back(tmp_path: Path) -> None:
    closed: list[int] = []

    async def test(window: Window) -> None:
        with file_of(tmp_path, b"0123456789") as fd:
            wire = Wire(4)
            part = Span(fd, 0, 10, lambda: closed.append(1))
            transfer = Sending(window, "RETR", "/a", part)  # type: ignore[arg-type]
            transfer.start(wire)
            assert not closed
            transfer.abort()
            assert (wire.sent, wire.end, window.replies, closed) == (b"0123", "reset", ["426"], [1])

    run(test)


@pytest.mark.parametrize("how", ["break", "abort", "lost_control", "stalled"])
def test_the_part_that_waits_for_its_turn_is_given_back_too(tmp_path: Path, how: str) -> None:
    opened: list[int] = []
    closed: list[int] = []

    def span(fd: int, number: int) -> Span:
        opened.append(number)
        return Span(fd, 0, 10, lambda: closed.append(number))

    async def test(window: Window) -> None:
        with file_of(tmp_path, b"0123456789") as fd:

            async def more() -> AsyncIterator[Span]:
                for number in (2, 3):
                    yield span(fd, number)

            wire = Wire(4)
            transfer = Sending(window, "RETR", "/a", span(fd, 1), more(), window.release)  # type: ignore[arg-type]
            transfer.start(wire)
            for _ in range(5):
                await asyncio.sleep(0)
            if how == "break":
                wire.broken = True
                ready(transfer, wire)
            else:
                getattr(transfer, how)()
            await window.over.wait()
        assert (window.replies, opened, closed) == (["426"], [1, 2], [1, 2])

    run(test)


def test_sendfile_over_a_real_connection(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    ours, theirs = socket.socketpair()
    with ours, theirs, file_of(tmp_path, data) as fd:
        ours.setblocking(False)
        stream, sent, received = PlainStream(ours), 5, b""
        while sent < len(data):
            try:
                sent += stream.send_file(fd, sent, len(data) - sent)
            except BlockingIOError:
                received += theirs.recv(1 << 20)
        with pytest.raises(OSError, match="shorter"):
            stream.send_file(fd, len(data), 10)
        ours.shutdown(socket.SHUT_WR)
        while more := theirs.recv(1 << 20):
            received += more
        assert received == data[5:]
