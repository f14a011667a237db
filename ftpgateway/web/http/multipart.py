"""Forms with files, as browsers send them (RFC 7578): read as they come, with bounds for all but the files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ftpgateway.web.refusals import BadRequest

MOST_PARTS = 1000
HEAD_BYTES = 8 * 1024
"""Of the head of one part."""

_BOUNDARY = re.compile(
    r"""multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;.*)?""", re.I
)
_PARAMETER = re.compile(r';\s*(name|filename)="((?:\\"|[^"])*)"', re.I)


class BadForm(BadRequest):
    """What came is no form that is taken; `str()` says why."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A field, or (`filename` is not None) a file."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """Some of its bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """That was all of it."""


Event = PartBegins | PartData | PartEnds


def boundary_of(content_type: str) -> bytes:
    """Return what stands between the parts of a form. Raises BadForm when it is none of this kind."""
    match = _BOUNDARY.fullmatch(content_type.strip())
    if match is None:
        raise BadForm("A form with files is multipart/form-data.")
    return (match[1] or match[2]).encode("latin-1")


@dataclass(slots=True)
class FormReader:
    """Turns the bytes of a body into events. It holds no more than a part's head, or a boundary."""

    boundary: bytes
    ended: bool = False
    """Whether the last boundary came."""
    _buffer: bytearray = field(default_factory=bytearray)
    _parts: int = 0
    _state: str = "preamble"

    def __post_init__(self) -> None:
        self._buffer += b"\r\n"  # the first boundary stands at the beginning of a line

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take more bytes and yield what is in them. Raises BadForm."""
        self._buffer += data
        delimiter = b"\r\n--" + self.boundary
        while not self.ended:
            if self._state == "head":
                begins = self._head()
                if begins is None:
                    return
                yield begins
                self._state = "data"
                continue
            at = self._buffer.find(delimiter)
            if at < 0:
                kept = len(delimiter) - 1
                if len(self._buffer) > kept:
                    if self._state == "data":
                        yield PartData(bytes(self._buffer[:-kept]))
                    del self._buffer[:-kept]
                return
            end = at + len(delimiter)
            if len(self._buffer) < end + 2:
                return
            if self._state == "data":
                if at:
                    yield PartData(bytes(self._buffer[:at]))
                yield PartEnds()
            self._state = "preamble"
            following = bytes(self._buffer[end : end + 2])
            del self._buffer[: end + 2]
            if following == b"--":
                self.ended = True
            elif following == b"\r\n":
                self._begin()
            else:
                raise BadForm("The form is broken.")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadForm(f"A form has at most {MOST_PARTS} parts.")
        self._state = "head"

    def _head(self) -> PartBegins | None:
        """Take the head of a part, once it is whole; its data begin with a line end that is not theirs."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > HEAD_BYTES:
            if len(self._buffer) > HEAD_BYTES:
                raise BadForm("The head of a part of the form is too long.")
            return None
        try:
            lines = bytes(self._buffer[:end]).decode().split("\r\n")
        except UnicodeDecodeError:
            raise BadForm("A form is written in UTF-8.") from None
        del self._buffer[: end + 4]
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-disposition":
                return _part_of(value)
        raise BadForm("A part of the form has no name.")


def _part_of(disposition: str) -> PartBegins:
    found = {key.lower(): _unescaped(value) for key, value in _PARAMETER.findall(disposition)}
    if "name" not in found:
        raise BadForm("A part of the form has no name.")
    return PartBegins(found["name"], found.get("filename"))


def _unescaped(text: str) -> str:
    """Undo what browsers, and older programs, write for quotes and line ends in names (HTML's multipart/form-data)."""
    text = text.replace('\\"', '"')
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def base_name(filename: str) -> str:
    """Return the last name of what a browser calls a file: some send a path, with slashes of either kind."""
    return re.split(r"[/\\]", filename)[-1]
