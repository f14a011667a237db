"""What this node does for the others about chunks: keep, return, look, copy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from google.protobuf.empty_pb2 import Empty

from raftstore.chunks.placement.placement import read_order
from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.replicator import CONFIRM, COPY, GET, HAS, PUT, Volumes, patience
from raftstore.errors import Invalid, NotFound, StoreError, Unavailable
from raftstore.peers import Peer
from raftstore.peers.calls import Server
from raftstore.types import CHUNK_SIZE, DIGEST_SIZE
from raftstore.util.buffers import Buffer
from raftstore.wire import chunks_pb2

log = structlog.get_logger()

MAX_DIGESTS = 10_000
COPY_SECONDS = 5.0
"""For a copy's read from one source, plus time for its size."""


class ChunkService:
    """Serves `chunks.put`, `get`, `has`, `confirm` and `copy` from the local volumes.

    Everything that arrives is hashed before it is stored, and everything that is read is verified by the
    volumes before it leaves. At most `bound` bytes of puts wait for the disk; more are refused as Unavailable,
    so that a slow disk does not become a full memory. At most `copies` copies run at once.
    """

    def __init__(
        self,
        network: Server,
        path: ChunkPath,
        volumes: Volumes,
        *,
        bound: int = 256 * 1024 * 1024,
        copies: int = 4,
    ) -> None:
        self._volumes = volumes
        self._path = path
        self._bound = bound
        self._waiting = 0
        self.receiving = 0
        """Puts of others, for their clients, that are under way."""
        self._copies = asyncio.Semaphore(copies)
        PUT.serve_payload(network, self._put)
        GET.serve_payload(network, self._get)
        HAS.serve(network, self._has)
        CONFIRM.serve(network, self._confirm)
        COPY.serve(network, self._copy)

    async def _put(
        self, _peer: Peer, request: chunks_pb2.Put, payload: memoryview
    ) -> tuple[chunks_pb2.PutReply, Buffer]:
        reply = chunks_pb2.PutReply()
        chunks = _cut(request.chunks, payload)
        self._check_store(request.store)
        with self._reserved(len(payload)), self._counted():
            if len(chunks) == 1:
                # The payload is of its own digest or refused: nothing else covers it (`by_digest`).
                await self._volumes.put(*chunks[0], verified=False)
                return reply, b""
            failures = await self._volumes.put_many(chunks)
        for number, error in failures.items():
            reply.failures.add(number=number, error=error.code, detail=error.detail)
        return reply, b""

    async def _get(self, _peer: Peer, request: chunks_pb2.Get, _payload: memoryview) -> tuple[Empty, Buffer]:
        _check_digest(request.digest)
        return Empty(), await self._volumes.get(request.digest)

    async def _has(self, _peer: Peer, request: chunks_pb2.Has) -> chunks_pb2.HasReply:
        if len(request.digests) > MAX_DIGESTS:
            raise Invalid(f"at most {MAX_DIGESTS} chunks can be asked for at once")
        return chunks_pb2.HasReply(held=[digest in self._volumes for digest in request.digests])

    async def _confirm(self, _peer: Peer, request: chunks_pb2.Confirm) -> chunks_pb2.HasReply:
        if len(request.digests) > MAX_DIGESTS:
            raise Invalid(f"at most {MAX_DIGESTS} chunks can be asked for at once")
        self._check_store(request.store)
        return chunks_pb2.HasReply(held=[self._volumes.confirm(digest) for digest in request.digests])

    async def _copy(self, _peer: Peer, request: chunks_pb2.Copy) -> Empty:
        _check_digest(request.digest)
        if not 0 < request.length <= CHUNK_SIZE:
            raise Invalid(f"a chunk has 1 to {CHUNK_SIZE} bytes, not {request.length}")
        self._check_store(request.store)
        await self.copy(request.digest, request.length, request.sources)
        return Empty()

    async def copy(self, digest: bytes, length: int, sources: Iterable[int]) -> None:
        """Have the chunk durable here, fetched from one of the stores `sources` unless a whole copy is here.

        Raises NotFound when all sources say so, Unavailable, DiskFull, DiskFailed.
        """
        async with self._copies:
            if await self._intact(digest):
                return
            data = await self._fetch(digest, length, sources)
            with self._reserved(len(data)):
                await self._volumes.put(digest, data, verified=True)

    async def _intact(self, digest: bytes) -> bool:
        """Whether a whole copy is here already; a damaged one is quarantined by looking at it."""
        if not self._volumes.confirm(digest):
            return False
        try:
            await self._volumes.get(digest)
        except StoreError:
            return False
        return self._volumes.confirm(digest)

    async def _fetch(self, digest: bytes, length: int, wanted: Iterable[int]) -> Buffer:
        """The verified bytes from one of the sources. Raises Unavailable, or NotFound when all say so."""
        view = self._path.view()
        sources = [view.by_number[number] for number in wanted if number in view.by_number]
        sources = [store for store in sources if not store.local and store.reachable]
        failures: list[StoreError] = []
        for store in read_order(sources, digest, self._path.reading, self._path.suspects.current()):
            try:
                return await self._path.client.get(
                    store, digest, length, timeout=patience(COPY_SECONDS, length)
                )
            except StoreError as error:
                log.warning("copy fails", chunk=digest.hex(), source=store.node, reason=str(error))
                failures.append(error)
        if failures and all(isinstance(error, NotFound) for error in failures):
            raise NotFound(f"chunk {digest.hex()[:16]} at any of the sources")
        raise Unavailable("; ".join(map(str, failures)) or "no source is reachable")

    def _check_store(self, number: int) -> None:
        """Refuse what is meant for a store that is no longer here: it would be recorded under its number."""
        local = self._path.view().local
        if local is None or local.number != number:
            raise Unavailable(f"store {number} is not here")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.receiving += 1
        try:
            yield
        finally:
            self.receiving -= 1

    @contextmanager
    def _reserved(self, size: int) -> Iterator[None]:
        if self._waiting + size > self._bound:
            raise Unavailable("too many chunks wait for this disk")
        self._waiting += size
        try:
            yield
        finally:
            self._waiting -= size


def _cut(named: Sequence[chunks_pb2.Named], payload: memoryview) -> list[tuple[bytes, memoryview]]:
    """Return the chunks in a payload. Raises Invalid unless they make up all of it."""
    chunks: list[tuple[bytes, memoryview]] = []
    position = 0
    for chunk in named:
        _check_digest(chunk.digest)
        if not 0 < chunk.length <= CHUNK_SIZE:
            raise Invalid(f"a chunk has 1 to {CHUNK_SIZE} bytes, not {chunk.length}")
        chunks.append((chunk.digest, payload[position : position + chunk.length]))
        position += chunk.length
    if position != len(payload) or not chunks:
        raise Invalid(f"chunks of {position} bytes in a payload of {len(payload)}")
    return chunks


def _check_digest(digest: bytes) -> None:
    if len(digest) != DIGEST_SIZE:
        raise Invalid(f"a digest has {DIGEST_SIZE} bytes, not {len(digest)}")
