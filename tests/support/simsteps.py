"""What plots are made of: waiting for something to happen, and ways to strike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from functools import partial

from simcluster import Cluster
from simnode import Node

from raftstore.errors import StoreError
from raftstore.wire import raft_pb2

Pairs = list[tuple[str, str]]


class Steps:
    """Steps on one cluster; `trace` is told of what is done."""

    def __init__(self, cluster: Cluster, rng: random.Random, trace: Callable[[str, str, str], None]) -> None:
        self._cluster = cluster
        self._rng = rng
        self._trace = trace

    async def _sleep(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._rng.uniform(shortest, longest))

    async def _until(self, condition: Callable[[], bool], within: float = 3.0) -> None:
        deadline = self._cluster.loop.time() + within
        while not condition():
            if self._cluster.loop.time() > deadline:
                raise TimeoutError
            await asyncio.sleep(0.005)

    async def _sends(self, wanted: Callable[[Node, raft_pb2.Envelope], bool], within: float = 3.0) -> Node:
        """Wait until a node sends a message; it is still on its way then."""
        future: asyncio.Future[Node] = self._cluster.loop.create_future()

        def watch(node: Node, envelope: raft_pb2.Envelope) -> None:
            if not future.done() and wanted(node, envelope):
                future.set_result(node)

        self._cluster.watchers.append(watch)
        try:
            async with asyncio.timeout(within):
                return await future
        finally:
            if watch in self._cluster.watchers:
                self._cluster.watchers.remove(watch)

    def _roles(self) -> tuple[Node, list[Node]]:
        """The leader, and the others in any order; the plot ends if there is no leader."""
        leader = self._cluster.leader()
        if leader is None:
            raise TimeoutError
        others = [node for node in self._cluster.nodes.values() if node is not leader]
        self._rng.shuffle(others)
        return leader, others

    def _hold(self, pairs: Iterable[tuple[str, str]]) -> None:
        for source, target in pairs:
            self._cluster.network.hold(source, target)

    def _heal(self, pairs: Iterable[tuple[str, str]]) -> None:
        for source, target in pairs:
            self._cluster.network.heal(source, target)

    def _heal_among(self, nodes: list[Node]) -> None:
        self._heal(between(nodes, nodes))

    def _may_wipe(self, node: Node) -> bool:
        return self._cluster.spare() >= (0 if node.impaired else 1)

    def _wipe(self, node: Node) -> None:
        node.die(power=True)
        node.wipe()
        node.start_later(0.01, 0.1)

    def _transfer(self, leader: Node, target: Node) -> None:
        if leader.consensus is not None and leader.process is not None:
            leader.process.run(partial(leader.consensus.transfer_leadership, target.name))

    def _change(self, leader: Node, gone: Node) -> None:
        consensus, process = leader.consensus, leader.process
        if consensus is None or process is None:
            return

        async def change() -> None:
            after = consensus.membership.configuration[0]
            try:
                await consensus.membership.change(
                    lambda c, index: c.without(gone.name, index), after=after, timeout=2.0
                )
            except StoreError as error:
                self._trace(leader.name, "refused", f"to remove {gone.name}: {error}")

        self._trace(leader.name, "removes", gone.name)
        process.task(change())


def between(sources: list[Node], targets: list[Node]) -> Pairs:
    return [(a.name, b.name) for a in sources for b in targets if a is not b]
