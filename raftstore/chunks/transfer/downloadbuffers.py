"""Chunks that downloads have in memory and send a slice at a time: a bound for all downloads of a node together.

A chunk is verified as a whole, so it has to be in memory as a whole once, before its first byte leaves. After that it
need not stay: what a slow client has not taken yet can be fetched, and verified, again. So nobody waits for memory that
a client holds who does not read.
"""

from __future__ import annotations

from collections.abc import Callable

from raftstore.util.buffers import Buffer

IDLE = 1.0
"""Seconds after which a chunk that no slice was taken from makes room for another one."""


class BufferedChunk:
    """A chunk, as long as there is room for it."""

    __slots__ = ("data", "used")

    def __init__(self, data: Buffer, now: float) -> None:
        self.data: Buffer | None = data
        self.used = now


class DownloadBuffers:
    """At most `total` bytes of chunks. On the loop."""

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self.total = total
        self.bytes = 0
        self._clock = clock
        self._kept: dict[BufferedChunk, int] = {}
        """In the order of their last use, with their sizes."""

    def keep(self, data: Buffer, size: int) -> BufferedChunk | None:
        """Hold (a part of) a chunk of `size` bytes until `drop`, or until another one needs the room.

        None when there is none now.
        """
        now = self._clock()
        while self.bytes + size > self.total:
            oldest = next(iter(self._kept), None)
            if oldest is None or now - oldest.used < IDLE:
                return None
            self.drop(oldest)
        kept = BufferedChunk(data, now)
        self._kept[kept] = size
        self.bytes += size
        return kept

    def use(self, kept: BufferedChunk) -> Buffer | None:
        """Return the chunk if it is still held. Do not keep it beyond the next turn of the loop."""
        if kept.data is not None:
            kept.used = self._clock()
            self._kept[kept] = self._kept.pop(kept)
        return kept.data

    def drop(self, kept: BufferedChunk) -> None:
        """Let a chunk go, if it is still held."""
        self.bytes -= self._kept.pop(kept, 0)
        kept.data = None
