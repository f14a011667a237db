"""Committed entries into the state machine, in slices that do not keep the loop for long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import structlog

from raftstore.consensus.runtime import Runtime
from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import DiskFull

log = structlog.get_logger()

RETRY = 0.5
"""Seconds after which an entry for which the disk had no space is tried again."""

Applied = Callable[[bytes, list[bytes]], None]
"""Gets a batch and its results."""


class Applier:
    """A queue of committed batches, applied in order of their index.

    Bounded by the log: what waits here is in the journal too, and that is kept small by compaction. While the disk has
    no space for the state machine, all waits.
    """

    def __init__(
        self,
        machine: StateMachine,
        runtime: Runtime,
        time_slice: float,
        handed_over: Callable[[], int],
        applied: Callable[[], None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._machine = machine
        self._runtime = runtime
        self._slice = time_slice
        self._handed_over = handed_over
        self._applied = applied
        self._soon = soon
        self._queue: deque[tuple[int, bytes, bool]] = deque()
        self._waiting: dict[int, Applied] = {}
        self._scheduled = False
        self._short = False
        self._retry_at = float("-inf")

    @property
    def applied_index(self) -> int:
        """Highest entry such that it and all before it are applied."""
        applied = self._queue[0][0] - 1 if self._queue else self._handed_over()
        return min(applied, self._machine.applied_index) if self._machine.behind else applied

    def take(self, index: int, batch: bytes) -> None:
        """Queue a committed batch."""
        self._queue.append((index, batch, False))

    def take_configuration(self, index: int, configuration: bytes) -> None:
        """Queue a committed configuration."""
        self._queue.append((index, configuration, True))

    def when_applied(self, index: int, done: Applied) -> None:
        """Call with batch and results of the entry at `index`, which is queued."""
        self._waiting[index] = done

    def run(self) -> None:
        """Apply for a time slice, then let others run; `applied` is called after each."""
        self._scheduled = False
        if not self._queue or self._waits():
            return
        until = self._runtime.now() + self._slice
        try:
            while self._queue:
                self._apply(*self._queue[0])
                self._queue.popleft()
                if self._runtime.now() > until:
                    break
            self._has_space()
        except DiskFull as error:
            self._put_off(error)
        if self._queue and not self._short and not self._scheduled:
            self._scheduled = True
            self._soon(self.run)
        self._applied()

    def _apply(self, index: int, batch: bytes, is_configuration: bool) -> None:
        if is_configuration:
            self._waiting.pop(index, None)
            if index > self._machine.applied_index:
                self._machine.configure(index, batch)
            return
        done = self._waiting.get(index)
        if done is not None or index > self._machine.applied_index:
            results = self._machine.apply(index, batch)
            if done is not None:
                del self._waiting[index]
                done(batch, results)

    def check(self) -> None:
        """Try again what there was no space for, if it is time. To be called now and then."""
        if (self._short or self._machine.behind) and not self._waits():
            if not self._queue:
                self._has_space()
            self.run()
            self._applied()

    def _waits(self) -> bool:
        """Whether there is no space for the state machine, as far as is known."""
        if self._runtime.now() < self._retry_at:
            return True
        if self._machine.behind:
            try:
                self._machine.catch_up()
            except DiskFull as error:
                self._put_off(error)
                return True
        return False

    def _put_off(self, error: DiskFull) -> None:
        self._retry_at = self._runtime.now() + RETRY
        if not self._short:
            self._short = True
            log.error("disk is full: entries wait to be applied, reads here are refused", error=str(error))

    def _has_space(self) -> None:
        if self._short:
            self._short = False
            log.warning("entries are applied again")
