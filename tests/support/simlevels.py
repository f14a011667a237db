"""Levels in the simulator: clusters that begin at the oldest, are raised in the midst of faults, and hear nonsense.

Some nodes may run the program before (`Node.newest`): they must stop at the entry that raises the level, before they
have done anything with it, and go on with the new program. Now and then a node sends the leader what no leader may
append: commands, fields and levels that nobody knows.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from simloop import SimLoop
from simmachine import put

from raftstore.consensus.pysyncobj.raft import CALL_PREFIX
from raftstore.errors import StoreError
from raftstore.metadata import levels
from raftstore.wire import commands_pb2, raft_pb2

if TYPE_CHECKING:
    from simcluster import Cluster
    from simnode import Node

UNKNOWN_FIELD = b"\xfa\x3f\x01x"
"""Field 1023 of any message."""
STRANGER = "stranger"
"""Proposer of what no leader may append."""
RETRY = 0.4
FIRST_REQUEST = 1 << 40
"""Numbers of requests that the engine never gives itself."""


def nonsense(chance: random.Random) -> bytes:
    """A command that no leader may append, whatever the level."""
    command = put(1, chance.randrange(1 << 50, 1 << 51), "")
    harmless = command.SerializeToString()
    chunk = commands_pb2.Chunk.FromString(UNKNOWN_FIELD)
    command.put_file.chunks.append(chunk)
    raised = commands_pb2.SetLevel(level=levels.NEWEST + chance.choice((1, 7)))
    return chance.choice(
        (
            harmless + UNKNOWN_FIELD,
            command.SerializeToString(),
            UNKNOWN_FIELD,
            b"",
            b"\xff\xff",
            commands_pb2.Command(set_level=raised).SerializeToString(),
        )
    )


class Levels:
    """Raises the level of a cluster that began at the oldest, and has nonsense proposed, until it is stopped."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._loop: SimLoop = cluster.loop
        self._rng = random.Random(f"{cluster.scenario.seed} levels at work")
        self._sequence = 0
        self.stopped = False

    def start(self) -> None:
        scenario = self._cluster.scenario
        if scenario.raise_after is not None:
            self._loop.call_later(scenario.raise_after, self._raise)
        if scenario.nonsense:
            self._later(self._speak)

    def account(self) -> None:
        """At the end: a new cluster was at the newest level before anything else was in its log."""
        if self._cluster.scenario.old_cluster:
            return
        for node in self._cluster.running:
            assert node.catalog is not None
            if node.catalog.level != levels.NEWEST:
                self._cluster.violate(
                    "not opened", f"{node.name} is at level {node.catalog.level} in a new cluster"
                )

    def _later(self, action: object) -> None:
        self._loop.call_later(self._rng.uniform(0.1, 2.0 * RETRY), action)  # type: ignore[arg-type]

    def _raise(self) -> None:
        """Propose the next level at some node; again, until one has applied it."""
        nodes = [node for node in self._cluster.running if node.newest == levels.NEWEST]
        if any(node.catalog is not None and node.catalog.level == levels.NEWEST for node in nodes):
            return
        if nodes:
            node = self._rng.choice(nodes)
            assert node.process is not None
            node.process.task(self._propose(node))
        self._later(self._raise)

    async def _propose(self, node: Node) -> None:
        assert node.consensus is not None and node.catalog is not None
        command = commands_pb2.Command(set_level=commands_pb2.SetLevel(level=node.catalog.level + 1))
        try:
            await node.consensus.propose(command.SerializeToString(), timeout=2.0)
        except StoreError:
            return

    def _speak(self) -> None:
        """Send the leader something that must not get into the log."""
        if self.stopped:
            return
        leader = self._cluster.leader()
        others = [node for node in self._cluster.running if node is not leader]
        if leader is not None and others:
            node = self._rng.choice(others)
            self._sequence += 1
            identity = {"node": STRANGER, "boot": 1, "sequence": self._sequence}
            operation = commands_pb2.Operation(id=identity, command=nonsense(self._rng))
            batch = commands_pb2.Batch(operations=[operation]).SerializeToString()
            assert node.consensus is not None and node.process is not None
            request = {
                "boot": node.boot,
                "request": FIRST_REQUEST + self._sequence,
                "command": CALL_PREFIX + batch,
            }
            envelope_sender, target = node.consensus._envelope_sender, leader.name
            node.process.run(lambda: _drop(envelope_sender.send(target, raft_pb2.Envelope(propose=request))))
        self._later(self._speak)


def _drop(_value: object) -> None:
    """Forget a value."""
