"""Changes of what is held, on their way to the disk: at most one of each chunk at a time, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from raftstore.chunks.format import needle
from raftstore.chunks.format.checkpoint import Position
from raftstore.chunks.format.index import Place
from raftstore.chunks.format.needle import KEY_SIZE, Kind
from raftstore.chunks.volumes.groupcommit import Abandoned, Write, Writer
from raftstore.chunks.volumes.holdings import Holdings
from raftstore.chunks.volumes.volume import NO_DIGEST
from raftstore.errors import DiskFailed, StoreError, Unavailable
from raftstore.util.buffers import Buffer


class Storer:
    """Hands needles to the writer and takes over what became of them. On the loop."""

    def __init__(self, holdings: Holdings, writer: Writer, position: Position) -> None:
        self.position = position
        """The place in the log up to which all is taken over."""
        self._holdings = holdings
        self._writer = writer
        self._writes: dict[bytes, Write] = {}
        self._closed = False

    def close(self) -> None:
        """Take nothing more; what is queued is still written."""
        self._closed = True

    def has(self, digest: bytes) -> bool:
        """Whether the chunk is here and not about to be removed."""
        if digest not in self._holdings.index:
            return False
        other = self._writes.get(digest[:KEY_SIZE])
        return other is None or other.kind is Kind.DATA

    async def store(self, digest: bytes, payload: Buffer) -> None:
        """Write a chunk, or share the write of the same. When cancelled, `payload` is no longer in use on return."""
        while True:
            other = self._writes.get(digest[:KEY_SIZE])
            if other is None:
                if digest not in self._holdings.index:
                    await self._write(Write(Kind.DATA, digest, payload))
                return
            try:
                await self._waiter(other)
            except Abandoned:
                continue
            except Exception:
                # The other's failure is ours if it wanted the same.
                if other.kind is Kind.DATA and not other.moves:
                    raise

    async def store_many(self, chunks: Mapping[int, tuple[bytes, Buffer]]) -> dict[int, StoreError]:
        """`store` chunks, with one sync where that can be; return by their numbers what failed."""
        failures: dict[int, StoreError] = {}
        begun: dict[int, tuple[Write, asyncio.Future[None]]] = {}
        try:
            for number, (digest, payload) in chunks.items():
                if digest[:KEY_SIZE] not in self._writes and digest not in self._holdings.index:
                    self._check()
                    write = Write(Kind.DATA, digest, payload)
                    self._submit(write)
                    begun[number] = write, self._waiter(write)
            for number, (digest, payload) in chunks.items():
                try:
                    await (begun[number][1] if number in begun else self.store(digest, payload))
                except StoreError as error:
                    failures[number] = error
        except BaseException:
            for write, waiter in begun.values():
                waiter.cancel()  # nobody looks at how it ends
                await self._give_up(write)
            raise
        return failures

    async def remove(self, digests: Sequence[bytes], unless: Callable[[bytes], bool] | None) -> int:
        """Write tombstones, all with one sync where they can; return how many chunks were here."""

        def tombstone(digest: bytes) -> Write | None:
            place = self._holdings.index.get(digest)
            if place is None or (unless and unless(digest)):
                return None
            return Write(Kind.TOMBSTONE, needle.tombstone(digest, place.volume, place.offset), b"")

        return await self._change(digests, tombstone)

    async def move(self, chunks: Mapping[bytes, tuple[Place, bytes]]) -> int:
        """Write chunks anew, given where they were read and what; return how many still lay there."""

        def copy(digest: bytes) -> Write | None:
            place, payload = chunks[digest]
            if self._holdings.index.get(digest) != place:
                return None
            return Write(Kind.DATA, digest, payload, moves=True)

        return await self._change(list(chunks), copy)

    async def keep(self, tombstones: Sequence[bytes]) -> None:
        """Write tombstones anew; each is given as its needle's digest field."""
        self._check()
        waiters = []
        for name in tombstones:
            write = Write(Kind.TOMBSTONE, name, b"")
            self._writer.submit(write)
            waiters.append(self._waiter(write))
        _raise_first(await asyncio.gather(*waiters, return_exceptions=True))

    async def seal(self, volume: int) -> None:
        """Have a volume behind `volume`, durably; nothing more is written to that one or older ones."""
        self._check()
        write = Write(Kind.MARK, NO_DIGEST, b"", seals=volume)
        self._writer.submit(write)
        await self._waiter(write)

    async def _change(self, digests: Sequence[bytes], make: Callable[[bytes], Write | None]) -> int:
        """Queue what `make` returns for each chunk, when no other write of it is under way; wait for them."""
        changed = 0
        while digests:
            self._check()
            waiters: list[asyncio.Future[None]] = []
            busy: list[bytes] = []
            for digest in digests:
                if digest[:KEY_SIZE] in self._writes:
                    busy.append(digest)
                elif (write := make(digest)) is not None:
                    self._submit(write)
                    waiters.append(self._waiter(write))
            results = await asyncio.gather(*waiters, return_exceptions=True)
            _raise_first(results)
            changed += len(results)
            digests = busy
            if busy and (other := self._writes.get(busy[0][:KEY_SIZE])):
                await asyncio.gather(self._waiter(other), return_exceptions=True)
        return changed

    async def _write(self, write: Write) -> None:
        """Queue `write` and wait for it. When cancelled the bytes are no longer in use on return."""
        self._check()
        self._submit(write)
        try:
            await self._waiter(write)
        except asyncio.CancelledError:
            await self._give_up(write)
            raise

    async def _give_up(self, write: Write) -> None:
        """Take a write back; its bytes are no longer in use on return."""
        if self._writes.get(write.key) is not write:
            return
        if self._writer.withdraw(write):
            del self._writes[write.key]
            write.wake(Abandoned())
        else:
            await self._outlast(write)

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the volumes are closed")
        if self._writer.failure is not None:
            raise DiskFailed(self._writer.failure.detail)

    def _submit(self, write: Write) -> None:
        self._writes[write.key] = write
        self._writer.submit(write)

    def _waiter(self, write: Write) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        write.waiters.append(waiter)
        return waiter

    async def _outlast(self, write: Write) -> None:
        """Wait until `write` ended, however often this is cancelled: the thread reads the caller's bytes."""
        while self._writes.get(write.key) is write:
            try:
                await self._waiter(write)
            except (asyncio.CancelledError, Exception):
                continue

    def finished(self, batch: Sequence[Write]) -> None:
        """Take over what the writer did."""
        for write in batch:
            if self._writes.get(write.key) is write:
                del self._writes[write.key]
            if write.error is None and write.place is not None:
                self._holdings.apply(write.kind, write.digest, write.place)
                behind = write.place.offset + needle.footprint(write.place.length)
                self.position = (write.place.volume, behind)
            write.payload = b""
            write.wake(write.error)


def _raise_first(results: Sequence[BaseException | None]) -> None:
    for result in results:
        if result is not None:
            raise result
