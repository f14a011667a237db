"""When an upgrade can be finished, and what stands in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raftstore.cluster.membership.upgrade import Plan, UpgradeCalls, plan
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Changed, Incompatible
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
    """A catalog, and nodes, that do what they are told."""

    def __init__(self, nodes: list[NodeStatus], level: int = 1) -> None:
        self.level = level
        self.nodes = nodes
        self.configuration = (7, Configuration.of([each.name for each in nodes]).encode())
        self.proposed: list[commands.SetLevel] = []
        self.served: dict[str, Callable[..., Awaitable[Any]]] = {}
        UpgradeCalls(self, catalog=self, gather=self.gather, propose=self.propose, barrier=self.barrier)  # type: ignore[arg-type]

    def serve(self, method: str, handler: Callable[..., Awaitable[Any]], **options: Any) -> None:
        self.served[method] = handler

    async def barrier(self) -> None:
        return

    async def gather(self) -> ClusterStatus:
        return ClusterStatus("healthy", "n1", "n1", 1, self.nodes)

    async def propose(self, command: commands.Command) -> commands.Result:
        self.proposed.append(command.set_level)
        self.level = command.set_level.level
        return commands.Result()

    def ask(self, method: str) -> admin.Upgrade:
        reply = asyncio.run(self.served[method](None, b"", memoryview(b"")))  # type: ignore[arg-type]
        return admin.Upgrade.FromString(reply.body)


def test_it_is_raised_step_by_step_for_the_members_that_were_asked() -> None:
    cluster = Cluster([node("n1", 3), node("n2", 3)])
    done = cluster.ask("admin.upgrade_finish")
    assert (done.before, done.level, done.target) == (1, 3, 3)
    assert [(each.level, each.members, each.fresh) for each in cluster.proposed] == [
        (2, 7, False),
        (3, 7, False),
    ]
    again = cluster.ask("admin.upgrade_finish")
    assert (again.before, again.level, len(cluster.proposed)) == (3, 3, 2)


def test_nothing_is_raised_while_a_node_is_in_the_way() -> None:
    cluster = Cluster([node("n1"), node("n2", 1), node("n3", None, reachable=False)])
    shown = cluster.ask("admin.upgrade")
    assert (shown.before, shown.level, shown.target, len(shown.obstacles)) == (1, 1, 2, 2)
    with pytest.raises(Incompatible, match=r"level 1 stays in force, 2 needs every node; n2 runs .*; n3: "):
        cluster.ask("admin.upgrade_finish")
    assert cluster.proposed == []


def test_members_that_changed_meanwhile_are_asked_again() -> None:
    cluster = Cluster([node("n1"), node("n2")])
    cluster.nodes = [node("n1"), node("n2"), node("n3")]
    with pytest.raises(Changed, match="try again"):
        cluster.ask("admin.upgrade_finish")
    assert cluster.proposed == []
