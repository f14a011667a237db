"""The chunks on one node's disk: durable puts, verified reads."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog
from blake3 import blake3

from raftstore.chunks import needle
from raftstore.chunks.files import Buffer, Files
from raftstore.chunks.groupcommit import Abandoned, FreeSpace, Write, Writer
from raftstore.chunks.index import MAX_OFFSET, Index, Place
from raftstore.chunks.needle import HEADER_SIZE, MAX_PAYLOAD, Kind
from raftstore.chunks.quarantine import Quarantine
from raftstore.chunks.recovery import Recovered, Recovery, load_identity, lock_directory, volume_numbers
from raftstore.chunks.room import Room
from raftstore.chunks.scan import UNREADABLE
from raftstore.chunks.volume import Volume
from raftstore.errors import Damaged, DiskFailed, Invalid, NotFound, TooLarge, Unavailable
from raftstore.types import DIGEST_SIZE

log = structlog.get_logger()

HASH_INLINE = 64 * 1024
"""Payloads up to this many bytes are hashed on the loop (about 15 us): a thread would cost more."""

READ_INLINE = 64 * 1024
"""Payloads up to this many bytes are read on the loop when the page cache holds them."""


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
        files: Files | None = None,
    ) -> None:
        """Sizes in bytes. `queue_bytes` bounds what waits to be written: further puts wait until there is room.

        `reserve_bytes` of the disk stay free; `readers` is the number of reads from the disk at a time.
        """
        if not 0 < volume_bytes <= MAX_OFFSET:
            raise ValueError(f"volume_bytes is between 1 and {MAX_OFFSET}")
        self._directory = directory
        self._volume_bytes = volume_bytes
        self._reserve_bytes = reserve_bytes
        self._files = files or Files()
        self._quarantine = Quarantine(directory / "quarantine", self._files)
        self._free = FreeSpace(self._files, directory)
        self._room = Room(queue_bytes)
        self._readers = readers
        self._reading = asyncio.Semaphore(readers)
        self._index = Index()
        self._failed = 0
        self._volumes: dict[int, Volume] = {}
        self._writes: dict[bytes, Write] = {}
        self._cache_readable = True
        self._identity = b""
        self._key = b""
        self._lock = -1
        self._open = False
        self._closing: asyncio.Task[None] | None = None
        self._writer: Writer
        self._pool: ThreadPoolExecutor

    @property
    def identity(self) -> bytes:
        """16 random bytes that name this store; made with the directory. Known once it is open."""
        if not self._identity:
            raise Unavailable("the volumes are not open")
        return self._identity

    async def open(self) -> None:
        """Recover what is there, or start a new store, and begin to serve.

        Raises Refused when another process has the directory, Damaged when it cannot be trusted as a whole,
        DiskFailed when the disk does not answer.
        """
        loop = asyncio.get_running_loop()
        recovering = asyncio.ensure_future(asyncio.to_thread(self._recover))
        try:
            active = await asyncio.shield(recovering)
        except asyncio.CancelledError:
            await asyncio.gather(recovering, return_exceptions=True)  # the thread has the files until it ends
            self._release()
            raise
        except OSError as error:
            self._release()
            raise DiskFailed(f"{self._directory}: {error}") from error
        except BaseException:
            self._release()
            raise
        self._pool = ThreadPoolExecutor(self._readers, thread_name_prefix="pixraft-chunks")
        self._writer = Writer(
            active=active,
            create=self._create_volume,
            volume_bytes=self._volume_bytes,
            reserve_bytes=self._reserve_bytes,
            free=self._free,
            finished=self._finished,
            loop=loop,
        )
        self._writer.start()
        self._open = True
        stats = self.stats()
        log.info("volumes open", chunks=stats.chunks, bytes=stats.bytes, quarantined=stats.quarantined)

    async def close(self) -> None:
        """Finish the puts that wait, end the threads, close the files. Other calls now raise Unavailable."""
        if self._open:
            self._open = False
            self._writer.stop()
            self._closing = asyncio.create_task(self._finish())
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _finish(self) -> None:
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._pool.shutdown)
        self._release()

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
        if digest in self._index and digest not in self._writes and await self._is_sound(digest):
            return
        size = needle.footprint(len(payload))
        await self._room.take(size)
        try:
            if not verified and not await self._matches(digest, payload):
                raise Damaged(f"the bytes sent are not chunk {digest.hex()}")
            await self._store(Kind.DATA, digest, payload)
        finally:
            self._room.give(size)

    async def get(self, digest: bytes) -> bytes:
        """Return a chunk, verified. NotFound; Damaged when its bytes are bad: it is quarantined."""
        self._check_open()
        place = self._index.get(digest)
        if place is None:
            raise NotFound(f"chunk {digest.hex()}")
        if place.length <= READ_INLINE and (data := self._get_cached(digest, place)) is not None:
            return data
        async with self._reading:
            self._check_open()
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._pool, self._read, digest, place)
        if isinstance(result, str):
            if self._index.get(digest) == place:
                self._forget(digest)
            raise Damaged(f"chunk {digest.hex()}: {result}")
        return result

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._index

    def locate(self, digest: bytes) -> tuple[int, int, int]:
        """Return (descriptor, offset, length) of a chunk's payload, for sendfile. NotFound.

        The bytes are not verified here: `verify` the chunk first. The descriptor is good until `close`.
        """
        self._check_open()
        place = self._index.get(digest)
        if place is None:
            raise NotFound(f"chunk {digest.hex()}")
        return self._volumes[place.volume].fd, place.offset + HEADER_SIZE, place.length

    async def verify(self, digest: bytes) -> None:
        """Read a chunk and check it. NotFound; Damaged after quarantine, as `get`."""
        await self.get(digest)

    async def remove(self, digest: bytes) -> bool:
        """Remove a chunk, durably; return whether it was here. DiskFull, DiskFailed, Unavailable as `put`."""
        self._check_open()
        size = needle.footprint(0)
        await self._room.take(size)
        try:
            return await self._store(Kind.TOMBSTONE, digest, b"")
        finally:
            self._room.give(size)

    def stats(self) -> VolumeStats:
        """Return what is here now; the free disk is at most a second old."""
        volumes = list(self._volumes.values())
        return VolumeStats(
            chunks=len(self._index),
            bytes=sum(volume.live for volume in volumes),
            disk_free=self._free.get(),
            quarantined=len(self._quarantine),
            failed=self._open and self._writer.failure is not None,
            dead_bytes=sum(volume.dead for volume in volumes),
            volumes=len(volumes),
            failed_volumes=self._failed + (self._writer.failed_volumes if self._open else 0),
        )

    async def _store(self, kind: Kind, digest: bytes, payload: Buffer) -> bool:
        """Write a needle, or share the write of the same; return whether that changed anything."""
        while True:
            self._check_open()
            other = self._writes.get(digest)
            if other is None:
                if (digest in self._index) == (kind is Kind.DATA):
                    return False
                await self._write(Write(kind, digest, payload))
                return True
            try:
                await self._join(other)
            except Abandoned:
                continue
            except Exception:
                # The other's failure is ours if it wanted the same.
                if other.kind is kind:
                    raise

    async def _write(self, write: Write) -> None:
        """Queue `write` and wait for it. When cancelled the bytes are no longer in use on return."""
        if self._writer.failure is not None:
            raise DiskFailed(self._writer.failure.detail)
        self._writes[write.digest] = write
        self._writer.submit(write)
        try:
            await self._join(write)
        except asyncio.CancelledError:
            if self._writer.withdraw(write):
                del self._writes[write.digest]
                write.wake(Abandoned())
            else:
                await self._outlast(write)
            raise

    async def _join(self, write: Write) -> None:
        waiter = asyncio.get_running_loop().create_future()
        write.waiters.append(waiter)
        await waiter

    async def _outlast(self, write: Write) -> None:
        """Wait until `write` ended, however often this is cancelled: the thread reads the caller's bytes."""
        while self._writes.get(write.digest) is write:
            try:
                await self._join(write)
            except (asyncio.CancelledError, Exception):
                continue

    def _finished(self, batch: Sequence[Write]) -> None:
        """Take over what the writer did. On the loop."""
        for write in batch:
            if self._writes.get(write.digest) is write:
                del self._writes[write.digest]
            if write.error is None and write.place is not None:
                if write.kind is Kind.DATA:
                    self._remember(write.digest, write.place)
                else:
                    self._forget(write.digest)
            write.payload = b""
            write.wake(write.error)

    def _remember(self, digest: bytes, place: Place) -> None:
        old = self._index.put(digest, place)
        self._volumes[place.volume].live += needle.footprint(place.length)
        if old is not None:
            self._volumes[old.volume].live -= needle.footprint(old.length)

    def _forget(self, digest: bytes) -> None:
        old = self._index.pop(digest)
        if old is not None:
            self._volumes[old.volume].live -= needle.footprint(old.length)

    async def _is_sound(self, digest: bytes) -> bool:
        """Whether the chunk is here, whole: a copy that nobody has read for years may have rotted meanwhile."""
        try:
            await self.get(digest)
        except (NotFound, Damaged):
            return False
        return True

    async def _matches(self, digest: bytes, payload: memoryview) -> bool:
        if len(payload) <= HASH_INLINE:
            return blake3(payload).digest() == digest
        self._check_open()
        loop = asyncio.get_running_loop()
        hashing = loop.run_in_executor(self._pool, lambda: blake3(payload).digest())
        return await hashing == digest

    def _get_cached(self, digest: bytes, place: Place) -> bytes | None:
        """Return the chunk if the page cache has it, whole and sound."""
        if not self._cache_readable:
            return None
        try:
            raw = self._volumes[place.volume].read_cached(place.offset, HEADER_SIZE + place.length)
        except OSError as error:
            # The thread finds out what is wrong with the disk; here only whether it is worth asking again.
            self._cache_readable = error.errno != errno.EOPNOTSUPP
            return None
        if raw is None:
            return None
        data = bytes(memoryview(raw)[HEADER_SIZE:])
        return data if blake3(data).digest() == digest else None

    def _read(self, digest: bytes, place: Place) -> bytes | str:
        """Return the chunk, or what is wrong with it, after quarantine. In a thread."""
        volume = self._volumes[place.volume]
        header = data = b""
        try:
            header = volume.read(place.offset, HEADER_SIZE)
            data = volume.read(place.offset + HEADER_SIZE, place.length)
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise Unavailable(f"chunk {digest.hex()}: {error}") from error
            reason = f"cannot be read: {error}"
        else:
            decoded = volume.decode(header, place.offset)
            if len(data) == place.length and blake3(data).digest() == digest:
                if decoded is not None and decoded.digest == digest and decoded.length == place.length:
                    return data
                reason = "damaged header"
            else:
                reason = "payload does not match"
        size = needle.footprint(place.length)
        self._quarantine.add(place.volume, place.offset, size, reason, digest=digest, content=header + data)
        return reason

    def _recover(self) -> Volume | None:
        """Open everything; return the volume to write on. In a thread."""
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700, parents=True)
            self._files.sync_directory(self._directory.parent)
        self._lock = lock_directory(self._directory)
        self._identity = load_identity(self._directory, self._files)
        self._key = needle.header_key(self._identity)
        self._quarantine.open()
        recovery = Recovery(self._directory, self._files, self._identity, self._key, self._quarantine)
        numbers = volume_numbers(self._directory)
        active = None
        for number in numbers:
            recovered = recovery.open_volume(number, last=number == numbers[-1])
            self._adopt(recovered)
            active = recovered.volume if recovered.writable else None
        return active

    def _adopt(self, recovered: Recovered) -> None:
        self._volumes[recovered.volume.number] = recovered.volume
        self._failed += recovered.failed
        for found in recovered.needles:
            if found.kind is Kind.DATA:
                self._remember(found.digest, Place(recovered.volume.number, found.offset, found.length))
            elif found.kind is Kind.TOMBSTONE:
                self._forget(found.digest)

    def _create_volume(self) -> Volume:
        """Make the next volume. In the writer's thread."""
        number = max(self._volumes, default=0) + 1
        volume = Volume.create(self._files, self._directory, number, self._identity, self._key)
        self._volumes[number] = volume
        return volume

    def _release(self) -> None:
        for volume in self._volumes.values():
            volume.close()
        self._volumes.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the volumes are closed")
