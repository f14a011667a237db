"""Frames, their bounds and buffers, what seals them, and the sessions of sealed connections."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from raftstore.errors import TooLarge
from raftstore.peers.connections.framing import SCRATCH_SIZE, BadFrame, BufferPool, Frame, FrameReader, encode
from raftstore.peers.model import Peer, Role
from raftstore.peers.security import seal as seal_module
from raftstore.peers.security.grants import PREAMBLE_SIZE, Grants, Session
from raftstore.peers.security.seal import Seal
from raftstore.wire import peer_pb2

KEY = bytes(range(32))
LIMIT = 1 << 20


def reader(seal: Seal | None = None, pool: BufferPool | None = None) -> FrameReader:
    return FrameReader(header_limit=LIMIT, payload_limit=LIMIT, seal=seal, pool=pool)


def frame(payload: bytes, seal: Seal | None = None, *, body: bytes = b"") -> bytes:
    header = peer_pb2.Header(kind=peer_pb2.REQUEST, call=7, method="m", body=body)
    return b"".join(encode(header, payload, header_limit=LIMIT, payload_limit=LIMIT, seal=seal))


def feed(target: FrameReader, data: bytes) -> Iterator[Frame]:
    while data:
        space = target.buffer()
        count = min(len(space), len(data))
        space[:count] = data[:count]
        data = data[count:]
        yield from target.received(count)


def test_lengths_come_first_in_network_order() -> None:
    assert struct.unpack("!II", frame(b"abc")[:8]) == (len(frame(b"")) - 8, 3)


def test_long_payloads_are_not_copied() -> None:
    payload = bytearray(100_000)
    buffers = encode(peer_pb2.Header(), payload, header_limit=LIMIT, payload_limit=LIMIT)
    payload[5] = 7
    assert buffers[1][5] == 7


def test_a_payload_of_wider_items_is_bytes() -> None:
    words = memoryview(struct.pack("!4I", 1, 2, 3, 4)).cast("I")
    ((_, payload),) = feed(
        reader(), b"".join(encode(peer_pb2.Header(), words, header_limit=LIMIT, payload_limit=LIMIT))
    )
    assert payload == struct.pack("!4I", 1, 2, 3, 4)


@pytest.mark.parametrize(("header", "payload"), [(LIMIT + 1, 0), (0, LIMIT + 1), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_lengths_over_the_limit_are_refused_at_once(header: int, payload: int) -> None:
    with pytest.raises(BadFrame, match="at most"):
        list(feed(reader(), struct.pack("!II", header, payload)))


def test_the_sender_keeps_the_limits() -> None:
    with pytest.raises(TooLarge):
        frame(bytes(LIMIT + 1))
    with pytest.raises(TooLarge):
        frame(b"", body=bytes(LIMIT))


def test_an_undecodable_header_is_a_bad_frame() -> None:
    with pytest.raises(BadFrame, match="does not decode"):
        list(feed(reader(), struct.pack("!II", 4, 0) + b"\xff\xff\xff\xff"))


def test_payloads_outlive_what_comes_after_them() -> None:
    pool = BufferPool(size=200_000, count=4)
    target = reader(pool=pool)
    sent = [bytes([n]) * size for n in range(8) for size in (10, 100_000, 150_000)]
    got = [payload for data in sent for _, payload in feed(target, frame(data))]
    assert [bytes(payload) for payload in got] == sent


def test_the_pool_gives_a_buffer_again_only_when_nobody_sees_it() -> None:
    pool = BufferPool(size=1000, count=1)
    view = pool.take(900)
    first = view.obj
    part = view[10:20]
    del view
    assert pool.take(900).obj is not first  # `part` is still there
    del part
    assert pool.take(1000).obj is first
    assert len(pool.take(1001)) == 1001


@pytest.mark.parametrize("size", [100, SCRATCH_SIZE * 2])
def test_a_seal_that_leaves_the_payload_to_its_receiver(size: int) -> None:
    header = peer_pb2.Header(kind=peer_pb2.REQUEST, call=7, method="m", by_digest=True)

    def sealed(header: peer_pb2.Header) -> bytearray:
        seal = Seal(KEY, bares=True)
        buffers = encode(header, bytes(size), header_limit=LIMIT, payload_limit=LIMIT, seal=seal)
        return bytearray(b"".join(buffers))

    data = sealed(header)
    ((got, payload),) = feed(reader(Seal(KEY, bares=True)), bytes(data))
    assert (got, payload) == (header, bytes(size))
    data[-1] ^= 1
    ((got, payload),) = feed(reader(Seal(KEY, bares=True)), bytes(data))  # the receiver will see that
    assert payload[-1] == 1
    for position in (0, 3, 4, 8, 16, 31, 32, 40):
        data = sealed(header)
        data[position] ^= 1
        with pytest.raises(BadFrame, match="tag"):
            list(feed(reader(Seal(KEY, bares=True)), bytes(data)))
    data = sealed(header)
    data[0] ^= 0x80  # says that the tag covers the payload, or the other way round
    with pytest.raises(BadFrame, match="tag"):
        list(feed(reader(Seal(KEY, bares=True)), bytes(data)))
    header.by_digest = False
    data = sealed(header)
    data[0] ^= 0x80
    with pytest.raises(BadFrame, match="tag"):
        list(feed(reader(Seal(KEY, bares=True)), bytes(data)))
    with pytest.raises(BadFrame, match="at most"):  # without a seal there is no such thing
        list(feed(reader(), b"\x80" + frame(b"x")[1:]))


@pytest.mark.parametrize("size", [100, SCRATCH_SIZE * 2])
def test_a_member_cannot_leave_out_a_payload_on_its_own(size: int) -> None:
    def left_out(seal: Seal) -> bytes:
        header = peer_pb2.Header(kind=peer_pb2.REQUEST, call=7, method="m").SerializeToString()
        lengths = struct.pack("!II", len(header) | 0x80000000, size)
        return b"".join(seal.seal(lengths, header, bytes(size), BufferPool().take, bare=True))

    with pytest.raises(BadFrame, match="nothing covers"):
        list(feed(reader(Seal(KEY, bares=True)), left_out(Seal(KEY, bares=True))))
    with pytest.raises(BadFrame, match="at most"):
        list(feed(reader(Seal(KEY)), left_out(Seal(KEY))))


@pytest.mark.parametrize("bares", [False, True])
@pytest.mark.parametrize("position", [0, 4, 7, 8, 15, 16, 31, 32, 40, -17, -1])
@pytest.mark.parametrize("size", [100, SCRATCH_SIZE * 2])
def test_a_changed_byte_breaks_the_seal(bares: bool, position: int, size: int) -> None:
    sealed = bytearray(frame(bytes(size), Seal(KEY, bares=bares)))
    sealed[position] ^= 1
    target = reader(Seal(KEY, bares=bares))
    with pytest.raises(BadFrame, match="tag"):
        list(feed(target, bytes(sealed)))


@pytest.mark.parametrize("plain_chunks", [False, True])
def test_frames_cannot_be_replayed_reordered_left_out_or_reflected(plain_chunks: bool) -> None:
    session = Session(bytes(16), KEY, plain_chunks)
    here, there = session.dialler_seals(), session.listener_seals()
    first, second = frame(b"1", here.sending), frame(b"2", here.sending)
    assert [bytes(payload) for _, payload in feed(reader(there.receiving), first + second)] == [b"1", b"2"]
    for wrong in (first + first, second, second + first):
        with pytest.raises(BadFrame, match="tag"):
            list(feed(reader(session.listener_seals().receiving), wrong))
    with pytest.raises(BadFrame, match="tag"):
        list(feed(reader(session.dialler_seals().receiving), first))


def test_header_and_payload_of_other_frames_do_not_fit_together() -> None:
    """Neither may be taken for the other, nor one frame's for another's: each has a nonce of its own."""
    body = bytes(30)
    sender = Seal(KEY)
    first, second = frame(body, sender), frame(body, sender)
    for wrong in (first[:-46] + second[-46:], second):
        with pytest.raises(BadFrame, match="tag"):
            list(feed(reader(Seal(KEY)), wrong))
    twice = peer_pb2.Header(body=body).SerializeToString()
    sealed = Seal(KEY).seal(struct.pack("!II", 32, 32), twice, twice, BufferPool().take, bare=False)[0]
    assert bytes(sealed[16:48]) != bytes(sealed[64:96])


@pytest.mark.parametrize("size", [0, 100, SCRATCH_SIZE * 2])
def test_nothing_of_what_is_encrypted_can_be_seen(size: int) -> None:
    marker = b"a picture of a cat"
    sealed = frame(marker * (size // len(marker)), Seal(KEY), body=marker)
    assert marker not in sealed
    assert struct.unpack("!II", sealed[:8]) == struct.unpack(
        "!II", frame(marker * (size // len(marker)), body=marker)[:8]
    )


def test_a_long_payload_is_encrypted_into_the_pool_and_left_as_it_was() -> None:
    pool = BufferPool(size=400_000, count=2)
    payload = bytearray(b"x" * 300_000)
    header = peer_pb2.Header(kind=peer_pb2.REQUEST)
    buffers = encode(
        header, payload, header_limit=LIMIT, payload_limit=LIMIT, seal=Seal(KEY), allocate=pool.take
    )
    assert payload == b"x" * 300_000
    assert isinstance(buffers[1], memoryview)
    first = buffers[1].obj
    ((_, got),) = feed(reader(Seal(KEY), pool), b"".join(buffers))
    assert got == payload
    assert got.obj is not first
    del buffers
    assert pool.take(10).obj is first
    shorter = encode(
        header, payload[:100_000], header_limit=LIMIT, payload_limit=LIMIT, seal=Seal(KEY), allocate=pool.take
    )
    assert isinstance(shorter[1], bytes)  # no more memory than it needs while it waits


def test_the_cipher_goes_on_with_new_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_module, "REKEY_FRAMES", 3)
    sender, target = Seal(KEY), reader(Seal(KEY))
    sent = [bytes([number]) * size for number in range(10) for size in (5, 100_000)]
    frames = [frame(data, sender) for data in sent]
    assert [bytes(payload) for data in frames for _, payload in feed(target, data)] == sent
    monkeypatch.setattr(seal_module, "REKEY_FRAMES", 1 << 16)
    target = reader(Seal(KEY))  # stays with the first key
    assert [bytes(payload) for data in frames[:3] for _, payload in feed(target, data)] == sent[:3]
    with pytest.raises(BadFrame, match="tag"):
        list(feed(target, frames[3]))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("plain_chunks", [False, True])
def test_a_session_works_once(plain_chunks: bool) -> None:
    clock = Clock()
    grants = Grants(10, clock)
    peer = Peer("a", Role.NODE)
    opening = grants.grant(peer, plain_chunks=plain_chunks).preamble()
    assert len(opening) == PREAMBLE_SIZE
    wrong = opening[:-1] + bytes([opening[-1] ^ 1])
    assert grants.redeem(wrong) is None  # and it did not use the session up
    assert grants.redeem(opening[:-1]) is None
    opened = grants.redeem(opening)
    assert opened is not None
    assert opened[0] == peer
    assert grants.redeem(opening) is None


@pytest.mark.parametrize("plain_chunks", [False, True])
def test_a_session_is_of_one_kind(plain_chunks: bool) -> None:
    """Whoever dials for plain chunks what was granted to be encrypted, or the other way round, does not come in."""
    grants = Grants(10, Clock())
    session = grants.grant(Peer("a", Role.NODE), plain_chunks=plain_chunks)
    assert grants.redeem(Session(session.id, session.key, not plain_chunks).preamble()) is None
    assert grants.redeem(session.preamble()) is not None


def test_a_session_expires_and_few_wait_at_a_time() -> None:
    clock = Clock()
    grants = Grants(10, clock, per_peer=2)
    sessions = [grants.grant(Peer("a", Role.NODE), plain_chunks=False) for _ in range(3)]
    other = grants.grant(Peer("b", Role.NODE), plain_chunks=False)
    assert grants.redeem(sessions[0].preamble()) is None
    assert grants.redeem(sessions[1].preamble()) is not None
    assert grants.redeem(other.preamble()) is not None
    clock.now = 10.0
    assert grants.redeem(sessions[2].preamble()) is None
