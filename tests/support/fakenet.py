"""A network between the members of a cluster in one process, with everything that can go wrong.

It stands for PeerNetwork (`raftstore.consensus.links.Links`). Delays run on the loop's clock; chance is seeded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from raftstore.errors import StoreError, Unavailable
from raftstore.peers.calls import NODES
from raftstore.peers.model import Handler, Lane, OneWay, Peer, Reply, Role
from raftstore.util.buffers import Buffer

PING_TIMEOUT = 3.0


@dataclass
class Conditions:
    """How one direction between two nodes is. Times in seconds."""

    delay: float = 0.001
    jitter: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: bool = False
    """Jitter may change the order of messages."""
    silent: bool = False
    """Everything is lost, and the link seems up."""
    down: bool = False


@dataclass
class FakeNetwork:
    """The wires. Of every message `sent` and `arrived` are told: (from, to, method, body)."""

    seed: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    sent: Callable[[str, str, str, bytes], None] = lambda source, target, method, body: None
    arrived: Callable[[str, str, str, bytes], None] = lambda source, target, method, body: None
    filter: Callable[[str, str, str, bytes], bool] = lambda source, target, method, body: True
    """False: this message is lost."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.nodes: dict[str, FakeLinks] = {}
        self._wires: dict[tuple[str, str], Conditions] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._up: set[tuple[str, str]] = set()

    def links(self, name: str) -> FakeLinks:
        """The links of a node, not connected yet. A second call replaces the node (it was restarted)."""
        if name in self.nodes:
            self.leave(name)
        links = self.nodes[name] = FakeLinks(self, name)
        return links

    def join(self, name: str) -> None:
        """Connect a node with all that are there."""
        self.nodes[name].attached = True
        self._refresh()

    def leave(self, name: str) -> None:
        """The node dies: its connections break, what is under way to it is lost."""
        links = self.nodes.pop(name)
        links.attached = False
        self._refresh()

    def wire(self, source: str, target: str) -> Conditions:
        """The conditions from one node to another, to be changed; call `refresh` after changing `down`."""
        if (source, target) not in self._wires:
            self._wires[source, target] = Conditions(**vars(self.conditions))
        return self._wires[source, target]

    def set(self, source: str, target: str, *, both: bool = True, **changes: object) -> None:
        """Change conditions."""
        for a, b in [(source, target), (target, source)][: 2 if both else 1]:
            wire = self.wire(a, b)
            for name, value in changes.items():
                setattr(wire, name, value)
        self._refresh()

    def isolate(self, name: str, *others: str, silent: bool = False) -> None:
        """Cut a node off from all others, or from these."""
        for other in others or [node for node in self.nodes if node != name]:
            self.set(name, other, **({"silent": True} if silent else {"down": True}))

    def heal(self) -> None:
        """End of all that `isolate` did."""
        for wire in self._wires.values():
            wire.silent = wire.down = False
        self._refresh()

    def is_up(self, source: str, target: str) -> bool:
        return (source, target) in self._up

    def _refresh(self) -> None:
        now_up = {
            (a, b)
            for a in self.nodes
            for b in self.nodes
            if a != b and self.nodes[a].attached and self.nodes[b].attached and not self.wire(a, b).down
        }
        gone, fresh = self._up - now_up, now_up - self._up
        self._up = now_up
        for source, target in sorted(gone):
            if source in self.nodes:
                self.nodes[source].tell(target, up=False)
        for source, target in sorted(fresh):
            self._last.pop((source, target), None)
            self.nodes[source].tell(target, up=True)

    def transmit(self, source: FakeLinks, target: str, method: str, body: bytes) -> bool:
        if not source.attached or (source.name, target) not in self._up:
            return False
        self.sent(source.name, target, method, body)
        wire = self.wire(source.name, target)
        if (
            wire.silent
            or self.random.random() < wire.drop
            or not self.filter(source.name, target, method, body)
        ):
            return True
        copies = 2 if self.random.random() < wire.duplicate else 1
        for _ in range(copies):
            self._deliver_later(source, self.nodes[target], wire, method, body)
        return True

    def _deliver_later(
        self, source: FakeLinks, target: FakeLinks, wire: Conditions, method: str, body: bytes
    ) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + wire.delay + wire.jitter * self.random.random()
        key = (source.name, target.name)
        if not wire.reorder:
            when = self._last[key] = max(when, self._last.get(key, 0.0) + 1e-7)

        def arrive() -> None:
            if target.attached and not self.wire(*key).silent and key in self._up:
                self.arrived(source.name, target.name, method, body)
                target.receive(source.name, method, body)

        loop.call_at(when, arrive)


class FakeLinks:
    """One node's links."""

    def __init__(self, network: FakeNetwork, name: str) -> None:
        self.network = network
        self.name = name
        self.attached = False
        self._watchers: list[tuple[Callable[[str], None], Callable[[str], None]]] = []
        self._receivers: dict[str, OneWay] = {}
        self._handlers: dict[str, Handler] = {}

    def on_message(self, method: str, handler: OneWay) -> None:
        self._receivers[method] = handler

    def on_link(self, up: Callable[[str], None], down: Callable[[str], None]) -> None:
        self._watchers.append((up, down))

    def serve(
        self, method: str, handler: Handler, *, roles: frozenset[Role] = NODES, by_digest: bool = False
    ) -> None:
        self._handlers[method] = handler

    def reachable(self, peer: str) -> bool:
        return self.attached and self.network.is_up(self.name, peer)

    def send(self, peer: str, method: str, body: bytes, *, urgent: bool = False) -> bool:
        return self.network.transmit(self, peer, method, body)

    async def call(
        self,
        peer: str,
        method: str,
        body: bytes,
        payload: Buffer = b"",
        *,
        lane: Lane = Lane.BULK,
        timeout: float,
        by_digest: bool = False,
    ) -> Reply:
        try:
            async with asyncio.timeout(timeout):
                await self._cross(self.name, peer)
                handler = self.network.nodes[peer]._handlers[method]
                try:
                    reply = await handler(Peer(self.name, Role.NODE), body, memoryview(bytes(payload)))
                except StoreError as error:
                    await self._cross(peer, self.name)
                    raise error
                await self._cross(peer, self.name)
                return reply
        except TimeoutError:
            raise Unavailable("timeout") from None

    async def _cross(self, source: str, target: str) -> None:
        wire = self.network.wire(source, target)
        await asyncio.sleep(wire.delay + wire.jitter * self.network.random.random())
        if not self.network.is_up(source, target):
            raise Unavailable("not connected")
        if self.network.wire(source, target).silent:
            await asyncio.sleep(PING_TIMEOUT)
            raise Unavailable("the peer is silent")

    def tell(self, peer: str, *, up: bool) -> None:
        for watcher in self._watchers:
            watcher[0 if up else 1](peer)

    def receive(self, source: str, method: str, body: bytes) -> None:
        receiver = self._receivers.get(method)
        if receiver is not None:
            receiver(Peer(source, Role.NODE), body)
