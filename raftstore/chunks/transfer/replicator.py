"""One chunk and one store: local or remote behind one small interface.

Uploads, downloads and repair use `StoreClient` and do not care where a store is. `Suspects` remembers for a
moment which stores have just failed, so that not every chunk waits for the same dead one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from google.protobuf.empty_pb2 import Empty

from raftstore.chunks.hashing import Hasher
from raftstore.chunks.placement.topology import StoreState
from raftstore.errors import StoreError, Unavailable, error_of
from raftstore.peers.calls import Call, Caller
from raftstore.util.buffers import Buffer
from raftstore.wire import chunks_pb2

PUT = Call("chunks.put", chunks_pb2.Put, chunks_pb2.PutReply, request_by_digest=True)
GET = Call("chunks.get", chunks_pb2.Get, Empty, reply_by_digest=True)
HAS = Call("chunks.has", chunks_pb2.Has, chunks_pb2.HasReply)
CONFIRM = Call("chunks.confirm", chunks_pb2.Confirm, chunks_pb2.HasReply)
COPY = Call("chunks.copy", chunks_pb2.Copy, Empty)

JOINED = 64 * 1024
"""Bytes up to which chunks share a call."""

PAYLOAD_BYTES = 512 * 1024
PAYLOAD_CHUNKS = 64
"""Bounds of the chunks of one call."""

SLOWEST_RATE = 256 * 1024
"""Bytes a second below which a transfer between nodes counts as stuck."""


class Volumes(Protocol):
    """What replication needs of the local `VolumeSet`."""

    async def put(self, digest: bytes, data: Buffer, *, verified: bool) -> None:
        """Store durably; with verified=False check the hash first (Damaged)."""
        ...

    async def put_many(self, chunks: Sequence[tuple[bytes, Buffer]]) -> dict[int, StoreError]:
        """Store several as `put` does, after checking their hashes; return by number what failed."""
        ...

    async def get(self, digest: bytes) -> bytes:
        """Verified bytes; NotFound, Damaged."""
        ...

    def __contains__(self, digest: bytes) -> bool: ...

    def confirm(self, digest: bytes) -> bool:
        """Whether the chunk is here, durably, and not being removed; if so it is not collected for now."""
        ...


class StoreClient(Protocol):
    """Chunks of any store of the cluster."""

    async def put(self, store: StoreState, digest: bytes, data: Buffer, *, timeout: float) -> None:
        """Have `data` durable on `store` on return; `digest` is known to be its hash.

        Raises DiskFull, DiskFailed, Damaged (bytes broken on the way), Unavailable (also on timeout).
        """
        ...

    def begin(self, store: StoreState, digest: bytes, data: Buffer, *, timeout: float) -> asyncio.Future[None]:
        """Start `put`; it ends as the future does, and is given up when that is cancelled."""
        ...

    async def get(self, store: StoreState, digest: bytes, length: int, *, timeout: float) -> Buffer:
        """The chunk's bytes, verified here.

        Raises NotFound or Damaged when the store says that its copy is gone or broken; Unavailable when it does
        not answer in time, or when other bytes than asked for arrive: that says nothing against its copy, which
        it has verified itself, and blaming it would let one node with bad memory condemn every copy there is.
        """
        ...

    def holds(self, digest: bytes) -> bool:
        """Whether the local store has the chunk."""
        ...


def patience(base: float, length: int) -> float:
    """Seconds to wait for a call that moves `length` bytes."""
    return base + length / SLOWEST_RATE


class ChunkPayload:
    """Small chunks on their way to one store, in one call."""

    __slots__ = ("_items", "_size", "store", "timeout")

    def __init__(self, store: StoreState, timeout: float) -> None:
        self.store = store
        self.timeout = timeout
        self._items: list[tuple[bytes, Buffer, asyncio.Future[None]]] = []
        self._size = 0

    def add(self, digest: bytes, data: Buffer, future: asyncio.Future[None]) -> bool:
        """Add a chunk; return whether the parcel is full now."""
        self._items.append((digest, data, future))
        self._size += len(data)
        return self._size >= PAYLOAD_BYTES or len(self._items) >= PAYLOAD_CHUNKS

    def wanted(self) -> list[tuple[bytes, Buffer, asyncio.Future[None]]]:
        """Return the chunks that were not given up; the parcel is empty then."""
        items, self._items = self._items, []
        return [item for item in items if not item[2].done()]


class Replicator:
    """StoreClient over the local volumes and the calls to peers."""

    def __init__(self, volumes: Volumes, network: Caller, hasher: Hasher) -> None:
        self._volumes = volumes
        self._network = network
        self._hasher = hasher
        self._loop = asyncio.get_running_loop()
        self._chunk_payloads: dict[int, ChunkPayload] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def put(self, store: StoreState, digest: bytes, data: Buffer, *, timeout: float) -> None:
        """See StoreClient. The local store is not timed here: its caller's deadline cancels the wait."""
        if store.local:
            await self._volumes.put(digest, data, verified=True)
            return
        failures = await self._call_put(store, [(digest, data)], timeout)
        for error in failures.values():
            raise error

    def begin(self, store: StoreState, digest: bytes, data: Buffer, *, timeout: float) -> asyncio.Future[None]:
        """See StoreClient. Small chunks that go to the same store in one turn of the loop share a call."""
        if store.local or len(data) > JOINED:
            return self._loop.create_task(self.put(store, digest, data, timeout=timeout))
        chunk_payload = self._chunk_payloads.get(store.number)
        if chunk_payload is None:
            chunk_payload = self._chunk_payloads[store.number] = ChunkPayload(store, timeout)
            self._loop.call_soon(self._send, chunk_payload)
        future: asyncio.Future[None] = self._loop.create_future()
        if chunk_payload.add(digest, data, future):
            self._send(chunk_payload)
        return future

    def _send(self, chunk_payload: ChunkPayload) -> None:
        if self._chunk_payloads.get(chunk_payload.store.number) is chunk_payload:
            del self._chunk_payloads[chunk_payload.store.number]
            task = self._loop.create_task(self._deliver(chunk_payload))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, chunk_payload: ChunkPayload) -> None:
        items = chunk_payload.wanted()
        if not items:
            return
        failures: dict[int, BaseException] = {}
        try:
            failures = await self._call_put(
                chunk_payload.store, [item[:2] for item in items], chunk_payload.timeout
            )
        except StoreError as error:
            # Each gets an exception of its own: a shared one would collect all their tracebacks.
            failures = {number: type(error)(error.detail) for number in range(len(items))}
        except BaseException:
            failures = {number: Unavailable("given up") for number in range(len(items))}
            raise
        finally:
            for number, (_, _, future) in enumerate(items):
                if future.done():
                    continue
                if number in failures:
                    future.set_exception(failures[number])
                else:
                    future.set_result(None)

    async def _call_put(
        self, store: StoreState, chunks: Sequence[tuple[bytes, Buffer]], timeout: float
    ) -> dict[int, BaseException]:
        """Have chunks on a remote store; return by number what that store could not do. Raises when none is known."""
        request = chunks_pb2.Put(
            chunks=[chunks_pb2.Named(digest=digest, length=len(data)) for digest, data in chunks],
            store=store.number,
        )
        payload = chunks[0][1] if len(chunks) == 1 else b"".join([data for _, data in chunks])
        reply, _ = await PUT.ask_payload(self._network, store.node, request, payload, timeout=timeout)
        return {failure.number: error_of(failure.error, failure.detail) for failure in reply.failures}

    async def get(self, store: StoreState, digest: bytes, length: int, *, timeout: float) -> Buffer:
        """See StoreClient."""
        if store.local:
            try:
                async with asyncio.timeout(timeout):
                    data: Buffer = await self._volumes.get(digest)
            except TimeoutError:
                raise Unavailable("the local disk does not answer") from None
        else:
            request = chunks_pb2.Get(digest=digest)
            _, data = await GET.ask_payload(self._network, store.node, request, timeout=timeout)
            if await self._hasher.digest(data) != digest:
                raise Unavailable(f"other bytes than asked for came from {store.node}")
        if len(data) != length:
            raise Unavailable(f"chunk {digest.hex()[:16]} has {len(data)} bytes, not {length}")
        return data

    def holds(self, digest: bytes) -> bool:
        """See StoreClient."""
        return digest in self._volumes


class Suspects:
    """Stores that have failed within the last `rest` seconds, or on which puts are stuck."""

    def __init__(self, clock: Callable[[], float], rest: float = 5.0) -> None:
        self._clock = clock
        self._rest = rest
        self.resting: dict[int, float] = {}
        """Until when stores that have failed are suspect."""
        self._stuck: Counter[int] = Counter()

    def add(self, store: int) -> bool:
        """Suspect a store from now; return whether it was not suspected before."""
        fresh = store not in self.resting and store not in self._stuck
        self.resting[store] = self._clock() + self._rest
        return fresh

    def stuck(self, store: int) -> None:
        """A put that was given up has not ended; until `unstuck` the store is suspect.

        A write that hangs in the disk cannot be taken back, and holds its memory: without this, every end of a
        rest would let more of them in, until nothing is left for uploads.
        """
        self._stuck[store] += 1

    def unstuck(self, store: int) -> None:
        """It has ended after all."""
        self._stuck[store] -= 1
        if not self._stuck[store]:
            del self._stuck[store]

    def is_stuck(self, store: int) -> bool:
        """Whether a put that was given up holds on there."""
        return store in self._stuck

    def clear(self, store: int) -> None:
        """It works again."""
        self.resting.pop(store, None)

    def current(self) -> frozenset[int]:
        """Numbers of the stores that are suspect now."""
        if not self.resting and not self._stuck:
            return frozenset()
        now = self._clock()
        self.resting = {store: until for store, until in self.resting.items() if until > now}
        return frozenset((*self.resting, *self._stuck))
