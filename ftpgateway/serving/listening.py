"""What every front-end does alike: listen, accept, and look after work in the background."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import structlog

from raftstore.util.addresses import Address
from raftstore.util.descriptors import scarce
from raftstore.util.limits.ratelimitedlog import RateLimitedLog
from raftstore.util.sockets import first_byte
from raftstore.util.tasks import cancel_and_wait

log = structlog.get_logger()
_seldom = RateLimitedLog.per_peer()

ACCEPT_PAUSE = 0.5
"""Seconds without accepting after OutOfDescriptors: clients that wait would wake the loop for nothing."""
_BACKLOG = 4096
"""Who waits to be accepted; the kernel takes at most net.core.somaxconn. With few, a flood has others wait for their
next attempt, a second later."""
_KEEP_TIME = 2.0
_OUT_OF_SOMETHING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class OutOfDescriptors(Exception):
    """The process has no descriptors, or the machine no memory, for more clients: accept nobody for ACCEPT_PAUSE."""


async def listening_socket(address: Address, *, receive_buffer: int = 0) -> socket.socket:
    """Return a listening socket; host "" and "::" take IPv4 and IPv6. Raises OSError.

    `receive_buffer`: bytes that the kernel takes for a client before the node reads them (0: as many as it likes, which
    is megabytes).
    """
    host, port = address
    dual = host in ("", "::") and socket.has_dualstack_ipv6()
    if dual:
        family, where = socket.AF_INET6, ("::", port)
    else:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, where = found[0][0], (str(found[0][4][0]), int(found[0][4][1]))
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        sock.bind(where)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def clients(listening: socket.socket, most: int) -> Iterator[tuple[socket.socket, str]]:
    """Yield who waits, at most so many, each with its address; who has left again is not told of.

    Raises OutOfDescriptors.
    """
    for _ in range(most):
        try:
            client, address = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _OUT_OF_SOMETHING:
                _seldom.warning("cannot accept sessions", peer="", error=str(error))
                raise OutOfDescriptors(str(error)) from error
            continue
        if scarce(client.fileno()):
            client.close()
            _seldom.warning("clients have as many descriptors as they may", peer="")
            raise OutOfDescriptors
        if first_byte(client) == b"":
            client.close()
        else:
            yield client, plain_address(address[0])


def plain_address(address: str) -> str:
    """Return an IPv4 address that came through an IPv6 socket in its usual form."""
    return address.removeprefix("::ffff:") if "." in address else address


class Background:
    """Work that nobody waits for until the front-end stops; `changed` is called when a piece of it is over."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin `work` on the running loop; an error that ends it is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)
        self._changed()

    async def finish(self) -> None:
        """End it all: partial uploads of sessions that were cut off get a moment to be kept."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_KEEP_TIME)
        await cancel_and_wait(*self._tasks)
