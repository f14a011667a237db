"""What drives a member: ticks, a timer, syncs of the journal, and the end of it all when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from raftstore.consensus.runtime import Runtime, Timer

log = structlog.get_logger()

Action = Callable[[], None]


class Driver:
    """Runs everything on the loop, one thing at a time.

    Invariant: after an exception in anything that it runs, nothing of the member runs any more, and `on_fatal`
    has been called with it, once. `tick`, `timer` and `synced` are set before `start`.
    """

    tick: Action
    """Lets the engine work; many requests in one round of the loop make one tick."""
    timer: Action
    """Called every `period`."""
    synced: Action
    """Called when the journal has synced more."""
    halted: Callable[[str], None]
    """Called with the reason when nothing runs any more."""

    def __init__(
        self, runtime: Runtime, journal: Any, period: float, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self.running = False
        self._runtime = runtime
        self._journal = journal
        self._period = period
        self._on_fatal = on_fatal
        self._failed = False
        self._scheduled = False
        self._syncing: asyncio.Future[int] | None = None
        self._sync_began = 0.0
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin."""
        self.running = True
        self._run_timer()

    async def stop(self) -> None:
        """End, and wait for a sync that is under way. Idempotent."""
        self._halt("the node is stopping")
        if self._syncing is not None:
            await asyncio.wait([self._syncing])

    def fail(self, error: BaseException) -> None:
        """Stop for good: what the engine or the disk would do next cannot be trusted."""
        if self._failed or not self.running:
            return  # it has failed already, or is stopping
        self._failed = True
        log.critical("consensus failed", error=repr(error), exc_info=error)
        self._halt(f"the node failed: {error}")
        self._on_fatal(error)

    def guard(self, action: Action) -> Action:
        """Make an action that does nothing on a stopped member, and stops it for good if it fails."""

        def guarded() -> None:
            if self.running:
                try:
                    action()
                except Exception as error:
                    self.fail(error)

        return guarded

    def run(self, action: Action) -> None:
        """Do it now, guarded."""
        self.guard(action)()

    def soon(self, action: Action) -> None:
        """Do it after what is under way on the loop, guarded."""
        self._runtime.call_soon(self.guard(action))

    def tick_soon(self) -> None:
        """Have the engine work after what is under way on the loop."""
        if not self._scheduled:
            self._scheduled = True
            self.soon(self._tick)

    def sync(self) -> None:
        """Sync the journal in its thread, if need be. One at a time: the next takes all that came meanwhile."""
        if self._syncing is None and self._journal.dirty:
            self._sync_began = self._runtime.now()
            self._syncing = self._runtime.blocking("journal", self._journal.sync)
            self._syncing.add_done_callback(self._done)

    def hangs(self, limit: float) -> bool:
        """Whether a sync has been under way for more than `limit` seconds."""
        return self._syncing is not None and self._runtime.now() - self._sync_began > limit

    def _tick(self) -> None:
        self._scheduled = False
        self.tick()

    def _run_timer(self) -> None:
        self._timer = self._runtime.call_later(self._period, self.guard(self._run_timer))
        self.run(self.timer)

    def _done(self, future: asyncio.Future[int]) -> None:
        self._syncing = None
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.fail(error)
        self.run(self.synced)

    def _halt(self, reason: str) -> None:
        self.running = False
        if self._timer is not None:
            self._timer.cancel()
        self.halted(reason)
