"""A web front-end over a fake store in a thread of its own, and clients, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ftpserver import PASSWORD, Server
from waiting import DEADLINE

from ftpgateway.access.access import Access
from ftpgateway.access.login.guard import Slowness
from ftpgateway.access.settings import AccessSettings
from ftpgateway.serving.logs.transferlog import Transferred
from ftpgateway.web.server import WebFrontend
from ftpgateway.web.settings import WebSettings
from raftstore.util.addresses import Address


class Reply(NamedTuple):
    """What a server has answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookie(self) -> str:
        """The cookie that it sets, as a client sends it back."""
        return self.headers["Set-Cookie"].partition(";")[0]


class Transfers(list[Transferred]):
    """Takes the lines of the log of transfers."""

    def record(self, entry: Transferred) -> None:
        self.append(entry)


class WebServer(Server):
    """A running web front-end; see `Server`."""

    def __init__(self, settings: dict[str, Any], factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.transfers = Transfers()
        self.slowness = settings.pop("slowness", Slowness(free=1000))
        super().__init__(settings, factory)
        self._settings["listen"] = Address("127.0.0.1", 0)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.access = Access(
            self.store,
            AccessSettings(failed_delay=0.01, slowness=self.slowness, ledger=self.ledger),
            mounts=self._mounts,
        )
        self.access.start()
        self.frontend = WebFrontend(
            self.store, self.access, WebSettings(**self._settings), transfers=self.transfers, **self._given
        )
        await self.frontend.start()
        self.port = self.frontend.address[1]
        self._started.set()
        await self._stopping.wait()
        await self.frontend.stop(0.5)
        self.access.stop()

    def reset(self) -> None:
        """Between tests: end all sessions, too."""
        sessions = self.frontend.sessions_
        self.run(lambda: [sessions.close(each) for each in list(sessions._open.values())])
        super().reset()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def browser(self, user: str | None = "alice") -> Browser:
        """Return a client, signed in unless `user` is None."""
        made = Browser(self)
        if user is not None:
            assert made.sign_in(user).status == 303
        return made

    def raw(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)


class Browser:
    """Keeps a cookie and says where its requests come from, as browsers do."""

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.cookie = ""
        self.origin = server.origin
        self.site = "same-origin"

    def ask(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Reply:
        """Ask on a connection of its own; names of headers have _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        if self.origin and method not in ("GET", "HEAD"):
            sent.setdefault("Origin", self.origin)
            sent.setdefault("Sec-Fetch-Site", self.site)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.headers, answer.read())
        if "Set-Cookie" in reply.headers:
            self.cookie = reply.cookie
        return reply

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, **headers)

    def form(self, path: str, *pairs: tuple[str, str], **headers: str) -> Reply:
        headers.setdefault("Content_Type", "application/x-www-form-urlencoded")
        return self.ask("POST", path, urlencode(pairs), **headers)

    def call(self, method: str, path: str, document: object = None, **headers: str) -> Reply:
        """Ask the API, with a JSON document."""
        body = None if document is None else json.dumps(document)
        return self.ask(method, f"/api/v1{path}", body, Content_Type="application/json", **headers)

    def sign_in(self, user: str, password: str = PASSWORD) -> Reply:
        self.server.wait_for(lambda: self.server.frontend.sessions_.ready)
        return self.form("/sign-in", ("name", user), ("password", password))


@contextlib.contextmanager
def running(**settings: Any) -> Iterator[WebServer]:
    """Run a server of its own."""
    server = WebServer(settings, asyncio.new_event_loop)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def answered(sock: socket.socket) -> bytes:
    """Return all that a server sends until it ends the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)
