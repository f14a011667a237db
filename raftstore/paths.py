"""Names and paths: what the store takes. Pure functions, shared by front-ends and the state machine."""

from __future__ import annotations

import re

from raftstore.errors import BadName

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096
MAX_DEPTH = 128

EXISTING = 8
"""So many times longer may be the path of what is there already: directories could be moved beyond the bounds once."""

_UNUSABLE = re.compile(r"[/\x00-\x1f\x7f]")


def check_name(name: str) -> None:
    """Raise BadName unless `name` can name a file or directory (UTF-8, at most 255 bytes, no control bytes)."""
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
