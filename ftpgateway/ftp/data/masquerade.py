"""The address that clients behind the other side of a NAT are told: given, or that of a name which may change."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket

import structlog

log = structlog.get_logger()

FIRST_WAIT = 2.0
"""Seconds that a start waits for the first look-up."""

RETRY = 5.0
"""Seconds until a name that could not be looked up is tried again, while no address is known."""


class Masquerade:
    """`address` is what PASV tells; None: not known yet. A name that cannot be looked up keeps its last address."""

    def __init__(self, host: str, interval: float) -> None:
        """`host`: an IPv4 address or a name, looked up every `interval` seconds, off the loop."""
        self._host = host
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        self.address = host if _is_ipv4(host) else None

    async def start(self) -> None:
        """Look the name up, and go on doing so in the background. A name server that is slow holds nothing up."""
        if self.address is None:
            looked = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._watch(looked), name="masquerade address")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_WAIT):
                    await looked.wait()

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self, looked: asyncio.Event) -> None:
        while True:
            await self.look()
            looked.set()
            await asyncio.sleep(self._interval if self.address is not None else min(RETRY, self._interval))

    async def look(self) -> None:
        """Look the name up once."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            log.warning("masquerade address not found", name=self._host, kept=self.address, error=str(error))
            return
        addresses = sorted(str(entry[4][0]) for entry in found)
        if self.address not in addresses:
            log.info("masquerade address", name=self._host, address=addresses[0], before=self.address)
            self.address = addresses[0]


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
