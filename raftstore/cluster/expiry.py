"""Partial uploads that nobody goes on with: the leader tells the log that time has passed, and what goes then.

It counts time by a clock that nobody sets, from the last tick that it has seen applied, or from when it began to lead
or first saw a partial upload. So what goes is at least as old as it has to be, whatever any node takes for the time of
day. The rules of the log are in `metadata/partials`.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from raftstore.cluster.proposals import Propose
from raftstore.cluster.ticks import KEEP, TICKS, Ticks
from raftstore.errors import Changed
from raftstore.metadata import Catalog
from raftstore.metadata.tables.names.partials import MAX_EXPIRED
from raftstore.util.tasks import Periodic
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

LOOK = 1.0


class PartialExpiry(Periodic):
    """Lets ticks begin and drops what is due, while this node leads."""

    def __init__(
        self,
        kept: float,
        *,
        catalog: Catalog,
        leads: Callable[[], bool],
        propose: Propose,
    ) -> None:
        """`kept`: seconds for which what nothing is added to is kept."""
        tick = kept / TICKS
        super().__init__("expiry of partial uploads", min(LOOK, tick), waits="partial uploads wait")
        self._catalog = catalog
        self._leads = leads
        self._propose = propose
        self._ticks = Ticks(tick)

    async def look(self) -> None:
        """Begin a tick and drop what is due, if this node leads."""
        catalog = self._catalog
        tick, (count, _) = catalog.partial_tick(), catalog.partial_totals()
        if tick is None or not count or not self._leads():
            self._ticks.forget()
            return
        if self._ticks.due(tick):
            tick += 1
        elif not catalog.partials_due(KEEP):
            return
        command = commands.ExpirePartials(tick=tick, keep=KEEP, limit=MAX_EXPIRED)
        try:
            await self._propose(commands.Command(expire_partials=command))
        except Changed:
            return  # another leader was faster
        self._ticks.due(tick)
        left = catalog.partial_totals()[0]
        if left < count:
            log.info("partial uploads expired", removed=count - left, left=left)
