"""The text of LIST, NLST, MLSD and MLST, from directory entries. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from raftstore import paths
from raftstore.types import Entry, Order

FACTS = ("type", "size", "modify", "perm", "unique", "UNIX.mode")
DEFAULT_FACTS = FACTS

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HALF_YEAR = 180 * 86400
_OPTIONS = re.compile(r"-[aAlLrRtTsSuUcCfFgGhHiIkLmnNopqQvxX1d]+")
_FILE_RIGHTS = "adfrw"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NS = 2**63 - 1
"""Latest time that the store keeps: in the year 2262."""


@dataclass(frozen=True, slots=True)
class Request:
    """What LIST or NLST asked for: a path argument ("" for the working directory), the order, and of what.

    `below`: of all that is below, too; `itself`: of a directory and not of what is in it.
    """

    path: str = ""
    order: Order = Order.NAME
    reverse: bool = False
    below: bool = False
    itself: bool = False


def parse_request(argument: str) -> Request:
    """Read the argument of LIST or NLST; options of `ls` are understood (-t -S -r -R -d) or ignored.

    A name that looks like options can be given after `--`, or as `./-l`.
    """
    flags = ""
    rest = argument
    while rest.startswith("-"):
        word, _, after = rest.partition(" ")
        if word == "--":
            rest = after
            break
        if not _OPTIONS.fullmatch(word):
            break
        flags += word
        rest = after
    return Request(
        rest,
        order=Order.TIME if "t" in flags else Order.SIZE if "S" in flags else Order.NAME,
        reverse="r" in flags,
        below="R" in flags,
        itself="d" in flags,
    )


def before_names(directory: str) -> str:
    """Return what makes paths of the names in `directory`, as the client wrote it; "" and "." are where it is."""
    if directory in ("", "."):
        return ""
    return directory if directory.endswith("/") else f"{directory}/"


def before_matches(argument: str, path: str) -> str:
    """Return what makes paths of the names that the wildcards at the end of `argument` select; `path` is resolved."""
    directory, pattern = paths.parent(path)
    written = argument.rstrip("/")
    if written.rpartition("/")[2] == pattern:
        return written.removesuffix(pattern)
    return before_names(directory)  # written in a roundabout way: `d/*.jpg/.`


def list_line(entry: Entry, now: float) -> str:
    """Return one line as `ls -l` writes it, times in UTC."""
    seconds = entry.mtime_ns // 1_000_000_000
    try:
        moment = time.gmtime(seconds)
    except (ValueError, OverflowError, OSError):
        moment, seconds = time.gmtime(0), 0
    if -_HALF_YEAR < seconds - now < 86400:
        when = f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {moment.tm_hour:02d}:{moment.tm_min:02d}"
    else:
        when = f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {moment.tm_year:5d}"
    mode = "drwxr-xr-x   2" if entry.is_directory else "-rw-r--r--   1"
    return f"{mode} ftp      ftp      {entry.size:8d} {when} {entry.name}"


def timestamp(mtime_ns: int) -> str:
    """Return a time as YYYYMMDDHHMMSS in UTC."""
    try:
        moment = time.gmtime(mtime_ns // 1_000_000_000)
    except (ValueError, OverflowError, OSError):
        moment = time.gmtime(0)
    return (
        f"{moment.tm_year:04d}{moment.tm_mon:02d}{moment.tm_mday:02d}"
        f"{moment.tm_hour:02d}{moment.tm_min:02d}{moment.tm_sec:02d}"
    )


def parse_timestamp(text: str) -> int | None:
    """Return YYYYMMDDHHMMSS[.fraction], UTC, as ns since the epoch; None if it is no time that can be kept."""
    match = re.fullmatch(r"(\d{14})(?:\.(\d{1,9}))?", text, re.ASCII)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    mtime_ns = seconds * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
    return mtime_ns if abs(mtime_ns) <= _MAX_NS else None


def parse_utime(argument: str) -> Iterator[tuple[str, int]]:
    """Yield what the argument of SITE UTIME can mean: a path and its time in ns since the epoch."""
    when, _, name = argument.partition(" ")
    if name and (mtime_ns := _utime(when)) is not None:
        yield name, mtime_ns
    words = argument.rsplit(" ", 4)
    if (
        len(words) == 5
        and words[4].upper() == "UTC"
        and words[0]
        and (mtime_ns := _utime(words[2])) is not None
    ):
        yield words[0], mtime_ns


def _utime(text: str) -> int | None:
    return parse_timestamp(text if len(text) != 12 else f"{text}00")


class FactWriter:
    """Writes the facts of MLSD and MLST (RFC 3659) that a session chose, for a user with certain rights."""

    def __init__(self, facts: Sequence[str], rights: str) -> None:
        self._facts = facts
        self._file_perm = "".join(letter for letter in _FILE_RIGHTS if letter in rights)
        self._directory_perm = _directory_perm(rights)

    def facts(self, entry: Entry) -> str:
        """Return `name=value;...` without the entry's own name."""
        return "".join(f"{fact}={self._value(fact, entry)};" for fact in self._facts)

    def line(self, entry: Entry) -> str:
        """Return one line of MLSD."""
        return f"{self.facts(entry)} {entry.name}"

    def _value(self, fact: str, entry: Entry) -> str:
        if fact == "type":
            return "dir" if entry.is_directory else "file"
        if fact == "size":
            return str(entry.size)
        if fact == "modify":
            return timestamp(entry.mtime_ns)
        if fact == "perm":
            return self._directory_perm if entry.is_directory else self._file_perm
        if fact == "unique":
            return f"{entry.inode:x}"
        return "0755" if entry.is_directory else "0644"


def _directory_perm(rights: str) -> str:
    perm = ""
    for letter, right in (("c", "w"), ("d", "d"), ("e", "e"), ("f", "f"), ("l", "l"), ("m", "m"), ("p", "d")):
        if right in rights:
            perm += letter
    return perm


def block(lines: Iterable[str]) -> bytes:
    """Return lines as they are sent."""
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
