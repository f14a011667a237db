"""Where each chunk lies: digest -> (volume, offset of the needle, payload length), in memory."""

from __future__ import annotations

from typing import NamedTuple

from raftstore.chunks.needle import ALIGNMENT

_LENGTH_BITS = 25
_OFFSET_BITS = 31
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1

MAX_OFFSET = ALIGNMENT * _OFFSET_MASK
"""Largest offset of a needle that the index can hold, in bytes."""


class Place(NamedTuple):
    """Where a needle lies: volume number, offset of its header, length of its payload (bytes)."""

    volume: int
    offset: int
    length: int


class Index:
    """The chunks that are live and durable. Used on one thread at a time."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._places

    def get(self, digest: bytes) -> Place | None:
        """Return where the chunk lies, None if it is not here."""
        packed = self._places.get(digest)
        return None if packed is None else _unpack(packed)

    def put(self, digest: bytes, place: Place) -> Place | None:
        """Set where the chunk lies; return where it lay before."""
        old = self._places.get(digest)
        self._places[digest] = _pack(place)
        return None if old is None else _unpack(old)

    def pop(self, digest: bytes) -> Place | None:
        """Forget the chunk; return where it lay."""
        packed = self._places.pop(digest, None)
        return None if packed is None else _unpack(packed)


def _pack(place: Place) -> int:
    volume, offset, length = place
    return (volume << _OFFSET_BITS | offset // ALIGNMENT) << _LENGTH_BITS | length


def _unpack(packed: int) -> Place:
    above = packed >> _LENGTH_BITS
    return Place(above >> _OFFSET_BITS, (above & _OFFSET_MASK) * ALIGNMENT, packed & _LENGTH_MASK)
