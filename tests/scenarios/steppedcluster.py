"""A cluster whose every message, tick and fault is a command's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from simchecks import Checks
from steppednet import Pair, SteppedLoop, SteppedNetwork
from steppednode import SteppedNode, term_of

from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.settings import ConsensusSettings
from raftstore.wire import raft_pb2

PERIOD = 0.0625
"""Seconds between a node's looks at its clock. All times are multiples of its half, so that no sum is rounded."""
TICK = 3 * PERIOD
"""Seconds: in each tick falls one heartbeat, since it is due at the first look after its time."""
NEVER = 1 << 40
FAULT, OF_NODE, OF_CLIENT, OF_MESSAGE = range(4)
"""Kinds of what is seen, in the order in which a step tells them."""
SETTINGS = ConsensusSettings(
    heartbeat=2 * PERIOD,
    election_min=8 * TICK,
    election_max=16 * TICK,
    leader_fallback=20 * TICK,
    disk_patience=24 * TICK,
    attempt=8 * TICK,
    retry=TICK,
    read_attempt=4 * TICK,
    compact_entries=NEVER,
    compact_bytes=NEVER,
    retain_entries=0,
    snapshot_piece=128,
    snapshot_retry=8 * TICK,
)


class SteppedCluster:
    """Nodes, their network, what is checked of them, and what they were seen to do since `news`. To be closed."""

    def __init__(self) -> None:
        self.loop = SteppedLoop()
        self.settings = SETTINGS
        self.directory = Path(tempfile.mkdtemp(prefix="pixraft-scenario-"))
        self.checks = Checks(lambda check, what: self._tell(FAULT, "", f"VIOLATION, {check}: {what}"))
        self.network = SteppedNetwork(self.loop, self._sent, self._delivered, self._tell_message)
        self.nodes: dict[str, SteppedNode] = {}
        self._seen: list[tuple[int, str, str]] = []
        self.news: list[tuple[int, str]] = []
        """What was seen, with its kind."""

    def close(self) -> None:
        for node in self.nodes.values():
            if node.process is not None:
                node.process.die()
        self.loop.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # What is seen.

    def _tell(self, kind: int, key: str, text: str) -> None:
        self._seen.append((kind, key, text))

    def tell(self, name: str, text: str) -> None:
        """Something can be seen of a node."""
        self._tell(OF_NODE, name, f"{name} {text}")

    def answer(self, name: str, text: str) -> None:
        """A node answers a client."""
        self._tell(OF_CLIENT, name, f"{name} {text}")

    def _tell_message(self, source: str, target: str, text: str) -> None:
        self._tell(OF_MESSAGE, f"{source} {target}", f"{source} -> {target} {text}")

    def _sent(self, source: str, target: str, body: bytes) -> raft_pb2.Envelope:
        envelope, node = raft_pb2.Envelope.FromString(body), self.nodes[source]
        node.polls += envelope.HasField("poll_request")
        self.checks.sent(source, target, envelope, node.journal)
        return envelope

    def _delivered(self, source: str, target: str, body: bytes, envelope: Any) -> None:
        self.checks.received(source, target, envelope)

    def settle(self) -> None:
        """Let happen what happens by itself. What is seen in this step is sorted: it is at once."""
        self.loop.settle()
        for error in self.loop.errors:
            self._tell(FAULT, "", f"VIOLATION, an error escapes: {error.get('exception') or error['message']}")
        self.loop.errors.clear()
        seen, self._seen = self._seen, []
        self.news += [(kind, text) for kind, _, text in sorted(seen, key=lambda one: one[:2])]

    # Members.

    def found(self, names: Sequence[str]) -> None:
        """Start a new cluster."""
        for name in names:
            self.nodes[name] = SteppedNode(self, name, Configuration.of(names))
        for name in names:
            self.start(name)

    def start(self, name: str) -> None:
        self.nodes[name].start()
        self.settle()

    def add(self, name: str, sponsor: SteppedNode) -> None:
        """Start a new node with an empty disk, which knows the members that `sponsor` knows."""
        assert sponsor.consensus is not None
        known = sponsor.consensus.membership.configuration[1]
        self.nodes[name] = SteppedNode(self, name, known, rejoining=True)
        self.start(name)

    def others(self, name: str) -> Callable[[], list[str]]:
        return lambda: sorted(self.nodes.keys() - {name})

    async def term_of(self, name: str) -> int:
        return term_of(self.nodes.get(name))

    def running(self) -> list[SteppedNode]:
        return [node for _, node in sorted(self.nodes.items()) if node.consensus is not None]

    # Time and messages.

    def tick(self, nodes: Iterable[SteppedNode], count: float = 1) -> None:
        """Let the clocks of these nodes go on by so many heartbeats."""
        for node in nodes:
            node.clock.advance(count * TICK)
            self.settle()

    def deliver(self, pair: Pair, count: int) -> int:
        """Deliver so many messages of one direction; return how many there were."""
        for number in range(count):
            message = self.network.take(pair)
            if message is None:
                return number
            self.loop.call_soon(message.deliver)
            self.settle()
        return count

    def stabilize(self, names: set[str]) -> None:
        """Deliver among these nodes until no message is left."""
        while waiting := [(p, len(texts)) for p, texts in self.network.waiting() if names.issuperset(p)]:
            for pair, count in waiting:
                self.deliver(pair, count)
