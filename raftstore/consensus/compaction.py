"""When the log may be cut, and how far. No entry goes that a restart, or a snapshot under way, still needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.statemachine import StateMachine

log = structlog.get_logger()

PATIENCE = 10
"""A log that is so many times as long as it should be is cut even if a snapshot is being fetched."""


def cut_at(*, first: int, durable: int, applied: int, retain: int, floor: int | None) -> int:
    """Return the entry that the log should start with; `first` when nothing is to be cut.

    A restart begins to apply after the log's second entry, so `durable`, the last entry whose effect is safe in
    the state machine, must not come before that one. `floor` is the last entry of a snapshot that is being
    fetched: what follows it must stay.
    """
    start = min(durable - 1, applied - retain)
    if floor is not None:
        start = min(start, floor - 1)
    return max(first, start)


class Compaction:
    """Cuts the log now and then. Invariant: the state machine is durable at or above the log's second entry."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        settings: ConsensusSettings,
        machine: StateMachine,
        journal: Any,
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
        self._bytes_before = 0
        self._next_check = 0.0

    def check(self, bytes_taken: int) -> None:
        """Start a compaction if it is time. `bytes_taken`: bytes of all batches committed since the start."""
        now, settings = self._runtime.now(), self._settings
        if self._task is not None or now < self._next_check:
            return
        self._next_check = now + settings.compact_interval
        entries = self._applied_index() - self._journal[0][1]
        if (
            entries >= settings.retain_entries + settings.compact_entries
            or bytes_taken - self._bytes_before >= settings.compact_bytes
        ):
            self._task = self._runtime.spawn(self._run(bytes_taken))

    async def stop(self) -> None:
        """Wait for what is under way; the log is not cut any more."""
        self._stopped = True
        if self._task is not None:
            await asyncio.wait([self._task])

    def _excessive(self, bytes_taken: int) -> bool:
        # Rather make a snapshot again than fill memory and disk.
        entries = self._applied_index() - self._journal[0][1]
        return (
            entries >= PATIENCE * self._settings.compact_entries
            or bytes_taken - self._bytes_before >= PATIENCE * self._settings.compact_bytes
        )

    async def _run(self, bytes_taken: int) -> None:
        try:
            durable = await self._runtime.blocking("compaction", self._machine.make_durable)
            if self._stopped:
                return
            retain = self._settings.retain_entries
            if bytes_taken - self._bytes_before >= self._settings.compact_bytes:
                retain = min(retain, (self._applied_index() - self._journal[0][1]) // 2)
            first = self._journal[0][1]
            start = cut_at(
                first=first,
                durable=durable,
                applied=self._applied_index(),
                retain=retain,
                floor=None if self._excessive(bytes_taken) else self._floor(),
            )
            if start > first:
                self._bytes_before = bytes_taken
                self._journal.deleteEntriesTo(start - first)
                self._compacted()
                log.info("log compacted", first=start, durable=durable)
        except Exception as error:
            self._failed(error)
        finally:
            self._task = None
