"""A set of chunk names that may be collected: a million of them in some twenty megabytes."""

from __future__ import annotations

from collections.abc import Iterator

from raftstore.chunks.format.index import drop_record, find_record
from raftstore.chunks.format.needle import KEY_SIZE

_BUCKETS = 1 << 14


class Candidates:
    """A set of digests by their first KEY_SIZE bytes, in one byte string a bucket instead of an object each.

    If two chunks should agree in those, both stay as long as one is referred to.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is the number of names that are taken at most."""
        self._limit = limit
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self._count >= self._limit

    def __contains__(self, digest: bytes) -> bool:
        bucket, at = self._find(digest)
        return bucket is not None and at >= 0

    def add(self, digest: bytes) -> None:
        """Take a name, unless it is there or the set is full."""
        bucket, at = self._find(digest)
        if at >= 0 or self.full:
            return
        if bucket is None:
            bucket = self._buckets[hash(digest[:KEY_SIZE]) % _BUCKETS] = bytearray()
        bucket += digest[:KEY_SIZE]
        self._count += 1

    def discard(self, digest: bytes) -> None:
        """Let a name go, if it is there."""
        bucket, at = self._find(digest)
        if bucket is not None and at >= 0:
            drop_record(bucket, at, KEY_SIZE)
            self._count -= 1

    def portions(self) -> Iterator[list[bytes]]:
        """Yield the names by bucket. What is let go meanwhile may still come; it may change between two portions."""
        for bucket in self._buckets:
            if bucket:
                whole = bytes(bucket)
                yield [whole[at : at + KEY_SIZE] for at in range(0, len(whole), KEY_SIZE)]

    def _find(self, digest: bytes) -> tuple[bytearray | None, int]:
        key = digest[:KEY_SIZE]
        bucket = self._buckets[hash(key) % _BUCKETS]
        if bucket is None:
            return None, -1
        return bucket, find_record(bucket, key, KEY_SIZE)
