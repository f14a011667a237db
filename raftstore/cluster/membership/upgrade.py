"""Upgrading a cluster: what its nodes know, and when the level can be raised (`calls.upgrade` does it)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raftstore.types import NodeStatus


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
