"""Where each chunk lies: digest -> (volume, offset of the needle, payload length), in memory.

Ten million chunks must fit, so there is no Python object for each: records of 28 bytes lie in some ten thousands of
byte strings, the buckets, and are found by a search in one of them (linear hashing: a bucket is split now and then
as the index grows, so that no operation takes long).

A record holds the first half of the digest, the chunk's key. Two chunks that agree in 128 bits do not come up by
chance, and to make them takes 2^64 hashes; and then a read would notice, since it compares the whole digest.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from raftstore.chunks.format.needle import ALIGNMENT, KEY_SIZE, footprint

_PLACE = struct.Struct("<III")
_ENTRY = struct.Struct(f"<{KEY_SIZE}sIII")
_RECORD = _ENTRY.size
_PER_BUCKET = 48
_FIRST_BUCKETS = 64

MAX_OFFSET = ALIGNMENT * (2**32 - 1)
"""Largest offset of a needle that the index can hold, in bytes."""


class Place(NamedTuple):
    """Where a needle lies: volume number, offset of its header, length of its payload (bytes)."""

    volume: int
    offset: int
    length: int


class Entry(NamedTuple):
    """A chunk of the index: `key` is the first half of its digest."""

    key: bytes
    place: Place


class Index:
    """The chunks that are live and durable. Used on one thread at a time.

    Chunks are asked for by their digest; its first half, the key, is enough.
    """

    def __init__(self, secret: int = 1) -> None:
        """`secret`, an odd number of 64 bits, says into which bucket a chunk goes: nobody else can fill one on purpose.

        It must be that of the index that saved what `load` is given.
        """
        self._secret = secret
        self._may_split = True
        self._buckets = [bytearray() for _ in range(_FIRST_BUCKETS)]
        # Buckets below `_split` are split already: they use one more bit of the hash than the others.
        self._mask = _FIRST_BUCKETS - 1
        self._split = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, digest: bytes) -> bool:
        key = digest[:KEY_SIZE]
        return find_record(self._bucket(key), key, _RECORD) >= 0

    def get(self, digest: bytes) -> Place | None:
        """Return where the chunk lies, None if it is not here."""
        key = digest[:KEY_SIZE]
        bucket = self._bucket(key)
        at = find_record(bucket, key, _RECORD)
        return None if at < 0 else _place(bucket, at)

    def put(self, digest: bytes, place: Place) -> Place | None:
        """Set where the chunk lies; return where it lay before."""
        key = digest[:KEY_SIZE]
        bucket = self._bucket(key)
        packed = _PLACE.pack(place.volume, place.offset // ALIGNMENT, place.length)
        at = find_record(bucket, key, _RECORD)
        if at >= 0:
            old = _place(bucket, at)
            bucket[at + KEY_SIZE : at + _RECORD] = packed
            return old
        bucket += key + packed
        self._count += 1
        if self._count > len(self._buckets) * _PER_BUCKET and self._may_split:
            self._split_next()
        return None

    def pop(self, digest: bytes) -> Place | None:
        """Forget the chunk; return where it lay."""
        key = digest[:KEY_SIZE]
        bucket = self._bucket(key)
        at = find_record(bucket, key, _RECORD)
        if at < 0:
            return None
        old = _place(bucket, at)
        drop_record(bucket, at, _RECORD)
        self._count -= 1
        return old

    @property
    def buckets(self) -> int:
        """How many buckets there are now."""
        return len(self._buckets)

    def entries(self, bucket: int) -> list[Entry]:
        """Return the chunks of a bucket, some dozens.

        Who asks for one bucket after the other, until there is none, gets each chunk that was here all the time:
        buckets are only ever split, and what leaves one goes to a new one at the end. It may come twice.
        """
        return [
            Entry(key, Place(volume, units * ALIGNMENT, length))
            for key, volume, units, length in _ENTRY.iter_unpack(self._buckets[bucket])
        ]

    def hold_buckets(self, hold: bool) -> None:
        """Split no bucket for now, so that they can be saved one after the other; or go on with it."""
        self._may_split = not hold

    def save_buckets(self, start: int, count: int) -> tuple[list[int], bytes]:
        """Return `count` buckets from `start` on: their sizes in bytes, and all that is in them."""
        buckets = self._buckets[start : start + count]
        return [len(bucket) for bucket in buckets], b"".join(buckets)

    @classmethod
    def load(cls, secret: int, parts: Iterable[tuple[Sequence[int], bytes]]) -> Index:
        """Return the index of which `save_buckets` gave `parts`."""
        index = cls(secret)
        index._buckets.clear()
        for sizes, content in parts:
            position = 0
            for size in sizes:
                index._buckets.append(bytearray(content[position : position + size]))
                position += size
            index._count += position // _RECORD
        bits = max(len(index._buckets), _FIRST_BUCKETS).bit_length() - 1
        index._mask = (1 << bits) - 1
        index._split = len(index._buckets) - (1 << bits)
        return index

    def live_bytes(self) -> dict[int, int]:
        """Return for each volume how many bytes the needles of its chunks take."""
        live: dict[int, int] = defaultdict(int)
        for bucket in self._buckets:
            for _, volume, _, length in _ENTRY.iter_unpack(bucket):
                live[volume] += footprint(length)
        return live

    def entries_in(self, volumes: Container[int]) -> list[Entry]:
        """Return the chunks that lie in any of `volumes`."""
        return [
            Entry(key, Place(volume, units * ALIGNMENT, length))
            for bucket in self._buckets
            for key, volume, units, length in _ENTRY.iter_unpack(bucket)
            if volume in volumes
        ]

    def _hash(self, key: bytes | bytearray) -> int:
        return int.from_bytes(key[:8], "little") * self._secret >> 32

    def _bucket(self, key: bytes) -> bytearray:
        number = self._hash(key)
        bucket = number & self._mask
        if bucket < self._split:
            bucket = number & (self._mask << 1 | 1)
        return self._buckets[bucket]

    def _split_next(self) -> None:
        """Divide the next bucket in two, by one more bit of the hash."""
        bit = self._mask + 1
        halves = bytearray(), bytearray()
        bucket = self._buckets[self._split]
        for at in range(0, len(bucket), _RECORD):
            upper = self._hash(bucket[at : at + KEY_SIZE]) & bit
            halves[upper != 0].extend(bucket[at : at + _RECORD])
        # Copies, to shed what a growing bytearray holds in reserve.
        self._buckets[self._split] = bytearray(halves[0])
        self._buckets.append(bytearray(halves[1]))
        self._split += 1
        if self._split > self._mask:
            self._mask = self._mask << 1 | 1
            self._split = 0


def find_record(bucket: bytearray, key: bytes, size: int) -> int:
    """Return the offset of the record, of `size` bytes, that begins with `key`; negative if there is none."""
    at = bucket.find(key)
    while at > 0 and at % size:
        at = bucket.find(key, at + 1)
    return at


def drop_record(bucket: bytearray, at: int, size: int) -> None:
    """Remove the record at offset `at`; the last one takes its place."""
    bucket[at : at + size] = bucket[-size:]
    del bucket[-size:]


def _place(bucket: bytearray, at: int) -> Place:
    volume, units, length = _PLACE.unpack_from(bucket, at + KEY_SIZE)
    return Place(volume, units * ALIGNMENT, length)
