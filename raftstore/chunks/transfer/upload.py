"""One upload: bytes in, a list of durable chunks out.

The bytes are copied once, into the chunk that they belong to; a full chunk goes to its stores while the next
one fills. `feed` never waits: it says when the window is full, and `drained` waits. What was taken can be changed
until the end: the chunk that fills where it lies, a full one by another in its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from raftstore.chunks.transfer.budget import Ticket
from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.spread import Spread
from raftstore.errors import Invalid, StoreError, Unavailable
from raftstore.types import CHUNK_SIZE, ChunkRef
from raftstore.util.buffers import Buffer

log = structlog.get_logger()

SMALLEST_CHARGE = 16 * 1024
"""Bytes that a chunk counts at least, so that the memory bound also bounds the number of puts."""

GROW_BYTES = 64 * 1024

ZEROES = memoryview(bytes(CHUNK_SIZE))
"""The chunk of a gap: one for all files."""

ABORT_SECONDS = 5.0

OnReplica = Callable[[bytes, int], None]
"""Hears (digest, store number) of each copy confirmed after `finish` has returned."""


class _Filling:
    """The chunk that fills. A small picture grows as it comes; beyond that the whole chunk is allocated at once.

    Growing to a whole chunk step by step takes a sixth more memory (measured over 200 uploads).
    """

    __slots__ = ("_small", "_whole", "size")

    def __init__(self) -> None:
        self.size = 0
        self._small = bytearray()
        self._whole: memoryview | None = None

    def add(self, data: Buffer, size: int) -> None:
        """Copy `data`, `size` bytes of it; together with what is here at most CHUNK_SIZE."""
        end = self.size + size
        if self._whole is not None:
            self._whole[self.size : end] = data
        elif end <= GROW_BYTES:
            self._small += data
        else:
            self._whole = memoryview(bytearray(CHUNK_SIZE))
            self._whole[: self.size] = self._small
            self._whole[self.size : end] = data
        self.size = end

    def patch(self, at: int, data: Buffer) -> None:
        """Overwrite what is here from byte `at` on, no further than to its end."""
        if self._whole is not None:
            self._whole[at : at + len(data)] = data
        else:
            self._small[at : at + len(data)] = data

    def part(self, start: int, stop: int) -> bytes:
        """Return a copy of some of its bytes."""
        return bytes(self._whole[start:stop] if self._whole is not None else self._small[start:stop])

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes."""
        if self._whole is None:
            del self._small[size:]
        self.size = min(self.size, size)

    def seal(self) -> Buffer:
        """The bytes, in no more memory than they need; the object is empty again."""
        data: Buffer = self._small
        if self._whole is not None:
            data = self._whole if self.size == CHUNK_SIZE else bytes(self._whole[: self.size])
        self.size, self._small, self._whole = 0, bytearray(), None
        return data


class _Chunk:
    """A sealed chunk of an upload: waits for admission, is hashed, spread, and becomes a ChunkRef."""

    __slots__ = ("charge", "data", "digest", "durable", "held", "length", "spread", "stores", "upload")

    def __init__(self, upload: Upload, data: Buffer) -> None:
        self.upload = upload
        self.data = data
        self.length = len(data)
        self.charge = max(self.length, SMALLEST_CHARGE)
        self.digest = b""
        self.stores: list[int] = []
        self.spread: Spread | None = None
        self.durable = False
        self.held = False

    def ref(self) -> ChunkRef:
        return ChunkRef(self.digest, self.length, tuple(self.stores))

    def launch(self) -> None:
        self.held = True
        self.upload.path.hasher.start(self.data, self._named)

    def _named(self, digest: bytes) -> None:
        self.digest = digest
        if self.upload.broken:
            self.released()
            return
        try:
            self.spread = self.upload.path.spreader.start(digest, self.data, self, self.upload.replicas)
        except StoreError as error:
            self.upload.fail(error)
            self.released()

    def settled(self, spread: Spread, error: StoreError | None) -> None:
        if error is not None:
            self.upload.fail(error)
            return
        self.stores = spread.confirmed
        self.durable = True
        self.upload.chunk_durable()

    def late(self, store: int) -> None:
        # `stores` is the spread's own list: what comes before `finish` returns is in its result.
        self.upload.chunk_late(self.digest, store)

    def given_up(self) -> None:
        # The node's budget counts it until it is released, but this upload need not wait for that.
        self.held = False
        self.upload.chunk_let_go()

    def released(self) -> None:
        self.data = b""
        self.spread = None
        upload = self.upload
        del (
            self.upload
        )  # nothing is called after this: break the cycle, so that no garbage waits for the collector
        upload.chunk_released(self)
        upload.path.uploading.give(self.charge)
        if self.held:
            self.held = False
            upload.chunk_let_go()

    def squeezed(self) -> bool:
        return self.upload.squeezed


class Upload:
    """One upload in progress. Ends with `finish` or `abort`; a StoreError from any method means it is broken.

    One task feeds, drains and finishes; `abort` may come from anywhere on the loop.
    """

    def __init__(
        self,
        path: ChunkPath,
        *,
        prefix: Sequence[ChunkRef] = (),
        head: Buffer = b"",
        on_replica: OnReplica | None = None,
        expected: int | None = None,
        replicas: int = 0,
    ) -> None:
        """Start after the whole chunks in `prefix` and the bytes `head` of an incomplete one (resume, append).

        Boundaries stay at multiples of CHUNK_SIZE that way. `expected`, where the size to come is known, is
        checked against the free room at once. `replicas`: copies of each chunk (0: as the cluster has it). Raises
        NoQuorum, DiskFull, Invalid (`prefix` has a short chunk).
        """
        if prefix and any(ref.length != CHUNK_SIZE for ref in prefix):
            raise Invalid("an upload continues after whole chunks only")
        path.check_space(expected, replicas)
        self.path = path
        self.replicas = replicas
        self.position = len(prefix) * CHUNK_SIZE
        """Bytes from the start of the file that the upload has taken."""
        self._slots: list[ChunkRef | _Chunk] = list(prefix)
        self._on_replica = on_replica
        self._under_way: set[_Chunk] = set()  # whose bytes are needed
        self._zeroes: _Chunk | None = None
        self._sealed: deque[_Chunk] = deque()
        self._ticket: Ticket | None = None
        self._filling = _Filling()
        self._pending = 0
        self._held = 0
        self._error: StoreError | None = None
        self._over = False
        self._waiting: list[asyncio.Future[None]] = []
        if head:
            self.feed(head)

    @property
    def broken(self) -> bool:
        """Whether it has failed or was aborted."""
        return self._error is not None

    @property
    def squeezed(self) -> bool:
        """Whether this upload, or any other of the node, waits for memory."""
        return bool(self._sealed) or self.path.uploading.contended

    @property
    def held(self) -> int:
        """Chunks in memory beside the one that fills."""
        return self._held + len(self._sealed)

    def feed(self, data: Buffer) -> bool:
        """Take all of `data`; the caller may reuse its buffer at once. False: await `drained` before more.

        Raises the StoreError that broke the upload.
        """
        if self._error is not None:
            raise self._error
        if self._over:
            raise Invalid("the upload is finished")
        size = len(data)
        self.position += size
        if self._filling.size + size < CHUNK_SIZE:
            self._filling.add(data, size)
        else:
            self._cut(data, size)
        return not self._sealed

    def refer(self, refs: Sequence[ChunkRef]) -> None:
        """Take whole chunks that are stored already, where the upload ends with one. Raises as `feed`."""
        self._check()
        if self._over or self._filling.size or any(ref.length != CHUNK_SIZE for ref in refs):
            raise Invalid("whole chunks are referred to behind whole chunks")
        self._slots += refs
        self.position += len(refs) * CHUNK_SIZE

    def _cut(self, data: Buffer, size: int) -> None:
        taken = 0
        with memoryview(data) as view:
            while taken < size:
                step = min(size - taken, CHUNK_SIZE - self._filling.size)
                self._filling.add(view[taken : taken + step], step)
                taken += step
                if self._filling.size == CHUNK_SIZE:
                    self._seal()

    def _seal(self) -> None:
        self._slots.append(self._add(self._filling.seal()))

    def _add(self, data: Buffer) -> _Chunk:
        chunk = _Chunk(self, data)
        self._sealed.append(chunk)
        self._pending += 1
        self._under_way.add(chunk)
        self._admit()
        return chunk

    def _admit(self) -> None:
        """Launch sealed chunks as far as the window and the node's memory allow."""
        limits = self.path.limits
        while self._sealed and self._ticket is None:
            launched = self._pending - len(self._sealed)
            if launched >= limits.window or self._held >= limits.held:
                return
            charge = self._sealed[0].charge
            if not self.path.uploading.take(charge):
                self._ticket = self.path.uploading.wait(charge, self._granted)
                return
            self._launch()

    def _granted(self) -> None:
        self._ticket = None
        self._launch()
        self._admit()

    def _launch(self) -> None:
        chunk = self._sealed.popleft()
        self._held += 1
        if self._waiting:
            self._wake()
        chunk.launch()

    def chunk_durable(self) -> None:
        """Go on: a chunk has its quorum."""
        self._pending -= 1
        if self._waiting:
            self._wake()
        if self._sealed:
            self._admit()

    def chunk_late(self, digest: bytes, store: int) -> None:
        """Report a copy that came after the quorum, unless `finish` will still tell of it."""
        if self._over and self._on_replica is not None:
            self._on_replica(digest, store)

    def chunk_released(self, chunk: _Chunk) -> None:
        """No put needs the bytes of a chunk any more."""
        self._under_way.discard(chunk)

    def chunk_let_go(self) -> None:
        """Go on: a chunk no longer counts against this upload's bound."""
        self._held -= 1
        if self._waiting:
            self._wake()
        if self._sealed:
            self._admit()

    def fail(self, error: StoreError) -> None:
        """Break the upload: give up what is under way and drop the rest. The first error stays."""
        if self._error is not None:
            return
        self._error = error
        if self._ticket is not None:
            self._ticket.cancel()
            self._ticket = None
        self._sealed.clear()
        self._filling = _Filling()
        for chunk in list(self._under_way):
            if chunk.spread is not None:
                chunk.spread.cancel()
        if self._waiting:
            self._wake()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        """Something has changed: who waits looks again."""
        while self._waiting:
            waiter = self._waiting.pop()
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = self.path.loop.create_future()
        self._waiting.append(waiter)
        await waiter

    async def drained(self) -> None:
        """Wait until there is room for more. Raises the StoreError that broke the upload."""
        while self._sealed and self._error is None:
            await self._change()
        self._check()

    async def finish(self) -> tuple[list[ChunkRef], int]:
        """Return the whole file's chunks, each durable on W stores, and its size in bytes.

        Copies that are confirmed later go to `on_replica`. Raises the StoreError that broke the upload.
        """
        self._check()
        if self._filling.size:
            self._seal()
        while self._pending and self._error is None:
            await self._change()
        if self._error is not None:
            raise self._error
        self._over = True
        return self.durable()

    def durable(self) -> tuple[list[ChunkRef], int]:
        """The leading chunks that are durable by now, and their size: what a broken upload leaves to resume."""
        refs: list[ChunkRef] = []
        size = 0
        for slot in self._slots:
            if isinstance(slot, _Chunk):
                if not slot.durable:
                    break
                slot = slot.ref()
            refs.append(slot)
            size += slot.length
        return refs, size

    def referred(self) -> list[ChunkRef]:
        """All chunks of it that are durable by now, whatever is missing between them."""
        return [
            slot.ref() if isinstance(slot, _Chunk) else slot
            for slot in self._slots
            if not isinstance(slot, _Chunk) or slot.durable
        ]

    # What was taken, read and changed.

    @property
    def whole(self) -> int:
        """Bytes from the start that lie in whole chunks; what is behind them, up to `position`, still fills."""
        return len(self._slots) * CHUNK_SIZE

    def feed_zeroes(self, count: int) -> bool:
        """Take `count` zero bytes; whole chunks of them are stored once and cost next to nothing. As `feed`."""
        while count:
            if self._filling.size or count < CHUNK_SIZE:
                step = min(count, CHUNK_SIZE - self._filling.size)
                self.feed(ZEROES[:step])
            else:
                step = CHUNK_SIZE
                self._check()
                if self._zeroes is None:
                    self._zeroes = self._add(ZEROES)
                self._slots.append(self._zeroes)
                self.position += step
            count -= step
        return not self._sealed

    def chunk(self, index: int) -> Buffer | ChunkRef:
        """Return whole chunk `index`: its bytes while they are in memory, else where they can be read."""
        slot = self._slots[index]
        if not isinstance(slot, _Chunk):
            return slot
        if slot is self._zeroes:
            return ZEROES
        if not len(slot.data):
            self._check()
            return slot.ref()
        return slot.data

    def filling(self, start: int, stop: int) -> bytes:
        """Return bytes from `start` to `stop` of the file, which lie in the chunk that fills."""
        return self._filling.part(start - self.whole, stop - self.whole)

    def patch(self, offset: int, data: Buffer) -> None:
        """Overwrite bytes of the chunk that fills, from `offset` of the file; copies `data`."""
        self._check()
        self._filling.patch(offset - self.whole, data)

    def replace(self, index: int, data: Buffer) -> bool:
        """Take `data`, which is kept, in place of whole chunk `index`. As `feed`."""
        self._check()
        self._slots[index] = self._add(data)
        return not self._sealed

    def cut(self, size: int, head: Buffer) -> None:
        """Keep the first `size` bytes. `head`: those of them in the chunk where it ends, when that is a whole one."""
        self._check()
        index, rest = divmod(size, CHUNK_SIZE)
        if index < len(self._slots):
            del self._slots[index:]
            self._filling = _Filling()
            if rest:
                self._filling.add(head, rest)
        else:
            self._filling.cut(rest)
        self.position = size

    async def abort(self) -> None:
        """Throw it away; returns when no put holds its bytes any more. Never raises."""
        self.fail(Unavailable("the upload was given up"))
        try:
            async with asyncio.timeout(ABORT_SECONDS):
                while self._held:
                    await self._change()
        except TimeoutError:
            log.error("puts do not end after an abort", chunks=self._held)
