"""Maintenance: a node that takes no sessions of clients and does not lead, until an operator ends that.

It stands in the log, so that every node knows it, also while the node is down, and that a new start changes nothing.
The node goes on storing, replicating and voting: no copy is moved, and no majority gets smaller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from raftstore.cluster.proposals import Barrier, Propose
from raftstore.errors import Invalid
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.maintenance import LEVEL, Maintenance, Rest
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

LOOK = 0.5


class MaintenanceCalls:
    """What operators and nodes ask about it."""

    def __init__(self, catalog: Catalog, barrier: Barrier, propose: Propose) -> None:
        self._catalog = catalog
        self._barrier = barrier
        self._propose = propose

    def now(self) -> Mapping[str, Rest]:
        """Return the nodes in maintenance, as applied here; nobody is asked."""
        return self._catalog.ask(Maintenance, lambda table: table.nodes)

    async def newest(self) -> Mapping[str, Rest]:
        """Return the nodes in maintenance, after a read barrier."""
        await self._barrier()
        return self.now()

    async def put(self, node: str, *, grace_ms: int = 0, off: bool = False) -> None:
        """Put a node into maintenance, or take it out. Raises NotFound, Invalid."""
        if self._catalog.level < LEVEL:
            raise Invalid("there is no maintenance before the cluster is upgraded: see `pixraft upgrade`")
        put = commands.SetMaintenance(node=node, off=off, grace_ms=grace_ms, since_ns=time.time_ns())
        await self._propose(commands.Command(set_maintenance=put))


class Yielding(Periodic):
    """Has a node in maintenance stand for election last, and hand leadership over as long as it has it."""

    def __init__(
        self,
        *,
        rests: Callable[[], bool],
        leads: Callable[[], bool],
        reluctant: Callable[[bool], None],
        hand_over: Callable[[], str],
    ) -> None:
        """`rests`: whether this node is in maintenance. `hand_over` names who was asked to lead, "" for nobody."""
        super().__init__("maintenance", LOOK, waits="a node in maintenance leads on")
        self._rests = rests
        self._leads = leads
        self._reluctant = reluctant
        self._hand_over = hand_over

    async def look(self) -> None:
        """Act on what is applied now."""
        rests = self._rests()
        self._reluctant(rests)
        if rests and self._leads() and (to := self._hand_over()):
            log.info("leadership is handed over: this node is in maintenance", to=to)
