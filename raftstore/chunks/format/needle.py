"""The needle: how one chunk lies in a volume. Pure: bytes in, values out.

A volume is a row of needles. Each is a 64-byte header, the payload, and zeros up to the next multiple of 16:

    0   4  magic
    4   1  format version
    5   1  kind
    6   2  zero
    8   4  payload length
    12  8  synced: the volume was durable up to this offset before the needle's batch was written
    20  32 digest (BLAKE3 of the payload); in a tombstone, which needle it removes
    52  12 check

The check is a keyed hash over the fields, the volume's number and the needle's offset. So a header proves that
it was written by this store at this very place: bytes of a picture that look like a header, or a block that the
disk put in the wrong place, are never taken for one. `synced` makes recovery cheap: only what lies at or behind
the highest `synced` of a volume can be torn.

A tombstone names the place of the needle that it removes, with it all older ones of the chunk, and no newer one:
so it means the same wherever in the log it lies, and can be copied to the end of it when its volume is compacted.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from blake3 import blake3

from raftstore.types import DIGEST_SIZE

MAGIC = b"PxNd"
VERSION = 1
HEADER_SIZE = 64
ALIGNMENT = 16
KEY_SIZE = 16
"""Bytes of a digest by which a chunk is known in the index and in tombstones."""
MAX_PAYLOAD = 16 * 1024 * 1024
"""Largest payload in bytes. Chunks are 1 MiB; the bound keeps what recovery must read small."""

_FIELDS = struct.Struct(f"<4sBBHIQ{DIGEST_SIZE}s")
_PLACE = struct.Struct("<QQ")
_CHECK_SIZE = HEADER_SIZE - _FIELDS.size
_PADDING = bytes(ALIGNMENT)
_START_KEY = blake3(b"pixraft volume start").digest()


class Kind(enum.IntEnum):
    """What a needle is for."""

    START = 1
    """First in every volume; its digest field names the store and the volume."""
    DATA = 2
    TOMBSTONE = 3
    """A chunk is removed; see `tombstone`."""
    MARK = 4
    """Says only how far the volume was durable."""


class Header(NamedTuple):
    """A needle's header; `length` and `synced` in bytes."""

    kind: Kind
    digest: bytes
    length: int
    synced: int


def header_key(identity: bytes) -> bytes:
    """Return the key of the header checks in the store with this identity."""
    return blake3(identity, derive_key_context="pixraft needle header").digest()


def footprint(length: int) -> int:
    """Return the bytes that a needle with a payload of `length` bytes takes in a volume."""
    return HEADER_SIZE + (length + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def padding(length: int) -> bytes:
    """Return the zeros that follow a payload of `length` bytes."""
    return _PADDING[: -length % ALIGNMENT]


def encode(key: bytes, volume: int, offset: int, header: Header) -> bytes:
    """Return the 64 bytes of `header` for this place."""
    fields = _FIELDS.pack(MAGIC, VERSION, header.kind, 0, header.length, header.synced, header.digest)
    return fields + _check(key, volume, offset, fields)


def decode(key: bytes, volume: int, offset: int, raw: bytes) -> Header | None:
    """Return the header in `raw` (64 bytes or more), or None unless it is whole and belongs to this place."""
    fields = raw[: _FIELDS.size]
    if fields[:4] != MAGIC or raw[_FIELDS.size : HEADER_SIZE] != _check(key, volume, offset, fields):
        return None
    _, version, kind, _, length, synced, digest = _FIELDS.unpack(fields)
    if version != VERSION or kind not in _KINDS or length > MAX_PAYLOAD or synced > offset:
        return None
    return Header(_KINDS[kind], digest, length, synced)


def tombstone(digest: bytes, volume: int, offset: int) -> bytes:
    """Return the digest field of the tombstone for a chunk's needle at this place and all older ones."""
    return digest[:KEY_SIZE] + _PLACE.pack(volume, offset)


def decode_tombstone(name: bytes) -> tuple[bytes, int, int]:
    """Return the first bytes of the chunk's digest, and volume and offset up to which its needles are removed."""
    return (name[:KEY_SIZE], *_PLACE.unpack(name[KEY_SIZE:]))


def encode_start(identity: bytes, volume: int) -> bytes:
    """Return the needle that starts a volume."""
    return encode(_START_KEY, 0, 0, Header(Kind.START, _start_name(identity, volume), 0, 0))


def decode_start(raw: bytes) -> tuple[bytes, int] | None:
    """Return the store's identity and the volume's number from the start of a volume; None if it is damaged.

    It is checked without the store's key, to tell a volume of another store from a damaged one.
    """
    header = decode(_START_KEY, 0, 0, raw)
    if header is None or header.kind is not Kind.START:
        return None
    return header.digest[:16], int.from_bytes(header.digest[16:24], "little")


def _start_name(identity: bytes, volume: int) -> bytes:
    return identity + volume.to_bytes(8, "little") + bytes(8)


def _check(key: bytes, volume: int, offset: int, fields: bytes) -> bytes:
    return blake3(fields + _PLACE.pack(volume, offset), key=key).digest(_CHECK_SIZE)


_KINDS = {int(kind): kind for kind in Kind}
