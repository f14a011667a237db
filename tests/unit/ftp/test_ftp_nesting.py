"""pyftpdlib's loop as a guest of asyncio and uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from ftpgateway.ftp.nesting import Nest
from ftpgateway.ftp.pyftp import READ, Watched

FACTORIES = [asyncio.new_event_loop, uvloop.new_event_loop]


class Reader(Watched):
    def __init__(self, nest: Nest, sock: socket.socket) -> None:
        self.nest = nest
        self.sock = sock
        self.got = b""
        self.changed = asyncio.Event()
        nest.guest.watch(sock.fileno(), self, READ)

    def on_events(self, events: int) -> None:
        self.got += self.sock.recv(1)
        self.changed.set()

    def close(self) -> None:
        self.nest.guest.unwatch(self.sock.fileno())
        self.sock.close()


async def until(reader: Reader, expected: bytes) -> None:
    async with asyncio.timeout(30):
        while reader.got != expected:
            reader.changed.clear()
            await reader.changed.wait()


@pytest.mark.parametrize("factory", FACTORIES)
def test_events_and_timers(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        nest = Nest()
        fired: list[str] = []
        done = asyncio.Event()
        nest.guest.call_later(0, fired.append, "before the start")
        nest.start()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            reader = Reader(nest, ours)
            theirs.send(b"abc")
            await until(reader, b"abc")
            nest.guest.watch(ours.fileno(), reader, 0)
            theirs.send(b"d")
            await asyncio.sleep(0.05)
            assert reader.got == b"abc"
            # Events are turned on again outside of the pump.
            nest.guest.watch(ours.fileno(), reader, READ)
            await until(reader, b"abcd")
        nest.guest.call_later(60, fired.append, "never")
        nest.guest.call_later(0.02, fired.append, "second")
        nest.guest.call_later(0.01, fired.append, "first")
        cancelled = nest.guest.call_later(0.01, fired.append, "cancelled")
        cancelled.cancel()
        reset = nest.guest.call_later(0.02, done.set)
        reset.reset()
        async with asyncio.timeout(30):
            await done.wait()
        assert fired == ["before the start", "first", "second"]
        nest.stop()
        nest.stop()
        assert ours.fileno() == -1, "stopping closes the guest's sockets"

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@pytest.mark.parametrize("factory", FACTORIES)
def test_an_active_session_holds_up_nobodys_timer(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """With pyftpdlib's own timers it does: the one that is reset stays on top of the heap."""

    async def main() -> None:
        nest = Nest()
        nest.start()
        done, failed = asyncio.Event(), asyncio.Event()
        active = nest.guest.call_later(0.1, pytest.fail)
        active._seconds = (
            60.0  # from its first reset on: a loop that hangs for a moment is not what is tried here
        )
        nest.guest.call_later(0.15, done.set)
        nest.guest.call_later(0.15, lambda: 1 / 0, _errback=failed.set)
        after_stop = nest.guest.call_later(60, pytest.fail)
        active.reset()
        async with asyncio.timeout(30):
            while not (done.is_set() and failed.is_set()):
                active.reset()
                await asyncio.sleep(0.01)
        nest.stop()
        assert active.cancelled
        assert after_stop.cancelled

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
