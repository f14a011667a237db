"""How much an account may still store. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from raftstore.errors import DiskFull, QuotaExceeded, TooLarge
from raftstore.types import MAX_FILE_SIZE


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """In bytes: what the disks take in all copies (`cluster`), the quota (None: there is none), and what is used.

    `full`: there are as many files as there may be.
    """

    cluster: int
    quota: int | None
    used: int
    full: bool = False

    @property
    def free(self) -> int:
        """Bytes that can be added."""
        if self.full:
            return 0
        return self.cluster if self.quota is None else min(self.cluster, max(0, self.quota - self.used))

    def check(self, size: int) -> None:
        """Raise TooLarge, DiskFull or QuotaExceeded when a file of `size` bytes cannot be, whatever it replaces."""
        if size > MAX_FILE_SIZE:
            raise TooLarge(f"a file has at most {MAX_FILE_SIZE} bytes")
        if size > self.cluster:
            raise DiskFull(f"there is room for {self.cluster} bytes")
        if self.quota is not None and size > self.quota:
            raise QuotaExceeded(f"{self.quota} bytes in all")
