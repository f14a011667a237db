"""When the log may be cut, and how far. No entry goes that a restart, or a snapshot under way, still needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.statemachine import StateMachine

log = structlog.get_logger()

PATIENCE = 10
"""A log that is so many times as long as it should be is cut even if a snapshot is being fetched."""


def cut_at(*, first: int, last: int, durable: int, applied: int, retain: int, floor: int | None) -> int:
    """Return the entry that the log, now from `first` to `last`, should start with; `first` when nothing is to be cut.

    Two entries stay in any case: after a loss of power the state may be ahead of the log. A restart begins to apply
    after the log's second entry, so `durable`, the last entry whose effect is safe in the state machine, must not come
    before that one. `floor` is the last entry of a snapshot that is being fetched: what follows it must stay.
    """
    start = min(durable - 1, applied - retain, last - 1)
    if floor is not None:
        start = min(start, floor - 1)
    return max(first, start)


def within(sizes: Iterable[int], budget: int) -> int:
    """Return how many of the first of these sizes fit into `budget` together."""
    count = 0
    for size in sizes:
        budget -= size
        if budget < 0:
            break
        count += 1
    return count


class LogBytes:
    """How many bytes of commands the log holds, counted as it grows. Entries that were replaced by others of
    another size since make it inexact until they are cut off.
    """

    def __init__(self, journal: RaftLog) -> None:
        self._journal = journal
        self._first = self._next = 0
        self._bytes = 0

    def count(self) -> int:
        """Return the bytes of all entries."""
        journal = self._journal
        first, end = journal[0][1], journal[-1][1] + 1
        if first != self._first or end < self._next:
            self._first = self._next = first
            self._bytes = 0
        if end > self._next:
            self._bytes += sum(len(entry[0]) for entry in journal[self._next - first :])
            self._next = end
        return self._bytes


class Compaction:
    """Cuts the log now and then. Invariant: the state machine is durable at or above the log's second entry."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        settings: ConsensusSettings,
        machine: StateMachine,
        journal: RaftLog,
        applied_index: Callable[[], int],
        floor: Callable[[], int | None],
        compacted: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._machine = machine
        self._journal = journal
        self._applied_index = applied_index
        self._floor = floor
        self._compacted = compacted
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._bytes = LogBytes(journal)
        self._next_check = 0.0

    def check(self) -> None:
        """Start a compaction if it is time."""
        now, settings = self._runtime.now(), self._settings
        if self._task is not None or now < self._next_check:
            return
        self._next_check = now + settings.compact_interval
        entries = self._applied_index() - self._journal[0][1]
        if (
            entries >= settings.retain_entries + settings.compact_entries
            or self._bytes.count() >= settings.compact_bytes
        ):
            self._task = self._runtime.spawn(self._run())

    async def stop(self) -> None:
        """Wait for what is under way; the log is not cut any more."""
        self._stopped = True
        if self._task is not None:
            await asyncio.wait([self._task])

    def _excessive(self) -> bool:
        # Rather make a snapshot again than fill memory and disk.
        entries = self._applied_index() - self._journal[0][1]
        return (
            entries >= PATIENCE * self._settings.compact_entries
            or self._bytes.count() >= PATIENCE * self._settings.compact_bytes
        )

    def _retain(self) -> int:
        """Return how many of the applied entries should stay."""
        first, applied = self._journal[0][1], self._applied_index()
        latest = self._journal[
            max(0, applied - first + 1 - self._settings.retain_entries) : applied - first + 1
        ]
        return within((len(entry[0]) for entry in reversed(latest)), self._settings.compact_bytes // 2)

    async def _run(self) -> None:
        try:
            durable = await self._runtime.blocking("compaction", self._machine.make_durable)
            if self._stopped:
                return
            first = self._journal[0][1]
            start = cut_at(
                first=first,
                last=self._journal[-1][1],
                durable=durable,
                applied=self._applied_index(),
                retain=self._retain(),
                floor=None if self._excessive() else self._floor(),
            )
            if start > first:
                self._journal.deleteEntriesTo(start - first)
                self._compacted()
                log.info(
                    "log compacted",
                    first=start,
                    durable=durable,
                    entries=len(self._journal),
                    bytes=self._bytes.count(),
                )
        except Exception as error:
            self._failed(error)
        finally:
            self._task = None
