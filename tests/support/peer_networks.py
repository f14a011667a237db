"""Peer networks on loopback for tests: identities of one authority, quick limits, both event loops."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from raftstore.peers import Authority, Identity, Limits, PeerNetwork, Role, Versions, create_authority
from raftstore.peers.connections.channel import Shared
from raftstore.peers.connections.dial import Dialler
from raftstore.peers.network import Encryption
from raftstore.peers.versions import Greetings
from raftstore.util.addresses import Address

LOOPBACK = Address("127.0.0.1", 0)
DEADLINE = 20.0
"""Seconds that a test waits for what should happen at once."""

VERSIONS = Versions("1.2.3", 1, 2)

LIMITS = Limits(dial_time=10, handshake_time=10, ping_timeout=10, backoff_max=0.2)
"""Patient where a slow machine could hurt."""


def event_loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loops that are installed, by name."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        return loops
    return loops | {"uvloop": uvloop.new_event_loop}


def run_on(loop: str, main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on the loop of that name, with a generous deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(3 * DEADLINE):
            await main

    with asyncio.Runner(loop_factory=event_loops()[loop]) as runner:
        runner.run(bounded())


@functools.cache
def authority() -> Authority:
    """The authority of the tests' cluster."""
    return create_authority("tests")


@functools.cache
def identity(name: str, role: Role = Role.NODE) -> Identity:
    """An identity of the tests' cluster."""
    return authority().issue(name, role)


def network(
    name: str,
    members: dict[str, Address] | None = None,
    *,
    listen: Address = LOOPBACK,
    encryption: Encryption = "full",
    limits: Limits = LIMITS,
    versions: Versions = VERSIONS,
    in_force: Callable[[], int] = lambda: 0,
) -> PeerNetwork:
    """A network that is not started yet."""
    return PeerNetwork(
        identity(name),
        listen,
        members or {},
        encryption=encryption,
        limits=limits,
        versions=versions,
        in_force=in_force,
    )


def dialler(name: str, versions: Versions | None = VERSIONS, level: int = 0) -> Dialler:
    """What a node of that name dials with; `versions` None: one of 0.1, which says nothing of levels."""
    greetings = None if versions is None else Greetings(name, versions, lambda: level)
    return Dialler(identity(name), Shared(LIMITS), greetings)


@asynccontextmanager
async def running(
    names: Sequence[str] = ("a", "b"),
    *,
    encryption: Encryption = "full",
    limits: Limits = LIMITS,
    prepare: Callable[[dict[str, PeerNetwork]], None] = lambda nets: None,
) -> AsyncIterator[dict[str, PeerNetwork]]:
    """A started network a name, all members of each other; `prepare` registers handlers before the start."""
    nets = {name: network(name, encryption=encryption, limits=limits) for name in names}
    prepare(nets)
    try:
        for net in nets.values():
            await net.start()
        addresses = {name: net.address for name, net in nets.items()}
        for net in nets.values():
            net.set_members(addresses)
        yield nets
    finally:
        for net in nets.values():
            await net.stop()
