"""Transfers of all front-ends, counted."""

from __future__ import annotations

from collections import Counter

from ftpgateway.serving.logs.transferlog import TransferLog, Transferred
from raftstore.util.metrics import counter


class _Counts:
    """Of one direction."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.bytes = 0

    @counter(
        "pixraft_transfers_total",
        "Uploads and downloads that have ended, whole or not.",
        label="result",
        values=("complete", "incomplete"),
        also=("direction",),
    )
    def transfers(self) -> dict[str, int]:
        """By how they ended."""
        return self.ended

    @counter(
        "pixraft_transfer_bytes_total",
        "Bytes that uploads and downloads have moved, of those that have ended.",
        also=("direction",),
    )
    def moved(self) -> float:
        """In bytes."""
        return self.bytes


class TransferCounts:
    """Counts transfers as they end, and hands them on to the log of transfers if there is one."""

    def __init__(self, log: TransferLog | None = None) -> None:
        self._log = log
        self.uploads, self.downloads = _Counts(), _Counts()

    def record(self, entry: Transferred) -> None:
        """Count one; never waits."""
        counts = self.uploads if entry.upload else self.downloads
        counts.ended["complete" if entry.complete else "incomplete"] += 1
        counts.bytes += entry.size
        if self._log is not None:
            self._log.record(entry)
