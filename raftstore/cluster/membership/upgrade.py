"""Upgrading a cluster: what its nodes know, and the step that raises the level once all of them know the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from raftstore.cluster.administration import serve_admin
from raftstore.cluster.status.convert import node_to_wire
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Changed, Incompatible
from raftstore.peers import PeerNetwork
from raftstore.types import ClusterStatus, NodeStatus
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What `upgrade finish` would do: raise the level to `target`, unless there are `obstacles`."""

    level: int
    target: int
    obstacles: tuple[str, ...]


def plan(level: int, nodes: Sequence[NodeStatus]) -> Plan:
    """Say to which level a cluster at `level` can be raised, and what is in the way.

    The target is the newest level that any node knows: an upgrade is under way until all nodes know it.
    """
    target = max([level, *(node.newest or 0 for node in nodes)])
    if target == level:
        return Plan(level, level, ())
    obstacles = [_obstacle(node, target) for node in nodes]
    return Plan(level, target, tuple(obstacle for obstacle in obstacles if obstacle))


def _obstacle(node: NodeStatus, target: int) -> str:
    if not node.reachable:
        return (
            f"{node.name}: {node.error or 'cannot be reached'}; start it with the new version, or take it out with "
            f"`pixraft node remove {node.name} --force`"
        )
    if not node.newest or node.newest < target:
        known = f"levels up to {node.newest}" if node.newest else "no levels"
        return (
            f"{node.name} runs pixraft {node.program or '0.1'}, which knows {known}: install the new version there and "
            "start it again"
        )
    return ""


class Replicated(Protocol):
    """What is asked of the catalog."""

    @property
    def level(self) -> int:
        """The level in force."""
        ...

    @property
    def configuration(self) -> tuple[int, bytes]:
        """The configuration applied last, with its log index; 0 for that of the configuration files."""
        ...


class UpgradeCalls:
    """Registers the calls on the peers channel."""

    def __init__(
        self,
        network: PeerNetwork,
        *,
        catalog: Replicated,
        gather: Callable[[], Awaitable[ClusterStatus]],
        propose: Callable[[commands.Command], Awaitable[commands.Result]],
        barrier: Callable[[], Awaitable[None]],
    ) -> None:
        """`gather` asks every member for its status."""
        self._catalog = catalog
        self._gather = gather
        self._propose = propose
        self._barrier = barrier
        serve_admin(network, "admin.upgrade", self._status, changes=False)
        serve_admin(network, "admin.upgrade_finish", self._finish, changes=True)

    async def _look(self) -> tuple[Plan, list[NodeStatus], int]:
        """Return the plan, whom it was made from, and the log entry of the configuration that names them."""
        await self._barrier()
        index, configuration = self._catalog.configuration
        nodes = (await self._gather()).nodes
        if index and {node.name for node in nodes} != Configuration.decode(configuration).names:
            raise Changed("the members were just changed; try again")
        return plan(self._catalog.level, nodes), nodes, index

    async def _status(self, _body: bytes) -> bytes:
        found, nodes, _ = await self._look()
        return _answer(found, nodes, found.level).SerializeToString()

    async def _finish(self, _body: bytes) -> bytes:
        """Raise the level, one step an entry of the log. Raises Incompatible when a node is not ready."""
        found, nodes, members = await self._look()
        if found.obstacles:
            raise Incompatible(
                f"level {found.level} stays in force, {found.target} needs every node; "
                + "; ".join(found.obstacles)
            )
        for level in range(found.level + 1, found.target + 1):
            await self._propose(commands.Command(set_level=commands.SetLevel(level=level, members=members)))
            log.info("upgrade finished", level=level)
        return _answer(plan(self._catalog.level, nodes), nodes, found.level).SerializeToString()


def _answer(found: Plan, nodes: Sequence[NodeStatus], before: int) -> admin.Upgrade:
    return admin.Upgrade(
        level=found.level,
        target=found.target,
        nodes=[node_to_wire(node) for node in nodes],
        obstacles=found.obstacles,
        before=before,
    )
