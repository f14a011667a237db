"""When an upgrade can be finished, and what stands in its way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.calls.upgrade import finish_upgrade, show_upgrade
from raftstore.cluster.membership.upgrade import Plan, plan
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Changed, Incompatible
from raftstore.peers import Peer, Role
from raftstore.peers.calls import Answered
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands


def node(name: str, newest: int | None = 2, **fields: Any) -> NodeStatus:
    up = {"reachable": True, "program": "1.2", "oldest": 1, "newest": newest}
    return NodeStatus(name, "", **(up | fields))


def test_there_is_nothing_to_finish_when_nobody_knows_more() -> None:
    assert plan(2, [node("n1"), node("n2")]) == Plan(2, 2, ())


def test_all_nodes_must_know_the_newest_level_that_one_knows() -> None:
    found = plan(1, [node("n1"), node("n2", 1, program="1.1"), node("n3")])
    assert (found.level, found.target) == (1, 2)
    (obstacle,) = found.obstacles
    assert obstacle.startswith("n2 runs pixraft 1.1, which knows levels up to 1: install the new version there")


def test_all_nodes_must_be_reached() -> None:
    found = plan(1, [node("n1"), node("n2", None, reachable=False, error="cannot be reached")])
    (obstacle,) = found.obstacles
    assert obstacle.startswith(
        "n2: cannot be reached; start it with the new version, or take it out with `pixraft"
    )


def test_a_node_that_was_refused_for_its_version_says_that() -> None:
    found = plan(
        1, [node("n1"), node("n2", None, reachable=False, error="n2 runs pixraft 0.1, which cannot be ...")]
    )
    assert found.obstacles[0].startswith("n2: n2 runs pixraft 0.1")


def test_nodes_that_do_not_say_what_they_know_are_in_the_way() -> None:
    found = plan(1, [node("n1"), node("n2", None, program="")])
    assert found.obstacles[0].startswith("n2 runs pixraft 0.1, which knows no levels")


class Cluster:
    """A node whose catalog and members do what they are told."""

    def __init__(self, nodes: list[NodeStatus], level: int = 1) -> None:
        self.level = level
        self.nodes = nodes
        configuration = Configuration.of([each.name for each in nodes])
        self.proposed: list[commands.SetLevel] = []
        self.node: Any = SimpleNamespace(
            catalog=self,
            health=self,
            membership=SimpleNamespace(applied=lambda: (7, configuration)),
            propose=self.propose,
            barrier=self.barrier,
        )

    async def barrier(self) -> None:
        return

    async def gather(self) -> ClusterStatus:
        return ClusterStatus("healthy", "n1", "n1", 1, self.nodes)

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed.append(command.set_level)
        self.level = command.set_level.level
        return commands.Result()

    def ask(self, call: Answered[NodeContext, admin.UpgradeRequest, admin.Upgrade]) -> admin.Upgrade:
        async def ask() -> admin.Upgrade:
            return await call.answer(self.node, admin.UpgradeRequest(), Peer("olga", Role.ADMIN))

        return asyncio.run(ask())


def test_it_is_raised_step_by_step_for_the_members_that_were_asked() -> None:
    cluster = Cluster([node("n1", 3), node("n2", 3)])
    done = cluster.ask(finish_upgrade)
    assert (done.before, done.level, done.target) == (1, 3, 3)
    assert [(each.level, each.members, each.fresh) for each in cluster.proposed] == [
        (2, 7, False),
        (3, 7, False),
    ]
    again = cluster.ask(finish_upgrade)
    assert (again.before, again.level, len(cluster.proposed)) == (3, 3, 2)


def test_nothing_is_raised_while_a_node_is_in_the_way() -> None:
    cluster = Cluster([node("n1"), node("n2", 1), node("n3", None, reachable=False)])
    shown = cluster.ask(show_upgrade)
    assert (shown.before, shown.level, shown.target, len(shown.obstacles)) == (1, 1, 2, 2)
    with pytest.raises(Incompatible, match=r"level 1 stays in force, 2 needs every node; n2 runs .*; n3: "):
        cluster.ask(finish_upgrade)
    assert cluster.proposed == []


def test_members_that_changed_meanwhile_are_asked_again() -> None:
    cluster = Cluster([node("n1"), node("n2")])
    cluster.nodes = [node("n1"), node("n2"), node("n3")]
    with pytest.raises(Changed, match="try again"):
        cluster.ask(finish_upgrade)
    assert cluster.proposed == []
