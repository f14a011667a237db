"""What the disk can do by itself: pictures appended in three copies, many to one fdatasync."""

from __future__ import annotations

import os
import time
from pathlib import Path

COPIES = 3
BATCH_BYTES = 4 * 1024 * 1024
BATCH_MOST = 64
SECONDS = 1.0


def copies_a_second(directory: Path, size: int) -> float:
    """Return how many pictures of `size` bytes a second are durable in three copies when nothing else is done."""
    block = os.urandom(min(size, BATCH_BYTES))
    pieces = max(1, size // len(block))
    batch = max(1, min(BATCH_MOST, BATCH_BYTES // size))
    path = directory / "disk-probe"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        begin, written = time.monotonic(), 0
        while (elapsed := time.monotonic() - begin) < SECONDS:
            for _ in range(batch * pieces):
                os.write(handle, block)
            os.fdatasync(handle)
            written += batch
            if written * size > 1 << 30:
                os.lseek(handle, 0, os.SEEK_SET)
        return written / elapsed / COPIES
    finally:
        os.close(handle)
        path.unlink()
