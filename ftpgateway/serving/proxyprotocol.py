"""The header that a load balancer puts before a connection to tell who the client is: PROXY protocol, versions 1 and 2.

https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt. Pure: bytes in, an address out. The reader never takes a
byte behind the header: that belongs to whoever gets the connection next.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""How version 2 begins; neither FTP, SSH nor TLS does."""

MOST_V1 = 107
"""Longest line of version 1, with its end."""
MOST_V2 = 4096
"""Longest header of version 2 that is taken, with all that it tells beside addresses (certificates, ids)."""

_V1 = b"PROXY "
_FIXED = struct.Struct("!BBH")
_HEAD = len(SIGNATURE) + _FIXED.size
_LOCAL, _PROXY = 0, 1
_Kind = type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]
_FAMILIES: dict[int, tuple[_Kind, int]] = {0x11: (ipaddress.IPv4Address, 4), 0x21: (ipaddress.IPv6Address, 16)}
"""By the byte that names them: how an address is read, and its bytes. TCP alone."""
_WORDS: dict[bytes, _Kind] = {b"TCP4": ipaddress.IPv4Address, b"TCP6": ipaddress.IPv6Address}


class BadHeader(Exception):
    """What came is no header; the message says how that showed."""


class Origin(NamedTuple):
    """Where a connection comes from; "": from the balancer itself (a health check), or it does not say."""

    address: str = ""


class HeaderReader:
    """Takes a header piece by piece: receive at most `wanted` bytes, `feed` them, until there is an `origin`."""

    def __init__(self) -> None:
        self._have = bytearray()
        self.wanted = len(SIGNATURE)
        """Bytes that the header still has at least; 0 when it is whole."""
        self.origin: Origin | None = None

    @property
    def begun(self) -> bool:
        """Whether anything came."""
        return bool(self._have)

    def feed(self, data: bytes) -> None:
        """Take what was received. Raises BadHeader as soon as it cannot become a header."""
        assert 0 < len(data) <= self.wanted
        self._have += data
        have = bytes(self._have)
        if _V1.startswith(have[: len(_V1)]):
            self._version_1(have)
        elif SIGNATURE.startswith(have[: len(SIGNATURE)]):
            self._version_2(have)
        else:
            raise BadHeader("no PROXY header")

    def _version_1(self, have: bytes) -> None:
        if have.endswith(b"\r\n"):
            self.origin, self.wanted = _line(have[:-2]), 0
        elif b"\n" in have or len(have) >= MOST_V1:
            raise BadHeader("a PROXY line without its end")
        elif len(have) < len(SIGNATURE):
            self.wanted = len(SIGNATURE) - len(have)
        else:
            self.wanted = min(1 if have.endswith(b"\r") else 2, MOST_V1 - len(have))

    def _version_2(self, have: bytes) -> None:
        if len(have) < _HEAD:
            self.wanted = _HEAD - len(have)
            return
        kind, family, size = _FIXED.unpack_from(have, len(SIGNATURE))
        if kind >> 4 != 2 or kind & 15 not in (_LOCAL, _PROXY):
            raise BadHeader("a PROXY header of another version")
        if _HEAD + size > MOST_V2:
            raise BadHeader(f"a PROXY header of {_HEAD + size} bytes")
        self.wanted = _HEAD + size - len(have)
        if not self.wanted:
            self.origin = Origin() if kind & 15 == _LOCAL else _addresses(family, have[_HEAD:])


def _line(line: bytes) -> Origin:
    """Read a line of version 1: PROXY TCP4 source destination port port."""
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":
        return Origin()
    kind = _WORDS.get(words[1])
    if kind is None or len(words) != 6:
        raise BadHeader("a PROXY line that is not whole")
    try:
        source, _ = (kind(word.decode("ascii")) for word in words[2:4])
        ports = [int(word) for word in words[4:] if word.isdigit() and len(word) <= 5]
    except ValueError:
        raise BadHeader("a PROXY line with an address that is none") from None
    if len(ports) != 2 or max(ports) > 65535:
        raise BadHeader("a PROXY line with a port that is none")
    return Origin(_plain(source))


def _addresses(family: int, content: bytes) -> Origin:
    """Read the addresses of version 2; what stands behind them (TLVs) is not looked at."""
    if family not in _FAMILIES:
        return Origin()  # UNSPEC, datagrams, UNIX sockets: to be taken, and to be ignored
    kind, length = _FAMILIES[family]
    if len(content) < 2 * length + 4:
        raise BadHeader("a PROXY header without its addresses")
    return Origin(_plain(kind(content[:length])))


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
