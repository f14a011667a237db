"""Free TCP ports for nodes on this machine.

Between finding a port free and a node's listening there, another program may take it. At least no other demo or test
run does: what is handed out here is reserved, a stripe of ports at a time, by the name of a socket that vanishes with
this process. Such names live in the network namespace, as the ports do.
"""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator

from ftpgateway.cli.errors import AddressInUse

FTP_PORT = 2121
_FIRST, _LAST = 20_000, 32_000  # below where systems take ports for outgoing connections
_STRIPE = 16

_stripes: set[int] = set()
_given: set[int] = set()


def is_free(host: str, port: int) -> bool:
    """Whether a server can listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free(host: str, count: int) -> list[int]:
    """Return ports that are free, reserved for this process; raise AddressInUse when there are none.

    They do not come from the range for outgoing connections, so that they are free after a restart, too.
    """
    available = (port for port in _candidates() if _available(host, port))
    found = list(itertools.islice(available, count))
    if len(found) < count:
        raise AddressInUse(f"no {count} free ports on {host}")
    _given.update(found)
    return found


def row(host: str, count: int) -> list[int]:
    """Return consecutive ports as `free` does: for tests, away from where people's demos are."""
    for start in _candidates():
        if block := _block(host, start, count):
            return block
    raise AddressInUse(f"no {count} free ports in a row on {host}")


def _candidates() -> Iterator[int]:
    """Yield the ports that nodes get, those of stripes that this process has first."""
    own = [stripe * _STRIPE for stripe in _stripes if _FIRST <= stripe * _STRIPE < _LAST]
    everywhere = range(_FIRST, _LAST, _STRIPE)
    for start in (*own, *random.sample(everywhere, len(everywhere))):
        yield from range(start, start + _STRIPE)


def consecutive(host: str, count: int, first: int | None, start: int = FTP_PORT) -> list[int]:
    """Return `count` ports from `first`; without it, from the first place after `start` where all are free, reserved.

    Raises AddressInUse that names the first port that is taken.
    """
    if first is not None:
        for port in range(first, first + count):
            if not is_free(host, port):
                raise AddressInUse(f"{host}:{port}: another process listens there; choose another --ftp-port")
        return list(range(first, first + count))
    for begin in range(start, start + 1000):
        if block := _block(host, begin, count):
            return block
    raise AddressInUse(f"no {count} free ports from {start} on {host}")


def _block(host: str, start: int, count: int) -> list[int]:
    """Return `count` ports from `start` if all are available, else none."""
    block = list(range(start, start + count))
    if not all(_available(host, port) for port in block):
        return []
    _given.update(block)
    return block


def _available(host: str, port: int) -> bool:
    return port not in _given and _reserved(port // _STRIPE) and is_free(host, port)


def _reserved(stripe: int) -> bool:
    """Whether the stripe is this process's, now."""
    if stripe in _stripes:
        return True
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0pixraft-ports-{stripe}")
    except OSError:
        name.close()
        return False
    name.detach()  # stays open until this process ends
    _stripes.add(stripe)
    return True
