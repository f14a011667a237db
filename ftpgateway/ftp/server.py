"""The FTP front-end of a node: listens, keeps count of sessions, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import structlog

from ftpgateway.access.access import Access
from ftpgateway.ftp.commands import MODULES
from ftpgateway.ftp.data.masquerade import Masquerade
from ftpgateway.ftp.data.spares import Spares
from ftpgateway.ftp.data.watch import Watch
from ftpgateway.ftp.interface import Command, declared
from ftpgateway.ftp.nesting import Nest
from ftpgateway.ftp.opensession import OpenFtpSession
from ftpgateway.ftp.pyftp import READ, NestedIOLoop, Watched
from ftpgateway.ftp.session import FtpSession
from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.ftp.tls import tied_context
from ftpgateway.serving.certificates import Certificate, ServerIdentity
from ftpgateway.serving.connections import Connections, Places, TooMany
from ftpgateway.serving.listening import ACCEPT_PAUSE, Background, OutOfDescriptors, clients, listening_socket
from ftpgateway.serving.logs.transferlog import TransferSink
from ftpgateway.serving.opensessions import OpenSessions
from ftpgateway.serving.proxies import Proxies
from raftstore.util.addresses import Address
from raftstore.util.limits.rates import Rates
from raftstore.util.limits.slices import SharedSlice
from raftstore.util.networks import Network

__all__ = ["FtpFrontend", "FtpSettings"]

log = structlog.get_logger()

HANDSHAKES = 200.0
"""TLS handshakes of control connections a second, twice as many at once; half of that from one address."""
CONTROL_RECEIVE = 64 * 1024
"""Bytes of commands that the kernel takes for a session that does not read them, because its client does not read the
replies."""
RECEIVE_BUFFER = 1024 * 1024
STOPPING = "The server is being stopped; connect to another node."
_ACCEPTS_A_TURN = 64


class FtpFrontend:
    """Serves FTP (and FTPS) clients from a store; `access` knows who may log in, and has been started.

    To be made on the running loop. Who connects from one of `proxy_networks` is a balancer, which tells by the PROXY
    protocol who the client is. `sessions` gets each client. `modules` are those that declare its commands.

    `start` raises OSError when an address is taken or the certificate cannot be read, ValueError when it is no
    use.
    """

    def __init__(
        self,
        access: Access,
        settings: FtpSettings,
        *,
        transfers: TransferSink | None = None,
        proxy_networks: Sequence[Network] = (),
        sessions: OpenSessions | None = None,
        modules: Iterable[ModuleType] = MODULES,
    ) -> None:
        for mistake in settings.mistakes():
            raise ValueError(f"{mistake.key} {mistake.problem}")
        self.access = access
        self.transfers = transfers
        self.settings = settings
        self.commands: Mapping[str, Command] = declared(modules, tls=settings.tls_certificate is not None)
        self.context: ssl.SSLContext | None = None
        self.masquerade: Masquerade | None = None
        self._certificate: Certificate | None = None
        self._identity: ServerIdentity | None = None
        self.buffer = memoryview(bytearray(RECEIVE_BUFFER))
        self.watch = Watch(settings.stall_timeout)
        self.spares = Spares()
        self.wait_limit = settings.wait_limit
        self.hashers = ThreadPoolExecutor(settings.hash_threads, thread_name_prefix="ftp-hash")
        self.host_loop = asyncio.get_running_loop()
        self.commands_slice = SharedSlice(self.host_loop)
        """What commands of all sessions may take of a turn of the loop."""
        self._nest = Nest()
        self._listeners: list[_Listener] = []
        self._sessions: dict[FtpSession, OpenFtpSession] = {}
        self._open = OpenSessions() if sessions is None else sessions
        self.connections = Connections(
            access.ledger,
            Places(settings.max_sessions, settings.max_sessions_per_address, settings.max_logging_in),
            self._open,
        )
        self.proxies = Proxies(proxy_networks)
        self._handshakes: Rates[None] = Rates(HANDSHAKES, 2 * HANDSHAKES)
        self._handshakes_of_one: Rates[str] = Rates(HANDSHAKES / 2, HANDSHAKES)
        self._background = Background(self._changed)
        self._all_closed: asyncio.Event | None = None

    async def start(self) -> None:
        """Listen and serve."""
        settings = self.settings
        if settings.tls_certificate is not None:
            self._certificate = Certificate(settings.tls_certificate, settings.certificate_interval, self._use)
            self._certificate.start()
        if settings.masquerade_address:
            self.masquerade = Masquerade(settings.masquerade_address, settings.masquerade_interval)
            await self.masquerade.start()
        self._nest.start()
        try:
            for address in (settings.listen, *settings.also_listen):
                sock = await listening_socket(address, receive_buffer=CONTROL_RECEIVE)
                self._listeners.append(_Listener(self, sock))
            if settings.implicit_tls_listen is not None:
                sock = await listening_socket(settings.implicit_tls_listen, receive_buffer=CONTROL_RECEIVE)
                self._listeners.append(_Listener(self, sock, implicit=True))
        except OSError:
            await self.stop(0)
            raise
        for listener in self._listeners:
            tls = "implicit" if listener.implicit else "explicit" if self.context is not None else "none"
            log.info("ftp listening", address=tuple(listener.address), tls=tls)

    def _use(self, identity: ServerIdentity) -> None:
        self._identity, self.context = identity, identity.context

    def control_context(self) -> ssl.SSLContext | None:
        """Return the context of a new control connection and of its data connections; None: there is no TLS.

        Raises OSError, ValueError when one cannot be made now.
        """
        if self._identity is not None and self.settings.require_tls_reuse:
            return tied_context(self._identity)
        return self.context

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nobody any more, give transfers `grace` seconds to end, close all sessions. Idempotent."""
        for listener in self._listeners:
            listener.close()
        self.proxies.stop()
        deadline = asyncio.get_running_loop().time() + grace
        for session in list(self._sessions):
            session.leave(STOPPING)
        while self._sessions or self._background:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await self._some_change(left)
        for session in list(self._sessions):
            session.close()
        await self._background.finish()
        for watcher in (self._certificate, self.masquerade):
            if watcher is not None:
                await watcher.stop()
        self.watch.close()
        self.spares.clear()
        self._nest.stop()
        self.hashers.shutdown(wait=True, cancel_futures=True)

    async def _some_change(self, timeout: float) -> None:
        self._all_closed = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._all_closed.wait()

    @property
    def address(self) -> Address:
        """Where the front-end listens (the first address; its real port)."""
        return self._listeners[0].address

    @property
    def addresses(self) -> list[Address]:
        """All addresses on which it listens."""
        return [listener.address for listener in self._listeners]

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    @property
    def loop(self) -> NestedIOLoop:
        """The nested event loop."""
        return self._nest.guest

    def next_number(self) -> int:
        """Return a number for a new session."""
        return self._open.next_number()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background; `stop` waits for it."""
        return self._background.spawn(work)

    def _changed(self) -> None:
        if self._all_closed is not None:
            self._all_closed.set()

    def accepted(self, sock: socket.socket, peer: str, *, implicit: bool = False) -> None:
        """Somebody has connected; `implicit`: TLS comes before anything else."""
        if self.proxies.expected(peer):
            self.proxies.read(sock, peer, functools.partial(self._begin, implicit=implicit))
        else:
            self._begin(sock, peer, implicit=implicit)

    def _begin(self, sock: socket.socket, peer: str, *, implicit: bool) -> None:
        """Serve a client, or turn it away."""
        try:
            slot = self.connections.enter(peer, lambda _: None)
        except TooMany as refused:
            _turn_away(sock, peer, f"421 {refused}", implicit)
            return
        session = FtpSession(sock, self, slot, peer, implicit_tls=implicit)
        if not session.connected:
            self.connections.left(slot)
            return
        slot.close = lambda reason: session.end_with(f"421 {reason}")
        shown = self._sessions[session] = OpenFtpSession(session)
        self._open.add(shown)
        log.info("session opened", session=session.number, peer=peer, implicit_tls=implicit)
        if implicit:
            session.begin_secured()
        else:
            session.handle()

    def may_shake_hands(self, network: str) -> bool:
        """Whether a TLS handshake with `network` may begin now: each holds the loop for a while. It is counted."""
        return self._handshakes_of_one.take(network) and self._handshakes.take(None)

    def session_over(self, session: FtpSession) -> None:
        """A session has ended."""
        if (shown := self._sessions.pop(session, None)) is not None:
            self._open.discard(shown)
        self.connections.left(session.slot)
        self._changed()


class _Listener(Watched):
    """Accepts control connections."""

    def __init__(self, frontend: FtpFrontend, sock: socket.socket, *, implicit: bool = False) -> None:
        self._frontend = frontend
        self.implicit = implicit
        self._socket = sock
        self.address = Address(*sock.getsockname()[:2])
        frontend.loop.watch(sock.fileno(), self, READ)

    def on_events(self, events: int) -> None:
        """Accept who waits. Out of descriptors, stop listening for a moment instead of spinning."""
        try:
            for sock, peer in clients(self._socket, _ACCEPTS_A_TURN):
                self._frontend.accepted(sock, peer, implicit=self.implicit)
        except OutOfDescriptors:
            self._frontend.loop.watch(self._socket.fileno(), self, 0)
            self._frontend.loop.call_later(ACCEPT_PAUSE, self._again)

    def _again(self) -> None:
        if self._socket.fileno() >= 0:
            self._frontend.loop.watch(self._socket.fileno(), self, READ)

    def close(self) -> None:
        """Listen no more."""
        if self._socket.fileno() >= 0:
            self._frontend.loop.unwatch(self._socket.fileno())
            self._socket.close()


def _turn_away(sock: socket.socket, peer: str, reply: str, implicit: bool) -> None:
    log.warning("session refused", peer=peer, protocol="ftp", reason=reply)
    if not implicit:
        with contextlib.suppress(OSError):
            sock.setblocking(False)
            sock.send(reply.encode() + b"\r\n")
    sock.close()
