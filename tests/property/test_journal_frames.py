"""Frames: torn is told from damaged, whatever is in them."""

from __future__ import annotations

import random

from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from raftstore.consensus.log.records import (
    ALIGN,
    FIRST_CHAIN,
    SECTOR,
    Compact,
    Fault,
    Frame,
    Reset,
    Start,
    Truncate,
    decode_frame,
    decode_records,
    encode_frame,
    encode_record,
    later_frame,
)

KEY = b"k" * 32
runs = st.tuples(st.sampled_from([0, 0, 1, 0xFF, 0x80]), st.integers(1, 1200)).map(
    lambda run: bytes([run[0]]) * run[1]
)
payloads = st.lists(st.one_of(st.binary(max_size=80), runs), max_size=6).map(b"".join)
offsets = st.integers(0, 40).map(lambda units: units * ALIGN)


def encode(payload: bytes, offset: int, sequence: int = 5, chain: bytes = FIRST_CHAIN) -> tuple[bytes, bytes]:
    return encode_frame(KEY, chain, sequence=sequence, offset=offset, hard=3, commit=9, payload=payload)


def decode(data: bytes | bytearray, offset: int) -> Frame | Fault:
    return decode_frame(KEY, FIRST_CHAIN, memoryview(bytes(data)), offset)


@given(payloads, offsets)
def test_a_frame_comes_back(payload: bytes, offset: int) -> None:
    data, chain = encode(payload, offset)
    assert len(data) % ALIGN == 0
    assert decode(bytes(offset) + data + b"next", offset) == Frame(5, offset, len(data), 3, 9, payload, chain)


@given(payloads, offsets, st.data())
def test_one_flipped_bit_is_never_taken_for_a_torn_write(
    payload: bytes, offset: int, data: st.DataObject
) -> None:
    frame, _ = encode(payload, offset)
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    spoiled = bytearray(bytes(offset) + frame)
    spoiled[offset + bit // 8] ^= 1 << bit % 8
    fault = decode(spoiled, offset)
    assert isinstance(fault, Fault)
    assert not fault.torn


@given(st.sampled_from([0, 64, 448]), st.integers(0, 3000 * 8), st.integers(0, 5))
@examples(300)
def test_nor_in_a_nearly_empty_sector(offset: int, lonely: int, tail: int) -> None:
    """A payload of zeros with a single bit set: flipping just that bit must not look like an unwritten sector."""
    payload = bytearray(3001) + b"x" * tail
    payload[lonely // 8] |= 1 << lonely % 8
    frame, _ = encode(bytes(payload), offset)
    for start in range(0, len(frame), ALIGN):
        assert any(frame[start : start + ALIGN])
    spoiled = bytearray(bytes(offset) + frame)
    spoiled[offset + ALIGN + lonely // 8] ^= 1 << lonely % 8
    fault = decode(spoiled, offset)
    assert isinstance(fault, Fault)
    assert not fault.torn


@given(payloads, offsets, st.integers(1, 2**32))
def test_unwritten_sectors_are_a_torn_write(payload: bytes, offset: int, seed: int) -> None:
    frame, _ = encode(payload, offset)
    spoiled = bytearray(bytes(offset) + frame)
    sectors = range(offset // SECTOR, -(-len(spoiled) // SECTOR))
    rng = random.Random(seed)
    for sector in rng.sample(sectors, rng.randint(1, len(sectors))):
        low, high = max(offset, sector * SECTOR), min(len(spoiled), (sector + 1) * SECTOR)
        spoiled[low:high] = bytes(high - low)
    fault = decode(spoiled, offset)
    assert isinstance(fault, Fault)
    assert fault.torn


@given(payloads, offsets, st.data())
def test_a_short_file_is_a_torn_write(payload: bytes, offset: int, data: st.DataObject) -> None:
    frame, _ = encode(payload, offset)
    length = data.draw(st.integers(0, len(frame) - 1))
    fault = decode(bytes(offset) + frame[:length], offset)
    assert isinstance(fault, Fault)
    assert fault.torn


def test_where_no_mask_helps_any_fault_is_damage() -> None:
    payload = b"".join(bytes([value]) * 600 for value in range(256))
    frame, _ = encode(payload, 0)
    assert isinstance(decode(frame, 0), Frame)
    spoiled = bytearray(frame)
    spoiled[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    fault = decode(spoiled, 0)
    assert isinstance(fault, Fault)
    assert not fault.torn


@given(payloads, payloads)
def test_a_frame_counts_only_after_its_predecessor_at_its_place_and_in_its_journal(
    first: bytes, second: bytes
) -> None:
    one, chain = encode(first, 0)
    two, _ = encode(second, len(one), 6, chain)
    data = memoryview(one + two)
    assert isinstance(decode_frame(KEY, chain, data, len(one)), Frame)
    assert isinstance(decode_frame(KEY, FIRST_CHAIN, data, len(one)), Fault)
    assert isinstance(decode_frame(b"o" * 32, chain, data, len(one)), Fault)
    assert isinstance(decode_frame(KEY, chain, memoryview(one + one + two), len(one)), Fault)
    assert later_frame(KEY, one + two, 0, 5) == len(one)
    assert later_frame(KEY, one + two, 0, 6) is None
    assert later_frame(KEY, one + b"pxJ1" * 40, 0, 5) is None


records = st.lists(
    st.one_of(
        st.tuples(st.binary(max_size=60), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
        st.builds(Truncate, st.integers(0, 2**64 - 1)),
        st.builds(Compact, st.integers(0, 2**64 - 1)),
        st.builds(Reset),
        st.builds(
            Start,
            st.binary(min_size=16, max_size=16),
            st.binary(min_size=16, max_size=16),
            st.integers(0, 2**64 - 1),
            st.integers(0, 2**64 - 1),
        ),
    ),
    max_size=8,
)


@given(records, st.integers(1, 20))
def test_records_come_back(many: list[object], cut: int) -> None:
    payload = b"".join(encode_record(record) for record in many)  # type: ignore[arg-type]
    assert list(decode_records(payload)) == many
    try:
        short = list(decode_records(payload[: max(0, len(payload) - cut)]))
    except ValueError:
        return
    assert short == many[: len(short)]
