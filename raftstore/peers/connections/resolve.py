"""Host names to addresses, for callers that do not wait for ever."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket

from raftstore.util.addresses import Address

Found = list[Address]


class Resolver:
    """Looks names up, each once at a time, however many ask and however soon they give up.

    A look-up in the system's resolver cannot be broken off: it takes a thread until a name server answers, or none has
    for its time. So one that nobody waits for any more goes on, and whoever asks for the same name joins it.
    """

    def __init__(self) -> None:
        self._under_way: dict[Address, asyncio.Task[Found]] = {}

    async def find(self, host: str, port: int) -> Found:
        """Return the addresses of `host`, numeric, in the order in which to try them. Raises OSError."""
        if _is_numeric(host):
            return [Address(host, port)]
        wanted = Address(host, port)
        task = self._under_way.get(wanted)
        if task is None:
            task = asyncio.get_running_loop().create_task(_look_up(host, port), name=f"look up {host}")
            self._under_way[wanted] = task
            task.add_done_callback(lambda done: self._ended(wanted, done))
        return await asyncio.shield(task)

    def _ended(self, address: Address, task: asyncio.Task[Found]) -> None:
        self._under_way.pop(address, None)
        if not task.cancelled():
            task.exception()  # those who asked have it, or wait no more


async def reach(addresses: Found) -> socket.socket:
    """Return a socket that is connected to the first of the addresses that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
    for host, port in addresses:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio turns Nagle's algorithm off only where the protocol is named.
        connection = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, (host, port))
            return connection
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure


async def _look_up(host: str, port: int) -> Found:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Address(str(place[0]), port) for *_, place in found))


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
