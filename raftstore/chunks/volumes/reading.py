"""Verified reads from the volumes; what is found damaged is quarantined."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from blake3 import blake3

from raftstore.chunks.format import needle
from raftstore.chunks.format.index import Place
from raftstore.chunks.format.needle import HEADER_SIZE
from raftstore.chunks.format.scan import UNREADABLE
from raftstore.chunks.volumes.holdings import Holdings
from raftstore.chunks.volumes.recovery.quarantine import Quarantine
from raftstore.chunks.volumes.volume import Volume
from raftstore.errors import Damaged, NotFound, Unavailable

Result = TypeVar("Result")

HASH_INLINE = 64 * 1024
"""Payloads up to this many bytes are hashed on the loop (about 15 us): a thread would cost more."""

READ_INLINE = 64 * 1024
"""Payloads up to this many bytes are read on the loop when the page cache holds them."""


class Lease:
    """A chunk's payload in an open file: `length` bytes at `offset` of `fd`, good until `close`.

    The bytes are not verified. What happens to the chunk meanwhile (removed, compacted away) changes nothing.
    """

    __slots__ = ("_file", "_volume", "fd", "length", "offset")

    def __init__(self, volume: Volume, place: Place) -> None:
        volume.hold()
        self._volume: Volume | None = volume
        self._file = volume
        self.fd = volume.fd
        self.offset = place.offset + HEADER_SIZE
        self.length = place.length

    @property
    def volume(self) -> int:
        """Number of the volume."""
        return self._file.number

    @property
    def epoch(self) -> int:
        """Another number after somebody else than this process has written to the volume. Raises OSError."""
        return self._file.epoch()

    def close(self) -> None:
        """Give the file back; once is enough. On the loop."""
        volume, self._volume = self._volume, None
        if volume is not None:
            volume.let_go()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VerifiedReader:
    """Reads of a volume set, in a few threads or, for what is in memory, at once. `close` and `join` it at the end."""

    def __init__(self, holdings: Holdings, quarantine: Quarantine, threads: int) -> None:
        self._holdings = holdings
        self._quarantine = quarantine
        self._turns = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pixraft-chunks")
        self._cache_readable = True
        self._closed = False

    def close(self) -> None:
        """Read nothing more. On the loop."""
        self._closed = True

    def join(self) -> None:
        """End the threads when they have done what they are at. Blocks."""
        self._pool.shutdown()

    def lease(self, digest: bytes) -> Lease:
        """See `VolumeSet.lease`."""
        place = self._place(digest)
        return Lease(self._holdings.volumes[place.volume], place)

    async def get(self, digest: bytes) -> bytes:
        """Return a chunk, verified; see `VolumeSet.get`."""
        place = self._place(digest)
        if place.length <= READ_INLINE and (data := self._get_cached(digest, place)) is not None:
            return data
        while True:
            async with self._turns:
                place = self._place(digest)
                result = await self.read(digest, place)
            if not isinstance(result, str):
                return result
            # What was just moved may be whole at its new place.
            if (now := self._holdings.index.get(digest)) is None or now == place:
                if now == place:
                    self._holdings.forget(digest)
                raise Damaged(f"chunk {digest.hex()}: {result}")

    async def read(self, digest: bytes, place: Place) -> bytes | str:
        """Return the bytes of the chunk at `place`, or what is wrong with them, after quarantine.

        Raises Unavailable when it cannot be told.
        """
        volume = self._holdings.volumes[place.volume]
        return await self.in_thread(volume, lambda: self._read(volume, digest, place))

    async def read_all(
        self, volume: Volume, chunks: Sequence[tuple[bytes, Place]], *, from_disk: bool = False
    ) -> list[bytes | str]:
        """Like `read` for chunks of one volume, which is quickest in the order of their offsets.

        `from_disk`: what the page cache has of them is dropped first. What is damaged is no longer held on return.
        """

        def run() -> list[bytes | str]:
            if from_disk and chunks:
                start = chunks[0][1].offset
                volume.forget(start, chunks[-1][1].offset + HEADER_SIZE + chunks[-1][1].length - start)
            return [self._read(volume, digest, place) for digest, place in chunks]

        results = await self.in_thread(volume, run)
        for (digest, place), result in zip(chunks, results, strict=True):
            if isinstance(result, str) and self._holdings.index.get(digest) == place:
                self._holdings.forget(digest)
        return results

    async def condemn(self, volume: Volume, key: bytes, place: Place) -> bytes | None:
        """Quarantine a chunk whose header is lost; return its digest, or just `key` if the payload is damaged too.

        None if the header is not lost.
        """

        def run() -> bytes | None:
            try:
                content = volume.read(place.offset, HEADER_SIZE + place.length)
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise Unavailable(f"chunk {key.hex()}: {error}") from error
                content = b""
            if volume.decode(content, place.offset) is not None:
                return None
            digest = blake3(content[HEADER_SIZE:]).digest()
            digest = digest if digest.startswith(key) else key
            size = needle.footprint(place.length)
            self._quarantine.add(
                volume.number, place.offset, size, "damaged header", digest=digest, content=content
            )
            return digest

        digest = await self.in_thread(volume, run)
        if digest is not None and self._holdings.index.get(key) == place:
            self._holdings.forget(key)
        return digest

    async def in_thread(self, volume: Volume, function: Callable[[], Result]) -> Result:
        """Run `function` in one of the threads; the file of `volume` stays open until it ends."""
        self._check_open()
        loop = asyncio.get_running_loop()
        volume.hold()
        running = loop.run_in_executor(self._pool, function)

        def ended(done: asyncio.Future[Result]) -> None:
            volume.let_go()
            done.exception()  # looked at, in case nobody waits for it any more

        running.add_done_callback(ended)
        # Shielded: whoever waits may leave at once, the thread has the file until it ends.
        return await asyncio.shield(running)

    async def matches(self, digest: bytes, payload: memoryview) -> bool:
        """Whether `payload` has this digest."""
        if len(payload) <= HASH_INLINE:
            return blake3(payload).digest() == digest
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: blake3(payload).digest() == digest)

    def _place(self, digest: bytes) -> Place:
        self._check_open()
        place = self._holdings.index.get(digest)
        if place is None:
            raise NotFound(f"chunk {digest.hex()}")
        return place

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the volumes are closed")

    def _get_cached(self, digest: bytes, place: Place) -> bytes | None:
        """Return the chunk if the page cache has it, whole and sound."""
        if not self._cache_readable:
            return None
        try:
            raw = self._holdings.volumes[place.volume].read_cached(place.offset, HEADER_SIZE + place.length)
        except OSError as error:
            # The thread finds out what is wrong with the disk; here only whether it is worth asking again.
            self._cache_readable = error.errno != errno.EOPNOTSUPP
            return None
        if raw is None:
            return None
        data = bytes(memoryview(raw)[HEADER_SIZE:])
        return data if blake3(data).digest() == digest else None

    def _read(self, volume: Volume, digest: bytes, place: Place) -> bytes | str:
        """Return the chunk, or what is wrong with it, after quarantine. In a thread."""
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
