"""What a job counts. The names stand in the log, in `-o json` and for people; decisions go by the members."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from raftstore.util.metrics import counter
from raftstore.wire import commands_pb2 as commands


class JobCounter(enum.StrEnum):
    """A count of what a job found or did. A name once given keeps its meaning: other versions read it."""

    VERIFIED = "verified"
    """Scrub, fsck: copies that were read, sound or not."""
    DAMAGED = "damaged"
    """Scrub, fsck, compaction: of these, those that are not what was written."""
    MISSING = "missing"
    """Scrub, fsck: chunks that the catalog says are here, and are not."""
    EXTRA = "extra"
    """Fsck: chunks that nothing refers to and collection should have removed."""
    YOUNG = "young"
    """Fsck: chunks that nothing refers to, and need not as yet."""
    UNLISTED = "unlisted"
    """Fsck: sound copies that the catalog does not know."""
    COPIED = "copied"
    """Repair, rebalancing: copies that were made."""
    FAILED = "failed"
    """Repair, rebalancing: copies that could not be made."""
    BYTES = "bytes"
    """Repair, rebalancing: their size."""
    TRIMMED = "trimmed"
    """Trim: copies too many that were given up."""
    KEPT = "kept"
    """Trim: those that were not, since others could not be vouched for."""
    REMOVED = "removed"
    """Collection: chunks that were removed."""
    VOLUMES = "volumes"
    """Compaction: volumes that were written anew."""
    BYTES_COPIED = "bytes copied"
    """Compaction: bytes that were written for that."""
    BYTES_FREED = "bytes freed"
    """Compaction: bytes of disk that it won."""


def counted(progress: commands.Progress) -> dict[JobCounter, int]:
    """Return the counts that a job has reported; without those of other versions that this one does not know."""
    return {JobCounter(count.name): count.value for count in progress.counts if count.name in _NAMES}


def total(jobs: Iterable[commands.Job], counter: JobCounter) -> int:
    """Return what the jobs have counted of it together."""
    return sum(counted(job.progress).get(counter, 0) for job in jobs)


@dataclass(slots=True)
class Findings:
    """What a node's scrubs have found since its start, all of them together."""

    damaged: int = 0

    @counter("pixraft_scrub_damaged_total", "Chunks of this node that a scrub or fsck found damaged.")
    def damaged_chunks(self) -> float:
        """How many; each is quarantined, and made again from another copy."""
        return self.damaged


_NAMES = frozenset(counter.value for counter in JobCounter)
