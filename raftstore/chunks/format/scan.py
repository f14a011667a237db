"""Reading a volume from its start: which needles are there, what is damaged, where the torn tail begins."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from blake3 import blake3

from raftstore.chunks.format import needle
from raftstore.chunks.format.needle import ALIGNMENT, HEADER_SIZE, Kind

Read = Callable[[int, int], bytes]
"""(offset, length) -> bytes, fewer at the end of the file; OSError where the disk cannot read."""

CUT_OFF = "needle is cut off by the end of the file"
"""Reason of a tail that begins with a whole header."""

_WINDOW = 1024 * 1024
_BLOCK = 4096
UNREADABLE = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA, errno.EREMOTEIO, errno.EILSEQ})
"""What a system call says when the medium or its checksum, not the caller or the system, is at fault."""


class Found(NamedTuple):
    """A needle in a volume; `offset` is that of its header. `synced`: see the header's."""

    kind: Kind
    digest: bytes
    offset: int
    length: int
    synced: int

    @property
    def end(self) -> int:
        """Where the next needle begins."""
        return self.offset + needle.footprint(self.length)


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of a volume that cannot be used, and why."""

    offset: int
    length: int
    reason: str


@dataclass(slots=True)
class Scan:
    """What a volume holds. `end`: behind its last whole needle; `synced`: durable up to there, by its own word.

    `tail` is what lies behind `end`: None (nothing), or a torn write if `end` is at or behind `synced`.
    """

    needles: list[Found] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    tail: Damage | None = None
    end: int = 0
    synced: int = 0


def scan(read: Read, size: int, key: bytes, volume: int, start: int = 0) -> Scan:
    """Walk the headers of a volume of `size` bytes; payloads are not read.

    A `start` behind the first needle is where one ended that was durable.
    """
    result = Scan(end=start, synced=start)
    if not start:  # the first needle lies behind the volume's start, be that whole or not
        result.end = min(size, HEADER_SIZE)
    for item in walk(read, result.end, size, key, volume):
        if isinstance(item, Found):
            result.needles.append(item)
            result.synced = max(result.synced, item.synced)
            result.end = item.end
        elif item.offset + item.length == size:
            result.tail = item
        else:
            result.damage.append(item)
    return result


def walk(read: Read, start: int, size: int, key: bytes, volume: int) -> Iterator[Found | Damage]:
    """Yield the needles of a volume from the one at `start` on, up to `size`, and what is damaged between them.

    A header that is damaged costs the range up to the next whole one, which is found by its magic and check.
    """
    position = start
    while position < size:
        header = needle.decode(key, volume, position, _read(read, position, HEADER_SIZE))
        if header is None:
            following = _find_needle(read, position + ALIGNMENT, size, key, volume)
            if following is None:
                yield Damage(position, size - position, "no whole needle header")
                return
            yield Damage(position, following - position, "damaged needle header")
            position = following
            continue
        found = Found(header.kind, header.digest, position, header.length, header.synced)
        if found.end > size:
            yield Damage(position, size - position, CUT_OFF)
            return
        yield found
        position = found.end


def payload_matches(read: Read, found: Found) -> bool:
    """Whether the payload of `found` can be read and has the digest that its header says."""
    if found.kind is not Kind.DATA:
        return True
    payload = _read(read, found.offset + HEADER_SIZE, found.length)
    return len(payload) == found.length and blake3(payload).digest() == found.digest


def _find_needle(read: Read, start: int, size: int, key: bytes, volume: int) -> int | None:
    """Return the offset of the first whole header at or behind `start`."""
    position = start
    while position < size:
        window = _read(read, position, _WINDOW) or _read(read, position, _BLOCK - position % _BLOCK)
        at = window.find(needle.MAGIC)
        while at >= 0:
            offset = position + at
            if offset % ALIGNMENT == 0:
                raw = _read(read, offset, HEADER_SIZE)
                if needle.decode(key, volume, offset, raw) is not None:
                    return offset
            at = window.find(needle.MAGIC, at + 1)
        # An aligned magic never straddles two windows: both begin at a multiple of the alignment.
        position += len(window) // ALIGNMENT * ALIGNMENT or _BLOCK - position % _BLOCK
    return None


def _read(read: Read, offset: int, length: int) -> bytes:
    """Read; nothing where the medium is unreadable."""
    try:
        return read(offset, length)
    except OSError as error:
        if error.errno in UNREADABLE:
            return b""
        raise
