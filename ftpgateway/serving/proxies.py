"""Load balancers in front of the node: the header that tells the client is read before anybody else sees the socket.

Only who connects from a listed network is asked for one, and must bring it; what others send is never taken for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence

import structlog

from ftpgateway.serving.proxyprotocol import BadHeader, HeaderReader
from raftstore.util.networks import Network

log = structlog.get_logger()

HEADER_TIME = 5.0
"""Seconds within which a balancer has to send the header whole; it sends it at once."""
MOST_READING = 512
"""Connections whose header is being waited for; the oldest one gives way to a newer one."""

OnOrigin = Callable[[socket.socket, str], None]
"""Takes the socket, just behind the header, and the client's address."""


class Proxies:
    """The balancers of one front-end. On the loop."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._reading: dict[_Reading, None] = {}  # in order of age

    def expected(self, peer: str) -> bool:
        """Whether who connects from `peer` has to send a header."""
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def read(self, sock: socket.socket, peer: str, done: OnOrigin) -> None:
        """Read the header and hand the socket on; it is closed when there is none."""
        if len(self._reading) >= MOST_READING:
            next(iter(self._reading)).refuse("too many connections without a PROXY header")
        reading = _Reading(sock, peer, done, self._over)
        self._reading[reading] = None
        reading.go_on()

    def _over(self, reading: _Reading) -> None:
        self._reading.pop(reading, None)

    def stop(self) -> None:
        """Close all whose header has not come yet."""
        for reading in list(self._reading):
            reading.close()


class _Reading:
    def __init__(
        self, sock: socket.socket, peer: str, done: OnOrigin, over: Callable[[_Reading], None]
    ) -> None:
        self._socket = sock
        self._peer = peer
        self._done = done
        self._over = over
        self._header = HeaderReader()
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self.go_on)
        self._timer = self._loop.call_later(HEADER_TIME, self.refuse, "no PROXY header in time")

    def go_on(self) -> None:
        """Receive what there is of the header."""
        try:
            while self._header.wanted:
                data = self._socket.recv(self._header.wanted)
                if not data:
                    # A health check that only connects is no fault.
                    self.refuse("the PROXY header ends early") if self._header.begun else self.close()
                    return
                self._header.feed(data)
        except BlockingIOError:
            return
        except BadHeader as error:
            self.refuse(str(error))
            return
        except OSError:
            self.close()
            return
        self._let_go()
        assert self._header.origin is not None
        self._done(self._socket, self._header.origin.address or self._peer)

    def refuse(self, reason: str) -> None:
        """Close, and say so in the log."""
        log.warning("connection of a proxy refused", peer=self._peer, reason=reason)
        self.close()

    def close(self) -> None:
        """Close."""
        self._let_go()
        self._socket.close()

    def _let_go(self) -> None:
        self._timer.cancel()
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._socket.fileno())
        self._over(self)
