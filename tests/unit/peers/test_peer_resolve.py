from __future__ import annotations

import asyncio
import errno
import socket
import threading

import pytest

from raftstore.peers.connections.resolve import Resolver, reach


def test_a_look_up_that_nobody_waits_for_any_more_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer made a traceback of each attempt to dial."""
    answer, asked, complaints = threading.Event(), [], []

    def slow(host: str, *_: object, **__: object) -> object:
        asked.append(host)
        answer.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        resolver = Resolver()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(resolver.find("slow.example", 7420), 0.05)
        last = asyncio.ensure_future(resolver.find("slow.example", 7420))
        await asyncio.sleep(0)
        answer.set()
        with pytest.raises(socket.gaierror):
            await last
        assert asked == ["slow.example"]
        with pytest.raises(socket.gaierror):
            await resolver.find("slow.example", 7420)  # asked anew, not remembered
        assert len(asked) == 2

    asyncio.run(main())
    assert complaints == []


def test_numbers_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    for host in ("127.0.0.1", "::1", "fe80::1%lo"):
        assert asyncio.run(Resolver().find(host, 7420)) == [(host, 7420)]


def test_the_next_address_is_tried_and_the_last_failure_told() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as there, socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound, and nobody listens
            dead, live = closed.getsockname(), there.getsockname()
            with await reach([dead, live]) as connection:
                assert connection.getpeername() == live
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
            with pytest.raises(ConnectionRefusedError) as refused:
                await reach([dead])
            assert refused.value.errno == errno.ECONNREFUSED

    asyncio.run(main())
