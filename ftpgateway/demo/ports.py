"""Free TCP ports for nodes on this machine."""

from __future__ import annotations

import random
import socket

from ftpgateway.cli.errors import AddressInUse

FTP_PORT = 2121
_FIRST, _LAST = 20_000, 32_000  # below where systems take ports for outgoing connections
_ATTEMPTS = 2_000


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
    """Return ports that are free; raise AddressInUse when there are none.

    They do not come from the range for outgoing connections, so that they are free after a restart, too.
    """
    found: list[int] = []
    for port in random.sample(range(_FIRST, _LAST), _ATTEMPTS):
        if len(found) == count:
            break
        if is_free(host, port):
            found.append(port)
    if len(found) < count:
        raise AddressInUse(f"no {count} free ports on {host}")
    return found


def consecutive(host: str, count: int, first: int | None) -> list[int]:
    """Return `count` ports from `first`; without it, from the first place after 2121 where all are free.

    Raises AddressInUse that names the first port that is taken.
    """
    if first is not None:
        for port in range(first, first + count):
            if not is_free(host, port):
                raise AddressInUse(f"{host}:{port}: another process listens there; choose another --ftp-port")
        return list(range(first, first + count))
    for start in range(FTP_PORT, FTP_PORT + 1000):
        block = list(range(start, start + count))
        if all(is_free(host, port) for port in block):
            return block
    raise AddressInUse(f"no {count} free ports from {FTP_PORT} on {host}")
