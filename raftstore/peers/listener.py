"""One listening port for TLS and for sealed connections; what is neither goes no further."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable

import structlog

from raftstore.errors import Invalid
from raftstore.peers.grants import MAGIC, PREAMBLE_SIZE, Grants
from raftstore.peers.incoming import Incoming
from raftstore.peers.joining import JOIN, Joins, StrangeJoiner, serve_join
from raftstore.peers.model import Limits, Peer
from raftstore.peers.quietlog import QuietLog
from raftstore.peers.seal import Seals
from raftstore.peers.tls import SHUTDOWN_TIME, failure

log = structlog.get_logger()

_TLS_HANDSHAKE = b"\x16"
_BACKLOG = 256
_ACCEPT_AT_ONCE = 16

JOIN_TIME = 30.0
"""Seconds for answering a joiner who has shown that it has a token."""

MakeIncoming = Callable[[Peer | None, Seals | None], Incoming]


class Stranger(Exception):
    """Somebody connected who does not belong to the cluster; the message says how that showed."""


class Listener:
    """Accepts sockets and tells by the first byte what they want to be.

    Unauthenticated connections are bounded in time and number: when there are too many, the oldest goes, so
    that whoever holds connections open does not keep members out.
    """

    def __init__(
        self,
        address: tuple[str, int],
        context: ssl.SSLContext,
        grants: Grants,
        make: MakeIncoming,
        limits: Limits,
        quiet: QuietLog,
        *,
        joins: Joins | None = None,
    ) -> None:
        self._wanted = address
        self._context = context
        self._grants = grants
        self._make = make
        self._limits = limits
        self._quiet = quiet
        self._joins = joins
        self._socket: socket.socket | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._pending: dict[asyncio.Task[bool], None] = {}  # in order of age

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; the real port when port 0 was asked for."""
        if self._socket is None:
            return self._wanted
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Listen; raises Invalid when the address cannot be used."""
        loop = asyncio.get_running_loop()
        host, port = self._wanted
        try:
            found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, address = found[0]
            listening = socket.socket(family, kind, protocol)
        except OSError as error:
            raise Invalid(f"cannot listen on {host}:{port}: {error.strerror}") from None
        try:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise Invalid(f"cannot listen on {host}:{port}: {error.strerror}") from None
        self._socket = listening
        self._listen(listening)

    async def stop(self) -> None:
        """Close the port and all connections that are not authenticated yet."""
        if self._resume is not None:
            self._resume.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        tasks = list(self._pending)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _listen(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Take what waits; synchronous, so that no accepted socket is lost when this node stops."""
        loop = asyncio.get_running_loop()
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of descriptors (then the socket stays readable), or the connection died in the queue.
                self._quiet.warning("cannot accept a peer connection", reason=error.strerror)
                loop.remove_reader(listening)
                self._resume = loop.call_later(self._limits.backoff_min, self._listen, listening)
                return
            while len(self._pending) >= self._limits.pending:
                oldest = next(iter(self._pending))
                del self._pending[oldest]
                oldest.cancel()
                self._quiet.warning("too many unauthenticated connections", limit=self._limits.pending)
            task = loop.create_task(self._welcome(accepted, address), name="peer handshake")
            self._pending[task] = None
            task.add_done_callback(functools.partial(self._settled, accepted))

    def _settled(self, accepted: socket.socket, task: asyncio.Task[bool]) -> None:
        self._pending.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            log.error("peer handshake failed", exc_info=failure)
        if task.cancelled() or failure is not None or not task.result():
            accepted.close()  # also when the task was cancelled before it ran at all

    async def _welcome(self, accepted: socket.socket, address: tuple[str, int]) -> bool:
        """Bring one connection to the point where its peer is admitted; False: nobody has the socket."""
        channel: Incoming | None = None
        try:
            async with asyncio.timeout(self._limits.handshake_time) as timer:
                accepted.setblocking(False)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                first = await _peek(accepted)
                if first == JOIN[:1]:
                    await self._join(accepted, timer)
                    return True
                channel = await self._authenticate(accepted, first)
                if channel is not None:
                    await channel.settled.wait()
        except TimeoutError:
            self._turned_away(address, f"not authenticated in {self._limits.handshake_time:g} s")
        except (Stranger, StrangeJoiner) as error:
            self._turned_away(address, str(error))
        except ssl.SSLError as error:
            reason = (
                failure(error) if isinstance(error, ssl.SSLCertVerificationError) else error.reason or error
            )
            self._turned_away(address, f"TLS handshake failed: {reason}")
        except OSError as error:
            self._turned_away(address, f"connection lost: {error.strerror or str(error) or 'hung up'}")
        finally:
            if channel is not None and not channel.settled.is_set():
                channel.drop("not authenticated in time")
        return channel is not None

    def _turned_away(self, address: tuple[str, int], reason: str) -> None:
        self._quiet.warning("stranger turned away", address=f"{address[0]}:{address[1]}", reason=reason)

    async def _join(self, accepted: socket.socket, timer: asyncio.Timeout) -> None:
        """Answer one who has no certificate, and a token perhaps."""
        if self._joins is None or not self._joins.open():
            raise Stranger("somebody who wants to join; there is no token out")
        if await _receive(accepted, len(JOIN)) != JOIN:
            raise Stranger("neither TLS nor a bulk session")

        def authentic() -> None:
            timer.reschedule(asyncio.get_running_loop().time() + JOIN_TIME)

        await serve_join(accepted, self._joins, self._limits.handshake_time, authentic)

    async def _authenticate(self, accepted: socket.socket, first: bytes) -> Incoming | None:
        """Tell TLS from sealed and check the proof; None when the other side just hung up."""
        loop = asyncio.get_running_loop()
        context: ssl.SSLContext | None
        if not first:
            return None
        if first == _TLS_HANDSHAKE:
            channel, context = self._make(None, None), self._context
        elif first != MAGIC[:1]:
            raise Stranger("neither TLS nor a bulk session")
        else:
            opened = self._grants.redeem(await _receive(accepted, PREAMBLE_SIZE))
            if opened is None:
                raise Stranger("no such bulk session")
            channel, context = self._make(*opened), None
        try:
            await loop.connect_accepted_socket(
                lambda: channel,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._limits.handshake_time if context else None,
                ssl_shutdown_timeout=SHUTDOWN_TIME if context else None,
            )
        except BaseException:
            channel.drop("not authenticated")
            raise
        return channel


async def _peek(accepted: socket.socket) -> bytes:
    """Wait for the first byte and leave it where it is, for whoever takes the socket over."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    while True:
        try:
            return accepted.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            pass
        readable.clear()
        loop.add_reader(accepted, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(accepted)


async def _receive(accepted: socket.socket, size: int) -> bytes:
    """Receive exactly `size` bytes, or fewer when the other side hangs up."""
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < size:
        more = await loop.sock_recv(accepted, size - len(received))
        if not more:
            break
        received += more
    return received
