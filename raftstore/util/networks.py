"""Which addresses count as one place. Pure."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(address: str) -> str:
    """Return what counts as one place: an IPv4 address itself, of an IPv6 address its /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def site_of(network: str) -> str:
    """Return the /48 of an IPv6 network (`network_of`), which one customer has as a rule; "" for anything else."""
    try:
        first = ipaddress.IPv6Network(network).network_address
    except ValueError:
        return ""
    return str(ipaddress.IPv6Network((int(first) >> 80 << 80, 48)))
