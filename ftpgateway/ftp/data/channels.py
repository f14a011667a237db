"""How a data connection comes about: passive listeners, active connections, the TLS handshake."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import itertools
import os
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftpgateway.access.ledger import Charge
from ftpgateway.access.login.throttle import Throttle
from ftpgateway.ftp.data.discarding import Discarding
from ftpgateway.ftp.data.spares import Spares
from ftpgateway.ftp.data.streams import PlainStream, Stream, TlsStream
from ftpgateway.ftp.data.transfers import Host, Transfer, Unconnected
from ftpgateway.ftp.pyftp import READ, WRITE, NestedIOLoop, Watched
from ftpgateway.ftp.tls import data_side
from ftpgateway.serving.listening import plain_address
from ftpgateway.serving.proxies import Proxies
from raftstore.util.descriptors import scarce

_BIND_ATTEMPTS = 64
_ANY_ATTEMPTS = 3
_BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT of Linux: the port is chosen at connect, where one in TIME_WAIT will do."""


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def open_listener(address: str, ports: tuple[int, int] | None) -> socket.socket:
    """Return a socket listening for a data connection. Raises OSError when no port of the range is free."""
    first, last = ports or _any_port()
    span = last - first + 1
    start = random.randrange(span)
    candidates = (first + (start + step) % span for step in range(min(span, _BIND_ATTEMPTS)))
    problem: OSError | None = None
    for port in itertools.chain(candidates, () if ports else (0,) * _ANY_ATTEMPTS):
        try:
            return _listen(address, port)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            problem = error
    assert problem is not None
    raise problem


@functools.cache
def _any_port() -> tuple[int, int]:
    """Return the kernel's range. It searches all of it when asked for any port; where most are taken, that is slow."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 32768, 60999


def _listen(address: str, port: int) -> socket.socket:
    sock = socket.socket(family_of(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if scarce(sock.fileno()):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        # Thousands of downloads a minute leave as many ports in TIME_WAIT; they can be used again all the same.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(4)
    except OSError:
        sock.close()
        raise
    return sock


class _Listener(Watched):
    """Waits for the client's connection after PASV; others are turned away and do not end the wait.

    It comes from the client's own address, or through a balancer that tells that address (PROXY protocol).
    """

    def __init__(self, link: DataLink, sock: socket.socket, peer: str, charge: Charge) -> None:
        self._link = link
        self._socket = sock
        self._peer = peer
        self._charge = charge

    def on_events(self, events: int) -> None:
        try:
            # What `accept` does but for asking the enums of families and types about what is known here.
            descriptor, address = self._socket._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        sock = socket.socket(family_of(address[0]), socket.SOCK_STREAM, fileno=descriptor)
        if scarce(sock.fileno()):
            sock.close()
            return
        peer = plain_address(address[0])
        if self._link.proxies.expected(peer):
            self._link.proxies.read(sock, peer, self._reported)
        else:
            self._reported(sock, peer)

    def _reported(self, sock: socket.socket, peer: str) -> None:
        """It is known who has connected."""
        if not self._link.awaits(self):  # another connection was faster
            sock.close()
        elif peer != self._peer:
            self._link.events().warning("data connection from a foreign address turned away", foreign=peer)
            sock.close()
        else:
            self._link.connected(sock)

    def close(self) -> None:
        self.let_go().close()

    def let_go(self) -> socket.socket:
        """Wait no more; return the listening socket."""
        self._charge.release()
        self._link.loop.unwatch(self._fileno)
        return self._socket


@dataclass(frozen=True, slots=True)
class _Target:
    """Where PORT or EPRT said that the client will listen: connected to by the transfer command (RFC 959, 3.2)."""

    source: str
    address: str
    port: int


class _Connector(Watched):
    """Connects to the client, for a transfer."""

    def __init__(self, link: DataLink, sock: socket.socket) -> None:
        self._link = link
        self._socket = sock

    def on_events(self, events: int) -> None:
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._link.failed(Unconnected.UNREACHABLE)
            return
        self._link.loop.unwatch(self._fileno)
        self._link.connected(self._socket)

    def close(self) -> None:
        self._link.loop.unwatch(self._fileno)
        self._socket.close()


class _Handshake(Watched):
    """Does the TLS handshake of a data connection."""

    def __init__(self, link: DataLink, stream: TlsStream) -> None:
        self._link = link
        self._stream = stream

    def on_events(self, events: int) -> None:
        try:
            self._stream.handshake()
        except BlockingIOError:
            return
        except OSError:
            self._link.refused(self._stream)
            return
        self._link.shaken(self._stream)

    def close(self) -> None:
        self._link.loop.unwatch(self._fileno)
        self._stream.reset()


class DataLink:
    """The data connection of a session: none, agreed on, being made, or ready; and the transfer that waits for it."""

    def __init__(
        self,
        loop: NestedIOLoop,
        timeout: float,
        context: ssl.SSLContext | None,
        spares: Spares,
        proxies: Proxies,
        *,
        events: Callable[[], Any],
        resume_only: bool = False,
    ) -> None:
        """`events` gives the session's log. `resume_only`: a TLS connection must resume a session."""
        self.events = events
        self.loop = loop
        self._spares = spares
        self.proxies = proxies
        self._timeout = timeout
        self.context = context
        """With what data connections are encrypted."""
        self._resume_only = resume_only
        self._maker: _Listener | _Connector | _Handshake | None = None
        self._stream: Stream | None = None
        self._waiting: Transfer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Unconnected | None = None
        self._discarding: Discarding | None = None
        self.protected = False
        """Whether connections that are agreed on from now on are encrypted."""
        self.secure = False
        """Whether the connection that is there, or to come, is encrypted."""
        self._target: _Target | None = None

    @property
    def exists(self) -> bool:
        """Whether a data connection is there or may still come."""
        return self._maker is not None or self._stream is not None or self._target is not None

    def listener(self, address: str, ports: tuple[int, int] | None) -> socket.socket:
        """Return a listening socket for this session, once what was agreed on before is closed.

        Raises OSError when no port of the range is free.
        """
        sock = self._spares.take(self)
        if sock is not None:
            return sock
        try:
            return open_listener(address, ports)
        except OSError:
            # It may be others' listeners, which wait for nobody, that have the ports.
            if not self._spares:
                raise
            self._spares.clear()
            return open_listener(address, ports)

    def listen(self, sock: socket.socket, peer: str, charge: Charge) -> None:
        """Wait on `sock` for the client's connection; `charge` is released when that is over."""
        self.secure = self.protected
        self._make(_Listener(self, sock, peer, charge), sock.fileno(), READ)

    def target(self, source: str, address: str, port: int) -> None:
        """Connect from `source` to the client when a transfer begins: it may not listen before it has said so."""
        self.close()
        self.secure = self.protected
        self._target = _Target(source, address, port)

    def protect(self, secure: bool) -> None:
        """PROT came. After PASV or PORT it holds for the connection to come; one that stands already is closed."""
        self.protected = secure
        if secure == self.secure or not self.exists:
            return
        if self._target is not None or isinstance(self._maker, _Listener):
            self.secure = secure
        else:
            self.close()

    def _connect(self, target: _Target) -> None:
        sock = socket.socket(family_of(target.address), socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((target.source, 0))
            sock.connect_ex((target.address, target.port))
        except OSError:
            sock.close()
            self.failed(Unconnected.UNREACHABLE)
            return
        self._make(_Connector(self, sock), sock.fileno(), WRITE)

    def connected(self, sock: socket.socket) -> None:
        """The TCP connection stands."""
        if isinstance(self._maker, _Listener):
            self._spares.keep(self, self._maker.let_go())
        self._maker = None
        sock.setblocking(False)
        if self.secure and self.context is not None:
            self._shake_hands(sock, self.context)
        else:
            self.ready(PlainStream(sock))

    def _shake_hands(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        try:
            stream = TlsStream(data_side(context, sock))
        except OSError:
            sock.close()
            self.failed(Unconnected.HANDSHAKE)
            return
        self._maker = _Handshake(self, stream)
        self.loop.watch(stream.fileno(), self._maker, READ)

    def refused(self, stream: TlsStream) -> None:
        """The TLS handshake failed."""
        if stream.refused_as_new:
            self.events().warning(
                "data connection refused: it resumes no TLS session of its control connection"
            )
        self.failed(Unconnected.NEW_SESSION if stream.refused_as_new else Unconnected.HANDSHAKE)

    def shaken(self, stream: TlsStream) -> None:
        """The TLS handshake is done."""
        if self._resume_only and not stream.resumed:  # the handshake should have failed: see `tls`
            self.failed(Unconnected.NEW_SESSION)
            return
        self.loop.unwatch(stream.fileno())
        self.ready(stream)

    def ready(self, stream: Stream) -> None:
        """The connection can carry data."""
        self._maker = None
        self._cancel_timer()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.start(stream)
        else:
            self._stream = stream

    def awaits(self, maker: Watched) -> bool:
        """Whether it is `maker` that makes the connection now."""
        return self._maker is maker

    def failed(self, why: Unconnected = Unconnected.MISSING) -> None:
        """The connection did not come about."""
        waiting, self._waiting = self._waiting, None
        self.close()
        if waiting is not None:
            waiting.unconnected(why)
        else:
            self._failure = why

    def _late(self) -> None:
        """The connection took too long."""
        active = isinstance(self._maker, _Connector)
        self.failed(Unconnected.UNREACHABLE if active else Unconnected.MISSING)

    def take_failure(self) -> Unconnected | None:
        """Return why the last connection failed, if no transfer waited for it; once."""
        failure, self._failure = self._failure, None
        return failure

    def begin(self, transfer: Transfer) -> None:
        """Start `transfer` on the connection, now or when it stands."""
        stream, self._stream = self._stream, None
        if stream is not None:
            transfer.start(stream)
        elif self._target is not None:
            self._waiting = transfer
            target, self._target = self._target, None
            self._connect(target)
        elif self._maker is not None:
            self._waiting = transfer
        else:  # it failed while the command waited for the store
            transfer.unconnected(self.take_failure() or Unconnected.MISSING)

    def discard(self, host: Host, stream: Stream, throttle: Throttle) -> None:
        """Throw away what still comes on a connection, until there is to be another one."""
        self._end_discarding()
        self._discarding = Discarding(host, stream, throttle)

    def _end_discarding(self) -> None:
        discarding, self._discarding = self._discarding, None
        if discarding is not None:
            discarding.close()

    def close(self) -> None:
        """Close what there is. A transfer that waited is forgotten, not told."""
        if self._discarding is not None:
            self._end_discarding()
        self._failure = None
        if self._timer is not None:
            self._cancel_timer()
        self._waiting = self._target = None
        maker, self._maker = self._maker, None
        if maker is not None:
            maker.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.reset()

    def _make(self, maker: _Listener | _Connector, fd: int, events: int) -> None:
        self._maker = maker
        self.loop.watch(fd, maker, events)
        # The host's timer: pyftpdlib's scheduler keeps cancelled ones until they are due, thousands of them.
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._late)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
