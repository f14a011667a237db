"""What every request goes through first: is it one, whose is it, and does it keep to the bounds.

The outermost part of the application. What it refuses nobody else sees; what nobody else catches ends here; and every
reply gets the headers that browsers keep to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog

from ftpgateway.web.http import security
from ftpgateway.web.http.http1 import HttpConnection
from ftpgateway.web.http.pace import Pace, TooSlow
from ftpgateway.web.http.security import Client
from ftpgateway.web.settings import WebSettings

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAIN_HTTP = "This server is reached by https:// only."


class Gone(Exception):
    """The client has left, or was too slow."""


@dataclass(slots=True)
class Exchange:
    """One request and its reply: the bounds for both directions."""

    receive_: Receive
    send_: Send
    connection: HttpConnection
    client: Client
    incoming: Pace
    outgoing: Pace
    headers: tuple[tuple[bytes, bytes], ...]
    program: bool = False
    """Whether it asks the API."""
    started: bool = False
    ended: bool = False

    async def receive(self) -> Message:
        """Return more of the body. Raises Gone."""
        try:
            message = await self.incoming.wait(self.receive_())
        except TooSlow:
            self.connection.abort()
            raise Gone from None
        if message["type"] == "http.disconnect":
            raise Gone
        self.incoming.moved(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """Send more of the reply. Raises Gone."""
        if self.connection.gone:
            raise Gone
        if message["type"] == "http.response.start":
            self.started = True
            own = [*message.get("headers", ()), *self.headers, (b"date", _date())]
            if not any(name.lower() == b"content-security-policy" for name, _ in own):
                own.append((b"content-security-policy", security.PAGE_POLICY.encode()))
            message = {**message, "headers": own}
        try:
            await self.outgoing.wait(self.send_(message))
        except TooSlow:
            self.connection.abort()
            raise Gone from None
        self.outgoing.moved(len(message.get("body", b"")))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.ended = True

    async def refuse(self, status: int, text: str, *, close: bool = True) -> None:
        """Send a short reply in place of all that would come: to programs a problem document."""
        body, media_type = text.encode() + b"\n", b"text/plain; charset=utf-8"
        if self.program:
            shape = {
                "type": "about:blank",
                "status": status,
                "title": HTTPStatus(status).phrase,
                "detail": text,
            }
            body, media_type = json.dumps(shape).encode(), b"application/problem+json"
        headers = [
            (b"content-type", media_type),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if close:
            headers.append((b"connection", b"close"))
        if status == 405:
            headers.append((b"allow", ", ".join(sorted(security.METHODS)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


class Guard:
    """Wraps the application `inner`."""

    def __init__(self, inner: App, settings: WebSettings) -> None:
        self._inner = inner
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never raises for what a client does."""
        settings = self._settings
        connection: HttpConnection = scope["state"]["connection"]
        client = security.client_of(
            connection.peer, scope["scheme"], scope["headers"], settings.trusted_proxies, settings.public_url
        )
        fixed = security.HEADERS + ((security.STRICT_TRANSPORT,) if client.scheme == "https" else ())
        exchange = Exchange(
            receive,
            send,
            connection,
            client,
            Pace(settings.stall_timeout),
            Pace(settings.stall_timeout),
            tuple((name.lower().encode(), value.encode()) for name, value in fixed),
            program=scope["raw_path"].startswith(b"/api/"),
        )
        scope["state"]["client"] = client
        try:
            refusal = self._refusal(scope, client)
            if refusal is not None:
                await exchange.refuse(*refusal)
            else:
                await self._inner(scope, exchange.receive, exchange.send)
        except Gone:
            pass
        except Exception:
            log.exception("web request failed", method=scope["method"], peer=client.address)
            if exchange.started:
                connection.abort()
            else:
                try:
                    await exchange.refuse(500, "The node could not answer; try again.")
                except Gone:
                    pass
        if exchange.started and not exchange.ended:
            connection.abort()  # a reply that is not whole must not look like one

    def _refusal(self, scope: Scope, client: Client) -> tuple[int, str] | None:
        method, headers = scope["method"], scope["headers"]
        if scope["http_version"] not in ("1.0", "1.1"):
            return 400, "Only HTTP 1 is spoken here."
        if sum(len(name) + len(value) for name, value in headers) > self._settings.head_bytes:
            return 400, "The head of the request is too large."
        malformed = security.why_malformed(method, headers)
        if malformed:
            return 400, malformed
        if method not in security.METHODS:
            return 405, "This is not done here."
        if not _with_decoded_path(scope):
            return 400, "A path is written in UTF-8."
        if client.scheme != "https" and not client.is_loopback:
            return 403, PLAIN_HTTP
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        own = security.origins(said["host"], client.scheme, self._settings.public_url)
        foreign = security.why_foreign(method, said, own)
        return (403, foreign) if foreign else None


def _with_decoded_path(scope: Scope) -> bool:
    """Decode the path strictly: uvicorn replaces what is no UTF-8."""
    try:
        path = unquote_to_bytes(scope["raw_path"]).decode()
    except UnicodeDecodeError:
        return False
    scope["path"] = path
    return path.startswith("/")


_dates: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """Return the time as HTTP has it; made once a second."""
    global _dates
    now = int(time.time())
    if _dates[0] != now:
        _dates = now, formatdate(now, usegmt=True).encode()
    return _dates[1]
