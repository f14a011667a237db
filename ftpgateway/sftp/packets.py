"""SFTP version 3 on the wire (draft-ietf-secsh-filexfer-02 and OpenSSH's PROTOCOL): pure functions and values."""

from __future__ import annotations

import stat
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raftstore.types import Entry, owner_name

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = range(3, 13)
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(13, 21)
REQUESTS: Mapping[int, str] = dict(
    zip(
        range(OPEN, SYMLINK + 1),
        (
            *("open", "close", "read", "write", "lstat", "fstat", "setstat", "fsetstat", "opendir", "readdir"),
            *("remove", "mkdir", "rmdir", "realpath", "stat", "rename", "readlink", "symlink"),
        ),
        strict=True,
    )
)
"""What requests are called in the log; those with EXTENDED have names of their own."""
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = range(6)
OP_UNSUPPORTED = 8

FLAG_READ, FLAG_WRITE, FLAG_APPEND, FLAG_CREATE, FLAG_TRUNCATE, FLAG_EXCLUSIVE = 1, 2, 4, 8, 16, 32

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 1, 2, 4, 8, 0x80000000

MAX_PACKET = 256 * 1024
"""Longest packet in either direction, without its length: what OpenSSH takes."""
MAX_DATA = MAX_PACKET - 1024
"""Most bytes of a file in one packet."""
NAMES_SIZE = 32 * 1024
"""Bytes up to which names are gathered into one reply."""

EXTENSIONS: tuple[tuple[bytes, bytes], ...] = (
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"expand-path@openssh.com", b"1"),
    (b"copy-data", b"1"),
    (b"copy-file", b"1"),
)

_U8 = struct.Struct("!B")
_U32 = struct.Struct("!I")
_U64 = struct.Struct("!Q")
_HEAD = struct.Struct("!IBI")
_STATUS_HEAD = struct.Struct("!IBII")
_DATA_HEAD = struct.Struct("!IBII")
_MAX_U32 = 2**32 - 1
_HALF_YEAR = 180 * 86400


class BadPacket(Exception):
    """What came is no SFTP packet; the session cannot go on."""


class Fields:
    """Reads the fields of a packet in order. Raises BadPacket where there is less than announced."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def u32(self) -> int:
        """Read a number."""
        return self._number(_U32)

    def u64(self) -> int:
        """Read a long number."""
        return self._number(_U64)

    def _number(self, form: struct.Struct) -> int:
        at = self._at
        self._at = at + form.size
        try:
            return int(form.unpack_from(self._data, at)[0])
        except struct.error:
            raise BadPacket("a packet is shorter than what is in it") from None

    def boolean(self) -> bool:
        """Read a byte as yes or no."""
        return bool(self._number(_U8))

    def raw(self) -> memoryview:
        """Read a string as it lies in the packet."""
        size = self.u32()
        start = self._at
        self._at = start + size
        if self._at > len(self._data):
            raise BadPacket("a string is longer than its packet")
        return self._data[start : self._at]

    def text(self) -> str:
        """Read a name; what is not UTF-8 becomes surrogates, which no name in the store has."""
        return str(self.raw(), "utf-8", "surrogateescape")

    def attributes(self) -> Attributes:
        """Read what is to be set."""
        flags = self.u32()
        size = self.u64() if flags & _SIZE else None
        owner = (self.u32(), self.u32()) if flags & _OWNER else None
        mode = self.u32() if flags & _MODE else None
        times = (self.u32(), self.u32()) if flags & _TIMES else None
        if flags & _EXTENDED:
            for _ in range(self.u32()):
                self.raw()
                self.raw()
        return Attributes(size, owner, mode, times[1] if times else None)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client wants to set; None is left as it is. `mtime` in seconds since the epoch."""

    size: int | None = None
    owner: tuple[int, int] | None = None
    mode: int | None = None
    mtime: int | None = None


def string(value: bytes) -> bytes:
    """Encode a string."""
    return _U32.pack(len(value)) + value


def packet(kind: int, request: int, body: bytes = b"") -> bytes:
    """Encode a reply with `body` after the number of its request."""
    return _HEAD.pack(len(body) + 5, kind, request) + body


def version() -> bytes:
    """Encode what the server says first."""
    body = b"".join(string(name) + string(value) for name, value in EXTENSIONS)
    return _HEAD.pack(len(body) + 5, VERSION, 3) + body


def status(request: int, code: int, text: str = "") -> bytes:
    """Encode how a request ended, with a text for people."""
    said = text.encode("utf-8", "replace")
    return _STATUS_HEAD.pack(17 + len(said), STATUS, request, code) + string(said) + b"\0\0\0\0"


def data_head(request: int, size: int) -> bytes:
    """Encode all of a reply with `size` bytes of a file but these bytes."""
    return _DATA_HEAD.pack(9 + size, DATA, request, size)


def attributes(entry: Entry, *, writable: bool = True) -> bytes:
    """Encode what a name stands for. Owner and group are 0: accounts here have no numbers."""
    moment = min(max(entry.mtime_ns // 10**9, 0), _MAX_U32)
    return struct.pack(
        "!IQIIIII", _SIZE | _OWNER | _MODE | _TIMES, entry.size, 0, 0, mode_of(entry, writable), moment, moment
    )


def mode_of(entry: Entry, writable: bool) -> int:
    """Return the mode bits that stand for an entry."""
    if entry.is_directory:
        return stat.S_IFDIR | (0o755 if writable else 0o555)
    return stat.S_IFREG | (0o644 if writable else 0o444)


def long_name(name: str, entry: Entry, writable: bool, now: float) -> str:
    """Return a line as `ls -l` writes it; clients show it and some parse it."""
    moment = max(entry.mtime_ns // 10**9, 0)
    local = time.gmtime(min(moment, _MAX_U32))
    clock = f"{local.tm_hour:02d}:{local.tm_min:02d}" if 0 <= now - moment < _HALF_YEAR else f" {local.tm_year}"
    date = f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2d} {clock:>5}"
    owner = owner_name(entry.owner) or "-"
    return f"{stat.filemode(mode_of(entry, writable))} {1:4d} {owner:<8} {'pixraft':<8} {entry.size:8d} {date} {name}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def name_item(name: str, entry: Entry | None, writable: bool = True, now: float = 0.0) -> bytes:
    """Encode one name of a NAME reply; without an entry it has no attributes."""
    encoded = name.encode("utf-8", "surrogateescape")
    if entry is None:
        return string(encoded) + string(encoded) + b"\0\0\0\0"
    line = long_name(name, entry, writable, now).encode("utf-8", "surrogateescape")
    return string(encoded) + string(line) + attributes(entry, writable=writable)


def names(request: int, items: Iterable[bytes]) -> bytes:
    """Encode a NAME reply from encoded items."""
    listed = list(items)
    return packet(NAME, request, _U32.pack(len(listed)) + b"".join(listed))


def free_space(request: int, free: int, total: int) -> bytes:
    """Encode the reply to statvfs: bytes free and in all."""
    block = 4096
    return packet(
        EXTENDED_REPLY,
        request,
        struct.pack(
            "!11Q",
            *(block, block, total // block, free // block, free // block),
            *(2**32, 2**32 - 1, 2**32 - 1),
            *(0, 0, 255),
        ),
    )


def limits(request: int, handles: int) -> bytes:
    """Encode the reply to limits@openssh.com."""
    return packet(EXTENDED_REPLY, request, struct.pack("!4Q", MAX_PACKET, MAX_DATA, MAX_DATA, handles))
