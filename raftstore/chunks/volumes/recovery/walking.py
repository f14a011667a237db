"""Going through one volume in the order of offsets: what compaction and scrub have in common, and the scrub itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from raftstore.chunks.format import needle
from raftstore.chunks.format.index import Entry, Place
from raftstore.chunks.format.needle import Kind
from raftstore.chunks.format.scan import Damage, Found
from raftstore.chunks.volumes.holdings import Holdings
from raftstore.chunks.volumes.reading import VerifiedReader
from raftstore.chunks.volumes.volume import Volume
from raftstore.errors import Unavailable

PORTION_BYTES = 2 * 1024 * 1024
"""Of payloads that are read at once; a single chunk may have more."""

_PORTION_NEEDLES = 500
_BUCKETS = 100


class Walk:
    """One way through a volume. `position` is the offset up to which it has come, `end` where it will end."""

    def __init__(self, holdings: Holdings, reader: VerifiedReader, volume: Volume, start: int = 0) -> None:
        self._holdings = holdings
        self._reader = reader
        self._volume = volume
        self._items = volume.walk(start)
        self._damage: list[Damage] = []
        self.position = start
        self.end = volume.end

    async def portion(self) -> list[Found]:
        """Return the next needles, nothing at the end. Unavailable when the disk does not answer."""
        return await self._reader.in_thread(self._volume, self._next)

    def _next(self) -> list[Found]:
        """In a thread."""
        found: list[Found] = []
        try:
            for item in self._items:
                if isinstance(item, Damage):
                    self._damage.append(item)
                    self.position = min(self.end, item.offset + item.length)
                    continue
                found.append(item)
                self.position = item.end
                if item.end - found[0].offset >= PORTION_BYTES or len(found) == _PORTION_NEEDLES:
                    break
        except OSError as error:
            raise Unavailable(f"volume {self._volume.number}: {error}") from error
        return found

    def chunks(self, found: list[Found]) -> list[tuple[bytes, Place]]:
        """Return what of a portion are chunks that are held here, as digest and place."""
        places = [
            (item.digest, Place(self._volume.number, item.offset, item.length))
            for item in found
            if item.kind is Kind.DATA
        ]
        return [(digest, place) for digest, place in places if self._holdings.index.get(digest) == place]

    async def unseen(self) -> list[Entry]:
        """Return the chunks that the walk could not find since the last call, since their headers are damaged."""
        result: list[Entry] = []
        index = self._holdings.index
        bucket = 0
        while self._damage and bucket < index.buckets:
            for _ in range(min(_BUCKETS, index.buckets - bucket)):
                result += [entry for entry in index.entries(bucket) if self._is_damaged(entry.place)]
                bucket += 1
            await asyncio.sleep(0)
        self._damage.clear()
        return result

    def _is_damaged(self, place: Place) -> bool:
        return place.volume == self._volume.number and any(
            damage.offset <= place.offset < damage.offset + damage.length for damage in self._damage
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """A chunk that was verified: `reason` is what is wrong with it, None if nothing. Sizes in bytes.

    `offset`: where to go on after it. `digest` has only its first 16 bytes where both header and payload are damaged.
    """

    digest: bytes
    reason: str | None
    length: int
    offset: int


async def scrub(
    holdings: Holdings, reader: VerifiedReader, volume: Volume, start: int
) -> AsyncIterator[list[Checked]]:
    """See `VolumeSet.walk`."""
    walk = Walk(holdings, reader, volume, start)
    more = True
    while more and volume.number in holdings.volumes:
        before = walk.position
        found = await walk.portion()
        more = bool(found)
        for entry in await walk.unseen():
            if lost := await reader.condemn(volume, entry.key, entry.place):
                yield [Checked(lost, "damaged header", entry.place.length, before)]
        for batch in batches(walk.chunks(found)):
            if volume.number not in holdings.volumes:
                return
            results = await reader.read_all(volume, batch, from_disk=True)
            yield [
                Checked(digest, result if isinstance(result, str) else None, place.length, _behind(place))
                for (digest, place), result in zip(batch, results, strict=True)
            ]


def _behind(place: Place) -> int:
    return place.offset + needle.footprint(place.length)


def batches(chunks: list[tuple[bytes, Place]]) -> Iterator[list[tuple[bytes, Place]]]:
    """Divide chunks into portions that are small enough to be in memory."""
    batch: list[tuple[bytes, Place]] = []
    size = 0
    for digest, place in chunks:
        if batch and size + place.length > PORTION_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((digest, place))
        size += place.length
    if batch:
        yield batch
