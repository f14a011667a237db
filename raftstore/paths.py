"""Names and paths: what the store takes. Pure functions, shared by front-ends and the state machine."""

from __future__ import annotations

import re
from collections.abc import Callable

from raftstore.errors import BadName

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096
MAX_DEPTH = 128

EXISTING = 8
"""So many times longer may be the path of what is there already: directories could be moved beyond the bounds once."""
_MISLEADING = re.compile(
    "["
    "\x7f-\x9f"  # C1: a terminal obeys U+009B as it does ESC [
    "\u2028\u2029"  # ends of lines and paragraphs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the text around them: gpj.exe is shown as exe.jpg
    "\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"  # they are not seen
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # no characters
    "]"
)
"""What new names must not have. Joiners (U+200C, U+200D) stay: Persian, Hindi and emoji need them."""

_UNUSABLE = re.compile(r"[/\x00-\x1f\x7f]")

_PLAIN_NAME = re.compile(r"[ -\-0-~][ -.0-~]{0,254}+").fullmatch
_PLAIN_PATH = re.compile(r"(?:/[ -\-0-~][ -.0-~]{0,254}+)++").fullmatch
"""Printable ASCII and no leading dots: nearly all names are so, and then one look is enough."""


def shown(text: str) -> str:
    """Return `text` for people, on one line: what is not printable, or turns text around it, is written as \\u202e."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(ord(character)) for character in text)


def shown_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, as `shown` makes each of them."""
    return "\n".join(map(shown, text.split("\n")))


def shown_json(document: str) -> str:
    """Return a JSON document on one line for the same: such characters are only in its strings, and mean the same."""
    if document.isprintable():
        return document
    return "".join(
        character if character.isprintable() else "".join(f"\\u{unit:04x}" for unit in _utf16(character))
        for character in document
    )


def _utf16(character: str) -> tuple[int, ...]:
    data = character.encode("utf-16-be", "surrogatepass")
    return tuple(int.from_bytes(data[start : start + 2]) for start in range(0, len(data), 2))


def _escaped(point: int) -> str:
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}" if point < 65536 else f"\\U{point:08x}"


def check_name(name: str) -> None:
    """Raise BadName unless `name` can name a file or directory (UTF-8, at most 255 bytes, no control bytes)."""
    if _PLAIN_NAME(name):
        return
    if name in ("", ".", ".."):
        raise BadName(f"{name!r} cannot be a name")
    if _UNUSABLE.search(name):
        raise BadName("a name has no slash and no control characters")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadName("a name must be UTF-8; set your client to UTF-8") from None
    if size > MAX_NAME_BYTES:
        raise BadName(f"a name has at most {MAX_NAME_BYTES} bytes, this one has {size}")


def check_new(path: str) -> None:
    """Raise BadName unless the last name of `path`, which is normalised, can be one that is not there yet.

    Names that came before this rule stay: they can be read, renamed and removed.
    """
    found = _MISLEADING.search(path.rpartition("/")[2])
    if found:
        point = ord(found[0])
        raise BadName(
            f"a new name has no characters that control, turn or hide text, as U+{point:04X} in this one"
        )


def split(path: str, *, existing: bool = False) -> list[str]:
    """Split a normalised absolute path into its names; `/` gives an empty list. Raise BadName if unusable.

    `existing`: it is to find something, not to make it.
    """
    most = EXISTING if existing else 1
    if not path.startswith("/"):
        raise BadName("a path starts with /")
    if path == "/":
        return []
    names = path[1:].split("/")
    if len(names) > MAX_DEPTH * most:
        raise BadName(f"a path has at most {MAX_DEPTH} levels, this one has {len(names)}")
    if len(path) <= MAX_PATH_BYTES and _PLAIN_PATH(path):
        return names
    for name in names:
        check_name(name)
    if len(path.encode()) > MAX_PATH_BYTES * most:
        raise BadName(f"a path has at most {MAX_PATH_BYTES} bytes")
    return names


def join(base: str, path: str) -> str:
    """Resolve what a client sent (`path`, absolute or relative to `base`) to a normalised absolute path.

    `.` and empty names vanish, `..` goes up and stops at `/`. Names are not checked: see `split`.
    """
    stack: list[str] = []
    for name in (path if path.startswith("/") else f"{base}/{path}").split("/"):
        if name == "..":
            if stack:
                stack.pop()
        elif name not in ("", "."):
            stack.append(name)
    return "/" + "/".join(stack)


def within(path: str, directory: str) -> bool:
    """Whether a normalised path is `directory`, or lies in it."""
    return path == directory or directory == "/" or path.startswith(f"{directory}/")


def parent(path: str) -> tuple[str, str]:
    """Split a normalised path into the path of its directory and its last name. `/` has no parent: BadName."""
    head, _, name = path.rpartition("/")
    if not name:
        raise BadName("the root directory has no name")
    return head or "/", name


def numbered(name: str, number: int) -> str:
    """Return a name with a number before its ending: `photo (2).jpg`. What is too long for that is cut before it."""
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    tail = f" ({number}){dot}{ending}"
    left = MAX_NAME_BYTES - len(tail.encode())
    if left < 1:  # all of it is the ending
        tail = f" ({number})"
        stem, left = name, MAX_NAME_BYTES - len(tail.encode())
    return stem.encode()[:left].decode(errors="ignore") + tail


def free_name(name: str, taken: Callable[[str], bool]) -> str:
    """Return `name`, or one with a number behind it that is free: asked a few times, however many are taken."""
    if not taken(name):
        return name
    last, tried = 1, 2
    while taken(numbered(name, tried)):
        last, tried = tried, 2 * tried
    while tried - last > 1:  # `last` is taken, `tried` is free
        middle = (last + tried) // 2
        if taken(numbered(name, middle)):
            last = middle
        else:
            tried = middle
    return numbered(name, tried)
