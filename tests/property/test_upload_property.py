"""However a file is cut into pieces, resumed and read, its chunks and bytes are the same."""

from __future__ import annotations

import itertools

from blake3 import blake3
from examples import examples
from fakechunks import FakeCluster, run_path
from hypothesis import given
from hypothesis import strategies as st

from raftstore.chunks.download import Download
from raftstore.chunks.path import ChunkPath
from raftstore.chunks.upload import Upload
from raftstore.errors import Unavailable
from raftstore.types import CHUNK_SIZE

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
