"""The SFTP front-end of a node: listens, bounds who comes in, hands connections to workers, stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Sequence

import structlog

from ftpgateway.access.access import Access
from ftpgateway.serving.connections import Connections, Places, Slot, TooMany
from ftpgateway.serving.frontends import Secrets
from ftpgateway.serving.listening import ACCEPT_PAUSE, Background, OutOfDescriptors, clients, listening_socket
from ftpgateway.serving.logs.transferlog import TransferSink
from ftpgateway.serving.opensessions import OpenSessions
from ftpgateway.serving.proxies import Proxies
from ftpgateway.sftp import hostkeys
from ftpgateway.sftp.connection import Connection
from ftpgateway.sftp.processes import passing
from ftpgateway.sftp.processes.silent import Silent
from ftpgateway.sftp.processes.workers import Workers
from ftpgateway.sftp.refusing import Refusing
from ftpgateway.sftp.settings import SftpSettings
from raftstore.errors import StoreError
from raftstore.store.transfers.spool import Spools
from raftstore.util.addresses import Address
from raftstore.util.networks import Network
from raftstore.util.tasks import cancel_and_wait

log = structlog.get_logger()

_ACCEPTS_A_TURN = 16
_KEYS_PAUSE = 1.0
"""Seconds between looks at whether the cluster has host keys, or others than before; a look asks nobody."""


class SftpFrontend:
    """Serves SFTP clients. To be made on the running loop; `start` raises OSError when the address is taken.

    Who connects from one of `proxy_networks` is a balancer, which tells by the PROXY protocol who the client is.
    """

    def __init__(
        self,
        secrets: Secrets,
        access: Access,
        settings: SftpSettings,
        spools: Spools,
        *,
        transfers: TransferSink | None = None,
        proxy_networks: Sequence[Network] = (),
        sessions: OpenSessions | None = None,
    ) -> None:
        """`sessions` gets each client. Raises ValueError when the settings name no address."""
        if settings.listen is None:
            raise ValueError("no address to listen on")
        self._listen_on = settings.listen
        self._loop = asyncio.get_running_loop()
        self._transfers = transfers
        self.settings = settings
        self._spools = spools
        self._secrets = secrets
        self._access = access
        self._socket: socket.socket | None = None
        self._workers: Workers | None = None
        self._connections: set[Connection] = set()
        self._silent: set[Silent] = set()
        self._refusing = Refusing()
        self._open = OpenSessions() if sessions is None else sessions
        self.connections = Connections(
            access.ledger,
            Places(settings.max_sessions, settings.max_sessions_per_address, settings.max_logging_in),
            self._open,
        )
        self._proxies = Proxies(proxy_networks)
        self._starting: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self._background = Background(self._change.set)

    async def start(self) -> None:
        """Take the address; serve as soon as the cluster has host keys, which a new one makes."""
        self._socket = await listening_socket(self._listen_on)
        self._starting = self._loop.create_task(self._serve(), name="sftp start")

    async def _serve(self) -> None:
        keys = await self._host_keys()
        settings = self.settings
        workers = Workers(
            hostkeys.split(keys),
            settings.workers,
            settings.max_channels,
            settings.restart_longest,
            legacy_algorithms=settings.legacy_algorithms,
            idle_timeout=settings.idle_timeout,
        )
        self._workers = workers
        self._listen()
        log.info("sftp listening", address=tuple(self.address), workers=settings.workers)
        while True:
            await asyncio.sleep(_KEYS_PAUSE)
            newest = await self._host_keys()
            if newest != keys:
                keys = newest
                workers.take_keys(hostkeys.split(keys))
                log.info("sftp host keys changed", keys=[key.kind for key in hostkeys.described(keys).keys])

    async def _host_keys(self) -> bytes:
        while True:
            try:
                keys = await self._secrets.secret(hostkeys.SECRET)
                if keys is None:
                    made = await self._loop.run_in_executor(None, hostkeys.make)
                    keys = await self._secrets.agree_on_secret(hostkeys.SECRET, made)
                return keys
            except StoreError as error:
                log.info("sftp waits for the cluster's host keys", error=str(error))
                await asyncio.sleep(_KEYS_PAUSE)

    @property
    def address(self) -> Address:
        """Where it listens (its real port)."""
        assert self._socket is not None
        return Address(*self._socket.getsockname()[:2])

    @property
    def serving(self) -> bool:
        """Whether clients are let in: the host keys are there."""
        return self._workers is not None

    @property
    def sessions(self) -> int:
        """How many connections there are."""
        return len(self.connections)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers."""
        return self._workers.pids if self._workers is not None else []

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nobody any more, give sessions `grace` seconds to end, end the rest. Idempotent."""
        await cancel_and_wait(self._starting)
        if self._socket is not None:
            self._deaf()
            self._socket.close()
        self._proxies.stop()
        for silent in list(self._silent):
            silent.end()
        self._refusing.stop()
        for connection in list(self._connections):
            if not connection.busy:
                connection.end("the node stops")
        deadline = self._loop.time() + grace
        while any(connection.busy for connection in self._connections) and self._loop.time() < deadline:
            self._change.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), 0.1)
        for connection in list(self._connections):
            connection.end("the node stops")
        await self._background.finish()
        if self._workers is not None:
            await self._workers.stop()

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
        """Wait for a client's first bytes, or turn it away."""
        try:
            slot = self.connections.enter(peer, lambda _: None)
        except TooMany as refused:
            self._refusing.turn_away(client, peer, str(refused))
            return
        silent = Silent(client, functools.partial(self._heard, slot, peer))
        self._silent.add(silent)
        slot.close = functools.partial(self._replaced, silent, peer)
        silent.start()

    def _replaced(self, silent: Silent, peer: str, reason: str) -> None:
        """Somebody else has the place of a client that has not sent anything."""
        client = silent.let_go()
        self._silent.discard(silent)
        self._refusing.turn_away(client, peer, reason)
        self._change.set()

    def _heard(self, slot: Slot, peer: str, silent: Silent, spoke: bool | None) -> None:
        """The client has sent something, or has been waited for long enough (False), or is gone (None)."""
        self._silent.discard(silent)
        if spoke is None:
            self.connections.left(slot)
            self._change.set()
            return
        if spoke:
            self.connections.spoke(slot)
        with silent.let_go() as client:
            try:
                self._hand_over(client, slot, peer)
            except OSError as error:
                self.connections.left(slot)
                log.error("cannot take a connection", peer=peer, error=str(error))

    def _hand_over(self, client: socket.socket, slot: Slot, peer: str) -> None:
        """Give a client to a worker. Raises OSError."""
        assert self._workers is not None
        worker = self._workers.pick()
        ours, theirs = passing.pair()
        with theirs:
            try:
                worker.give(client, theirs)
            except OSError:
                ours.close()
                raise

        def over(connection: Connection) -> None:
            worker.load -= 1
            self._connections.discard(connection)
            self._open.discard(connection)
            self.connections.left(slot)
            self._change.set()

        worker.load += 1
        connection = Connection(
            self._open.next_number(),
            peer,
            ours,
            access=self._access,
            settings=self.settings,
            spools=self._spools,
            spawn=self._background.spawn,
            on_over=over,
            on_question=functools.partial(self.connections.spoke, slot),
            on_login=functools.partial(self.connections.logged_in, slot),
            transfers=self._transfers,
        )
        self._connections.add(connection)
        self._open.add(connection)
        slot.close = connection.end
