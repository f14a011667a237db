"""Committed entries into the state machine, in slices that do not keep the loop for long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from raftstore.consensus.runtime import Runtime
from raftstore.consensus.statemachine import StateMachine

Applied = Callable[[bytes, list[bytes]], None]
"""Gets a batch and its results."""


class Applier:
    """A queue of committed batches, applied in order of their index.

    Bounded by the log: what waits here is in the journal too, and that is kept small by compaction.
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

    @property
    def applied_index(self) -> int:
        """Highest entry such that it and all before it are applied."""
        return self._queue[0][0] - 1 if self._queue else self._handed_over()

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
        if not self._queue:
            return
        until = self._runtime.now() + self._slice
        while self._queue:
            index, batch, is_configuration = self._queue[0]
            done = self._waiting.pop(index, None)
            if is_configuration:
                if index > self._machine.applied_index:
                    self._machine.configure(index, batch)
            elif done is not None or index > self._machine.applied_index:
                results = self._machine.apply(index, batch)
                if done is not None:
                    done(batch, results)
            self._queue.popleft()
            if self._runtime.now() > until:
                break
        if self._queue and not self._scheduled:
            self._scheduled = True
            self._soon(self.run)
        self._applied()
