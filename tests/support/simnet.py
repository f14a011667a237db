"""The network of the simulator: two connections a pair of nodes, one each way, that delay, stall, lose and break.

It stands for PeerNetwork (`raftstore.consensus.links.Links`) and keeps its promises, no more: on a connection,
messages arrive in order or not at all; a replaced connection delivers nothing more; links come up and go down
independently in both directions. So messages of different connections overtake each other at will.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simloop import SimLoop
from simprocess import Process

from raftstore.errors import StoreError, Unavailable
from raftstore.peers.calls import NODES
from raftstore.peers.model import Handler, Lane, OneWay, Peer, Reply, Role
from raftstore.util.buffers import Buffer


@dataclass
class Weather:
    """How all wires of a seed are. Times in seconds, the rest are chances a message."""

    delay: float = 0.001
    jitter: float = 0.002
    slow_chance: float = 0.01
    slow: float = 0.1
    lose: float = 0.0
    """Handed over, and dropped by a full buffer: `send` says False."""
    duplicate: float = 0.0
    reorder: float = 0.0
    reconnect: tuple[float, float] = (0.005, 0.2)


@dataclass
class Wire:
    """One direction between two nodes. `epoch` counts connections; `held`: nothing moves, nobody notices."""

    epoch: int = 0
    up: bool = False
    cut: bool = False
    held: bool = False
    last: float = 0.0
    extra: float = 0.0
    waiting: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    drain: tuple[int, float] = (-1, 0.0)
    """An old connection still delivers until then, unless a new one is there first."""
    down_at: float | None = None


class SimNetwork:
    """All wires. `sent(source, target, body)` sees every one-way message, and `delivered(source, target, body, what
    sent returned)` those that arrive.
    """

    def __init__(
        self,
        loop: SimLoop,
        rng: random.Random,
        weather: Weather,
        sent: Callable[[str, str, bytes], Any],
        delivered: Callable[[str, str, bytes, Any], None],
    ) -> None:
        self.loop = loop
        self._rng = rng
        self.weather = weather
        self._sent = sent
        self._delivered = delivered
        self.nodes: dict[str, SimLinks] = {}
        self._wires: dict[tuple[str, str], Wire] = {}

    def wire(self, source: str, target: str) -> Wire:
        wire = self._wires.get((source, target))
        if wire is None:
            wire = self._wires[source, target] = Wire()
        return wire

    # Nodes come and go.

    def join(self, links: SimLinks) -> None:
        """Connections to and from a node that has started are made, each in its own time."""
        old = self.nodes.get(links.name)
        assert old is None or not old.process.alive
        self.nodes[links.name] = links
        for other in sorted(self.nodes):
            if other != links.name:
                self._break(other, links.name)
                self._connect_later(links.name, other)
                self._connect_later(other, links.name)

    def leave(self, name: str, *, noticed_within: float) -> None:
        """A node has died: its own connections are gone, the others notice theirs within so many seconds."""
        self.nodes.pop(name, None)
        for (source, target), wire in sorted(self._wires.items()):
            if source == name:
                wire.epoch += 1
                wire.up = False
                wire.waiting.clear()
            elif target == name and wire.up:
                epoch = wire.epoch
                self.loop.call_later(self._rng.random() * noticed_within, self._lost, source, target, epoch)

    def _lost(self, source: str, target: str, epoch: int) -> None:
        if self.wire(source, target).epoch == epoch:
            self._break(source, target)

    # Connections.

    def _connect_later(self, source: str, target: str) -> None:
        low, high = self.weather.reconnect
        epoch = self.wire(source, target).epoch
        self.loop.call_later(self._rng.uniform(low, high), self._connect, source, target, epoch)

    def _connect(self, source: str, target: str, epoch: int) -> None:
        wire = self.wire(source, target)
        if wire.up or wire.epoch != epoch or source not in self.nodes or target not in self.nodes:
            return
        if wire.cut or wire.held or self.wire(target, source).held:
            self._connect_later(source, target)
            return
        wire.epoch += 1
        wire.up, wire.last = True, self.loop.time()
        wire.waiting.clear()
        wire.drain = (-1, 0.0)
        links, now = self.nodes[source], wire.epoch
        links.process.run(lambda: links.tell(target, now, up=True))

    def _break(self, source: str, target: str) -> None:
        """A connection breaks: of what is under way, what comes soon enough may still be delivered."""
        wire = self.wire(source, target)
        if not wire.up:
            return
        wire.up = False
        if self._rng.random() < 0.5 and not wire.held:
            wire.drain = (wire.epoch, self.loop.time() + 0.01 * self._rng.random())
        wire.waiting.clear()
        links, epoch = self.nodes.get(source), wire.epoch
        if links is not None:
            links.process.run(lambda: links.tell(target, epoch, up=False))
            self._connect_later(source, target)

    # Faults.

    def flap(self, source: str, target: str) -> None:
        """A connection breaks and is made again."""
        self._break(source, target)

    def cut(self, source: str, target: str) -> None:
        """No connection in this direction."""
        self.wire(source, target).cut = True
        self._break(source, target)

    def hold(self, source: str, target: str) -> None:
        """Nothing moves in this direction, the connection seems up; a `heal` delivers what was sent."""
        self.wire(source, target).held = True

    def heal(self, source: str, target: str) -> None:
        """End `cut` and `hold`."""
        wire = self.wire(source, target)
        wire.cut = False
        if wire.held:
            wire.held = False
            waiting, wire.waiting = wire.waiting, []
            for epoch, deliver in waiting:
                if epoch == wire.epoch and wire.up:
                    deliver()

    def heal_all(self) -> None:
        for source, target in sorted(self._wires):
            self.wire(source, target).extra = 0.0
            self.heal(source, target)

    # Messages.

    def transmit(self, source: str, target: str, body: bytes) -> bool:
        wire = self.wire(source, target)
        weather, rng = self.weather, self._rng
        note = self._sent(source, target, body)
        if not wire.up:
            return False
        if weather.lose and rng.random() < weather.lose:
            return rng.random() < 0.5
        epoch = wire.epoch
        when = self.loop.time() + self._delay(wire)
        if not weather.reorder or rng.random() >= weather.reorder:
            when = wire.last = max(when, wire.last)
        self.loop.call_at(when, self._arrive, source, target, epoch, body, note)
        if weather.duplicate and rng.random() < weather.duplicate:
            self.loop.call_at(when + self._delay(wire), self._arrive, source, target, epoch, body, note)
        return True

    def _delay(self, wire: Wire) -> float:
        weather, rng = self.weather, self._rng
        delay = weather.delay + weather.jitter * rng.random() + wire.extra
        if weather.slow_chance and rng.random() < weather.slow_chance:
            delay += weather.slow * rng.random()
        return delay

    def _arrive(self, source: str, target: str, epoch: int, body: bytes, note: Any) -> None:
        wire = self.wire(source, target)
        if epoch != wire.epoch or not (
            wire.up or (wire.drain[0] == epoch and self.loop.time() < wire.drain[1])
        ):
            return
        if wire.held or wire.waiting:
            wire.waiting.append((epoch, lambda: self._hand_over(source, target, body, note)))
            return
        self._hand_over(source, target, body, note)

    def _hand_over(self, source: str, target: str, body: bytes, note: Any) -> None:
        links = self.nodes.get(target)
        if links is not None:
            links.process.run(lambda: self._received(links, source, body, note))

    def _received(self, links: SimLinks, source: str, body: bytes, note: Any) -> None:
        self._delivered(source, links.name, body, note)
        links.receive(source, body)

    # Calls, on connections of their own.

    def passable(self, source: str, target: str) -> bool:
        there, back = self.wire(source, target), self.wire(target, source)
        return (
            source in self.nodes
            and target in self.nodes
            and not (there.cut or back.cut or there.held or back.held)
        )

    def cross(self, source: str, target: str, then: Callable[[], None], lost: Callable[[], None]) -> None:
        """Carry half a call over; `lost` is called some time later if it gets nowhere."""
        delay = self._delay(self.wire(source, target))
        there, nodes = self.passable(source, target), (self.nodes.get(source), self.nodes.get(target))

        def arrive() -> None:
            same = nodes == (self.nodes.get(source), self.nodes.get(target))
            if there and same and self.passable(source, target) and self._rng.random() >= self.weather.lose:
                then()
            else:
                self.loop.call_later(self._rng.random(), lost)

        self.loop.call_later(delay, arrive)


class SimLinks:
    """One process's links."""

    def __init__(self, network: SimNetwork, process: Process) -> None:
        self._network = network
        self.process = process
        self.name = process.name
        self._watchers: list[tuple[Callable[[str], None], Callable[[str], None]]] = []
        self._receivers: dict[str, OneWay] = {}
        self.handlers: dict[str, Handler] = {}
        self._reported: dict[str, int] = {}
        self._members: frozenset[str] | None = None

    def on_message(self, method: str, handler: OneWay) -> None:
        self._receivers[method] = handler

    def on_link(self, up: Callable[[str], None], down: Callable[[str], None]) -> None:
        self._watchers.append((up, down))

    def serve(
        self, method: str, handler: Handler, *, roles: frozenset[Role] = NODES, by_digest: bool = False
    ) -> None:
        self.handlers[method] = handler

    def reachable(self, peer: str) -> bool:
        return peer in self._reported and self._knows(peer)

    def _knows(self, peer: str) -> bool:
        return self._members is None or peer in self._members

    def set_members(self, names: frozenset[str]) -> None:
        """Have connections to these only (before: to all)."""
        before, self._members = self._members, names
        for peer in sorted(self._reported):
            if before is not None and (peer in before) != (peer in names):
                self._report(peer, up=peer in names)

    def send(self, peer: str, method: str, body: bytes, *, urgent: bool = False) -> bool:
        return self.process.alive and self._knows(peer) and self._network.transmit(self.name, peer, body)

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
        network, process, loop = self._network, self.process, self._network.loop
        future: asyncio.Future[Reply] = loop.create_future()

        def finish(reply: Reply | StoreError) -> None:
            if not future.done():
                if isinstance(reply, StoreError):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)

        def back(reply: Reply | StoreError) -> None:
            network.cross(peer, self.name, lambda: process.run(lambda: finish(reply)), lost)

        def lost() -> None:
            process.run(lambda: finish(Unavailable("the connection broke")))

        def there() -> None:
            target = network.nodes[peer]
            handler = target.handlers.get(method)
            if handler is None:
                back(Unavailable("not served"))
                return
            target.process.run(lambda: serve(target.process, handler))

        def serve(server: Process, handler: Handler) -> None:
            async def handled() -> Reply:
                return await handler(Peer(self.name, Role.NODE), body, memoryview(bytes(payload)))

            task = loop.create_task(handled())
            task.add_done_callback(lambda done: server.run(lambda: answer(done)))

        def answer(task: asyncio.Task[Reply]) -> None:
            error = task.exception()
            if error is None:
                back(task.result())
            elif isinstance(error, StoreError):
                back(error)
            else:
                raise error

        network.cross(self.name, peer, there, lost)
        loop.call_later(timeout, lambda: process.run(lambda: finish(Unavailable("timeout"))))
        return await future

    def tell(self, peer: str, epoch: int, *, up: bool) -> None:
        """Report a link, as PeerNetwork does."""
        if up:
            self._reported[peer] = epoch
        elif self._reported.get(peer) == epoch:
            del self._reported[peer]
        else:
            return
        if self._knows(peer):
            self._report(peer, up=up)

    def _report(self, peer: str, *, up: bool) -> None:
        for watcher in self._watchers:
            watcher[0 if up else 1](peer)

    def receive(self, source: str, body: bytes) -> None:
        for receiver in self._receivers.values():
            receiver(Peer(source, Role.NODE), body)
