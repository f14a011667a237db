"""One listening port for TLS and for sealed connections; what is neither goes no further."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable

import structlog

from raftstore.errors import Invalid
from raftstore.peers.connections.incoming import Incoming
from raftstore.peers.joining import JOIN, Joins, StrangeJoiner, serve_join
from raftstore.peers.model import Limits, Peer
from raftstore.peers.security.grants import MAGIC, PREAMBLE_SIZE, Grants
from raftstore.peers.security.seal import Seals
from raftstore.peers.security.tls import SHUTDOWN_TIME, failure
from raftstore.util.addresses import Address
from raftstore.util.descriptors import scarce
from raftstore.util.limits.admission import Admission
from raftstore.util.limits.ratelimitedlog import RateLimitedLog
from raftstore.util.limits.rates import Rates
from raftstore.util.networks import network_of
from raftstore.util.sockets import first_byte

log = structlog.get_logger()

_TLS_HANDSHAKE = b"\x16"
_BACKLOG = 4096
"""The kernel takes at most net.core.somaxconn. With few, members wait for their next attempt under a flood."""
_ACCEPT_AT_ONCE = 64

JOIN_TIME = 30.0
"""Seconds for answering a joiner who has shown that it has a token."""

MakeIncoming = Callable[[Peer | None, Seals | None], Incoming]


class Stranger(Exception):
    """Somebody connected who does not belong to the cluster; the message says how that showed."""


class _Waiting:
    """A connection whose peer is not authenticated: silent, or with a task that does the handshake."""

    __slots__ = ("accepted", "address", "admission", "deadline", "network", "task", "timer")

    def __init__(
        self, accepted: socket.socket, address: Address, admission: Admission[_Waiting], deadline: float
    ) -> None:
        self.accepted = accepted
        self.address = address
        self.network = network_of(address[0])
        self.admission = admission
        self.deadline = deadline
        """When it must be authenticated, on the loop's clock."""
        self.timer: asyncio.TimerHandle | None = None
        """Ends it while it is silent."""
        self.task: asyncio.Task[bool] | None = None
        """The handshake."""


class Listener:
    """Accepts sockets and tells by the first byte what they want to be.

    Unauthenticated connections are bounded in time and number, and whoever holds some keeps nobody out (`Admission`):
    networks from which members or admins have come before have places of their own. Who sends nothing costs no task,
    and handshakes with strangers are bounded by the second, since each holds the loop for a while.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        grants: Grants,
        make: MakeIncoming,
        limits: Limits,
        quiet: RateLimitedLog,
        *,
        joins: Joins | None = None,
        is_known: Callable[[str], bool] = lambda network: False,
    ) -> None:
        """`is_known` tells whether a member or an admin was authenticated from a network before."""
        self._wanted = address
        self._context = context
        self._grants = grants
        self._make = make
        self._limits = limits
        self._quiet = quiet
        self._joins = joins
        self._is_known = is_known
        self._socket: socket.socket | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._pending: dict[_Waiting, None] = {}
        share = max(1, limits.pending * 3 // 4)
        self._strangers: Admission[_Waiting] = Admission(limits.pending, share, patience=limits.handshake_time)
        self._known: Admission[_Waiting] = Admission(limits.pending, patience=limits.handshake_time)
        self._handshakes: Rates[bool] = Rates(limits.handshakes, 2 * limits.handshakes)
        self._known_handshakes: Rates[bool] = Rates(4 * limits.handshakes, 8 * limits.handshakes)
        self._each_handshakes: Rates[str] = Rates(limits.handshakes / 4, limits.handshakes / 2)

    @property
    def address(self) -> Address:
        """Where it listens; the real port when port 0 was asked for."""
        if self._socket is None:
            return self._wanted
        return Address(*self._socket.getsockname()[:2])

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
        tasks = [waiting.task for waiting in self._pending if waiting.task is not None]
        for waiting in list(self._pending):
            self._end(waiting)
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
            self._arrived(accepted, Address(*address[:2]))

    def _arrived(self, accepted: socket.socket, address: Address) -> None:
        """Find a place for a connection; who has hung up again gets none."""
        accepted.setblocking(False)
        first = first_byte(accepted)
        if first == b"":
            accepted.close()
            return
        network = network_of(address[0])
        admission = self._known if self._is_known(network) else self._strangers
        if admission is self._strangers and scarce(accepted.fileno()):
            self._quiet.warning("no descriptors are left for strangers", limit=self._limits.pending)
            accepted.close()
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(accepted, address, admission, loop.time() + self._limits.handshake_time)
        decision = admission.admit(waiting, network)
        if decision.replaced is not None or not decision.taken:
            self._quiet.warning("too many unauthenticated connections", limit=self._limits.pending)
        if decision.replaced is not None:
            self._end(decision.replaced)
        if not decision.taken:
            accepted.close()
            return
        self._pending[waiting] = None
        if first is not None:
            self._begin(waiting, first)
            return
        waiting.timer = loop.call_at(waiting.deadline, self._silent, waiting)
        loop.add_reader(accepted, self._readable, waiting)

    def _readable(self, waiting: _Waiting) -> None:
        first = first_byte(waiting.accepted)
        if first is None:
            return
        self._hear_no_more(waiting)
        if first:
            self._begin(waiting, first)
        else:
            self._end(waiting)

    def _silent(self, waiting: _Waiting) -> None:
        self._turned_away(waiting.address, f"not authenticated in {self._limits.handshake_time:g} s")
        self._end(waiting)

    def _hear_no_more(self, waiting: _Waiting) -> None:
        asyncio.get_running_loop().remove_reader(waiting.accepted)
        if waiting.timer is not None:
            waiting.timer.cancel()
            waiting.timer = None

    def _begin(self, waiting: _Waiting, first: bytes) -> None:
        """The peer has sent its first byte: find out who it is."""
        waiting.admission.spoke(waiting)
        if first == _TLS_HANDSHAKE and not self._may_shake_hands(waiting):
            self._quiet.warning("too many handshakes at the peer port", limit=self._limits.handshakes)
            self._end(waiting)
            return
        task = asyncio.get_running_loop().create_task(self._welcome(waiting, first), name="peer handshake")
        waiting.task = task
        task.add_done_callback(functools.partial(self._settled, waiting))

    def _may_shake_hands(self, waiting: _Waiting) -> bool:
        if waiting.admission is self._known:
            return self._known_handshakes.take(True)
        return self._each_handshakes.take(waiting.network) and self._handshakes.take(True)

    def _end(self, waiting: _Waiting) -> None:
        """Close a connection that is not authenticated. Idempotent."""
        if waiting.task is not None:
            waiting.task.cancel()
            self._forget(waiting)
        elif waiting in self._pending:
            if waiting.accepted.fileno() >= 0:
                self._hear_no_more(waiting)
            self._forget(waiting)
            waiting.accepted.close()

    def _forget(self, waiting: _Waiting) -> None:
        self._pending.pop(waiting, None)
        waiting.admission.gone(waiting)

    def _settled(self, waiting: _Waiting, task: asyncio.Task[bool]) -> None:
        self._forget(waiting)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            log.error("peer handshake failed", exc_info=failure)
        if task.cancelled() or failure is not None or not task.result():
            waiting.accepted.close()  # also when the task was cancelled before it ran at all

    async def _welcome(self, waiting: _Waiting, first: bytes) -> bool:
        """Bring one connection to the point where its peer is admitted; False: nobody has the socket."""
        accepted, address = waiting.accepted, waiting.address
        channel: Incoming | None = None
        try:
            async with asyncio.timeout_at(waiting.deadline) as timer:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if first == JOIN[:1]:
                    await self._join(accepted, timer)
                    return True
                channel = await self._authenticate(accepted, first)
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

    def _turned_away(self, address: Address, reason: str) -> None:
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

    async def _authenticate(self, accepted: socket.socket, first: bytes) -> Incoming:
        """Tell TLS from sealed and check the proof."""
        loop = asyncio.get_running_loop()
        context: ssl.SSLContext | None
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
            if accepted.fileno() < 0:
                channel.connection_lost(None)  # nobody else says so: see `attach`
            raise
        return channel


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
