"""Disks that return other bytes than were written."""

from __future__ import annotations

import mmap
import os
import random

from harness import Cluster


def flip_bits(cluster: Cluster, node: str, count: int, generator: random.Random) -> None:
    """Turn single bits over in what a node's volumes hold, as rot does: on the disk.

    What the kernel has in memory, and is sending from there just now, is dropped but not changed (O_DIRECT).
    """
    files = sorted((cluster.data(node) / "volumes").glob("*.vol"))
    size = mmap.PAGESIZE
    with mmap.mmap(-1, size) as block:  # its address is aligned as direct access wants it
        for _ in range(count):
            path = generator.choice(files)
            handle = os.open(path, os.O_RDWR | os.O_DIRECT)
            try:
                position = generator.randrange(size, os.fstat(handle).st_size // size * size)
                start = position // size * size
                assert os.preadv(handle, [block], start) == size
                block[position - start] ^= 1 << generator.randrange(8)
                assert os.pwritev(handle, [block], start) == size
            finally:
                os.close(handle)
