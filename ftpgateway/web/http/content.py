"""What a picture is as HTTP: its type by its first bytes, its tag, and the parts of it that are asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import quote

from blake3 import blake3

from raftstore.types import FileVersion

MAGIC_BYTES = 64
"""So many bytes of a file tell its type."""

OTHER = "application/octet-stream"

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_AVIF = frozenset({b"avif", b"avis"})


def type_of(first: bytes) -> str:
    """Return the media type of a picture that a browser may show, by its first bytes (MAGIC_BYTES of them); else OTHER.

    Only what cannot hold script, and whatever its name says.
    """
    if first.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if first[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "image/webp"
    return "image/avif" if _is_avif(first) else OTHER


def _is_avif(first: bytes) -> bool:
    """ISO base media: a box `ftyp` with its brands, the major one and then, behind a version, others."""
    if first[4:8] != b"ftyp":
        return False
    size = int.from_bytes(first[:4], "big")
    brands = [first[8:12], *(first[at : at + 4] for at in range(16, min(size, len(first)) - 3, 4))]
    return any(brand in _AVIF for brand in brands)


def tag_of(version: FileVersion) -> str:
    """Return the entity tag of a version, from the digests of its bytes; "" for what has none (RFC 9110, 8.8.3)."""
    if version.entry.size and not version.chunks:
        return ""
    digest = blake3()
    for chunk in version.chunks:
        digest.update(chunk.digest + chunk.length.to_bytes(4, "big"))
    return f'"{digest.hexdigest(16)}"'


def matches(header: str, tag: str) -> bool:
    """Whether If-None-Match has the tag; compared weakly (RFC 9110, 13.1.2)."""
    if not header or not tag:
        return False
    candidates = (each.strip() for each in header.split(","))
    return any(each == "*" or each.removeprefix("W/") == tag for each in candidates)


class Part(NamedTuple):
    """`length` bytes from `offset`."""

    offset: int
    length: int


class Unsatisfiable(Exception):
    """Nothing of what is asked for is in the file: 416."""


def part_of(
    range_header: str, size: int, *, if_range: str = "", tag: str = "", modified: str = ""
) -> Part | None:
    """Return the part that a request asks for; None: all of it (RFC 9110, 14.2). Raises Unsatisfiable.

    Several ranges, and what cannot be read as a range, are answered with all of it, as the RFC allows. `if_range`
    must be the `tag` or the date `modified`, or all is sent.
    """
    if not range_header or (if_range and if_range not in (tag, modified)):
        return None
    match = _RANGE.fullmatch(range_header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        if not length:
            raise Unsatisfiable
        return Part(size - length, length)
    first, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Part(first, min(last, size - 1) - first + 1)


def http_date(time_ns: int) -> str:
    """Return a time as HTTP has it."""
    return formatdate(time_ns // 10**9, usegmt=True)


def disposition(name: str, *, attachment: bool) -> str:
    """Return the header Content-Disposition for a file (RFC 6266)."""
    kind = "attachment" if attachment else "inline"
    plain = "".join(
        each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name
    )
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif")


def looks_like_picture(name: str) -> bool:
    """Whether a name is that of a picture that a browser may show; what it is the bytes decide, when it is sent."""
    return name.lower().endswith(_PICTURES)


def headers_of(
    tag: str, modified: str, media_type: str, name: str, *, attachment: bool
) -> Sequence[tuple[str, str]]:
    """Return the headers of a file's reply; whatever it is, nothing in it is ever run."""
    found = [
        ("Content-Type", media_type),
        ("Content-Disposition", disposition(name, attachment=attachment)),
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        ("Last-Modified", modified),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "private, no-cache"),
    ]
    return [*found, ("ETag", tag)] if tag else found
