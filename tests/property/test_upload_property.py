"""However a file is cut into pieces, resumed and read, its chunks and bytes are the same."""

from __future__ import annotations

import itertools

from blake3 import blake3
from examples import examples
from fakechunks import FakeCluster, run_path
from hypothesis import given
from hypothesis import strategies as st

from raftstore.chunks.transfer.download import Download
from raftstore.chunks.transfer.path import ChunkPath
from raftstore.chunks.transfer.upload import Upload
from raftstore.errors import Unavailable
from raftstore.types import CHUNK_SIZE, ChunkRef
from raftstore.util.buffers import Buffer

SOURCE = b"".join(number.to_bytes(4, "big") for number in range(3 * CHUNK_SIZE // 4))
near_boundary = st.builds(
    lambda whole, off: max(0, whole * CHUNK_SIZE + off), st.integers(0, 2), st.integers(-3, 3)
)
positions = near_boundary | st.integers(0, 2 * CHUNK_SIZE + 500_000)


@examples(40)
@given(
    size=positions,
    cuts=st.lists(positions, max_size=12),
    resumed=positions,
    failing=st.sampled_from([0, 1, 2, 3]),
)
def test_any_split_gives_the_same_chunks(size: int, cuts: list[int], resumed: int, failing: int) -> None:
    cluster = FakeCluster()
    if failing:
        cluster[failing].put_error = Unavailable("gone")
    data = SOURCE[:size]
    kept = min(resumed, size)
    expected = [data[start : start + CHUNK_SIZE] for start in range(0, size, CHUNK_SIZE)]

    async def test(path: ChunkPath) -> None:
        first = Upload(path)
        first.feed(data[:kept])
        refs, size_then = await first.finish()
        assert size_then == kept

        whole = kept // CHUNK_SIZE
        upload = Upload(path, prefix=refs[:whole], head=data[whole * CHUNK_SIZE : kept])
        for start, end in itertools.pairwise([kept, *sorted(cut for cut in cuts if kept < cut < size), size]):
            if not upload.feed(data[start:end]):
                await upload.drained()
        refs, total = await upload.finish()
        assert total == upload.position == size
        assert [(ref.digest, ref.length) for ref in refs] == [
            (blake3(piece).digest(), len(piece)) for piece in expected
        ]
        start = min(kept, size)
        read = b"".join([bytes(block) async for block in Download(path, refs).blocks(start)])
        assert read == data[start:]

    run_path(cluster, test)


changes = st.one_of(
    st.tuples(st.just("feed"), st.integers(0, 300_000)),
    st.tuples(st.just("zeroes"), positions),
    st.tuples(st.just("cut"), st.integers(0, 1000)),
    st.tuples(st.just("patch"), st.integers(0, 1000)),
    st.tuples(st.just("replace"), st.integers(0, 1000)),
)


@examples(40)
@given(begun=positions, steps=st.lists(changes, max_size=8))
def test_what_was_taken_can_be_changed_until_the_end(begun: int, steps: list[tuple[str, int]]) -> None:
    cluster = FakeCluster()
    model = bytearray(SOURCE[:begun])

    async def loaded(path: ChunkPath, found: Buffer | ChunkRef) -> bytes:
        if isinstance(found, ChunkRef):
            return b"".join([bytes(block) async for block in Download(path, (found,)).blocks()])
        return bytes(found)

    async def test(path: ChunkPath) -> None:
        first = Upload(path)
        first.feed(model)
        refs, _ = await first.finish()
        whole = begun // CHUNK_SIZE
        upload = Upload(path, prefix=refs[:whole], head=model[whole * CHUNK_SIZE :])
        for number, (kind, amount) in enumerate(steps):
            some = bytes([number + 1]) * 1000
            if kind == "feed":
                upload.feed(SOURCE[:amount])
                model.extend(SOURCE[:amount])
            elif kind == "zeroes":
                upload.feed_zeroes(amount)
                model.extend(bytes(amount))
            elif kind == "cut" and model:
                size = len(model) * amount // 1001
                head = b""
                if size < upload.whole and size % CHUNK_SIZE:
                    head = (await loaded(path, upload.chunk(size // CHUNK_SIZE)))[: size % CHUNK_SIZE]
                upload.cut(size, head)
                del model[size:]
            elif kind == "patch" and upload.position - upload.whole > 1000:
                at = upload.whole + (upload.position - upload.whole - 1000) * amount // 1000
                upload.patch(at, some)
                model[at : at + 1000] = some
            elif kind == "replace" and upload.whole:
                index = upload.whole // CHUNK_SIZE * amount // 1001
                content = bytearray(await loaded(path, upload.chunk(index)))
                content[:1000] = some
                upload.replace(index, memoryview(content))
                model[index * CHUNK_SIZE : index * CHUNK_SIZE + 1000] = some
            await upload.drained()
            assert upload.filling(upload.whole, upload.position) == model[upload.whole :]
        refs, total = await upload.finish()
        assert total == len(model)
        assert [ref.digest for ref in refs] == [
            blake3(model[start : start + CHUNK_SIZE]).digest() for start in range(0, total, CHUNK_SIZE)
        ]
        assert {ref.digest for ref in upload.referred()} == {ref.digest for ref in refs}

    run_path(cluster, test)


def test_a_long_gap_is_stored_once() -> None:
    cluster = FakeCluster()

    async def test(path: ChunkPath) -> None:
        upload = Upload(path)
        upload.feed_zeroes(8000 * CHUNK_SIZE)
        refs, total = await upload.finish()
        assert total == 8000 * CHUNK_SIZE and len(refs) == 8000 and len({ref.digest for ref in refs}) == 1

    run_path(cluster, test)
    assert [len(cluster[number].chunks) for number in (1, 2, 3)] == [1, 1, 1]
    assert cluster.peak_bytes <= 3 * CHUNK_SIZE
