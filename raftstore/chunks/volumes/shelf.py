"""What can be sent straight from the volumes' files: chunks that were verified lately and are in memory.

The policy. Chunks up to `SMALL` bytes are read and hashed each time, which costs less than to avoid it. A larger
one is hashed before its first byte leaves, unless that was done on this node within the last `period` seconds: when
it was stored (its bytes were hashed just before they were written), or sent before. What was verified is forgotten at
a restart, when the chunk has moved (compaction, repair), and as soon as anybody but this process has written to its
volume's file. `period` is at most the time within which scrubbing looks at every chunk anyway.

What is sent from a file is what the file holds at that moment: a program that writes into a volume while it is sent
from can spoil that one transfer, and is noticed at the next. Rot of a disk does not change what is in memory.

What is not in memory is read by a thread before it is sent: `sendfile` would wait for the disk on the loop.
"""

from __future__ import annotations

import asyncio
import os
import time
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from blake3 import blake3

from raftstore.errors import Unavailable
from raftstore.types import Span

SMALL = 64 * 1024
"""Bytes up to which a chunk is read and verified each time."""

PERIOD = 14 * 24 * 3600.0
"""Seconds for which a chunk counts as verified."""

STRIDE = 128 * 1024
"""Bytes from one look into the page cache to the next: the kernel reads ahead, and drops, in such portions."""

_SLOTS = 1 << 17


class Lease(Protocol):
    """A chunk's payload in a file: `length` bytes at `offset` of `fd`, there until `close`."""

    @property
    def fd(self) -> int:
        """Descriptor of the volume."""
        ...

    @property
    def offset(self) -> int:
        """Where the payload begins."""
        ...

    @property
    def length(self) -> int:
        """Its bytes."""
        ...

    @property
    def volume(self) -> int:
        """Number of the volume."""
        ...

    @property
    def epoch(self) -> int:
        """Another number after somebody else has written to the volume's file."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


class Leasing(Protocol):
    """What the shelf needs of the local `VolumeSet`."""

    def lease(self, digest: bytes) -> Lease:
        """Where a chunk lies, held; its bytes are not verified. NotFound."""
        ...

    async def verify(self, digest: bytes) -> None:
        """Read a chunk and check it. NotFound; Damaged after quarantine."""
        ...


class Verified:
    """Which chunks were verified, where they lay then, and when.

    A table of fixed size in which a newer chunk takes the place of an older one: what is forgotten is verified again.
    """

    def __init__(
        self, period: float = PERIOD, clock: Callable[[], float] = time.monotonic, slots: int = _SLOTS
    ) -> None:
        self._period = period
        self._clock = clock
        self._mask = slots - 1
        self._digests = array("Q", [0]) * slots
        self._places = array("Q", [0]) * slots
        self._epochs = array("Q", [0]) * slots
        self._since = array("d", [float("-inf")]) * slots

    def add(self, digest: bytes, volume: int, offset: int, epoch: int) -> None:
        """The chunk was verified just now, at that payload's place and in that epoch of the volume."""
        slot = int.from_bytes(digest[8:12], "little") & self._mask
        self._digests[slot] = int.from_bytes(digest[:8], "little")
        self._places[slot] = volume << 40 | offset
        self._epochs[slot] = epoch
        self._since[slot] = self._clock()

    def has(self, digest: bytes, lease: Lease) -> bool:
        """Whether the chunk was verified lately where `lease` has it."""
        slot = int.from_bytes(digest[8:12], "little") & self._mask
        return (
            self._digests[slot] == int.from_bytes(digest[:8], "little")
            and self._places[slot] == lease.volume << 40 | lease.offset
            and self._epochs[slot] == lease.epoch
            and self._clock() - self._since[slot] < self._period
        )


class Shelf:
    """The local chunks, for sending. On the loop; `close` it at the end."""

    def __init__(self, volumes: Leasing, verified: Verified, threads: int = 2) -> None:
        self._volumes = volumes
        self._verified = verified
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pixraft-readahead")

    def at_once(self, digest: bytes, length: int) -> bytearray | Span | None:
        """Return the chunk if it can be sent now: it is in memory, and small or verified lately. NotFound."""
        lease = self._volumes.lease(digest)
        if lease.length == length:
            if length <= SMALL:
                data = _cached(lease.fd, lease.offset, length)
                lease.close()
                return data if data is not None and blake3(data).digest() == digest else None
            if self._verified.has(digest, lease) and in_memory(lease.fd, lease.offset, length):
                return Span(lease.fd, lease.offset, length, lease.close)
        lease.close()
        return None

    async def open(self, digest: bytes, length: int) -> Span:
        """Return a chunk that is not `SMALL` once it can be sent. NotFound, Damaged after quarantine, Unavailable."""
        lease = self._volumes.lease(digest)
        try:
            if lease.length != length:
                raise Unavailable(f"chunk {digest.hex()[:16]} has {lease.length} bytes, not {length}")
            if not self._verified.has(digest, lease):
                # It reads all of it, so that it is in memory afterwards.
                before = lease.volume, lease.offset, lease.epoch
                await self._volumes.verify(digest)
                lease.close()
                lease = self._volumes.lease(digest)
                if (lease.volume, lease.offset, lease.epoch) != before:
                    raise Unavailable(f"chunk {digest.hex()[:16]} was moved while it was verified")
                self._verified.add(digest, *before)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._pool, _bring_in, os.dup(lease.fd), lease.offset, length)
            return Span(lease.fd, lease.offset, length, lease.close)
        except OSError as error:
            lease.close()
            raise Unavailable(f"chunk {digest.hex()[:16]}: {error}") from error
        except BaseException:
            lease.close()
            raise

    def close(self) -> None:
        """End the threads when they have done what they are at."""
        self._pool.shutdown()


def in_memory(fd: int, offset: int, length: int) -> bool:
    """Whether the page cache seems to hold these bytes: one in each `STRIDE` is looked at."""
    end = offset + length
    try:
        for position in (*range(offset, end, STRIDE), end - 1):
            if os.preadv(fd, [_BYTE], position, os.RWF_NOWAIT) != 1:
                return False
    except OSError:  # BlockingIOError: not there; others: this file system cannot tell
        return False
    return True


_BYTE = bytearray(1)


def _cached(fd: int, offset: int, length: int) -> bytearray | None:
    """Return these bytes if the page cache holds them all."""
    data = bytearray(length)
    try:
        return data if os.preadv(fd, [data], offset, os.RWF_NOWAIT) == length else None
    except OSError:
        return None


def _bring_in(fd: int, offset: int, length: int) -> None:
    """Have the kernel read these bytes. In a thread; closes `fd`."""
    scratch = bytearray(STRIDE)
    try:
        for position in range(offset, offset + length, STRIDE):
            os.preadv(fd, [scratch], position)
    finally:
        os.close(fd)
