from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from blake3 import blake3

from raftstore.chunks.hashing import INLINE_BYTES, Hasher
from raftstore.chunks.placement.topology import StoreState
from raftstore.chunks.transfer.replicator import GET, PUT, Replicator, Suspects
from raftstore.errors import StoreError, Unavailable
from raftstore.peers import Lane, Reply
from raftstore.util.buffers import Buffer
from raftstore.wire import chunks_pb2

HERE = StoreState(1, "n1", local=True)
THERE = StoreState(2, "n2")


@dataclass
class Stores:
    """Volumes and network at once."""

    answer: bytes = b""
    hang: bool = False
    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def put(self, digest: bytes, data: Buffer, *, verified: bool) -> None:
        self.calls.append(("put", digest, bytes(data), verified))

    async def put_many(self, chunks: Sequence[tuple[bytes, Buffer]]) -> dict[int, StoreError]:
        raise NotImplementedError

    async def get(self, digest: bytes) -> bytes:
        if self.hang:
            await asyncio.Event().wait()
        return self.answer

    def __contains__(self, digest: bytes) -> bool:
        return digest == b"here"

    async def call(
        self,
        peer: str,
        method: str,
        body: bytes,
        payload: Buffer = b"",
        *,
        lane: Lane = Lane.BULK,
        timeout: float,
        by_digest: bool = False,
    ) -> Reply:
        assert by_digest
        self.calls.append((peer, method, body, bytes(payload), timeout))
        return Reply(payload=memoryview(self.answer))


def with_replicator(stores: Stores, hasher: Hasher | None = None) -> Replicator:
    return Replicator(stores, stores, hasher or Hasher())


def test_puts_go_to_the_disk_or_over_the_network() -> None:
    stores = Stores()

    async def main() -> None:
        replicator = with_replicator(stores)
        await replicator.put(HERE, b"d" * 32, b"data", timeout=1)
        await replicator.put(THERE, b"d" * 32, bytearray(b"data"), timeout=7)
        assert replicator.holds(b"here")
        assert not replicator.holds(b"there")

    asyncio.run(main())
    body = chunks_pb2.Put(chunks=[chunks_pb2.Named(digest=b"d" * 32, length=4)], store=2).SerializeToString()
    assert stores.calls == [("put", b"d" * 32, b"data", True), ("n2", PUT.method, body, b"data", 7)]


@pytest.mark.parametrize("size", [10, INLINE_BYTES + 1])
def test_what_comes_over_the_network_is_verified(size: int) -> None:
    data = b"x" * size
    digest = blake3(data).digest()
    stores = Stores(answer=data)

    async def main() -> None:
        hasher = Hasher()
        replicator = with_replicator(stores, hasher)
        assert bytes(await replicator.get(THERE, digest, size, timeout=1)) == data
        for wrong in (b"y" + data[1:], data[1:], data + b"x", b""):
            stores.answer = wrong
            with pytest.raises(Unavailable):
                await replicator.get(THERE, digest, size, timeout=1)
        stores.answer = data
        with pytest.raises(Unavailable):
            await replicator.get(THERE, digest, size + 1, timeout=1)
        hasher.close()

    asyncio.run(main())
    assert stores.calls[0][1:3] == (GET.method, chunks_pb2.Get(digest=digest).SerializeToString())


def test_a_local_disk_that_hangs_is_unavailable() -> None:
    async def main() -> None:
        replicator = with_replicator(Stores(answer=b"data"))
        assert await replicator.get(HERE, b"d" * 32, 4, timeout=1) == b"data"
        replicator = with_replicator(Stores(hang=True))
        with pytest.raises(Unavailable, match="local disk"):
            await replicator.get(HERE, b"d" * 32, 4, timeout=0.01)

    asyncio.run(main())


def test_suspicion_ends_by_time_or_success() -> None:
    now = 0.0
    suspects = Suspects(lambda: now, rest=5)
    assert suspects.current() == frozenset()
    assert suspects.add(1)
    assert not suspects.add(1)
    assert suspects.add(2)
    suspects.clear(2)
    suspects.clear(3)
    assert suspects.current() == {1}
    now = 5.0
    assert suspects.current() == frozenset()
    suspects.stuck(4)
    suspects.stuck(4)
    suspects.clear(4)
    suspects.unstuck(4)
    assert suspects.current() == {4}
    suspects.unstuck(4)
    assert suspects.current() == frozenset()
