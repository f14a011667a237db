"""A cluster of chunk stores in memory, whose stores fail, hang and lie on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from blake3 import blake3

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.chunks.transfer.path import ChunkLimits, ChunkPath
from raftstore.errors import NotFound, StoreError
from raftstore.types import ChunkRef
from raftstore.util.buffers import Buffer


@dataclass
class FakeStore:
    """One store. `put_error`/`get_error` are raised while set; `gate` (an unset event) makes calls hang.

    The calls of a `stubborn` one hang on when they are cancelled, as a write in a stuck disk does.
    """

    state: StoreState
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    put_error: BaseException | None = None
    get_error: BaseException | None = None
    gate: asyncio.Event | None = None
    stubborn: bool = False
    delay: float = 0.0
    puts: int = 0
    gets: int = 0


class FakeCluster:
    """Topology and StoreClient at once; store 1 is local."""

    def __init__(self, count: int = 3, *, replicas: int = 3, nodes: int | None = None) -> None:
        self.nodes = nodes or count
        self.replicas = replicas
        self.stores = {
            number: FakeStore(StoreState(number, f"n{number}", local=number == 1))
            for number in range(1, count + 1)
        }
        self.under_way = 0
        self.bytes_under_way = 0
        self.peak_bytes = 0

    def __getitem__(self, number: int) -> FakeStore:
        return self.stores[number]

    def change(self, number: int, **fields: object) -> None:
        """Change what the topology says of a store."""
        self.stores[number].state = replace(self.stores[number].state, **fields)  # type: ignore[arg-type]

    def view(self) -> ClusterView:
        return ClusterView(tuple(store.state for store in self.stores.values()), self.nodes, self.replicas)

    async def _pass(self, store: FakeStore) -> None:
        while store.gate is not None and not store.gate.is_set():
            try:
                await store.gate.wait()
            except asyncio.CancelledError:
                if not store.stubborn:
                    raise
        if store.delay:
            await asyncio.sleep(store.delay)
        else:
            await asyncio.sleep(0)

    async def put(self, store: StoreState, digest: bytes, data: Buffer, *, timeout: float) -> None:
        target = self.stores[store.number]
        target.puts += 1
        self.under_way += 1
        self.bytes_under_way += len(data)
        self.peak_bytes = max(self.peak_bytes, self.bytes_under_way)
        size = len(data)
        try:
            await self._pass(target)
            if target.put_error is not None:
                raise target.put_error
            stored = bytes(data)
            assert blake3(stored).digest() == digest
            target.chunks[digest] = stored
        finally:
            self.under_way -= 1
            self.bytes_under_way -= size

    def begin(self, store: StoreState, digest: bytes, data: Buffer, *, timeout: float) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_task(self.put(store, digest, data, timeout=timeout))

    async def get(self, store: StoreState, digest: bytes, length: int, *, timeout: float) -> Buffer:
        target = self.stores[store.number]
        target.gets += 1
        self.under_way += 1
        try:
            try:
                async with asyncio.timeout(timeout):
                    await self._pass(target)
            except TimeoutError:
                raise StoreError("timeout") from None
            if target.get_error is not None:
                raise target.get_error
            if digest not in target.chunks:
                raise NotFound(digest.hex())
            return target.chunks[digest]
        finally:
            self.under_way -= 1

    def holds(self, digest: bytes) -> bool:
        return digest in self.stores[1].chunks

    def seed(self, data: bytes, *stores: int, chunk_size: int) -> list[ChunkRef]:
        """Store `data` in chunks on `stores`; return the references."""
        refs = []
        for start in range(0, len(data), chunk_size):
            piece = data[start : start + chunk_size]
            digest = blake3(piece).digest()
            for number in stores:
                self.stores[number].chunks[digest] = piece
            refs.append(ChunkRef(digest, len(piece), stores))
        return refs

    def read(self, refs: list[ChunkRef]) -> bytes:
        """Put a file together, checking that every store that is named has its chunk."""
        for ref in refs:
            for number in ref.stores:
                assert len(self.stores[number].chunks[ref.digest]) == ref.length
        return b"".join(self.stores[ref.stores[0]].chunks[ref.digest] for ref in refs)


def run_path(
    cluster: FakeCluster, test: Callable[[ChunkPath], Awaitable[None]], limits: ChunkLimits | None = None
) -> None:
    """Run `test` with a chunk path over `cluster`; afterwards nothing may be left running or held."""

    async def main() -> None:
        path = ChunkPath(cluster, None, None, limits=limits or ChunkLimits(), client=cluster)  # type: ignore[arg-type]
        before = asyncio.all_tasks()
        try:
            await asyncio.wait_for(test(path), 60)
        finally:
            await path.close()
        assert asyncio.all_tasks() == before
        assert path.spreader.active == 0
        assert path.uploading.held == 0
        assert path.prefetching.held == 0
        assert cluster.under_way == 0
        assert not any(path.reading.values())

    asyncio.run(main())
