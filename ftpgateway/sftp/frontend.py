"""The SFTP front-end of a node: listens, bounds who comes in, hands connections to workers, stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections import Counter

import structlog

from ftpgateway.access import Access
from ftpgateway.serving import ACCEPT_PAUSE, Background, OutOfDescriptors, clients, listening_socket
from ftpgateway.sftp import hostkeys, passing
from ftpgateway.sftp.connection import Connection
from ftpgateway.sftp.settings import Address, SftpSettings
from ftpgateway.sftp.workers import Workers
from ftpgateway.transferlog import TransferLog
from raftstore.errors import StoreError
from raftstore.tasks import ended

log = structlog.get_logger()

_ACCEPTS_A_TURN = 16
_KEYS_PAUSE = 1.0
"""Seconds between looks at whether the cluster has host keys, or others than before; a look asks nobody."""


class SftpFrontend:
    """Serves SFTP clients. `start` raises OSError when the address is taken."""

    def __init__(
        self,
        secrets: hostkeys.Secrets,
        access: Access,
        settings: SftpSettings,
        *,
        transfers: TransferLog | None = None,
    ) -> None:
        self._transfers = transfers
        self.settings = settings
        self._secrets = secrets
        self._access = access
        self._socket: socket.socket | None = None
        self._workers: Workers | None = None
        self._connections: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._starting: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._change = asyncio.Event()
        self._background = Background(self._change.set)

    async def start(self) -> None:
        """Take the address; serve as soon as the cluster has host keys, which a new one makes."""
        self._loop = asyncio.get_running_loop()
        self._socket = await listening_socket(self.settings.listen)
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
        log.info("sftp listening", address=self.address, workers=settings.workers)
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
        address: Address = self._socket.getsockname()[:2]
        return address

    @property
    def serving(self) -> bool:
        """Whether clients are let in: the host keys are there."""
        return self._workers is not None

    @property
    def sessions(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers."""
        return self._workers.pids if self._workers is not None else []

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nobody any more, give sessions `grace` seconds to end, end the rest. Idempotent."""
        await ended(self._starting)
        if self._socket is not None:
            self._deaf()
            self._socket.close()
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
                with client:
                    try:
                        self._take(client, peer)
                    except OSError as error:
                        log.error("cannot take a connection", error=str(error))
        except OutOfDescriptors:
            self._deaf()
            self._loop.call_later(ACCEPT_PAUSE, self._listen)

    def _take(self, client: socket.socket, peer: str) -> None:
        """Hand a client to a worker, or turn it away. Raises OSError."""
        refusal = self._refusal(peer)
        if refusal:
            # Clients show lines that come before the server's version (RFC 4253, 4.2).
            with contextlib.suppress(OSError):
                client.setblocking(False)
                client.send(refusal.encode() + b"\r\n")
            log.warning("session refused", peer=peer, protocol="sftp", reason=refusal)
            return
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
            self._forget(connection)

        worker.load += 1
        self._addresses[peer] += 1
        self._connections.add(
            Connection(
                next(self._numbers),
                peer,
                ours,
                access=self._access,
                settings=self.settings,
                spawn=self._background.spawn,
                on_over=over,
                transfers=self._transfers,
            )
        )

    def _refusal(self, peer: str) -> str:
        """Say why a client is not taken, "" if it is."""
        settings = self.settings
        if len(self._connections) >= settings.max_sessions:
            return "Too many sessions; try again later or at another node."
        if sum(not connection.logged_in for connection in self._connections) >= settings.max_logging_in:
            return "Too many logins at once; try again in a moment."
        most = settings.max_sessions_per_address
        if most and self._addresses[peer] >= most:
            return "Too many sessions from your address."
        return ""

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._addresses[connection.peer] -= 1
        if not self._addresses[connection.peer]:
            del self._addresses[connection.peer]
        self._change.set()
