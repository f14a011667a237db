"""An SFTP front-end with its worker processes over a fake store, and clients, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
from ftpserver import PASSWORD, Server
from waiting import DEADLINE

from ftpgateway.access.access import Access
from ftpgateway.access.settings import AccessSettings
from ftpgateway.sftp import hostkeys
from ftpgateway.sftp.frontend import SftpFrontend
from ftpgateway.sftp.settings import SftpSettings
from raftstore.store.transfers.spool import SpoolLedger, Spools

KEYS = hostkeys.make()


class ShiftedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is set forward by hand, beside that it goes: what takes long is over at once."""

    shift = 0.0

    def time(self) -> float:
        return super().time() + self.shift

    def forward(self, seconds: float) -> None:
        """Set the clock forward; to be called on the loop."""
        self.shift += seconds


class SftpServer(Server):
    """A running SFTP front-end; see `Server`."""

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.store.secrets[hostkeys.SECRET] = KEYS
        self.access = Access(self.store, AccessSettings(ledger=self.ledger), mounts=self._mounts)
        self.access.start()
        with tempfile.TemporaryDirectory() as place:
            self.spools = Spools(Path(place) / "spool", SpoolLedger(lambda: 1 << 40))
            await self._front_end()
            self.spools.close()

    async def _front_end(self) -> None:
        settings = SftpSettings(**self._settings)
        self.frontend = SftpFrontend(self.store, self.access, settings, self.spools, **self._given)
        await self.frontend.start()
        self.port = self.frontend.address[1]
        self._started.set()
        await self._stopping.wait()
        await self.frontend.stop(0.5)
        self.access.stop()

    def transport(self) -> paramiko.Transport:
        """Connect, without a login."""
        self.wait_for(lambda: self.frontend.serving)
        transport = paramiko.Transport(("127.0.0.1", self.port))
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = DEADLINE
        return transport

    @contextlib.contextmanager
    def sftp(self, user: str = "alice") -> Iterator[paramiko.SFTPClient]:
        """Log in and open a session."""
        transport = self.transport()
        try:
            transport.connect(username=user, password=PASSWORD)
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            client.get_channel().settimeout(DEADLINE)
            yield client
        finally:
            transport.close()


def serve(
    settings: dict[str, Any] | None = None,
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> SftpServer:
    """Start a front-end; `stop` it."""
    server = SftpServer(settings or {}, factory)
    server.start()
    return server


@contextlib.contextmanager
def running(
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop, **settings: Any
) -> Iterator[SftpServer]:
    """Run a server of its own; it is ready for clients."""
    server = serve(settings, factory)
    try:
        server.wait_for(lambda: server.frontend.serving)
        yield server
    finally:
        server.stop()
