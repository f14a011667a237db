"""Compaction: the living of a volume that is mostly dead are copied to the end of the log, then it is deleted.

The order is what makes it safe, whenever the process is killed:

1. A copy is written like any needle, by the group commit, and is durable before the index points to it. Until then
   the old place serves; a removal or put of the same chunk waits for its turn. If both places survive, the later
   one counts.
2. Tombstones that are needed still (see `holdings`) are copied too, before the volume is deleted.
3. A volume is begun when the index knows all that is in it: its last needles may be durable and on their way.
4. Where the disk has no room for copies of all that lives in the volume, the space of what is copied or dead is given
   back at once, chunk by chunk (holes are punched; the headers stay, and what a socket may still be sending from the
   file). So it works on a disk that is full.
5. The file is deleted when nothing live is in it, nobody reads from it, and a later volume exists: numbers are
   never used again. Its deletion is durable before tombstones that it needed are dropped.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from raftstore.chunks.format import needle
from raftstore.chunks.format.index import Place
from raftstore.chunks.format.needle import HEADER_SIZE, Kind
from raftstore.chunks.format.scan import Found
from raftstore.chunks.volumes.holdings import Holdings
from raftstore.chunks.volumes.reading import VerifiedReader
from raftstore.chunks.volumes.recovery.quarantine import Quarantine
from raftstore.chunks.volumes.recovery.walking import PORTION_BYTES, Walk, batches
from raftstore.chunks.volumes.storing import Storer
from raftstore.chunks.volumes.volume import Volume
from raftstore.errors import DiskFailed, DiskFull, Unavailable

log = structlog.get_logger()

DEAD_SHARE = 0.3
"""A volume pays when so much of it is dead. All below it: at most 1 / (1 - 0.3) = 1.43 times the living on disk."""

LEAST_BYTES = 64 * 1024
"""What a volume must give to be worth the trouble."""

LEAST_SPACE = 4 * PORTION_BYTES
"""Bytes of disk without which a compaction does not begin, unless it needs less."""

_PATIENCE = 30.0
_STEP = 0.25


class Ending(enum.StrEnum):
    """Why a compaction ended."""

    DONE = "done"
    """No volume is left that pays."""
    STOPPED = "stopped"
    NO_SPACE = "no space"
    """There is not room enough for the living of any volume that pays."""
    IN_USE = "in use"
    """Somebody reads from a volume of which nothing is alive any more; the next compaction deletes it."""


@dataclass(slots=True)
class CompactionReport:
    """What a compaction did. Sizes in bytes; `damaged`: digests of chunks that were found so and quarantined."""

    volumes: int = 0
    copied_bytes: int = 0
    freed_bytes: int = 0
    damaged: list[bytes] = field(default_factory=list)
    ending: Ending = Ending.DONE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volume as compaction sees it; sizes in bytes: all of it, and what would be won.

    `last`: it may still be written on, so that another must be begun first. `stale`: an earlier compaction did not
    finish it.
    """

    number: int
    size: int
    reclaimable: int
    last: bool = False
    stale: bool = False

    @property
    def copied(self) -> int:
        """What must be copied."""
        return self.size - self.reclaimable

    @property
    def copied_share(self) -> float:
        """What must be copied as a share of its size; of an empty file (it was cut off) nothing."""
        return self.copied / self.size if self.size else 0.0

    def pays(self, least: int) -> bool:
        """Whether it is worth the trouble."""
        if self.reclaimable == self.size and not self.last:
            return True
        return self.reclaimable >= max(least, DEAD_SHARE * self.size)


def choose(
    candidates: Iterable[Candidate], *, free_space: int, least: int = LEAST_BYTES, piecemeal: bool = False
) -> int | None:
    """Return the number of the volume to compact next, None if none pays whose living fit into `room` bytes.

    `piecemeal`: its space can be given back while it is copied, so that a little room is enough. First what an
    earlier compaction began, since it keeps tombstones alive; then what gives most for its copies.
    """
    if piecemeal and free_space >= LEAST_SPACE:
        free_space = sys.maxsize
    paying = [item for item in candidates if item.pays(least) and item.copied <= free_space]
    best = min(paying, key=lambda item: (not item.stale, item.copied_share, item.number), default=None)
    return None if best is None else best.number


class Compactor:
    """Compacts the volumes of one set; one compaction at a time."""

    def __init__(
        self,
        holdings: Holdings,
        storer: Storer,
        reader: VerifiedReader,
        quarantine: Quarantine,
        *,
        free_space: Callable[[], int],
        least: int,
        closing: Callable[[], bool],
    ) -> None:
        """`room`: bytes that copies may take now."""
        self._holdings = holdings
        self._storer = storer
        self._reader = reader
        self._quarantine = quarantine
        self._free_space = free_space
        self._least = least
        self._closing = closing
        self._can_punch = True

    def candidates(self) -> list[Candidate]:
        """Return the volumes that may be compacted.

        Not what lies behind the place in the log up to which all is taken over: there the index does not know yet
        what is alive.
        """
        holdings = self._holdings
        last, end = self._storer.position
        found = []
        for number, volume in holdings.volumes.items():
            if number <= last and not self._quarantine.only_in(number):
                size = end if number == last else volume.end
                reclaimable = size - holdings.needed(volume)
                found.append(Candidate(number, size, reclaimable, number == last, number in holdings.stale))
        return found

    def reclaimable(self) -> int:
        """Return how many bytes a compaction would win now."""
        return sum(item.reclaimable for item in self.candidates() if item.pays(self._least))

    async def run(
        self,
        limit: float | None,
        should_stop: Callable[[], bool],
        progress: Callable[[int, int], None] | None,
    ) -> CompactionReport:
        """See `VolumeSet.compact`."""
        run = _Run(limit, lambda: self._closing() or should_stop(), progress)
        run.total = sum(item.size for item in self.candidates() if item.pays(self._least))
        while not run.should_stop():
            candidates = self.candidates()
            number = choose(
                candidates, free_space=self._free_space(), least=self._least, piecemeal=self._can_punch
            )
            if number is None:
                full = any(item.pays(self._least) for item in candidates)
                run.report.ending = Ending.NO_SPACE if full else Ending.DONE
                return run.report
            try:
                ended = await self._compact(self._holdings.volumes[number], run)
            except DiskFull as error:
                log.warning("no room to compact a volume", volume=number, error=error.detail)
                ended = Ending.NO_SPACE
            except Unavailable:
                if not self._closing():
                    raise
                ended = Ending.STOPPED
            if ended is not Ending.DONE:
                run.report.ending = ended
                return run.report
        run.report.ending = Ending.STOPPED
        return run.report

    async def _compact(self, volume: Volume, run: _Run) -> Ending:
        if volume.number >= self._storer.position[0]:
            # What is on its way into it is taken over when this is.
            await self._storer.seal(volume.number)
        self._holdings.stale.add(volume.number)
        walk = Walk(self._holdings, self._reader, volume)
        before = run.done
        while found := await walk.portion():
            for batch in batches(walk.chunks(found)):
                if run.should_stop():
                    return Ending.STOPPED
                results = await self._reader.read_all(volume, batch)
                sound = {}
                for (digest, place), result in zip(batch, results, strict=True):
                    if isinstance(result, str):
                        run.report.damaged.append(digest)
                    else:
                        sound[digest] = (place, result)
                await self._storer.move(sound)
                run.report.copied_bytes += (size := sum(len(data) for _, data in sound.values()))
                await run.pace(size)
            await self._storer.keep(self._needed(volume, found))
            if self._can_punch and self._free_space() < volume.live + LEAST_SPACE:
                await self._give_back(volume, found)
            run.advance(before + walk.position)
        for entry in await walk.unseen():
            if lost := await self._reader.condemn(volume, entry.key, entry.place):
                run.report.damaged.append(lost)
        return await self._delete(volume, run)

    def _needed(self, volume: Volume, found: list[Found]) -> list[bytes]:
        """Return the tombstones of a portion that are needed when `volume` is gone."""
        return [
            item.digest
            for item in found
            if item.kind is Kind.TOMBSTONE
            and self._holdings.needs_tombstone(needle.decode_tombstone(item.digest)[1], without=volume)
        ]

    async def _give_back(self, volume: Volume, found: list[Found]) -> None:
        """Give back the disk space of what is not alive of a portion, unless somebody might be reading it."""
        if volume.held:
            return
        payloads = [
            (item.offset + HEADER_SIZE, item.length)
            for item in found
            if item.kind is Kind.DATA
            and (volume.number, item.offset) not in self._quarantine
            and self._holdings.index.get(item.digest) != Place(volume.number, item.offset, item.length)
        ]
        try:
            await self._reader.in_thread(volume, lambda: volume.punch(payloads))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise DiskFailed(f"volume {volume.number}: {error}") from error
            self._can_punch = False

    async def _delete(self, volume: Volume, run: _Run) -> Ending:
        """Delete a volume of which nothing is alive, when nobody reads from it any more."""
        waited = 0.0
        while volume.held and waited < _PATIENCE and not run.should_stop():
            await asyncio.sleep(_STEP)
            waited += _STEP
        if volume.held:
            return Ending.STOPPED if run.should_stop() else Ending.IN_USE
        if volume.live:
            raise Unavailable(f"volume {volume.number} has {volume.live} live bytes that were not found in it")
        if self._quarantine.only_in(volume.number):
            return Ending.DONE  # what was found damaged could not be copied; it is no candidate any more
        try:
            give_back = await self._reader.in_thread(volume, volume.remove)
        except OSError as error:
            raise DiskFailed(f"volume {volume.number} could not be deleted: {error}") from error
        self._holdings.drop(volume)
        volume.close()
        await asyncio.to_thread(give_back)
        run.report.volumes += 1
        run.report.freed_bytes += volume.end
        log.info("volume compacted", volume=volume.number, bytes=volume.end)
        return Ending.DONE


class _Run:
    """One compaction: its pace, its progress, its report."""

    def __init__(
        self, limit: float | None, should_stop: Callable[[], bool], progress: Callable[[int, int], None] | None
    ) -> None:
        self.should_stop = should_stop
        self.report = CompactionReport()
        self.done = 0
        self.total = 0
        self._limit = limit
        self._progress = progress
        self._clock = asyncio.get_running_loop().time
        self._free_at = self._clock()

    async def pace(self, size: int) -> None:
        """Wait as long as copying `size` bytes may take, less what it took."""
        if not self._limit:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now - 1.0) + size / self._limit
        while True:
            rest = self._free_at - self._clock()
            if rest <= 0 or self.should_stop():
                return
            await asyncio.sleep(min(rest, _STEP))

    def advance(self, done: int) -> None:
        """Report progress."""
        self.done = done
        self.total = max(self.total, done)
        if self._progress is not None:
            self._progress(done, self.total)
