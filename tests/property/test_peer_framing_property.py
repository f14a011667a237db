"""Whatever way the network cuts the stream, the frames that come out are the frames that went in."""

from __future__ import annotations

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from raftstore.peers.connections.framing import SCRATCH_SIZE, BadFrame, FrameReader, encode
from raftstore.peers.security.seal import Seal
from raftstore.wire import peer_pb2

LIMIT = 1 << 20
KEY = bytes(32)

sizes = st.one_of(
    st.integers(0, 40), st.integers(SCRATCH_SIZE - 60, SCRATCH_SIZE + 60), st.integers(0, 3 * SCRATCH_SIZE)
)
cuts = st.lists(st.integers(1, 2 * SCRATCH_SIZE), min_size=1, max_size=20)


def pump(reader: FrameReader, stream: bytes, steps: list[int]) -> list[tuple[peer_pb2.Header, memoryview]]:
    """Feed `stream` in blocks of the given sizes, round and round; keep every frame to the end."""
    frames = []
    position = turn = 0
    while position < len(stream):
        space = reader.buffer()
        assert len(space) > 0
        count = min(len(space), steps[turn % len(steps)], len(stream) - position)
        space[:count] = stream[position : position + count]
        frames += reader.received(count)
        position += count
        turn += 1
    return frames


@examples(60)
@given(st.lists(st.tuples(sizes, sizes), max_size=8), cuts, st.sampled_from([None, False, True]))
def test_frames_survive_any_cut(shapes: list[tuple[int, int]], steps: list[int], bares: bool | None) -> None:
    sender, receiver = (None, None) if bares is None else (Seal(KEY, bares=bares), Seal(KEY, bares=bares))
    sent = []
    stream = bytearray()
    for number, (body, payload) in enumerate(shapes):
        header = peer_pb2.Header(
            kind=peer_pb2.REQUEST, call=number, body=bytes([number]) * body, by_digest=number % 2 == 0
        )
        content = bytes([number + 100]) * payload
        sent.append((header, content))
        for part in encode(header, content, header_limit=LIMIT, payload_limit=LIMIT, seal=sender):
            stream += part
    reader = FrameReader(header_limit=LIMIT, payload_limit=LIMIT, seal=receiver)
    got = pump(reader, bytes(stream), steps)
    assert [(header, bytes(payload)) for header, payload in got] == sent


@examples(100)
@given(st.binary(max_size=2000), cuts)
def test_garbage_is_a_frame_or_a_bad_frame(garbage: bytes, steps: list[int]) -> None:
    reader = FrameReader(header_limit=LIMIT, payload_limit=LIMIT)
    try:
        pump(reader, garbage, steps)
    except BadFrame:
        pass
    for bares in (False, True):
        sealed = FrameReader(header_limit=LIMIT, payload_limit=LIMIT, seal=Seal(KEY, bares=bares))
        try:
            assert pump(sealed, garbage, steps) == []
        except BadFrame:
            pass
