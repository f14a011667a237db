"""The chunks on one node's disk: durable puts, verified reads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import structlog
from blake3 import blake3

from raftstore.chunks.format import needle
from raftstore.chunks.format.checkpoint import Checkpointer
from raftstore.chunks.format.index import MAX_OFFSET, Entry
from raftstore.chunks.format.needle import HEADER_SIZE, MAX_PAYLOAD, Kind
from raftstore.chunks.volumes.compaction import LEAST_BYTES, CompactionReport, Compactor
from raftstore.chunks.volumes.files import Files
from raftstore.chunks.volumes.groupcommit import FreeSpace, Write, Writer
from raftstore.chunks.volumes.holdings import Holdings, VolumeStats
from raftstore.chunks.volumes.reading import Lease, VerifiedReader
from raftstore.chunks.volumes.recovery.opening import Opened, open_directory
from raftstore.chunks.volumes.recovery.quarantine import Quarantine
from raftstore.chunks.volumes.recovery.walking import Checked, scrub
from raftstore.chunks.volumes.shelf import PERIOD, SMALL, Verified
from raftstore.chunks.volumes.storing import Storer
from raftstore.chunks.volumes.volume import Volume
from raftstore.chunks.volumes.writebudget import WriteBudget
from raftstore.errors import Damaged, DiskFailed, DiskFull, Invalid, NotFound, StoreError, TooLarge, Unavailable
from raftstore.types import DIGEST_SIZE
from raftstore.util.buffers import Buffer
from raftstore.util.disk import is_full
from raftstore.util.metrics import gauge

log = structlog.get_logger()

_PORTION = 500
"""Chunks that are removed, or buckets' worth of chunks that are listed, before others on the loop have a turn."""


class VolumeSet:
    """A directory of volumes. All methods run on the loop that called `open`; one process at a time has it.

    A put is durable when it returns. A get returns the bytes that were put, or raises. Chunks whose bytes are
    found damaged are quarantined and from then on are not here; they can be put again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        volume_bytes: int = 1 << 30,
        reserve_bytes: int = 64 << 20,
        queue_bytes: int = 32 << 20,
        readers: int = 4,
        checkpoint_after: int = 50_000,
        verified_for: float = PERIOD,
        files: Files | None = None,
    ) -> None:
        """Sizes in bytes. `queue_bytes` bounds what waits to be written: further puts wait until there is room.

        `reserve_bytes` of the disk stay free; `readers` is the number of reads from the disk at a time. The index
        is saved at the end, and when `checkpoint_after` needles were written (a large one: a sixteenth of what it
        holds): what the next start after a crash has to scan. `verified_for`: see `shelf`, seconds.
        """
        if not 0 < volume_bytes <= MAX_OFFSET:
            raise ValueError(f"volume_bytes is between 1 and {MAX_OFFSET}")
        self._directory = directory
        self._volume_bytes = volume_bytes
        self._reserve_bytes = reserve_bytes
        self._files = files or Files()
        self._quarantine = Quarantine(directory / "quarantine", self._files)
        self._free = FreeSpace(self._files, directory)
        self._write_budget = WriteBudget(queue_bytes)
        self._readers = readers
        self._holdings = Holdings()
        self._identity = b""
        self._checkpoint_after = checkpoint_after
        self._last = 0
        self._open = False
        self._closing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._opened = Opened(self._holdings)
        self._writer: Writer
        self._storer: Storer
        self._reader: VerifiedReader
        self._checkpointer: Checkpointer
        self._compactor: Compactor
        self._maintenance = asyncio.Lock()
        self.verified = Verified(verified_for)
        """Which chunks were verified lately, for `Shelf`."""
        self.on_touch: Callable[[bytes], None] | None = None
        """Called with the digest of each chunk that is put, before it is looked for here, and that `confirm` finds.

        Whoever has chunks removed must spare it from then on, or the put may count on what is being removed.
        """

    @property
    def identity(self) -> bytes:
        """16 random bytes that name this store; made with the directory. Known once it is open."""
        if not self._identity:
            raise Unavailable("the volumes are not open")
        return self._identity

    async def open(self) -> None:
        """Recover what is there, or start a new store, and begin to serve.

        Raises Refused when another process has the directory, Damaged when it cannot be trusted as a whole,
        DiskFailed when the disk does not answer, DiskFull.
        """
        self._loop = loop = asyncio.get_running_loop()
        opening = asyncio.ensure_future(
            asyncio.to_thread(open_directory, self._directory, self._files, self._quarantine)
        )
        try:
            self._opened = opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread has the files until it ends.
            for result in await asyncio.gather(opening, return_exceptions=True):
                if isinstance(result, Opened):
                    result.release()
            raise
        except OSError as error:
            raise (DiskFull if is_full(error) else DiskFailed)(f"{self._directory}: {error}") from error
        self._holdings = opened.holdings
        self._identity = opened.identity
        self._last = opened.position[0]
        self._reader = VerifiedReader(self._holdings, self._quarantine, self._readers)
        self._writer = Writer(
            active=opened.active,
            create=self._create_volume,
            volume_bytes=self._volume_bytes,
            reserve_bytes=self._reserve_bytes,
            free=self._free,
            finished=self._finished,
            loop=loop,
        )
        self._storer = Storer(self._holdings, self._writer, opened.position)
        self._checkpointer = Checkpointer(
            self._directory,
            self._files,
            opened.key,
            self._holdings,
            applied=lambda: self._storer.position,
            saved=opened.saved,
            after=self._checkpoint_after,
        )
        self._compactor = Compactor(
            self._holdings,
            self._storer,
            self._reader,
            self._quarantine,
            free_space=lambda: self._free.get(fresh=True) - self._reserve_bytes // 4,
            least=min(LEAST_BYTES, self._volume_bytes // 8),
            closing=lambda: not self._open,
        )
        self._writer.start()
        self._open = True
        stats = self.stats()
        log.info("volumes open", chunks=stats.chunks, bytes=stats.bytes, quarantined=stats.quarantined)

    async def close(self) -> None:
        """Finish the puts that wait, end the threads, close the files. Other calls now raise Unavailable."""
        if self._open:
            self._open = False
            self._storer.close()
            self._reader.close()
            self._writer.stop()
            self._closing = asyncio.create_task(self._finish())
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _finish(self) -> None:
        async with self._maintenance:  # what compacts stops soon
            pass
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.join)
        # With the mark that the writer left at the end.
        if last := self._holdings.volumes.get(self._last):
            await self._checkpointer.finish((last.number, last.end))
        self._opened.release()

    async def put(self, digest: bytes, data: Buffer, *, verified: bool) -> None:
        """Store a chunk; it is durable on return.

        `digest` is the BLAKE3 of `data`; unless the caller has just `verified` that, it is checked, and Damaged
        raised on a mismatch. Do not change `data` before this returns or raises. What is here already is read
        and stored again if it is damaged. Raises DiskFull (nothing stored), DiskFailed (this disk takes nothing
        any more), TooLarge, Unavailable (closed, or what is here cannot be read now).
        """
        self._check_open()
        payload = memoryview(data).cast("B")
        if len(digest) != DIGEST_SIZE:
            raise Invalid(f"a digest has {DIGEST_SIZE} bytes")
        if len(payload) > MAX_PAYLOAD:
            raise TooLarge(f"a chunk has at most {MAX_PAYLOAD} bytes")
        self._touch(digest)
        if self._storer.has(digest) and await self._is_sound(digest) and self.confirm(digest):
            return
        size = needle.footprint(len(payload))
        await self._write_budget.take(size)
        try:
            if not verified and not await self._reader.matches(digest, payload):
                raise Damaged(f"the bytes sent are not chunk {digest.hex()}")
            await self._storer.store(digest, payload)
        finally:
            self._write_budget.give(size)

    async def put_many(self, chunks: Sequence[tuple[bytes, Buffer]]) -> dict[int, StoreError]:
        """Store small chunks as `put` does, unverified, with one sync where that can be; return by number what failed.

        Raises Unavailable when the set is closed.
        """
        self._check_open()
        failures: dict[int, StoreError] = {}
        known, fresh = [], {}
        for number, (digest, data) in enumerate(chunks):
            self._touch(digest)
            if self._storer.has(digest):
                known.append(number)
            elif blake3(data).digest() != digest:
                failures[number] = Damaged(f"the bytes sent are not chunk {digest.hex()}")
            else:
                fresh[number] = digest, data
        size = sum(needle.footprint(len(data)) for _, data in fresh.values())
        await self._write_budget.take(size)
        try:
            failures |= await self._storer.store_many(fresh)
        finally:
            self._write_budget.give(size)
        for number in known:
            try:
                await self.put(*chunks[number], verified=False)
            except StoreError as error:
                failures[number] = error
        return failures

    async def get(self, digest: bytes) -> bytes:
        """Return a chunk, verified. NotFound; Damaged when its bytes are bad: it is quarantined."""
        self._check_open()
        return await self._reader.get(digest)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._holdings.index

    def confirm(self, digest: bytes) -> bool:
        """Whether the chunk is here and not being removed; if so, it is touched like by a put."""
        self._check_open()
        if not self._storer.has(digest):
            return False
        self._touch(digest)
        return True

    def lease(self, digest: bytes) -> Lease:
        """Return where a chunk's payload can be read, for sendfile: `Lease(fd, offset, length)`. NotFound.

        The descriptor is good until the lease is closed, even when the chunk is removed or its volume is compacted
        away; that waits with giving the disk space back. The bytes are not verified here: `verify` the chunk first.
        """
        self._check_open()
        return self._reader.lease(digest)

    async def verify(self, digest: bytes) -> None:
        """Read a chunk and check it. NotFound; Damaged after quarantine, as `get`."""
        await self.get(digest)

    async def remove(self, digest: bytes) -> bool:
        """Remove a chunk, durably; return whether it was here. DiskFull, DiskFailed, Unavailable as `put`."""
        return await self.remove_many([digest]) == 1

    async def remove_many(
        self, digests: Iterable[bytes], *, unless: Callable[[bytes], bool] | None = None
    ) -> int:
        """Remove chunks, durably, some hundred with one sync; return how many were here.

        A digest may be given by its first 16 bytes, as `digests` has it. `unless` is asked about each at the very
        moment when its removal is queued: a put that ends later stores the chunk anew. Raises as `remove`; some may
        be removed then.
        """
        removed = 0
        rest = iter(digests)
        while portion := list(islice(rest, _PORTION)):
            removed += await self._storer.remove(portion, unless)
        return removed

    async def digests(self) -> AsyncIterator[list[Entry]]:
        """Yield what is here, some hundred a portion: `Entry(key, Place(volume, offset, length))`.

        `key` is the first 16 bytes of the digest. A chunk that is here all the time comes at least once, maybe
        twice; what comes or goes meanwhile may be missing. Lower volumes are older.
        """
        bucket = 0
        while bucket < self._holdings.index.buckets:
            portion: list[Entry] = []
            while len(portion) < _PORTION and bucket < self._holdings.index.buckets:
                portion += self._holdings.index.entries(bucket)
                bucket += 1
            if portion:
                yield portion
            await asyncio.sleep(0)

    def volume_numbers(self) -> list[int]:
        """Return the numbers of the volumes, the oldest first. Numbers are never used again."""
        return sorted(self._holdings.volumes)

    async def walk(self, number: int, start: int = 0) -> AsyncIterator[list[Checked]]:
        """Verify the chunks of a volume in the order of their offsets, a portion when the caller asks for it.

        A portion has at most 2 MiB, or one chunk. They are read from the disk, not from the page cache; what is
        damaged is quarantined, as by `get`. Ends at once for a volume that is gone. `start`: the `offset` of what
        an earlier walk gave last. Unavailable when the disk does not answer.
        """
        self._check_open()
        if number in self._holdings.volumes:
            async for portion in scrub(self._holdings, self._reader, self._holdings.volumes[number], start):
                yield portion

    def reclaimable(self) -> int:
        """Return how many bytes of disk `compact` would win now."""
        self._check_open()
        return self._compactor.reclaimable()

    async def compact(
        self,
        *,
        limit_bytes_per_s: float | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] | None = None,
    ) -> CompactionReport:
        """Copy the living out of volumes that are mostly dead, and delete those, until none pays any more.

        Takes one volume at a time, so needs at most its living bytes of space, for which it may use most of the
        reserve; where that is not enough it gives space back while it copies. Copies at most `limit_bytes_per_s`
        (None or 0: no limit). Calls `progress` with bytes done and bytes in all. After it at most 1.43 times the
        living are on disk. Raises DiskFailed, Unavailable as `put`; only one runs at a time.
        """
        self._check_open()
        async with self._maintenance:
            self._check_open()
            return await self._compactor.run(limit_bytes_per_s, should_stop, progress)

    def stats(self) -> VolumeStats:
        """Return what is here now; the free disk is at most a second old."""
        volumes = self._holdings.volumes.values()
        return VolumeStats(
            chunks=len(self._holdings.index),
            bytes=sum(volume.live for volume in volumes),
            disk_free=self._free.get(),
            quarantined=len(self._quarantine),
            failed=self._open and self._writer.failure is not None,
            dead_bytes=sum(volume.dead for volume in volumes),
            volumes=len(volumes),
            failed_volumes=self._opened.failed + (self._writer.failed_volumes if self._open else 0),
        )

    @gauge("pixraft_chunks", "Chunks in the volumes of this node.")
    def chunks(self) -> float:
        """How many."""
        return len(self._holdings.index)

    @gauge(
        "pixraft_store_bytes",
        "Bytes that the volumes of this node have.",
        label="state",
        values=("live", "dead"),
    )
    def chunk_bytes(self) -> dict[str, float]:
        """In bytes: `dead` ones are given back by a compaction."""
        stats = self.stats()
        return {"live": stats.bytes, "dead": stats.dead_bytes}

    @gauge(
        "pixraft_chunks_quarantined",
        "Damaged places of this node's disk that were ever found and put aside; they stay.",
    )
    def quarantined(self) -> float:
        """How many."""
        return len(self._quarantine)

    @gauge("pixraft_disk_free_bytes", "Free bytes of the disk that the volumes are on, at most a second old.")
    def disk_free(self) -> float:
        """In bytes."""
        return self._free.get()

    @gauge("pixraft_disk_size_bytes", "Size of the disk that the volumes are on.")
    def disk_size(self) -> float:
        """In bytes; 0 where it cannot be asked."""
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return 0
        return found.f_blocks * found.f_frsize

    def _finished(self, batch: Sequence[Write]) -> None:
        """Take over what the writer did. On the loop."""
        for write in batch:
            place = write.place
            if place is not None and write.kind is Kind.DATA and place.length > SMALL and not write.moves:
                # Its bytes were hashed just before they were written.
                self.verified.add(write.digest, place.volume, place.offset + HEADER_SIZE, write.epoch)
        self._storer.finished(batch)
        self._checkpointer.count(len(batch))

    def _touch(self, digest: bytes) -> None:
        if self.on_touch is not None:
            self.on_touch(digest)

    async def _is_sound(self, digest: bytes) -> bool:
        """Whether the chunk is here, whole: a copy that nobody has read for years may have rotted meanwhile."""
        try:
            await self.get(digest)
        except (NotFound, Damaged):
            return False
        return True

    def _create_volume(self) -> Volume:
        """Make the next volume. In the writer's thread."""
        volume = Volume.create(self._files, self._directory, self._last + 1, self._identity, self._opened.key)
        self._last += 1
        # The loop has it before it hears of the first needle in it.
        self._loop.call_soon_threadsafe(self._holdings.volumes.__setitem__, volume.number, volume)
        return volume

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the volumes are closed")
