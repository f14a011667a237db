"""The simulator's network and loop, one step at a time: a message waits until a command delivers it or drops it.

Time on the loop is that of disks and threads, a few milliseconds a step. The nodes' own clocks (elections, heartbeats,
time limits) are in `steppednode` and stand still unless a command moves them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inwords import CALLS, message_in_words
from simloop import SimLoop
from simnet import SimLinks, SimNetwork, Weather

from raftstore.peers.model import Buffer, Lane, Reply
from raftstore.wire import raft_pb2

MAX_STEPS = 1_000_000
PAUSE = 0.2
"""Seconds without an event after which nothing more happens by itself; what is due later is a time limit of a call."""
WEATHER = Weather(delay=0.0, jitter=0.0, slow_chance=0.0, reconnect=(0.001, 0.001))

Pair = tuple[str, str]


class SteppedLoop(SimLoop):
    """A loop that runs until all is quiet."""

    def __init__(self) -> None:
        super().__init__(MAX_STEPS)

    def settle(self) -> None:
        """Let everything happen that needs neither a message nor a node's clock."""
        self.run_until(self._quiet)

    def _quiet(self) -> bool:
        due = min((when for when, _, handle in self._timers if not handle.cancelled_), default=None)
        return not self._ready and (due is None or due > self.time() + PAUSE)


@dataclass(frozen=True)
class Message:
    """One message under way, or half a call."""

    text: str
    deliver: Callable[[], None]
    lose: Callable[[], None] = lambda: None


class SteppedNetwork(SimNetwork):
    """See the module. `tell(source, target, text)` is told of every message as it is sent."""

    def __init__(
        self,
        loop: SteppedLoop,
        sent: Callable[[str, str, bytes], raft_pb2.Envelope],
        delivered: Callable[[str, str, bytes, Any], None],
        tell: Callable[[str, str, str], None],
    ) -> None:
        super().__init__(loop, random.Random(0), WEATHER, sent, delivered)
        self._tell = tell
        self.under_way: dict[Pair, deque[Message]] = {}
        self.parted: set[Pair] = set()
        """Directions in which everything is lost, while the connections seem up."""
        self._call: str | None = None
        """The method of a call that is about to be sent."""
        self._called: dict[Pair, str] = {}
        """The method of the latest call from one node to another."""

    def transmit(self, source: str, target: str, body: bytes) -> bool:
        envelope = self._sent(source, target, body)
        if not self.wire(source, target).up:
            return False
        deliver = lambda: self._hand_over(source, target, body, envelope)  # noqa: E731
        self._put(source, target, Message(message_in_words(envelope), deliver))
        return True

    def _put(self, source: str, target: str, message: Message) -> None:
        if (source, target) in self.parted:
            self._tell(source, target, f"{message.text} (lost)")
            message.lose()
            return
        self._tell(source, target, message.text)
        self.under_way.setdefault((source, target), deque()).append(message)

    def announce(self, method: str) -> None:
        """What `cross` carries next is a call of this method."""
        self._call = method

    def cross(self, source: str, target: str, then: Callable[[], None], lost: Callable[[], None]) -> None:
        method, self._call = self._call, None
        if method is not None:
            self._called[source, target] = method
            text = CALLS[method][0]
        else:
            text = CALLS[self._called[target, source]][1]
        nodes = (self.nodes.get(source), self.nodes.get(target))

        def arrive() -> None:
            (then if nodes == (self.nodes.get(source), self.nodes.get(target)) else lost)()

        if self.passable(source, target):
            self._put(source, target, Message(text, arrive, lost))
        else:
            self.loop.call_soon(lost)

    # What commands do.

    def waiting(self) -> list[tuple[Pair, list[str]]]:
        """Return what is under way, by direction."""
        return [(pair, [m.text for m in self.under_way[pair]]) for pair in sorted(self.under_way)]

    def take(self, pair: Pair) -> Message | None:
        """Take the next message of a direction off the wire."""
        queue = self.under_way.get(pair)
        if not queue:
            return None
        message = queue.popleft()
        if not queue:
            del self.under_way[pair]
        return message

    def leave(self, name: str, *, noticed_within: float = 0.0) -> None:
        for pair in [pair for pair in self.under_way if name in pair]:
            for message in self.under_way.pop(pair):
                message.lose()
        super().leave(name, noticed_within=noticed_within)


class SteppedLinks(SimLinks):
    """One process's links."""

    _network: SteppedNetwork

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
        self._network.announce(method)
        return await super().call(peer, method, body, payload, lane=lane, timeout=timeout, by_digest=by_digest)
