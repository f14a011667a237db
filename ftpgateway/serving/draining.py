"""A node in maintenance, as its clients see it: no new sessions, and those that there are end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ftpgateway.serving.opensessions import OpenSessions
from raftstore.metadata.tables.cluster.maintenance import Rest
from raftstore.util.tasks import Periodic

log = structlog.get_logger()

REFUSAL = "This node is in maintenance; connect to another node."
LOOK = 0.5


class Draining(Periodic):
    """Ends the sessions of a node in maintenance: at once where there is no transfer, all when the grace is over."""

    def __init__(self, sessions: OpenSessions, resting: Callable[[], Rest | None]) -> None:
        """`resting` tells of the maintenance that the node is in; None: it is in none."""
        super().__init__("draining of sessions", LOOK, waits="sessions go on")
        self._sessions = sessions
        self._resting = resting
        self._seen: Rest | None = None
        self._until = 0.0
        sessions.refusal = self.refusal

    def refusal(self) -> str:
        """Say why no new session begins, "" while they may."""
        return "" if self._resting() is None else REFUSAL

    async def look(self) -> None:
        """Act on what is in force now."""
        rest, now = self._resting(), asyncio.get_running_loop().time()
        if rest != self._seen:  # another one, too, when it was ended and began anew between two looks
            self._seen = rest
            if rest is None:
                log.info("maintenance is over: clients are served")
            else:
                grace = rest.grace_ms / 1000
                self._until = now + grace
                log.info("maintenance: clients are sent elsewhere", sessions=len(self._sessions), grace=grace)
        if rest is None:
            return
        if now < self._until:
            self._sessions.leave(REFUSAL)
            return
        for session in self._sessions.all():
            session.kill(REFUSAL)
