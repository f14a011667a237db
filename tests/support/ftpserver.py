"""A front-end over a fake store in a thread of its own, and raw FTP clients, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import argon2
from fakestore import FakeStore
from waiting import DEADLINE, until

from ftpgateway.access.access import Access
from ftpgateway.access.ledger import LedgerLimits
from ftpgateway.access.login.guard import Slowness
from ftpgateway.access.settings import AccessSettings
from ftpgateway.access.tree import Mount
from ftpgateway.ftp.commands import MODULES
from ftpgateway.ftp.data.watch import Watch
from ftpgateway.ftp.interface import Command, declared
from ftpgateway.ftp.server import FtpFrontend, FtpSettings
from raftstore.errors import StoreError
from raftstore.types import User

PASSWORD = "correct horse"
HASH = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
ACCOUNTS = {name: User(name, HASH) for name in ("alice", "bob")}


def known(*, tls: bool) -> dict[str, Command]:
    """Return the commands of a front-end, with or without a certificate."""
    return declared(MODULES, tls=tls)


class Server:
    """A running front-end. Calls into its loop go through `run` (a function) or `wait_for` (a condition)."""

    def __init__(self, settings: dict[str, Any], factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.store = FakeStore()
        self.frontend: Any
        """An FtpFrontend, or what a subclass serves."""
        self.store.accounts.update(ACCOUNTS)
        settings = dict(settings)
        self.ledger: LedgerLimits = settings.pop("ledger", LedgerLimits())
        self._given = {name: settings.pop(name) for name in ("modules", "proxy_networks") if name in settings}
        self._mounts: Sequence[Mount] | None = settings.pop("mounts", None)
        self._settings = {"listen": ("127.0.0.1", 0), **settings}
        self._factory = factory
        self._started = threading.Event()
        self._stopping: asyncio.Event
        self._problem: BaseException | None = None
        self.loop_problems: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._main, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(DEADLINE)
        if self._problem is not None:
            raise self._problem

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._factory) as runner:
                runner.get_loop().set_exception_handler(lambda _, context: self.loop_problems.append(context))
                runner.run(self._serve())
        except BaseException as error:
            self._problem = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.access = Access(
            self.store,
            AccessSettings(failed_delay=0.01, slowness=Slowness(free=1000), ledger=self.ledger),
            mounts=self._mounts,
        )
        self.access.start()
        self._settings.setdefault("passive_ports", None)
        self.frontend = FtpFrontend(self.access, FtpSettings(**self._settings), **self._given)
        await self.frontend.start()
        self.port = self.frontend.address[1]
        self._started.set()
        await self._stopping.wait()
        await self.frontend.stop(0.5)
        self.access.stop()

    def stop(self) -> None:
        if self._problem is None:
            self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the front-end did not stop"
        if self._problem is not None:
            raise self._problem
        assert not self.loop_problems, self.loop_problems

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function` on the server's loop and return its result."""

        async def call() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(DEADLINE)

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds on the server's loop."""
        asyncio.run_coroutine_threadsafe(until(condition), self.loop).result(DEADLINE + 5)

    def timeouts(
        self, *, idle: float | None = None, data: float | None = None, stall: float | None = None
    ) -> None:
        """Set timeouts (s) of the sessions that there are: what comes before does not run against the clock.

        `data` holds from the next data connection on.
        """

        def change() -> None:
            watch = self.frontend.watch
            if stall is not None:
                watch._period = Watch(stall)._period
                if watch._timer is not None:
                    watch._timer.cancel()
                    watch._check()
            for session in self.frontend._sessions:
                if idle is not None:
                    session.set_idle_timer(idle)
                if data is not None:
                    session.link._timeout = data

        self.run(change)

    def gate(self, call: str) -> Gate:
        """Make the store's `call` wait until the gate is opened."""
        return Gate(self, call)

    def fail(self, call: str, error: Exception) -> None:
        """Make the store's `call` raise `error`."""

        def hook(*_: Any) -> None:
            raise error

        self.store.hooks[call] = hook

    def reset(self) -> None:
        """Between tests: wait for all sessions to end, then begin with an empty store."""
        self.wait_for(lambda: self.frontend.sessions == 0)
        fresh = FakeStore()
        fresh.accounts.update(ACCOUNTS)
        fresh.secrets.update(self.store.secrets)  # others would be made: host keys that clients do not know
        fresh.watchers, fresh.listeners = self.store.watchers, self.store.listeners
        self.run(self.store.__dict__.update, fresh.__dict__)

    def heal(self) -> None:
        self.store.hooks.clear()

    def client(self, user: str | None = "alice", host: str = "127.0.0.1") -> Client:
        return Client(host, self.port, user)


class Gate:
    """Holds a call of the store until `open`."""

    def __init__(self, server: Server, call: str) -> None:
        self._server = server
        self.waiting = 0
        self.cancelled = 0
        self._event: asyncio.Event = server.run(asyncio.Event)
        server.store.hooks[call] = self._hold

    async def _hold(self, *_: Any) -> None:
        self.waiting += 1
        try:
            await self._event.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def wait_until_held(self, count: int = 1) -> None:
        self._server.wait_for(lambda: self.waiting >= count)

    def open(self) -> None:
        self._server.run(self._event.set)


class Client:
    """A raw client: lines out, replies in."""

    def __init__(self, host: str, port: int, user: str | None) -> None:
        self.sock = socket.create_connection((host, port), timeout=DEADLINE)
        self._buffer = b""
        self.greeting = self.reply()
        if user is not None:
            assert self.command(f"USER {user}") == 331
            assert self.command(f"PASS {PASSWORD}") == 230, self.text

    def send(self, line: str | bytes) -> None:
        self.sock.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")

    def line(self) -> str:
        while b"\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode()

    def reply(self) -> int:
        """Read one whole reply; its lines are in `lines`, the last in `text`."""
        self.lines = [self.line()]
        if self.lines[0][3:4] == "-":
            end = self.lines[0][:3] + " "
            while not self.lines[-1].startswith(end):
                self.lines.append(self.line())
        self.text = self.lines[-1]
        return int(self.text[:3])

    def command(self, line: str | bytes) -> int:
        self.send(line)
        return self.reply()

    def silent(self, seconds: float = 0.15) -> bool:
        """Whether nothing comes for a moment."""
        if self._buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(DEADLINE)

    def passive(self) -> tuple[str, int]:
        assert self.command("EPSV") == 229, self.text
        return self.sock.getpeername()[0], int(self.text.split("|")[3])

    def data(self) -> socket.socket:
        """Open a data connection."""
        return socket.create_connection(self.passive(), timeout=DEADLINE)

    def store(self, name: str, data: bytes, command: str = "STOR") -> int:
        with self.data() as connection:
            assert self.command(f"{command} {name}") == 150, self.text
            connection.sendall(data)
        return self.reply()

    def fetch(self, command: str) -> bytes:
        with self.data() as connection:
            assert self.command(command) == 150, self.text
            data = read_all(connection)
        assert self.reply() == 226, self.text
        return data

    def at_end(self) -> bool:
        """Whether the server has closed the connection."""
        try:
            return not self.sock.recv(1)
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def every_refusal() -> list[StoreError]:
    """One of each kind of the store's errors."""

    def below(kind: type[StoreError]) -> Iterator[type[StoreError]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    return [kind() for kind in dict.fromkeys(below(StoreError)) if kind.__module__ == StoreError.__module__]


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


@contextlib.contextmanager
def serving(
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop, **settings: Any
) -> Iterator[Server]:
    """Run a front-end over a fake store."""
    server = Server(settings, factory)
    server.start()
    try:
        yield server
        server.wait_for(lambda: server.frontend.sessions == 0 or True)
    finally:
        server.stop()


@contextlib.contextmanager
def ftplib_client(server: Server, kind: type[ftplib.FTP] = ftplib.FTP) -> Iterator[ftplib.FTP]:
    """A logged-in ftplib client."""
    client = kind(timeout=DEADLINE)
    client.connect("127.0.0.1", server.port)
    try:
        client.login("alice", PASSWORD)
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        yield client
    finally:
        client.close()


def certificate(directory: Path) -> Path:
    """Write a self-signed certificate with its key."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    path = directory / "ftps.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
