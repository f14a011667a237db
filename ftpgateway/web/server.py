"""The web front-end of a node: listens, bounds who comes in, speaks TLS, stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Sequence

import structlog
from uvicorn.server import ServerState

from ftpgateway.access.access import Access
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.serving.certificates import Certificate, ServerIdentity
from ftpgateway.serving.connections import Connections, Places, Slot, TooMany
from ftpgateway.serving.frontends import SecretsAndNews
from ftpgateway.serving.listening import ACCEPT_PAUSE, Background, OutOfDescriptors, clients, listening_socket
from ftpgateway.serving.logs.transferlog import TransferSink
from ftpgateway.serving.opensessions import OpenSessions
from ftpgateway.serving.proxies import Proxies
from ftpgateway.web.app import application
from ftpgateway.web.asking import Site
from ftpgateway.web.http import security
from ftpgateway.web.http.guard import Guard
from ftpgateway.web.http.http1 import HttpConnection, configured
from ftpgateway.web.sessions import WebSessions
from ftpgateway.web.settings import WebSettings
from raftstore.util.addresses import Address
from raftstore.util.networks import Network

log = structlog.get_logger()

_ACCEPTS_A_TURN = 16
_HANDSHAKE_SECONDS = 10.0
_SHUTDOWN_SECONDS = 2.0


class WebFrontend:
    """Serves browsers. To be made on the running loop; `start` raises OSError when the address is taken."""

    def __init__(
        self,
        cluster: SecretsAndNews,
        access: Access,
        settings: WebSettings,
        *,
        transfers: TransferSink | None = None,
        proxy_networks: Sequence[Network] = (),
        open_sessions: OpenSessions | None = None,
    ) -> None:
        """`open_sessions` gets each session.

        Raises ValueError when the settings name no address, OSError or ValueError for a certificate of no use.
        """
        if settings.listen is None:
            raise ValueError("no address to listen on")
        self._listen_on = settings.listen
        self._loop = asyncio.get_running_loop()
        self.settings = settings
        known = OpenSessions() if open_sessions is None else open_sessions
        self.sessions_ = WebSessions(cluster, access, settings, known)
        self.connections = Connections(
            access.ledger,
            Places(settings.max_connections, settings.max_connections_per_address, settings.max_signing_in),
            known,
        )
        site = Site(self.sessions_, settings, transfers, self._signed_in)
        self._config = configured(Guard(application(site), settings), settings)
        self._state = ServerState()
        self._identity: ServerIdentity | None = None
        self._certificate: Certificate | None = None
        if settings.tls_certificate is not None:
            self._certificate = Certificate(settings.tls_certificate, settings.certificate_interval, self._use)
        self._proxies = Proxies(proxy_networks)
        self._socket: socket.socket | None = None
        self._change = asyncio.Event()
        self._background = Background(self._change.set)
        self._open: set[HttpConnection] = set()

    def _use(self, identity: ServerIdentity) -> None:
        self._identity = identity

    async def start(self) -> None:
        """Listen and serve; nobody can sign in before the cluster has a key for it, which a new one makes."""
        self._socket = await listening_socket(self._listen_on)
        if self._certificate is not None:
            self._certificate.start()
        self.sessions_.start()
        self._listen()
        log.info("web listening", address=tuple(self.address), tls=self._certificate is not None)

    @property
    def address(self) -> Address:
        """Where it listens (its real port)."""
        assert self._socket is not None
        return Address(*self._socket.getsockname()[:2])

    @property
    def sessions(self) -> int:
        """How many connections there are."""
        return len(self.connections)

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nobody any more, give requests `grace` seconds to end, end the rest. Idempotent."""
        if self._socket is not None:
            self._deaf()
            self._socket.close()
        self._proxies.stop()
        for connection in list(self._open):
            connection.end()
        deadline = self._loop.time() + grace
        while any(connection.underway for connection in self._open) and self._loop.time() < deadline:
            self._change.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), 0.1)
        for connection in list(self._open):
            connection.abort()
        await self._background.finish()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=grace)
        await self.sessions_.stop()
        if self._certificate is not None:
            await self._certificate.stop()

    # Connections.

    def _listen(self) -> None:
        if self._socket is not None and self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket.fileno(), self._accept)

    def _deaf(self) -> None:
        if self._socket is not None and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())

    def _accept(self) -> None:
        """Accept who waits. Out of descriptors, stop listening for a moment instead of spinning."""
        assert self._socket is not None
        try:
            for client, peer in clients(self._socket, _ACCEPTS_A_TURN):
                if self._proxies.expected(peer):
                    self._proxies.read(client, peer, self._take)
                else:
                    self._take(client, peer)
        except OutOfDescriptors:
            self._deaf()
            self._loop.call_later(ACCEPT_PAUSE, self._listen)

    def _take(self, client: socket.socket, peer: str) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # Until there is a transport a socket is ended so that whoever holds it notices.
            slot = self.connections.enter(peer, lambda _: _shut(client))
        except TooMany as refused:
            _turn_away(client, peer, str(refused), plain=self._identity is None)
            return
        self._background.spawn(self._connect(client, peer, slot))

    async def _connect(self, client: socket.socket, peer: str, slot: Slot) -> None:
        made = HttpConnection(
            self._config,
            self._state,
            peer,
            self.settings.head_timeout,
            spoke=functools.partial(self.connections.spoke, slot),
            over=self._over,
        )
        made.slot = slot
        context = self._identity.context if self._identity is not None else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: made,
                client,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if context else None,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS if context else None,
            )
        except OSError:
            made.abort()
            client.close()
            self.connections.left(slot)
            return
        except BaseException:
            made.abort()
            client.close()
            self.connections.left(slot)
            raise
        if made.gone:
            return
        self._open.add(made)
        slot.close = lambda _: made.abort()

    def _over(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        self.connections.left(connection.slot)
        self._change.set()

    def _signed_in(self, connection: HttpConnection, account: str) -> None:
        """Count a connection for an account, or that of a proxy, which is for many, as one. Raises LoginRefused."""
        slot: Slot = connection.slot
        proxied = security.is_in(connection.peer, self.settings.trusted_proxies)
        name = f"the proxy {slot.network}" if proxied else account
        if slot.account == name or connection.gone:
            return
        if slot.account is not None:
            try:
                self.connections.logged_out(slot)
            except TooMany as refused:
                raise LoginRefused(str(refused)) from None
        self.connections.logged_in(slot, name, shared=proxied)


def _shut(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def _turn_away(client: socket.socket, peer: str, reason: str, *, plain: bool) -> None:
    body = f"{reason}\n".encode()
    head = (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with client, contextlib.suppress(OSError):
        if plain:
            client.send(head + body)
    log.warning("session refused", peer=peer, protocol="web", reason=reason)
