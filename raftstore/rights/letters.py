"""What the letters of an account's rights allow. Pure.

The letters are pyftpdlib's, which operators of other servers know, and two of our own. A file is its owner's, who is
the account that has put its present version. To replace a file takes its earlier version away, so it needs `d` beside
`w`; with `o` an account may do to its own files what changes them, but neither list nor read them.
"""

from __future__ import annotations

import enum


class Action(enum.Enum):
    """What can be done at a path; the value names it to the client."""

    # Each member is there once. Enum's own is a Python function, and this is asked at every command.
    __hash__ = object.__hash__

    ENTER = "enter this directory"
    LIST = "list what is here"
    READ = "read this file"
    WRITE = "store files here"
    OVERWRITE = "replace this file"
    APPEND = "append to this file"
    DELETE = "delete this file"
    RENAME = "rename this"
    MAKE_DIRECTORY = "make directories here"
    REMOVE_DIRECTORY = "remove this directory"
    SET_TIMES = "set times here"


ROLES = {
    "admin": "elradfmwMTA",
    "member": "elradfmwMT",
    "read-only": "elr",
    "drop-box": "emwo",
    "none": "",
}
"""Rights by the words for them. An admin has all rights whatever the rules of directories say; a drop-box may upload,
and change what it has uploaded, but sees nothing; `none` leaves an account what its rules give it."""

_LETTERS = {
    Action.ENTER: "e",
    Action.LIST: "l",
    Action.READ: "r",
    Action.WRITE: "w",
    Action.APPEND: "a",
    Action.DELETE: "d",
    Action.RENAME: "f",
    Action.MAKE_DIRECTORY: "m",
    Action.REMOVE_DIRECTORY: "d",
    Action.SET_TIMES: "T",
}
_OF_OWN = frozenset({Action.APPEND, Action.DELETE, Action.RENAME, Action.SET_TIMES})


def permits(letters: str, action: Action, *, own: bool = False) -> bool:
    """Return whether `letters` allow `action`; `own`: upon a file of the account itself."""
    if action is Action.OVERWRITE:
        return "w" in letters and ("d" in letters or (own and "o" in letters))
    return _LETTERS[action] in letters or (own and action in _OF_OWN and "o" in letters)


def word_of(letters: str) -> str:
    """Return the role with exactly these rights, or the letters themselves."""
    return next((word for word, rights in ROLES.items() if set(rights) == set(letters)), letters)
