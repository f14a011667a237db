"""What drives a member: ticks, a timer, syncs of the journal, and the end of it all when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.runtime import Runtime, Timer, error_of
from raftstore.errors import DiskFull, TooNew
from raftstore.util.metrics import Buckets, Distribution, histogram

log = structlog.get_logger()

Action = Callable[[], None]

WORKER = "journal"
QUICK = 0.05
"""While syncs take less (seconds), the journal is written on the loop; after a longer one by its thread, since on
a busy disk a write may have to wait, too. Far more than a sync takes: when the processors are busy, not the disk, it
is the thread that waits, for them and for the interpreter's lock."""
FSYNC_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0)
RETRY = 1.0
"""Seconds after which a journal for which the disk had no space is tried again."""


class Driver:
    """Runs everything on the loop, one thing at a time.

    Invariant: after an exception in anything that it runs, nothing of the member runs any more, and `on_fatal`
    has been called with it, once. But a full disk ends nothing: what is to be synced waits until there is space.
    `tick`, `timer` and `synced` are set before `start`.
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
        self, runtime: Runtime, journal: RaftLog, period: float, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self.running = False
        self._runtime = runtime
        self._journal = journal
        self._period = period
        self._on_fatal = on_fatal
        self._failed = False
        self._scheduled = False
        self._syncing = False
        self._sync_began = 0.0
        self._sync_times = Distribution(FSYNC_SECONDS)
        self._full_since: float | None = None
        self._retry: Timer | None = None
        self._quick = True
        self._idle: asyncio.Future[None] | None = None
        self._timer: Timer | None = None
        self._tick_guarded = self.guard(self._tick)

    def start(self) -> None:
        """Begin."""
        self.running = True
        self._run_timer()

    async def stop(self) -> None:
        """End, and wait for a sync that is under way. Idempotent."""
        self._halt("the node is stopping")
        if self._syncing:
            self._idle = self._idle or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def fail(self, error: BaseException) -> None:
        """Stop for good: what the engine or the disk would do next cannot be trusted."""
        if self._failed or not self.running:
            return  # it has failed already, or is stopping
        self._failed = True
        if isinstance(error, TooNew):  # not a failure of this program: no traceback
            log.critical("the log goes on with what this version does not know", error=error.detail)
        else:
            log.critical("consensus failed", error=repr(error), exc_info=error)
        self._halt(f"the node failed: {error}")
        self._on_fatal(error)

    def guard(self, action: Action) -> Action:
        """Make an action that does nothing on a stopped member, and stops it for good if it fails."""

        return partial(self.run, action)

    def run(self, action: Action) -> None:
        """Do it now, guarded: not on a stopped member, which an error makes this one."""
        if self.running:
            try:
                action()
            except Exception as error:
                self.fail(error)

    def soon(self, action: Action) -> None:
        """Do it after what is under way on the loop, guarded."""
        self._runtime.call_soon(self.guard(action))

    def tick_soon(self) -> None:
        """Have the engine work after what is under way on the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._runtime.call_soon(self._tick_guarded)

    def sync(self) -> None:
        """Sync the journal off the loop, if need be. One at a time: the next takes all that came meanwhile."""
        journal = self._journal
        if self._syncing or self._retry is not None or not journal.dirty:
            return
        self._sync_began = self._runtime.now()
        try:
            file = journal.write() if self._quick else None
        except Exception as error:
            self.fail(error)
            return
        self._syncing = True
        if file is not None:
            self._runtime.datasync(WORKER, file, self._written)
            self.run(self._fill)
        else:
            self._in_thread(journal.sync, self._done)

    def _in_thread(self, work: Callable[[], object], done: Callable[[BaseException | None], None]) -> None:
        future = self._runtime.blocking(WORKER, work)
        future.add_done_callback(lambda future: self._runtime.call_soon(lambda: done(error_of(future))))

    def _fill(self) -> None:
        """Have the journal filled ahead of the log, if it is time."""
        work = self._journal.filling()
        if work is not None:
            self._in_thread(work, self._filled)

    def _filled(self, error: BaseException | None) -> None:
        if error is not None:
            self.fail(error)

    @histogram(
        "pixraft_journal_fsync_seconds", "How long syncs of the journal have taken, the write before included."
    )
    def sync_times(self) -> Buckets:
        """Those that failed, too."""
        return self._sync_times.buckets()

    def hangs(self, limit: float) -> bool:
        """Whether a sync has been under way for more than `limit` seconds."""
        return self._syncing and self._runtime.now() - self._sync_began > limit

    def starves(self, limit: float) -> bool:
        """Whether the disk has had no space for the journal for more than `limit` seconds."""
        return self._full_since is not None and self._runtime.now() - self._full_since > limit

    def _wait_for_space(self, error: DiskFull) -> None:
        if self._full_since is None:
            self._full_since = self._runtime.now()
            log.error(
                "disk is full: the journal waits for space, nothing more is acknowledged", error=str(error)
            )
        if self.running:
            self._retry = self._runtime.call_later(RETRY, self.guard(self._try_again))

    def _try_again(self) -> None:
        self._retry = None
        self.sync()

    def _has_space(self) -> None:
        if self._full_since is not None:
            log.warning("journal is written again", seconds=round(self._runtime.now() - self._full_since, 1))
            self._full_since = None

    def _tick(self) -> None:
        self._scheduled = False
        self.tick()

    def _run_timer(self) -> None:
        self._timer = self._runtime.call_later(self._period, self.guard(self._run_timer))
        self.run(self.timer)

    def _written(self, error: BaseException | None) -> None:
        try:
            self._journal.synced(error)
        except Exception as failure:
            self._done(failure)
        else:
            self._done(None)
            self.run(self._journal.remember)

    def _done(self, error: BaseException | None) -> None:
        self._syncing = False
        took = self._runtime.now() - self._sync_began
        self._quick = took < QUICK
        self._sync_times.observe(took)
        if isinstance(error, DiskFull):
            self._wait_for_space(error)
        elif error is not None:
            self.fail(error)
        else:
            self._has_space()
        self.run(self.synced)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _halt(self, reason: str) -> None:
        self.running = False
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self.halted(reason)
