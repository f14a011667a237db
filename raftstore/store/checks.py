"""What supervisors and balancers ask of a node: whether it is alive, and whether to send clients to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from raftstore.chunks.placement.topology import StoreState
from raftstore.errors import StoreError
from raftstore.store.node import Part, RunningNode
from raftstore.types import CHUNK_SIZE

READY_SECONDS = 2.0
"""For which a read barrier is waited for: a node that has lost the majority says so after this, before 3 s are over."""


class Checks:
    """Each check returns what is in the way, "" when nothing is. On the loop."""

    def __init__(self, node: RunningNode, part: Part) -> None:
        self._node = node
        self._consensus = part.consensus
        self._barrier: asyncio.Task[str] | None = None

    def alive(self) -> str:
        """Whether consensus runs and the journal's disk answers. Asks nobody else: a new start would not bring them."""
        return "" if self._consensus.working else "the journal does not answer"

    async def ready(self, *, local: bool = False) -> str:
        """Whether reads are answered here: a read barrier, shared by all who ask meanwhile.

        `local`: nobody else is asked; that a leader is known is enough.
        """
        node = self._node
        if node.own.rejoining or node.disk.settings.name not in node.membership.roster.configuration.voters:
            return "it joins the cluster, or is removed from it"
        if node.rests:
            return "it is in maintenance"
        if local:
            if node.disk.catalog.behind:
                return "its catalog has no space on the disk"
            return "" if node.follows() else "no leader is known"
        if self._barrier is None or self._barrier.done():
            self._barrier = asyncio.get_running_loop().create_task(self._ask(), name="readiness")
        return await asyncio.shield(self._barrier)

    async def _ask(self) -> str:
        try:
            await self._consensus.read_barrier(timeout=READY_SECONDS)
        except StoreError:
            return "no majority of the cluster answers"
        return "its catalog has no space on the disk" if self._node.disk.catalog.behind else ""

    def writable(self) -> str:
        """Whether an upload here finds space: on this node's disk, and on as many others as it needs."""
        if problem := self._node.own.disk_problem():
            return problem
        view = self._node.topology.view()
        takers = sum(map(_takes, view.stores))
        return (
            ""
            if takers >= view.quorum
            else f"{takers} of {view.quorum} stores that an upload needs take pictures"
        )

    def spared(self) -> str:
        """Whether the cluster goes on, reads and uploads, when this node is stopped now."""
        node, own = self._node, self._node.disk.settings.name
        voters = node.membership.roster.configuration.voters
        others = sum(name != own and node.network.reachable(name) for name in voters)
        if others <= len(voters) // 2:
            return f"without it {others} of {len(voters)} voters are left, which is no majority"
        view = node.topology.view()
        takers = sum(_takes(store) and store.node != own for store in view.stores)
        if takers < view.quorum:
            return f"without it {takers} of {view.quorum} stores that an upload needs are left"
        return ""

    def details(self) -> Mapping[str, object]:
        """Return what this node knows of itself, for JSON."""
        status, leader = self._node.own()
        return {
            "node": status.name,
            "version": status.program,
            "level": status.level,
            "role": status.role,
            "leader": leader or None,
            "term": status.term,
            "commit_index": status.commit_index,
            "applied_index": status.applied_index,
            "free_disk": status.free_disk,
            "problem": status.error or None,
        }


def _takes(store: StoreState) -> bool:
    return store.reachable and store.writable and store.free_bytes >= CHUNK_SIZE
