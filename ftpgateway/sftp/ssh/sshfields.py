"""Fields of SSH messages (RFC 4251, 5), read with care: what is not there is an error and not zeroes. Pure."""

from __future__ import annotations

import struct

_INT = struct.Struct("!I")
_LONGEST_INTEGER = 2048 + 1
"""Bytes of the longest integer: 16,384 bits."""


class Malformed(ValueError):
    """A message does not hold what it should."""


class Fields:
    """The fields of a message, one after another. All reads raise Malformed."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def rest(self) -> bytes:
        """What was not read yet."""
        return self._content[self._at :]

    def taken(self, count: int) -> bytes:
        """Return the next bytes."""
        end = self._at + count
        if end > len(self._content):
            raise Malformed("a message is too short")
        first, self._at = self._at, end
        return self._content[first:end]

    def flag(self) -> bool:
        """Return a boolean."""
        return self.taken(1) != b"\0"

    def number(self) -> int:
        """Return a uint32."""
        return int(_INT.unpack(self.taken(4))[0])

    def string(self) -> bytes:
        """Return a string."""
        return self.taken(self.number())

    def names(self) -> tuple[str, ...]:
        """Return a name-list."""
        text = self.string().decode("ascii", "replace")
        return tuple(text.split(",")) if text else ()

    def integer(self) -> int:
        """Return an mpint that is not negative, of at most 16,384 bits."""
        digits = self.string()
        if len(digits) > _LONGEST_INTEGER or digits[:1] >= b"\x80":
            raise Malformed("an integer out of range")
        return int.from_bytes(digits, "big")


def string(value: bytes) -> bytes:
    """Write a string."""
    return _INT.pack(len(value)) + value
