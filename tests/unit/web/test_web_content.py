"""Types by magic bytes, ranges, tags and names of files as HTTP has them."""

from __future__ import annotations

import pytest

from ftpgateway.web.http.content import (
    OTHER,
    Part,
    Unsatisfiable,
    disposition,
    http_date,
    matches,
    part_of,
    tag_of,
    type_of,
)
from raftstore.types import ChunkRef, Entry, FileVersion, Kind


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00", "image/png"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"GIF87a\x01\x00", "image/gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1", "image/avif"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif", "image/avif"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", OTHER),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", OTHER),
        (b"\x00\x00\x00\x10ftypmif1\x00\x00\x00\x00avif", OTHER),  # behind the box
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", OTHER),
        (b"<?xml version='1.0'?><svg>", OTHER),
        (b"<html><script>", OTHER),
        (b"GIF89 <script>", OTHER),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", OTHER),
        (b"\xff\xd8", OTHER),
        (b"BM\x00\x00", OTHER),
        (b"%PDF-1.7", OTHER),
        (b"", OTHER),
    ],
)
def test_the_type_comes_from_the_first_bytes(first: bytes, expected: str) -> None:
    assert type_of(first) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-9", Part(0, 10)),
        ("bytes=10-", Part(10, 90)),
        ("bytes=-10", Part(90, 10)),
        ("bytes=-1000", Part(0, 100)),
        ("bytes=90-1000", Part(90, 10)),
        ("bytes=99-99", Part(99, 1)),
        ("bytes=9-0", None),
        ("bytes=0-9,20-29", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1٣-", None),  # no ASCII digit
        ("lines=0-9", None),
        ("bytes = 0-9", None),
        ("bytes=99999999999999999999-", None),
    ],
)
def test_a_range(header: str, expected: Part | None) -> None:
    assert part_of(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_of_which_nothing_is_there(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        part_of(header, 100)
    with pytest.raises(Unsatisfiable):
        part_of("bytes=0-", 0)


def test_a_range_of_another_version_is_answered_with_all() -> None:
    assert part_of("bytes=0-9", 100, if_range='"a"', tag='"a"') == Part(0, 10)
    assert part_of("bytes=0-9", 100, if_range='"b"', tag='"a"') is None
    assert part_of("bytes=0-9", 100, if_range="then", tag='"a"', modified="then") == Part(0, 10)


def version(*digests: bytes) -> FileVersion:
    entry = Entry("a", Kind.FILE, 5, 3 * len(digests), 0, "", 1)
    return FileVersion(entry, tuple(ChunkRef(digest, 3, (1, 2)) for digest in digests))


def test_a_tag_is_that_of_the_bytes() -> None:
    one, two = version(b"1" * 32), version(b"2" * 32)
    assert tag_of(one) == tag_of(version(b"1" * 32)) != tag_of(two)
    assert tag_of(version(b"1" * 32, b"2" * 32)) != tag_of(version(b"2" * 32, b"1" * 32))
    assert tag_of(version()), "an empty file has one"
    assert not tag_of(FileVersion(one.entry, ())), "what is in no chunks has none"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("", False),
        ("a", False),
    ],
)
def test_if_none_match(header: str, expected: bool) -> None:
    assert matches(header, '"a"') is expected
    assert not matches(header, "")


def test_names_in_headers_are_no_headers() -> None:
    shown = disposition('a"b\r\nX: y\\ü\u202e.jpg', attachment=True)
    assert "\r" not in shown and "\n" not in shown and shown.isascii()
    assert (
        shown
        == "attachment; filename=\"a_b__X: y___.jpg\"; filename*=UTF-8''a%22b%0D%0AX%3A%20y%5C%C3%BC%E2%80%AE.jpg"
    )
    assert disposition("b.jpg", attachment=False).startswith("inline; ")


def test_a_date() -> None:
    assert http_date(784_111_777 * 10**9) == "Sun, 06 Nov 1994 08:49:37 GMT"
