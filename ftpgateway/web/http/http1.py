"""HTTP/1.1 on one connection: uvicorn's protocol over h11, with the deadlines that it lacks.

The only module that knows the inside of uvicorn (`cycle`, `conn`, `timeout_keep_alive_task`); tests fail when that
changes. What it adds: a head must be whole in time, and so must what is left of a body that nobody reads any more; an
idle connection ends; and none stays for a client that does not read its last bytes.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from ftpgateway.web.settings import WebSettings

CLOSE_SECONDS = 5.0
"""For the last bytes to leave, once a connection is to end."""

_quiet = logging.getLogger("ftpgateway.web.http.http1")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL)

_BARE_LF = re.compile(rb"(?<!\r)\n")

App = Callable[..., Awaitable[None]]


def configured(app: App, settings: WebSettings) -> Config:
    """Return uvicorn's configuration for an application; nothing of it listens, logs or handles signals."""
    config = Config(
        app,
        http=H11Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=settings.idle_timeout,
        h11_max_incomplete_event_size=settings.head_bytes,
    )
    config.load()
    return config


class HttpConnection(H11Protocol):
    """One client's connection. `spoke` is called with its first bytes, `over` when it has ended.

    A request finds it in `scope["state"]["connection"]`.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        peer: str,
        head_timeout: float,
        *,
        spoke: Callable[[], None],
        over: Callable[[HttpConnection], None],
    ) -> None:
        super().__init__(config, state, {"connection": self})
        self.logger = _quiet
        self.peer = peer
        self.slot: Any = None
        """Its place among the node's connections."""
        self._head_timeout = head_timeout
        self._spoke, self._over = spoke, over
        self._owed: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def underway(self) -> bool:
        """Whether a request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    @property
    def gone(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        transport: asyncio.Transport | None = self.transport  # None before there is a connection
        return transport is None or transport.is_closing()

    @property
    def reads_body(self) -> bool:
        """Whether the client still has to send some of the request's body."""
        return self.conn.their_state is h11.SEND_BODY

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head."""
        super().connection_made(transport)
        self._owed = self.loop.call_later(self._head_timeout, self.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._spoke()
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        """Read what has come; a head is taken only with its lines ended as they must be.

        h11 takes a bare LF for the end of a line, some proxies do not: what is one request to them must not be two.
        """
        if not self.underway and self.conn.their_state is h11.IDLE:
            head = self.conn.trailing_data[0].partition(b"\r\n\r\n")[0]
            if _BARE_LF.search(head):
                self.send_400_response("The lines of a head end with CR LF.")
                return
        super().handle_events()

    def on_response_complete(self) -> None:
        """The reply has gone to the kernel, or waits for it."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        for timer in (self._owed, self._closing):
            if timer is not None:
                timer.cancel()
        self._owed = self._closing = None
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._over(self)

    def _watch(self) -> None:
        """Have the time run of what the client owes: the rest of a head, or of a body that nobody reads any more."""
        if self.transport.is_closing():
            self._close_soon()
            return
        owes = not self.underway and (self.reads_body or bool(self.conn.trailing_data[0]))
        if owes and self._owed is None:
            self._owed = self.loop.call_later(self._head_timeout, self.abort)
        elif not owes and self._owed is not None:
            self._owed.cancel()
            self._owed = None
        if not owes and not self.underway and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for long."""
        super().timeout_keep_alive_handler()
        self._close_soon()

    def end(self) -> None:
        """End it, after the request that is being answered."""
        if not self.gone:
            self.shutdown()
            if self.transport.is_closing():
                self._close_soon()

    def _close_soon(self) -> None:
        if self._closing is None:
            self._closing = self.loop.call_later(CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        """End it now, whatever is under way."""
        transport: asyncio.Transport | None = self.transport
        if transport is not None:
            transport.abort()
