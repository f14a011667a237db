"""A node in maintenance, as its clients see it: no new sessions, and those that there are end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ftpgateway.serving.opensessions import OpenSessions
from raftstore.util.tasks import Periodic

log = structlog.get_logger()

REFUSAL = "This node is in maintenance; connect to another node."
LOOK = 0.5


class Draining(Periodic):
    """Ends the sessions of a node in maintenance: at once where there is no transfer, all when the grace is over."""

    def __init__(self, sessions: OpenSessions, grace: Callable[[], float | None]) -> None:
        """`grace`: for how many seconds transfers go on once maintenance has begun; None: there is no maintenance."""
        super().__init__("draining of sessions", LOOK, waits="sessions go on")
        self._sessions = sessions
        self._grace = grace
        self._until: float | None = None
        sessions.refusal = self.refusal

    def refusal(self) -> str:
        """Say why no new session begins, "" while they may."""
        return "" if self._grace() is None else REFUSAL

    async def look(self) -> None:
        """Act on what is in force now."""
        grace, now = self._grace(), asyncio.get_running_loop().time()
        if grace is None:
            if self._until is not None:
                self._until = None
                log.info("maintenance is over: clients are served")
            return
        if self._until is None:
            self._until = now + grace
            log.info("maintenance: clients are sent elsewhere", sessions=len(self._sessions), grace=grace)
        if now < self._until:
            self._sessions.leave(REFUSAL)
            return
        for session in self._sessions.all():
            session.kill(REFUSAL)
