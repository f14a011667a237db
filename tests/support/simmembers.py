"""Operators add, remove and replace members; production's decisions carry that out wherever a node leads.

In the place of intents in the catalog stands one list, and in that of the exchange of rosters a look at what the nodes
know that can be reached. A removed node lives on until it has heard of it, and disturbs if it can.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from raftstore.cluster.membership.steward import Finish, Situation, Transfer, Write, decide
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import StoreError
from raftstore.wire import commands_pb2

if TYPE_CHECKING:
    from simcluster import Cluster
    from simnode import Node

PERIOD = 0.25
ALIVE = 1.0
CHANGE_TIMEOUT = 3.0
MOST = 7
FEWEST = 2
Intent = commands_pb2.Intent


class Members:
    """What operators want of the members of a cluster, and what is done about it."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._made = len(cluster.names)
        self.open: list[Intent] = []
        self._committed_before: dict[str, int] = {}
        self._busy: set[str] = set()

    def start(self) -> None:
        """Begin to look, at every node, a few times a second."""
        self._cluster.loop.call_later(PERIOD, self._look)

    # What operators want.

    def want(self) -> None:
        """Want something else, if not too much is under way."""
        cluster = self._cluster
        leader = cluster.leader()
        if leader is None or leader.consensus is None or len(self.open) >= 2:
            return
        voters = sorted(leader.consensus.membership.configuration[1].voters)
        going = {name for intent in self.open for name in (intent.node, intent.replaces)}
        staying = [name for name in voters if name not in going]
        kind = self._rng.choice(("add", "add", "remove", "replace"))
        if kind == "remove":
            if len(staying) > FEWEST:
                self._want(Intent(kind=Intent.REMOVE, node=self._rng.choice(staying), force=True))
            return
        if len(cluster.nodes) < MOST and staying:
            self._made += 1
            name = f"n{self._made}"
            old = self._rng.choice(staying) if kind == "replace" else ""
            self._want(Intent(kind=Intent.JOIN, node=name, replaces=old, nonce=b"n", force=True))
            cluster.add(name, leader).start_later(0.01, 0.3)

    def _want(self, intent: Intent) -> None:
        what = f"{Intent.Kind.Name(intent.kind).lower()} {intent.replaces and 'for ' + intent.replaces}"
        self._cluster.trace.event(intent.node, "* wanted", what)
        self.open.append(intent)

    # What is done about it.

    def _look(self) -> None:
        for node in list(self._cluster.nodes.values()):
            if node.process is not None:
                node.process.run(partial(self._look_at, node))
        self._cluster.loop.call_later(PERIOD, self._look)

    def _look_at(self, node: Node) -> None:
        if node.failed:
            return
        self._hear(node)
        gone = node.roster[1].removal(node.name)
        if gone is not None:
            self._cluster.remove(node)
        elif node.consensus is not None and node.consensus.is_leader and node.name not in self._busy:
            self._lead(node)

    def _hear(self, node: Node) -> None:
        """The newest committed configuration among the nodes that can be reached: for hearing them, nothing else."""
        for other in self._cluster.running:
            if other is node or self._cluster.network.passable(other.name, node.name):
                assert other.consensus is not None
                committed = max(other.roster, other.consensus.membership.committed, key=lambda found: found[0])
                if committed[0] > node.roster[0]:
                    node.roster = committed
        node.know()

    def _lead(self, node: Node) -> None:
        """What the steward does at a look."""
        consensus = node.consensus
        assert consensus is not None and node.process is not None
        index, configuration = consensus.membership.configuration
        if not index:
            self._change(node, Write(lambda _configuration, _index: configuration, "first"))
            return
        before, self._committed_before[node.name] = (
            self._committed_before.get(node.name, 0),
            consensus.commit_index,
        )
        matched = consensus.match_indexes
        situation = Situation(
            leader=node.name,
            configuration=configuration,
            alive=consensus.membership.heard_lately(ALIVE),
            caught_up=lambda name: 0 < before <= matched.get(name, 0),
            drained=lambda name: True,
        )
        for intent in self.open:
            action = decide(situation, intent)
            if isinstance(action, Write):
                self._change(node, action)
            elif isinstance(action, Transfer):
                target = next((t for t in action.targets if consensus.transfer_leadership(t)), None)
                self._cluster.trace.event(node.name, "hands over", f"to {target}")
            elif isinstance(action, Finish) and consensus.membership.committed[0] == index:
                self._cluster.trace.event(node.name, "* done", intent.node)
                self.open.remove(intent)
            else:
                continue
            return

    def _change(self, node: Node, action: Write) -> None:
        process, consensus = node.process, node.consensus
        assert process is not None and consensus is not None

        async def change() -> None:
            membership = consensus.membership
            try:
                index = await membership.change(
                    action.step, after=membership.configuration[0], timeout=CHANGE_TIMEOUT
                )
                self._cluster.trace.event(node.name, "members", f"{action.what}: entry {index}")
            except StoreError as error:
                self._cluster.trace.event(node.name, "members", f"{action.what}: {error}")
            finally:
                self._busy.discard(node.name)

        self._busy.add(node.name)
        process.at_death.append(lambda: self._busy.discard(node.name))
        process.task(change())

    # The end.

    def settled(self) -> bool:
        """Whether all that was wanted is done, and whoever was removed knows it."""
        if self.open:
            return False
        newest: tuple[int, Configuration] = max(
            (n.consensus.membership.committed for n in self._cluster.running if n.consensus is not None),
            key=lambda found: found[0],
            default=(0, Configuration(())),
        )
        return newest[0] > 0 and newest[1].names == set(self._cluster.names)
