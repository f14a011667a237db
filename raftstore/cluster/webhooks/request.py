"""One POST to an endpoint that an admin has named: within bounds, and to no place that is not meant.

A name is looked up once for each request, and the connection goes to an address that was looked at (so an answer of the
name service that changes leads nowhere else). Redirects are not followed, no proxy is asked, the body of an answer is
not read: who can set a webhook learns nothing of what is inside the network but a status, and that only where private
addresses were allowed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from raftstore.errors import Invalid
from raftstore.peers.connections.resolve import Resolver, reach
from raftstore.util.addresses import Address

TIMEOUT = 15.0
"""Seconds for a whole request: name, connection, TLS, request, and the head of the answer."""
CONNECT = 5.0
"""Seconds of these until there is a connection to an address."""
HEAD = 16 * 1024
"""Bytes of the head of an answer."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_PORTS = {"https": 443, "http": 80}


class NotAccepted(Exception):
    """It was not accepted; str() says why, for people. `after`: seconds for which the receiver wants no other."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. `host`: as it stands in the URL, without brackets."""

    secure: bool
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """Return host and port, for the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.secure else "http"] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Return what may be shown of it: a path or a query may hold a secret."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"


def target_of(url: str, *, private: bool) -> Target:
    """Take a URL apart. Raises Invalid; also for http without `private`: events are not to be read on the way."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid(f"not a URL: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise Invalid("a webhook has an https URL")
    if parts.scheme == "http" and not private:
        raise Invalid("a webhook has an https URL; http goes with --allow-private alone")
    if parts.username is not None or parts.fragment:
        raise Invalid("a webhook's URL has no user, no password and no fragment")
    try:
        url.encode("ascii")
        parts.hostname.encode("idna")
    except UnicodeError:
        raise Invalid("a webhook's URL is ASCII: encode names as punycode, paths with %") from None
    return Target(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], _path(parts))


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def is_public(host: str) -> bool:
    """Whether a numeric address is one of the public internet, also as which IPv4 address it may be reached. Pure."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and not is_public(str(inner)):
            return False
        if address.ipv4_mapped is not None or address in _NAT64:
            return True
        if address.teredo is not None or address.is_site_local or address in _NAT64_LOCAL:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def allowed(found: Iterable[Address], *, private: bool) -> list[Address]:
    """Return the addresses that may be connected to. Raises NotAccepted when there is none. Pure."""
    places = list(found)
    kept = places if private else [place for place in places if is_public(place.host)]
    if not kept:
        names = ", ".join(place.host for place in places[:3]) or "none"
        raise NotAccepted(
            f"its addresses are not public ({names}): allow that with --allow-private, if it is meant"
        )
    return kept


class Requester:
    """Sends requests. Certificates are verified by the authorities that the system trusts."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._resolver = resolver or Resolver()
        self._context: ssl.SSLContext | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, *, private: bool) -> int:
        """Send it once and return the status, which is 2xx. Raises NotAccepted."""
        try:
            target = target_of(url, private=private)
            async with asyncio.timeout(TIMEOUT):
                return await self._attempt(target, headers, body, private=private)
        except TimeoutError:
            raise NotAccepted(f"no answer within {TIMEOUT:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise NotAccepted(f"its certificate is not good: {error.verify_message}") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise NotAccepted(_reason(error)) from None
        except Invalid as error:
            raise NotAccepted(error.detail) from None

    async def _attempt(self, target: Target, headers: Mapping[str, str], body: bytes, *, private: bool) -> int:
        reader, writer = await self._connect(target, private=private)
        try:
            writer.write(_head(target, headers, len(body)) + body)
            await writer.drain()
            status, answered = await _answer(reader)
        finally:
            writer.transport.abort()  # nothing more is wanted of it
        if 200 <= status < 300:
            return status
        if 300 <= status < 400:
            raise NotAccepted(f"it answers with a redirect ({status}), which is not followed")
        raise NotAccepted(f"it answers with {status}", _after(answered.get("retry-after", "")))

    async def _connect(
        self, target: Target, *, private: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        found = allowed(await self._resolver.find(target.host, target.port), private=private)
        async with asyncio.timeout(CONNECT):
            connection = await reach(found)
        try:
            return await self._opened(connection, target)
        except BaseException:
            connection.close()
            raise

    async def _opened(
        self, connection: socket.socket, target: Target
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not target.secure:
            return await asyncio.open_connection(sock=connection, limit=HEAD)
        if self._context is None:
            # Reading all authorities takes a while: not on the loop.
            loop = asyncio.get_running_loop()
            self._context = await loop.run_in_executor(None, ssl.create_default_context)
        return await asyncio.open_connection(
            sock=connection, ssl=self._context, server_hostname=target.host, limit=HEAD
        )


def _head(target: Target, headers: Mapping[str, str], length: int) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"host: {target.authority}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"content-length: {length}",
        "user-agent: pixraft",
        "connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return status and headers of an answer; of 1xx, which come before it, there may be a few."""
    for _ in range(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        protocol, _, rest = head[0].partition(" ")
        if not protocol.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise NotAccepted("what it answers is not HTTP/1.1")
        status = int(rest[:3])
        if status >= 200:
            pairs = (line.partition(":") for line in head[1:])
            return status, {name.strip().lower(): value.strip() for name, _, value in pairs}
    raise NotAccepted("it answers without end")


def _after(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 8 else 0.0


def _reason(error: Exception) -> str:
    """Say what went wrong, without what a library says of its own inside."""
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closed the connection without an answer"
    if isinstance(error, asyncio.LimitOverrunError):
        return f"the head of its answer is longer than {HEAD} bytes"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"the connection failed ({type(error).__name__})"
