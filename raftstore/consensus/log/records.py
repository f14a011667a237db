"""How the journal's records and frames look on disk. Pure functions.

A *frame* holds what one sync wrote, and is taken whole or not at all. It starts at a multiple of 64 bytes, so
that its header never straddles a sector:

    header, 64 bytes: magic, flags, mask, sequence of the frame, offset in its file, payload length,
                      generation of the hard state, commit index, digest of these 48 bytes
    body:             payload (records), zeros up to the alignment; every byte xored with the mask
    digest, 16 bytes: of the previous frame's digest, the header and the body

Digests are BLAKE3 keyed with the journal's identity and cut to 16 bytes. A frame is therefore accepted only at
its own offset, in its own journal and after its own predecessor: a stale one is no frame.

The mask makes it possible to tell a torn write from damage. A sector that never reached the disk reads as
zeros. The mask is chosen (nearly always 0: none) so that the body has no run of 255 zero bytes; then every
sector has several bits set, no single flipped bit can make it all zero, and a sector of zeros in a frame was
never written. Where no mask will do (a frame with runs of all 256 byte values) a flag says so, and any fault in
it counts as damage.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from blake3 import blake3

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""
ALIGN = 64
DIGEST = 16
FIRST_CHAIN = bytes(DIGEST)
"""Stands for the digest before the first frame of a segment file."""
FORMAT = 1
"""Version of frames and records; stored in every segment."""

_MAGIC = b"pxJ1"
_HEADER = struct.Struct("<4sBB2xQQQQQ")
HEADER_SIZE = _HEADER.size + DIGEST
_AMBIGUOUS = 1
_RUN = 255
_ZEROS = bytes(_RUN)
_XOR = [bytes(value ^ mask for value in range(256)) for mask in range(256)]

Entry = tuple[bytes, int, int]
"""(command, index, term), the shape in which pysyncobj wants entries."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame. `size` is its length on disk, `chain` its digest, `hard` the hard state's generation."""

    sequence: int
    offset: int
    size: int
    hard: int
    commit: int
    payload: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no whole frame. `torn`: an unfinished write explains it, and a flipped bit does not."""

    torn: bool
    reason: str


def _digest(key: bytes, *parts: bytes | memoryview) -> bytes:
    hasher = blake3(key=key)
    for part in parts:
        hasher.update(part)
    return hasher.digest(length=DIGEST)


def frame_size(payload_length: int) -> int:
    """Return how many bytes a frame with so many bytes of records takes."""
    return -(-(HEADER_SIZE + payload_length + DIGEST) // ALIGN) * ALIGN


def _mask(body: bytes) -> int | None:
    return next((mask for mask in range(256) if bytes([mask]) * _RUN not in body), None)


def encode_frame(
    key: bytes, chain: bytes, *, sequence: int, offset: int, hard: int, commit: int, payload: bytes
) -> tuple[bytes, bytes]:
    """Return the frame's bytes and its digest, which is the `chain` of the next one. `key` has 32 bytes."""
    size = frame_size(len(payload))
    body = payload.ljust(size - HEADER_SIZE - DIGEST, b"\0")
    mask = _mask(body) if _ZEROS in body else 0
    if mask:
        body = body.translate(_XOR[mask])
    flags = _AMBIGUOUS if mask is None else 0
    head = _HEADER.pack(_MAGIC, flags, mask or 0, sequence, offset, len(payload), hard, commit)
    head += _digest(key, head)
    digest = _digest(key, chain, head, body)
    return head + body + digest, digest


def decode_frame(key: bytes, chain: bytes, data: memoryview, offset: int) -> Frame | Fault:
    """Read the frame at `offset` of a file's content `data`; `chain` is the digest of the frame before it."""
    head = bytes(data[offset : offset + HEADER_SIZE])
    if len(head) < HEADER_SIZE:
        return Fault(True, "the file ends in the header of a frame")
    if _digest(key, head[: _HEADER.size]) != head[_HEADER.size :]:
        rest = data[offset + HEADER_SIZE :]
        if head[_HEADER.size :] == bytes(DIGEST) or (rest and rest == bytes(len(rest))):
            return Fault(True, "the header of a frame was never written")
        return Fault(False, "the header of a frame is damaged")
    magic, flags, mask, sequence, own_offset, length, hard, commit = _HEADER.unpack_from(head)
    if magic != _MAGIC or own_offset != offset:
        return Fault(False, "a frame that belongs elsewhere")
    end = offset + frame_size(length)
    if end > len(data):
        return Fault(True, "the file ends in a frame")
    body, digest = data[offset + HEADER_SIZE : end - DIGEST], bytes(data[end - DIGEST : end])
    if _digest(key, chain, head, body) != digest:
        torn = not flags & _AMBIGUOUS and _has_unwritten_part(data, offset, end)
        return Fault(torn, "part of a frame was never written" if torn else "a frame is damaged")
    payload = bytes(body[:length])
    return Frame(
        sequence, offset, end - offset, hard, commit, payload.translate(_XOR[mask]) if mask else payload, digest
    )


def _has_unwritten_part(data: memoryview, offset: int, end: int) -> bool:
    """Whether a sector's share of the frame, or the digest that ends it, is all zero."""
    if data[end - DIGEST : end] == bytes(DIGEST):
        return True
    start = offset
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if data[start:stop] == bytes(stop - start):
            return True
        start = stop
    return False


def ends(data: bytes, offset: int) -> bool:
    """Whether nothing was written from `offset` on: the end of the log, in a file that is filled ahead of it."""
    return data.count(0, offset) == len(data) - offset


def later_frame(key: bytes, data: bytes, offset: int, sequence: int) -> int | None:
    """Return the offset of a frame after `offset` with a sequence beyond `sequence`, None if there is none.

    Its header is enough: it was written only after everything before it had been synced.
    """
    position = data.find(_MAGIC, offset + 1)
    while position >= 0:
        head = data[position : position + HEADER_SIZE]
        if len(head) == HEADER_SIZE and _digest(key, head[: _HEADER.size]) == head[_HEADER.size :]:
            fields = _HEADER.unpack_from(head)
            if fields[4] == position and fields[3] > sequence:
                return position
        position = data.find(_MAGIC, position + 1)
    return None


class Type(enum.IntEnum):
    """Types of records."""

    START = 1
    ENTRY = 2
    TRUNCATE = 3
    RESET = 4
    COMPACT = 5


_ENTRY = struct.Struct("<BQQI")
_INDEX = struct.Struct("<BQ")
_START = struct.Struct("<BH16s16sQQ")
MAX_COMMAND = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Start:
    """First record of a segment: the log as it was then (`first` index, `next` index) and the digest before."""

    journal: bytes
    chain: bytes
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """Entries from `index` on are dropped."""

    index: int


@dataclass(frozen=True, slots=True)
class Reset:
    """All entries are dropped; the next entry starts the log anew."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Entries before `index` are dropped."""

    index: int


Record = Entry | Start | Truncate | Reset | Compact


def encode_entry_head(command: bytes, index: int, term: int) -> bytes:
    """Return what precedes the command in an entry's record."""
    return _ENTRY.pack(Type.ENTRY, index, term, len(command))


def encode_record(record: Record) -> bytes:
    """Return the record's bytes."""
    match record:
        case Start():
            return _START.pack(Type.START, FORMAT, record.journal, record.chain, record.first, record.next)
        case Truncate():
            return _INDEX.pack(Type.TRUNCATE, record.index)
        case Compact():
            return _INDEX.pack(Type.COMPACT, record.index)
        case Reset():
            return _INDEX.pack(Type.RESET, 0)
        case (command, index, term):
            return encode_entry_head(command, index, term) + command


def decode_records(payload: bytes) -> Iterator[Record]:
    """Yield the records of a frame. ValueError: not of this format (no damage: the digest was right)."""
    position, end = 0, len(payload)
    try:
        while position < end:
            kind = payload[position]
            if kind == Type.ENTRY:
                _, index, term, length = _ENTRY.unpack_from(payload, position)
                position += _ENTRY.size + length
                if position > end:
                    raise ValueError("an entry longer than its frame")
                yield payload[position - length : position], index, term
            elif kind == Type.START:
                _, version, journal, chain, first, following = _START.unpack_from(payload, position)
                if version != FORMAT:
                    raise ValueError(f"format {version}; this program reads format {FORMAT}")
                position += _START.size
                yield Start(journal, chain, first, following)
            else:
                _, index = _INDEX.unpack_from(payload, position)
                position += _INDEX.size
                yield _simple(kind, index)
    except struct.error:
        raise ValueError("a record longer than its frame") from None


def _simple(kind: int, index: int) -> Record:
    if kind == Type.TRUNCATE:
        return Truncate(index)
    if kind == Type.COMPACT:
        return Compact(index)
    if kind == Type.RESET:
        return Reset()
    raise ValueError(f"a record of unknown type {kind}")
