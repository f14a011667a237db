"""What the old scp says, on its command line and over the channel. Pure: no I/O, and what is malformed raises BadScp.

There is no specification; OpenSSH's scp.c is what all others talk to. Who sends says, a line each: `C0644 SIZE NAME`,
then SIZE bytes and a byte 0; `D0755 0 NAME`, then what is in the directory, then `E`; before either, with -p, `T` and
times. Each is answered by a byte 0, or by 1 and a line: then it is left out. 2 and a line ends all.
"""

from __future__ import annotations

import enum
import re
import shlex
from dataclasses import dataclass

MAX_LINE = 8 * 1024
"""Bytes of a line, or of a command, at most."""

MAX_DEPTH = 256
"""Directories in each other: more than the store takes."""

OK = b"\0"


class BadScp(Exception):
    """What came is against the protocol: the session cannot go on."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line. `sends`: the client sends, else it wants to have. `directory`: the target has to be one."""

    sends: bool
    paths: tuple[str, ...]
    recursive: bool = False
    times: bool = False
    directory: bool = False


def is_scp(command: bytes) -> bool:
    """Whether a command is one of scp's, as far as its first word tells."""
    first = command.lstrip().split(b" ", 1)[0]
    return first.rpartition(b"/")[2] == b"scp"


def parse_command(line: bytes) -> Command:
    """Read a command as a shell would, without patterns: these are matched with what is there. Raises BadScp."""
    if len(line) > MAX_LINE or b"\0" in line:
        raise BadScp("the command is too long")
    try:
        words = shlex.split(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        raise BadScp("the quotes of the command do not match") from None
    flags: set[str] = set()
    rest = words[1:]
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)
        if option == "--":
            break
        flags |= set(option[1:])
    if not flags <= set("tfrpdvq"):
        raise BadScp("options are -t, -f, -r, -p, -d, -v and -q")
    if ("t" in flags) == ("f" in flags):
        raise BadScp("scp is called by the scp of a client, with -t or -f")
    if not rest or ("t" in flags and len(rest) > 1):
        raise BadScp("one target; quote a name with blanks once more, as for a shell")
    return Command("t" in flags, tuple(map(_at_home, rest)), "r" in flags, "p" in flags, "d" in flags)


def _at_home(path: str) -> str:
    if path == "~" or path.startswith("~/"):
        return "/" + path[2:]
    return path or "."


# What who sends says.


@dataclass(frozen=True, slots=True)
class Times:
    """Time of last modification of what comes next, in seconds since the epoch."""

    mtime: int


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory begins."""

    name: str


@dataclass(frozen=True, slots=True)
class File:
    """A file is to follow."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Data:
    """So many bytes of the file are here."""

    count: int


@dataclass(frozen=True, slots=True)
class Sent:
    """All bytes of the file were sent; `error`: what its sender says is wrong with them, "" for nothing."""

    error: str


@dataclass(frozen=True, slots=True)
class Left:
    """The directory ends."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The sender could not read something; `fatal`: and ends."""

    text: str
    fatal: bool


Event = Times | Directory | File | Data | Sent | Left | Failure

LATEST = (2**63 - 1) // 10**9
"""The last second since the epoch, in 2262, that a file can have; what is later is taken for that."""

_TIMES = re.compile(rb"T(\d{1,12}) \d{1,9} \d{1,12} \d{1,9}")
_ENTRY = re.compile(rb"([CD])[0-7]{4} (\d{1,19}) (.+)", re.DOTALL)


class _State(enum.Enum):
    LINE = enum.auto()
    DATA = enum.auto()
    TRAILER = enum.auto()


class Receiver:
    """What comes of who sends, event by event. A File or Directory is left out unless it is `accept`ed."""

    def __init__(self) -> None:
        self._state = _State.LINE
        self._left = self._depth = 0
        self._offered: File | Directory | None = None

    @property
    def between(self) -> bool:
        """Whether it may end here."""
        return self._state is _State.LINE and not self._depth

    def step(self, data: memoryview) -> tuple[int, Event | None]:
        """Return how many of the bytes here are used, and what they say; None: more is needed. Raises BadScp."""
        if self._state is _State.DATA:
            count = min(self._left, len(data))
            if not count:
                return 0, None
            self._left -= count
            if not self._left:
                self._state = _State.TRAILER
            return count, Data(count)
        if not data:
            return 0, None
        if self._state is _State.TRAILER and data[0] == 0:
            self._state = _State.LINE
            return 1, Sent("")
        line = _line(data)
        if line is None:
            return 0, None
        return len(line) + 1, self._said(line)

    def _said(self, line: bytes) -> Event:
        if self._state is _State.TRAILER:
            if line[:1] not in (b"\1", b"\2"):
                raise BadScp("bytes behind a file")
            self._state = _State.LINE
            return Sent(_text(line[1:]) or "its sender could not read it")
        self._offered = None
        if line[:1] in (b"\1", b"\2"):
            return Failure(_text(line[1:]), line[:1] == b"\2")
        if line == b"E":
            if not self._depth:
                raise BadScp("the end of a directory that was not begun")
            self._depth -= 1
            return Left()
        if found := _TIMES.fullmatch(line):
            return Times(min(int(found[1]), LATEST))
        self._offered = _entry(line)
        return self._offered

    def accept(self) -> None:
        """Take what was offered: the bytes of the file, or what is in the directory, come next. Raises BadScp."""
        offered, self._offered = self._offered, None
        if isinstance(offered, File):
            self._left = offered.size
            self._state = _State.DATA if offered.size else _State.TRAILER
        elif isinstance(offered, Directory):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise BadScp("too many directories in each other")


def _line(data: memoryview) -> bytes | None:
    """Return the line that `data` begins with, without its end; None: it is not whole. Raises BadScp."""
    head = bytes(data[: MAX_LINE + 1])
    line, end, _ = head.partition(b"\n")
    if end:
        return line
    if len(head) > MAX_LINE:
        raise BadScp("a line is too long")
    return None


def _entry(line: bytes) -> File | Directory:
    found = _ENTRY.fullmatch(line)
    if found is None:
        raise BadScp("not the protocol of scp")
    name = found[3].decode("utf-8", "surrogateescape")
    if "/" in name or "\0" in name or name in (".", ".."):
        raise BadScp("a name is no name of a file")
    size = int(found[2])
    if found[1] == b"D":
        return Directory(name)
    return File(name, size)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


# What is said to them, and by who gives.


def error(text: str, *, fatal: bool = False) -> bytes:
    """Encode that something was left out, or (`fatal`) that all ends."""
    said = text.replace("\n", " ").encode("utf-8", "replace")
    return (b"\2" if fatal else b"\1") + b"scp: " + said + b"\n"


def times(mtime_ns: int) -> bytes:
    """Encode the times of what comes next: with -p, in front of it."""
    seconds = max(mtime_ns, 0) // 10**9
    return b"T%d 0 %d 0\n" % (seconds, seconds)


def begin_file(name: str, size: int) -> bytes:
    """Encode the head of a file."""
    return b"C0644 %d %s\n" % (size, name.encode("utf-8", "surrogateescape"))


def begin_directory(name: str) -> bytes:
    """Encode the head of a directory."""
    return b"D0755 0 %s\n" % name.encode("utf-8", "surrogateescape")


END = b"E\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What who takes has said of what it was sent; `text` "" is yes."""

    text: str = ""
    fatal: bool = False


def answer(data: memoryview) -> tuple[int, Answer | None]:
    """Read an answer; see `Receiver.step`."""
    if not data:
        return 0, None
    if data[0] == 0:
        return 1, Answer()
    if data[0] not in (1, 2):
        raise BadScp("not the protocol of scp")
    line = _line(data)
    return (0, None) if line is None else (len(line) + 1, Answer(_text(line[1:]) or "no", line[:1] == b"\2"))
