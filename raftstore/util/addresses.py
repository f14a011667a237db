"""Where a server listens or is reached. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

HOST = re.compile(r"[A-Za-z0-9_.:%-]{1,253}")
"""A name, or an IP address without brackets."""


class Address(NamedTuple):
    """A host (name or IP address) and a TCP port; prints as host:port, IPv6 in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port` or `[ipv6]:port`; raise ValueError."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r}: an IPv6 address stands in brackets")
        if not colon or not HOST.fullmatch(host):
            raise ValueError(f"{text!r} is not host:port")
        if not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
            raise ValueError(f"{text!r} has no port between 0 and 65535")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of the same machine reach it, as far as the text tells."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def meets(self, other: Address) -> bool:
        """Whether two servers of one machine cannot listen on both, as far as the texts tell. Port 0 is any."""
        if self.port != other.port or not self.port:
            return False
        one, two = self._plain_host(), other._plain_host()
        if one == two or "::" in (one, two):
            return True
        return "0.0.0.0" in (one, two) and ":" not in one + two

    def _plain_host(self) -> str:
        host = self.host.lower()
        return "127.0.0.1" if host == "localhost" else host
