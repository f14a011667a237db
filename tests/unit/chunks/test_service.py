"""The chunk path over real volumes and real connections."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from blake3 import blake3
from chunknodes import ChunkNode, chunk_nodes
from peer_networks import event_loops, run_on
from waiting import until

from raftstore.chunks.transfer.download import Download
from raftstore.chunks.transfer.path import ChunkLimits
from raftstore.chunks.transfer.replicator import COPY, GET, HAS, PUT
from raftstore.chunks.transfer.service import ChunkService
from raftstore.chunks.transfer.upload import Upload
from raftstore.errors import Damaged, DiskFull, Invalid, NotFound, StoreError, Unavailable
from raftstore.peers.network import Encryption
from raftstore.types import CHUNK_SIZE, ChunkRef
from raftstore.util.buffers import Buffer
from raftstore.wire import chunks_pb2

TIMEOUT = 20.0


def put_of(digest: bytes, length: int, store: int = 2) -> chunks_pb2.Put:
    """A request for one chunk."""
    return chunks_pb2.Put(chunks=[chunks_pb2.Named(digest=digest, length=length)], store=store)


async def linked(nodes: dict[str, ChunkNode]) -> None:
    """Wait until everybody reaches everybody."""
    await until(
        lambda: all(store.reachable for node in nodes.values() for store in node.view().stores), "all linked"
    )


async def upload(node: ChunkNode, data: bytes) -> list[ChunkRef]:
    one = Upload(node.path)
    for start in range(0, len(data), 100_000):
        if not one.feed(data[start : start + 100_000]):
            await one.drained()
    refs, size = await one.finish()
    assert size == len(data)
    return refs


async def read(node: ChunkNode, refs: list[ChunkRef]) -> bytes:
    return b"".join([bytes(block) async for block in Download(node.path, refs).blocks()])


async def everywhere(nodes: dict[str, ChunkNode], refs: list[ChunkRef]) -> None:
    await until(
        lambda: all(ref.digest in node.volumes for node in nodes.values() for ref in refs), "three copies"
    )


@pytest.mark.parametrize("loop", event_loops())
def test_pictures_go_to_three_nodes_and_come_back_at_each(tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            await linked(nodes)
            for size in (20_000, 3 * CHUNK_SIZE + 77):
                data = os.urandom(size)
                refs = await upload(nodes["b"], data)
                for node in nodes.values():
                    assert await read(node, refs) == data
                await everywhere(nodes, refs)

    run_on(loop, main())


@pytest.mark.slow
def test_many_uploads_and_downloads_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path, limits=ChunkLimits(upload_bytes=4 << 20)) as nodes:
            await linked(nodes)
            members = list(nodes.values())

            async def one(number: int) -> None:
                data = os.urandom(number * 97_001 + 1)
                refs = await upload(members[number % 3], data)
                assert await read(members[(number + 1) % 3], refs) == data

            await asyncio.gather(*(one(number) for number in range(30)))

    run_on("asyncio", main())


def test_a_lost_node_stops_neither_uploads_nor_downloads(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            await linked(nodes)
            data = os.urandom(6 * CHUNK_SIZE)
            refs = await upload(nodes["a"], data)
            await everywhere(nodes, refs)
            gone = nodes["a"].volumes
            for ref in refs:
                await gone.remove(ref.digest)
            received = b""
            async for block in Download(nodes["a"].path, refs).blocks():
                received += block
                if len(received) == 2 * CHUNK_SIZE:
                    await nodes["c"].network.stop()
            assert received == data
            more = os.urandom(2 * CHUNK_SIZE)
            assert await read(nodes["b"], await upload(nodes["a"], more)) == more

    run_on("asyncio", main())


@pytest.mark.slow
def test_wrong_bytes_are_neither_kept_nor_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path, limits=ChunkLimits(read_total=2)) as nodes:
            await linked(nodes)
            right, wrong = b"right", b"wrong"
            digest = blake3(right).digest()
            body = put_of(digest, len(wrong)).SerializeToString()
            with pytest.raises(Damaged):
                await nodes["a"].network.call("b", PUT.method, body, wrong, timeout=TIMEOUT)
            assert digest not in nodes["b"].volumes

            # A peer that answers with other bytes than asked for: the reader takes them from the other one.
            refs = await upload(nodes["b"], right)
            await everywhere(nodes, refs)
            refs = [ChunkRef(digest, len(right), (1, 2, 3))]
            await nodes["a"].volumes.remove(digest)
            reported: list[object] = []

            async def lie(digest: bytes) -> bytes:
                return wrong

            for liars, expected in ((("b",), right), (("c",), right), (("b", "c"), None)):
                with monkeypatch.context() as patch:
                    for name in liars:
                        patch.setattr(nodes[name].volumes, "get", lie)
                    download = Download(
                        nodes["a"].path, refs, on_bad_replica=lambda *call: reported.append(call[1])
                    )
                    if expected is not None:
                        assert b"".join([bytes(block) async for block in download.blocks()]) == expected
                    else:
                        with pytest.raises(Unavailable):
                            _ = [block async for block in download.blocks()]
            assert set(reported) == {1}  # only what is really missing; nobody is blamed for the wrong bytes

    run_on("asyncio", main())


@pytest.mark.parametrize("encryption", ["full", "bulk-auth"])
def test_several_small_chunks_in_one_call(tmp_path: Path, encryption: Encryption) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path, encryption=encryption) as nodes:
            await linked(nodes)
            data = [os.urandom(size) for size in (1, 500, 20_000, 500)]
            digests = [blake3(one).digest() for one in data]
            await nodes["b"].volumes.put(digests[3], data[3], verified=True)
            wrong = [*data[:1], b"?" * 500, *data[2:], data[2]]
            named = [chunks_pb2.Named(digest=d, length=len(w)) for d, w in zip(digests, data, strict=True)]
            body = chunks_pb2.Put(chunks=[*named, named[2]], store=2).SerializeToString()
            call = nodes["a"].network.call
            reply = await call("b", PUT.method, body, b"".join(wrong), timeout=TIMEOUT, by_digest=True)
            failures = chunks_pb2.PutReply.FromString(reply.body).failures
            assert [(failure.number, failure.error) for failure in failures] == [(1, "Damaged")]
            held = [digest in nodes["b"].volumes for digest in digests]
            assert held == [True, False, True, True]
            assert await nodes["b"].volumes.get(digests[2]) == data[2]

            # From the sender's side, too: one call for all of a turn of the loop.
            begin, store = nodes["a"].path.client.begin, nodes["a"].view().by_number[3]
            puts = [begin(store, d, w, timeout=TIMEOUT) for d, w in zip(digests, wrong, strict=False)]
            given_up = begin(store, bytes(32), b"nobody waits for it", timeout=TIMEOUT)
            given_up.cancel()
            ends = await asyncio.gather(*puts, return_exceptions=True)
            assert [type(end) for end in ends] == [type(None), Damaged, type(None), type(None)]
            held = [digest in nodes["c"].volumes for digest in digests]
            assert held == [True, False, True, True]

    run_on("asyncio", main())


def test_small_chunks_for_a_node_that_is_gone_fail_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            await linked(nodes)
            store = nodes["a"].view().by_number[2]
            await nodes["b"].network.stop()
            begin = nodes["a"].path.client.begin
            puts = [begin(store, bytes([n]) * 32, b"data", timeout=TIMEOUT) for n in range(100)]
            ends = await asyncio.gather(*puts, return_exceptions=True)
            assert [type(end) for end in ends] == [Unavailable] * 100
            assert len(set(map(id, ends))) == 100

    run_on("asyncio", main())


def test_a_put_for_another_store_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            await linked(nodes)
            body = put_of(blake3(b"x").digest(), 1, 3).SerializeToString()
            with pytest.raises(Unavailable, match="not here"):
                await nodes["a"].network.call("b", PUT.method, body, b"x", timeout=TIMEOUT)

    run_on("asyncio", main())


def test_malformed_requests_are_invalid(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            await linked(nodes)
            call = nodes["a"].network.call
            digest = bytes(32)
            cases: list[tuple[str, bytes, bytes]] = [
                (method.method, b"\xff\xff\xff", b"") for method in (PUT, GET, HAS, COPY)
            ]
            cases += [
                (PUT.method, put_of(b"short", 1).SerializeToString(), b"x"),
                (PUT.method, put_of(digest, 2).SerializeToString(), b"x"),
                (PUT.method, put_of(digest, 1).SerializeToString(), b"xy"),
                (PUT.method, chunks_pb2.Put(store=2).SerializeToString(), b""),
                (PUT.method, put_of(digest, 0).SerializeToString(), b""),
                (PUT.method, put_of(digest, CHUNK_SIZE + 1).SerializeToString(), bytes(CHUNK_SIZE + 1)),
                (GET.method, chunks_pb2.Get(digest=b"").SerializeToString(), b""),
                (HAS.method, chunks_pb2.Has(digests=[digest] * 10_001).SerializeToString(), b""),
                (COPY.method, chunks_pb2.Copy(digest=digest, length=0, store=2).SerializeToString(), b""),
                (
                    COPY.method,
                    chunks_pb2.Copy(digest=digest, length=CHUNK_SIZE + 1, store=2).SerializeToString(),
                    b"",
                ),
            ]
            for method, body, payload in cases:
                with pytest.raises(Invalid):
                    await call("b", method, body, payload, timeout=TIMEOUT)

    run_on("asyncio", main())


def test_has_and_copy(tmp_path: Path) -> None:
    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            await linked(nodes)
            data = os.urandom(200_000)
            digest = blake3(data).digest()
            await nodes["a"].volumes.put(digest, data, verified=True)
            call = nodes["a"].network.call

            async def held(name: str) -> list[bool]:
                body = chunks_pb2.Has(digests=[digest, bytes(32)]).SerializeToString()
                reply = await call(name, HAS.method, body, timeout=TIMEOUT)
                return list(chunks_pb2.HasReply.FromString(reply.body).held)

            def copy(*sources: int) -> bytes:
                return chunks_pb2.Copy(
                    digest=digest, length=len(data), store=2, sources=sources
                ).SerializeToString()

            assert await held("b") == [False, False]
            with pytest.raises(NotFound):
                await call("b", COPY.method, copy(3), timeout=TIMEOUT)
            for none in ((), (2,), (17,)):
                with pytest.raises(Unavailable):
                    await call("b", COPY.method, copy(*none), timeout=TIMEOUT)
            await call("b", COPY.method, copy(3, 1), timeout=TIMEOUT)
            assert await held("b") == [True, False]
            assert await nodes["b"].volumes.get(digest) == data
            await call("b", COPY.method, copy(3), timeout=TIMEOUT)  # it is here: no source is asked
            await nodes["c"].service.copy(digest, len(data), [1, 2])
            assert digest in nodes["c"].volumes

    run_on("asyncio", main())


class _FullVolumes:
    """Volumes that never finish a put until told."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def put(self, digest: bytes, data: Buffer, *, verified: bool) -> None:
        await self.gate.wait()
        raise DiskFull

    async def get(self, digest: bytes) -> bytes:
        raise NotFound

    def __contains__(self, digest: bytes) -> bool:
        return False


def test_puts_that_wait_for_the_disk_are_bounded(tmp_path: Path) -> None:
    class Handlers(dict[str, object]):
        def serve(self, method: str, handler: object, **_options: object) -> None:
            self[method] = handler

    async def main() -> None:
        async with chunk_nodes(tmp_path) as nodes:
            node = nodes["b"]
            volumes, handlers = _FullVolumes(), Handlers()
            ChunkService(handlers, node.path, volumes, bound=2500)  # type: ignore[arg-type]
            put = handlers[PUT.method]

            async def one(number: int) -> type[StoreError]:
                payload = bytes([number]) * 1000
                body = put_of(blake3(payload).digest(), 1000).SerializeToString()
                try:
                    await put(None, body, memoryview(payload))  # type: ignore[operator]
                except StoreError as error:
                    return type(error)
                raise AssertionError

            waiting = [asyncio.ensure_future(one(number)) for number in range(2)]
            await asyncio.sleep(0)
            assert await one(3) is Unavailable
            volumes.gate.set()
            assert await asyncio.gather(*waiting) == [DiskFull, DiskFull]
            assert await one(4) is DiskFull

    run_on("asyncio", main())
