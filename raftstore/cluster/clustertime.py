"""Cluster time goes on: the leader tells the log what the clocks of a majority agree on.

The rules of the log are in `metadata/tables/clock` and `advancing`; what the clocks agree on is decided in
`cluster/status/clocks`. While nothing expires, a command a minute does; what is due is told at the next look, and as
long as more is due, command by command. Between these the node's loop, and others' commands, go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from raftstore.cluster.status.clocks import LIMIT, agreed
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.advancing import Advances
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.rights.reserved import LEVEL
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

LOOK = 1.0
IDLE = 60 * 10**9
"""Ns that cluster time stays behind while nothing is due; below `clock.STEP`, so that this is no standstill."""

REMOVED = 64
"""Things that go with one command: some milliseconds of every node's loop."""


def due(now_ns: int, agreed_ns: int, something_due: bool) -> bool:
    """Whether cluster time, which is `now_ns`, is to be moved to `agreed_ns`. Pure."""
    return agreed_ns > now_ns and (something_due or agreed_ns - now_ns >= IDLE)


class ClusterTime(Periodic):
    """Moves cluster time while this node leads."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        leads: Callable[[], bool],
        readings: Callable[[], Sequence[int | None]],
        propose: Callable[[commands.Command], Awaitable[commands.Result]],
    ) -> None:
        """`readings` tells what the voters' clocks say now, in ns since the epoch; None for one not heard of."""
        super().__init__("cluster time", LOOK, waits="cluster time stands still")
        self._catalog = catalog
        self._leads = leads
        self._readings = readings
        self._propose = propose
        self._behind = False

    async def look(self) -> bool:
        """Move it, if it is time and the clocks agree; return whether more is due at once."""
        catalog = self._catalog
        if catalog.level < LEVEL or not self._leads():
            self._behind = False
            return False
        agreed_ns = agreed(self._readings())
        self._tell(agreed_ns is None)
        if agreed_ns is None:
            return False
        now_ns = catalog.ask(Clock, lambda clock: clock.now_ns)
        first = catalog.ask(Advances, lambda advances: advances.due(agreed_ns))
        if not due(now_ns, agreed_ns, first is not None):
            return False
        command = commands.AdvanceClock(time_ns=agreed_ns, limit=REMOVED)
        result = await self._propose(commands.Command(advance_clock=command))
        if result.removed:
            log.info("things have expired", removed=result.removed, more=not result.finished)
        return not result.finished

    def _tell(self, behind: bool) -> None:
        if behind and not self._behind:
            log.warning(
                "cluster time stands still: no majority of the nodes' clocks agree, so nothing expires",
                remedy=f"set the clocks that `pixraft status` names; they must be within {LIMIT:.0f} seconds",
            )
        elif self._behind and not behind:
            log.info("cluster time goes on")
        self._behind = behind
