"""What a node holds: where each chunk lies, and what of each volume is live, dead, or still needed. No I/O.

What counts as needed though it is no live chunk are tombstones. One stays as long as a needle that it removes may
still lie somewhere, or that chunk would come back when the volumes are scanned:

- It names the needle that it removes (`p`, the volume in which that lies). While volume `p` is there, it is needed.
- Older needles of the chunk have tombstones of their own, but for those whose chunk was copied by a compaction that
  then did not come to its end. Their volumes are `stale`: while there is one older than `p`, it is needed too. At a
  start they are found by their orphans: needles that were removed or replaced without a tombstone that names them.
"""

from __future__ import annotations

from dataclasses import dataclass

from raftstore.chunks.format import needle
from raftstore.chunks.format.index import Index, Place
from raftstore.chunks.format.needle import Kind
from raftstore.chunks.volumes.volume import Volume

_TOMBSTONE = needle.footprint(0)


@dataclass(frozen=True, slots=True)
class VolumeStats:
    """What a volume set holds. `bytes`: of live needles, headers and padding included.

    `failed`: a write or sync failed since `open`, and nothing more is written until the next one.
    `failed_volumes`: volumes to which that ever happened; they are only read.
    """

    chunks: int
    bytes: int
    disk_free: int
    quarantined: int
    failed: bool
    dead_bytes: int
    volumes: int
    failed_volumes: int


class Holdings:
    """The index and the volumes that it points into. Used on one thread at a time."""

    def __init__(self, index: Index | None = None) -> None:
        self.index = Index() if index is None else index
        self.volumes: dict[int, Volume] = {}
        self.stale: set[int] = set()
        self._orphans: set[tuple[int, int]] | None = set()

    def apply(self, kind: Kind, digest: bytes, place: Place) -> None:
        """Take over a durable needle; `digest` as its header has it. In the order of the log."""
        if kind is Kind.DATA:
            old = self.index.put(digest, place)
            self.volumes[place.volume].live += needle.footprint(place.length)
            if old is not None:
                self._bury(old)
                self._note_orphan(old, place.volume)
        elif kind is Kind.TOMBSTONE:
            key, volume, offset = needle.decode_tombstone(digest)
            self.volumes[place.volume].tombstones[volume] += 1
            current = self.index.get(key)
            if current is not None and (current.volume, current.offset) <= (volume, offset):
                self.forget(key)
                self._note_orphan(current, volume)
            if self._orphans is not None:
                self._orphans.discard((volume, offset))

    def forget(self, digest: bytes) -> None:
        """Take a chunk out of the index."""
        old = self.index.pop(digest)
        if old is not None:
            self._bury(old)

    def _note_orphan(self, place: Place, volume: int) -> None:
        """A needle at `place` counts no more because of what is in, or names, a later `volume`."""
        if self._orphans is not None and place.volume < volume:
            self._orphans.add((place.volume, place.offset))

    def serve(self) -> None:
        """All that was in the volumes is applied; from now on compaction itself tells what is stale."""
        self.stale |= {volume for volume, _ in self._orphans or ()}
        self.stale &= self.volumes.keys()
        self._orphans = None

    def _bury(self, place: Place) -> None:
        if place.volume in self.volumes:
            self.volumes[place.volume].live -= needle.footprint(place.length)

    def settle(self) -> None:
        """Count what is live after the index was changed otherwise; forget chunks in volumes that are gone."""
        live = self.index.live_bytes()
        for number, volume in self.volumes.items():
            volume.live = live.pop(number, 0)
        for entry in self.index.entries_in(live) if live else ():
            self.forget(entry.key)

    def drop(self, volume: Volume) -> None:
        """Forget a volume that was deleted."""
        del self.volumes[volume.number]
        self.stale.discard(volume.number)

    def needs_tombstone(self, of_volume: int, *, without: Volume) -> bool:
        """Whether a tombstone for a needle in `of_volume` is needed when the volume `without` is gone."""
        if of_volume != without.number and of_volume in self.volumes:
            return True
        return any(number < of_volume for number in self.stale if number != without.number)

    def needed(self, volume: Volume) -> int:
        """Return how many bytes of `volume` compaction would have to copy: live chunks and needed tombstones."""
        return volume.live + _TOMBSTONE * sum(
            count
            for of_volume, count in volume.tombstones.items()
            if self.needs_tombstone(of_volume, without=volume)
        )
