"""An upgrade of the whole cluster: how far it is, and the step that raises the level."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from raftstore.cluster.calls.context import NodeContext
from raftstore.cluster.membership.upgrade import Plan, plan
from raftstore.cluster.status.convert import node_to_wire
from raftstore.errors import Changed, Incompatible
from raftstore.peers.calls import admin_call
from raftstore.types import NodeStatus
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()


@admin_call("admin.upgrade", admin.UpgradeRequest, admin.Upgrade, changes=False)
async def show_upgrade(node: NodeContext, _request: admin.UpgradeRequest) -> admin.Upgrade:
    """Tell which level is in force, what each node knows, and what is in the way of the next one."""
    found, nodes, _ = await _look(node)
    return _described(found, nodes, found.level)


@admin_call("admin.upgrade_finish", admin.UpgradeRequest, admin.Upgrade, changes=True)
async def finish_upgrade(node: NodeContext, _request: admin.UpgradeRequest) -> admin.Upgrade:
    """Raise the level, one step an entry of the log. Raises Incompatible when a node is not ready."""
    found, nodes, members = await _look(node)
    if found.obstacles:
        raise Incompatible(
            f"level {found.level} stays in force, {found.target} needs every node; "
            + "; ".join(found.obstacles)
        )
    for level in range(found.level + 1, found.target + 1):
        await node.propose(commands.Command(set_level=commands.SetLevel(level=level, members=members)))
        log.info("upgrade finished", level=level)
    return _described(plan(node.catalog.level, nodes), nodes, found.level)


async def _look(node: NodeContext) -> tuple[Plan, list[NodeStatus], int]:
    """Return the plan, whom it was made from, and the log entry of the configuration that names them."""
    await node.barrier()
    index, configuration = node.membership.applied()
    nodes = (await node.health.gather()).nodes
    if index and {each.name for each in nodes} != configuration.names:
        raise Changed("the members were just changed; try again")
    return plan(node.catalog.level, nodes), nodes, index


def _described(found: Plan, nodes: Sequence[NodeStatus], before: int) -> admin.Upgrade:
    return admin.Upgrade(
        level=found.level,
        target=found.target,
        nodes=[node_to_wire(each) for each in nodes],
        obstacles=found.obstacles,
        before=before,
    )
