"""What a process finds of its machine: how fast the disk syncs, how many descriptors it may have."""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

_WRITES = 5
_BLOCK = bytes(4096)


def sync_seconds(directory: Path) -> float:
    """Return how long a small write takes to be on disk: the median of a few. Blocks. Raises OSError."""
    taken = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_WRITES):
            begun = time.monotonic()
            os.write(file.fileno(), _BLOCK)
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - begun)
    return statistics.median(taken)


class Disk(NamedTuple):
    """A file system: bytes, and how many files it takes (`files` 0: it does not count them)."""

    size: int
    free: int
    files: int
    files_free: int


def disk_of(directory: Path) -> Disk:
    """Look at the file system of a directory; `free` is for users other than root. Raises OSError."""
    found = os.statvfs(directory)
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, found.f_files, found.f_favail)


class Descriptors(NamedTuple):
    """Of a process; `most` 0: no bound."""

    most: int
    used: int


def own_descriptors() -> Descriptors:
    """Return those of this process."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Descriptors(0 if most == resource.RLIM_INFINITY else most, len(os.listdir("/proc/self/fd")) - 1)


def backlog() -> int:
    """Return how many connections may wait to be accepted (net.core.somaxconn); 0: not known."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))
    return 0
