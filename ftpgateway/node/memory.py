"""How the process gets its memory: large buffers are used again instead of being given back to the system.

glibc maps every buffer of a mebibyte afresh and unmaps it when it is freed, so that each of its 256 pages is
faulted in and zeroed again for every chunk that comes or goes. With these settings such buffers come from one
heap, of which up to `KEPT` free bytes stay.
"""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

KEPT = 64 * 1024 * 1024
"""Free bytes at the end of the heap that are not given back."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MAPPED_FROM = 32 * 1024 * 1024  # the largest that glibc takes


def reuse_large_buffers() -> bool:
    """Set it for this process, before threads are started; False where the C library has no such settings."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # One heap: each further one, for threads, would keep its own free buffers.
    settings = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _MAPPED_FROM), (_TRIM_THRESHOLD, KEPT))
    return all(mallopt(name, value) == 1 for name, value in settings)


def of_machine(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Return the bytes of memory that this process can have: the machine's, or what its container may use."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(there, int(limit.read_text()))
    except (OSError, ValueError):  # no such control group, or "max"
        return there


def freeze_start() -> None:
    """Leave what the start has made (modules, settings, tables) out of all further looks for circles of garbage.

    A full look at it holds the loop for some 15 ms each time, and finds nothing.
    """
    gc.collect()
    gc.freeze()
