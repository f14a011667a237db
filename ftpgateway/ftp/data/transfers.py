"""Transfers: what a session moves over its data connection. The common part; see `receiving` and `sending`."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from ftpgateway.access.login.throttle import Throttle
from ftpgateway.ftp.data.streams import Stream
from ftpgateway.ftp.data.watch import Watch
from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.pyftp import READ, NestedIOLoop, Watched

log = structlog.get_logger()

LINGER_LIMIT = 10.0
"""Seconds that a TLS client has to close a data connection after us."""


READ_BUDGET = 4 * 1024 * 1024
"""Bytes that one session may receive before the others have their turn."""


class Unconnected(enum.Enum):
    """Why a data connection did not come about: code and text of the reply."""

    MISSING = "425 No data connection (try PASV or EPSV)"
    UNREACHABLE = "425 Cannot connect to the address and port that you gave (use PASV or EPSV)"
    HANDSHAKE = "522 The TLS handshake of the data connection failed"
    NEW_SESSION = "522 The data connection must resume the TLS session of the control connection"


class Owner(Protocol):
    """What a transfer needs of its session."""

    @property
    def host(self) -> Host:
        """What all sessions share."""
        ...

    @property
    def events(self) -> Any:
        """The log, where each line tells whose session it is."""
        ...

    def hung_up(self) -> bool:
        """Return whether the control connection is gone."""
        ...

    def discard(self, stream: Stream, throttle: Throttle) -> None:
        """Throw away what still comes on a data connection, no faster than `throttle` lets it, and end it."""
        ...

    def transfer_over(self, transfer: Transfer, reply: str) -> None:
        """The transfer has ended and `reply` is its result."""
        ...


class Host(Protocol):
    """What all sessions of a front-end share."""

    @property
    def loop(self) -> NestedIOLoop:
        """The nested event loop."""
        ...

    @property
    def watch(self) -> Watch:
        """Watches for transfers that stall."""
        ...

    @property
    def buffer(self) -> memoryview:
        """What is received from a socket, until it is fed to an upload."""
        ...

    @property
    def wait_limit(self) -> float:
        """Guard on any wait for the store, seconds."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background; the front-end waits for it when it stops."""
        ...


class Transfer(Watched):
    """One transfer, from its 150 to its last reply. Reports to the session exactly once, through `_over`."""

    upload = False
    """Whether the client sends."""

    def __init__(self, owner: Owner, command: str, path: str) -> None:
        self.owner = owner
        self.host = owner.host
        self.command = command
        self.path = path
        self.moved = 0
        self.phase = Phase.MOVING
        self.started = time.monotonic()
        self.after_abort = False
        self._stream: Stream | None = None
        self._task: asyncio.Task[None] | None = None
        self._reported = False

    @property
    def connected(self) -> bool:
        """Whether the data connection stands."""
        return self._stream is not None

    @property
    def stallable(self) -> bool:
        """Whether lack of progress now is the client's doing."""
        return self._stream is not None and self.phase is Phase.MOVING

    def start(self, stream: Stream) -> None:
        """The data connection stands: begin."""
        raise NotImplementedError

    def unconnected(self, why: Unconnected) -> None:
        """The data connection did not come about."""
        raise NotImplementedError

    def abort(self) -> None:
        """The client sent ABOR: end with 426."""
        raise NotImplementedError

    def cut(self, reply: str) -> None:
        """End it with `reply`, unless it is as good as over."""
        raise NotImplementedError

    def lost_control(self) -> None:
        """The control connection is gone: end; nobody hears of it."""
        raise NotImplementedError

    def stalled(self) -> None:
        """Nothing moved for too long."""
        raise NotImplementedError

    def close(self) -> None:
        """The event loop is being closed, or an event could not be handled."""
        self.lost_control()

    def _take(self, stream: Stream) -> None:
        self._stream = stream
        self.host.watch.add(self)

    def _finish_stream(self) -> None:
        """End the data connection in order."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self.host.loop.unwatch(stream.fileno())
            self.host.watch.discard(self)
            end_in_order(self.host.loop, stream)

    def _discard_stream(self, throttle: Throttle) -> None:
        """Leave the data connection to be read to its end."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self.host.loop.unwatch(stream.fileno())
            self.host.watch.discard(self)
            self.owner.discard(stream, throttle)

    def _reset_stream(self) -> None:
        """End the data connection so that the client cannot take it for a whole transfer."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self.host.loop.unwatch(stream.fileno())
            self.host.watch.discard(self)
            stream.reset()

    def _over(self, reply: str) -> None:
        if not self._reported:
            self._reported = True
            self.owner.transfer_over(self, reply)


def end_in_order(loop: NestedIOLoop, stream: Stream) -> None:
    """Close a stream that is not watched so that the client sees a clean end."""
    fd = stream.fileno()
    if not stream.finish():
        Lingering(loop, stream, fd)


class Lingering(Watched):
    """A data connection that we have ended; the client may still have to."""

    def __init__(self, loop: NestedIOLoop, stream: Stream, fd: int) -> None:
        self._loop = loop
        self._stream = stream
        loop.watch(fd, self, READ)
        self._timer = asyncio.get_running_loop().call_later(LINGER_LIMIT, self.close)

    def on_events(self, events: int) -> None:
        """Read on to the end."""
        fd = self._stream.fileno()
        if self._stream.linger():
            self._loop.unwatch(fd)
            self._timer.cancel()

    def close(self) -> None:
        """Wait no longer."""
        if self._stream.fileno() >= 0:
            self._loop.unwatch(self._stream.fileno())
            self._stream.reset()
        self._timer.cancel()
