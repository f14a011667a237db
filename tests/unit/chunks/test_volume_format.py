"""The needle and the scan: pure functions."""

import errno

import pytest
from blake3 import blake3

from raftstore.chunks.format import needle
from raftstore.chunks.format.needle import HEADER_SIZE, Header, Kind
from raftstore.chunks.format.scan import CUT_OFF, payload_matches, scan

IDENTITY = bytes(range(16))
KEY = needle.header_key(IDENTITY)


def build(payloads: list[bytes]) -> tuple[bytearray, list[int]]:
    """A volume 7 with these payloads; the offsets of its needles."""
    content = bytearray(needle.encode_start(IDENTITY, 7))
    offsets = []
    for payload in payloads:
        offset = len(content)
        offsets.append(offset)
        header = Header(Kind.DATA, blake3(payload).digest(), len(payload), offset)
        content += needle.encode(KEY, 7, offset, header) + payload + needle.padding(len(payload))
    return content, offsets


def reader(content: bytes):
    return lambda offset, length: bytes(content[offset : offset + length])


def test_header_round_trip_and_size():
    header = Header(Kind.TOMBSTONE, bytes(32), 0, 64)
    raw = needle.encode(KEY, 3, 128, header)
    assert len(raw) == HEADER_SIZE
    assert needle.decode(KEY, 3, 128, raw) == header
    assert [needle.footprint(n) for n in (0, 1, 16, 17)] == [64, 80, 80, 96]


def test_header_is_bound_to_its_place_and_store():
    raw = needle.encode(KEY, 3, 128, Header(Kind.DATA, bytes(32), 5, 0))
    assert needle.decode(KEY, 3, 144, raw) is None
    assert needle.decode(KEY, 4, 128, raw) is None
    assert needle.decode(needle.header_key(bytes(16)), 3, 128, raw) is None
    assert needle.decode(KEY, 3, 128, raw[:40]) is None


@pytest.mark.parametrize("position", range(HEADER_SIZE))
def test_no_flipped_bit_in_a_header_passes(position):
    raw = bytearray(needle.encode(KEY, 3, 128, Header(Kind.DATA, b"d" * 32, 5, 0)))
    raw[position] ^= 1 << position % 8
    assert needle.decode(KEY, 3, 128, bytes(raw)) is None


def test_nonsense_with_a_good_check_is_refused():
    assert needle.decode(KEY, 3, 128, needle.encode(KEY, 3, 128, Header(Kind.DATA, bytes(32), 5, 144))) is None
    too_long = Header(Kind.DATA, bytes(32), needle.MAX_PAYLOAD + 1, 0)
    assert needle.decode(KEY, 3, 128, needle.encode(KEY, 3, 128, too_long)) is None


def test_start_names_store_and_volume():
    raw = needle.encode_start(IDENTITY, 9)
    assert needle.decode_start(raw) == (IDENTITY, 9)
    assert needle.decode_start(raw[:-1] + b"x") is None
    assert needle.decode_start(b"") is None


def test_scan_of_a_whole_volume():
    content, offsets = build([b"a", b"", b"c" * 1000])
    found = scan(reader(content), len(content), KEY, 7)
    assert [item.offset for item in found.needles] == offsets
    assert (found.end, found.tail, found.damage, found.synced) == (len(content), None, [], offsets[-1])
    assert all(payload_matches(reader(content), item) for item in found.needles)


def test_scan_passes_over_a_damaged_header():
    content, offsets = build([b"a" * 100, b"b" * 5000, b"c" * 100])
    content[offsets[1] + 30] ^= 1
    found = scan(reader(content), len(content), KEY, 7)
    assert [item.offset for item in found.needles] == [offsets[0], offsets[2]]
    assert [(item.offset, item.length) for item in found.damage] == [(offsets[1], offsets[2] - offsets[1])]


def test_needles_inside_a_payload_are_not_found():
    inner, _ = build([b"x" * 100, b"y" * 100])
    content, offsets = build([b"a", bytes(inner), b"c"])
    content[offsets[1] + 30] ^= 1
    found = scan(reader(content), len(content), KEY, 7)
    assert [item.offset for item in found.needles] == [offsets[0], offsets[2]]


def test_scan_of_every_torn_length():
    content, offsets = build([b"a" * 40, b"b" * 200, b"c" * 33])
    ends = [*offsets[1:], len(content)]
    for size in range(HEADER_SIZE, len(content)):
        found = scan(reader(content[:size]), size, KEY, 7)
        whole = [offset for offset, end in zip(offsets, ends, strict=True) if end <= size]
        assert [item.offset for item in found.needles] == whole
        assert found.damage == []
        assert (found.tail is None) == (size in (HEADER_SIZE, *ends))
        assert found.end == (ends[len(whole) - 1] if whole else HEADER_SIZE)
        if found.tail and size - found.end >= HEADER_SIZE:
            assert found.tail.reason == CUT_OFF


def test_scan_passes_over_what_the_disk_cannot_read():
    content, offsets = build([b"a" * 100, b"b" * 30_000, b"c" * 5_000, b"d" * 20_000, b"e"])

    def read(offset: int, length: int) -> bytes:
        bad = offsets[2] // 4096 * 4096
        if offset < bad + 4096 and offset + length > bad:
            if offset >= bad:
                raise OSError(errno.EIO, "bad sector")
            length = bad - offset
        return bytes(content[offset : offset + length])

    found = scan(read, len(content), KEY, 7)
    assert {offsets[0], offsets[1], offsets[3], offsets[4]} <= {item.offset for item in found.needles}
    assert not payload_matches(read, next(item for item in found.needles if item.offset == offsets[1]))


def test_scan_raises_what_is_not_the_mediums_fault():
    def read(offset: int, length: int) -> bytes:
        raise OSError(errno.EBADF, "closed")

    with pytest.raises(OSError, match="closed"):
        scan(read, 1000, KEY, 7)
