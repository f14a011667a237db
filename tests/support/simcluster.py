"""A cluster of the production consensus and metadata code in one process, on a virtual clock."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from simchecks import Checks
from simloop import SimLoop
from simmembers import Members
from simnet import SimNetwork
from simnode import Node
from simscenario import Scenario
from simtrace import Trace

from raftstore.consensus.membership.configuration import Configuration
from raftstore.wire import raft_pb2

MAX_STEPS = 3_000_000


class Cluster:
    """All nodes, their network, and what is checked. To be closed."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.scenario = scenario
        self.trace = trace
        self.loop = SimLoop(MAX_STEPS)  # type: ignore[abstract]
        trace.clock = self.loop.time
        self.violation: str | None = None
        self.checks = Checks(self.violate)
        self.watchers: list[Callable[[Node, raft_pb2.Envelope], None]] = []
        """Called with every message that is sent, by its sender."""
        self.flood: Callable[[Node, int], None] = lambda node, count: None
        """Have so many writes begun at a node."""
        self.query: Callable[[Node, int], None] = lambda node, count: None
        """Have so many reads begun at a node."""
        self.quiet = False
        """Whether the clients keep still."""
        self.at_commit: list[Callable[[Node], None]] = []
        """Called with a leader that has just committed something."""
        ram = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="pixraft-simulation-", dir=ram if ram.is_dir() else None))
        self.network = SimNetwork(
            self.loop,
            random.Random(f"{scenario.seed} network"),
            scenario.weather,
            self._sent,
            self._delivered,
        )
        self.names = [f"n{number}" for number in range(1, scenario.nodes + 1)]
        """The members, and those that are to become members."""
        founders = Configuration.of(self.names)
        self.nodes = {name: Node(self, name, founders) for name in self.names}
        self.members = Members(self, random.Random(f"{scenario.seed} members")) if scenario.members else None

    def close(self) -> None:
        for node in self.nodes.values():
            if node.process is not None:
                node.process.die()
        self.loop.close()
        for node in self.nodes.values():
            if node.catalog is not None:
                node.catalog.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def violate(self, check: str, what: str) -> None:
        """Note the first thing that must not be: which check sees it, and what it sees."""
        if self.violation is None:
            self.violation = f"{check}: {what}"
            self.trace.event("", "VIOLATION", self.violation)

    def _sent(self, source: str, target: str, body: bytes) -> raft_pb2.Envelope:
        envelope, node = raft_pb2.Envelope.FromString(body), self.nodes[source]
        if not node.failed:
            self.checks.sent(source, target, envelope, node.journal)
            for watcher in self.watchers:
                watcher(node, envelope)
        return envelope

    def _delivered(self, source: str, target: str, body: bytes, envelope: raft_pb2.Envelope) -> None:
        self.checks.received(source, target, envelope)
        self.trace.message(source, target, body, envelope)

    def run(self, done: Callable[[], bool], deadline: float) -> bool:
        """Let the cluster live until `done()`, a violation, or the deadline; return `done()`."""
        self.loop.run_until(lambda: self.violation is not None or done(), deadline)
        return done()

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()
        if self.members is not None:
            self.members.start()

    def add(self, name: str, sponsor: Node) -> Node:
        """A new machine, with what `sponsor` knows of the members."""
        node = self.nodes[name] = Node(self, name, sponsor.roster[1], joining=True)
        self.names.append(name)
        return node

    def remove(self, node: Node) -> None:
        """A node knows that it was removed, and ends for good."""
        self.trace.event(node.name, "removed", "")
        node.die(power=False)
        self.names.remove(node.name)
        del self.nodes[node.name]

    @property
    def running(self) -> list[Node]:
        """Nodes that take part."""
        return [node for node in self.nodes.values() if node.consensus is not None]

    def leader(self) -> Node | None:
        """A node that takes itself for the leader, in the highest term."""
        leaders = [node for node in self.running if node.consensus is not None and node.consensus.is_leader]
        return max(leaders, key=lambda node: node.seen_term, default=None)

    def spare(self) -> int:
        """How many more nodes may lose their data."""
        if self.members is not None:
            return -1  # a change may be about to need everyone
        impaired = sum(node.impaired for node in self.nodes.values())
        return (self.scenario.nodes - 1) // 2 - impaired
