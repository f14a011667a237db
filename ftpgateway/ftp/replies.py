"""FTP replies for the store's errors: which code, and a text that says what to do. Pure."""

from __future__ import annotations

import enum

from ftpgateway.access.ledger import LimitReached
from raftstore import errors, paths
from raftstore.errors import StoreError


class Doing(enum.Enum):
    """What was under way when the store refused: the code can depend on it."""

    NAMES = "names"
    READING = "reading"
    WRITING = "writing"


class TooMany(StoreError):
    """One command names more than it may."""

    code = "TooMany"
    message = "More names than one command takes"


_REPLIES: tuple[tuple[type[StoreError], int, str], ...] = (
    (
        errors.OutcomeUnknown,
        451,
        "The cluster did not confirm in time; list the directory before you try again.",
    ),
    (
        errors.NoQuorum,
        451,
        "Too few nodes of the cluster can be reached; nothing was changed, try again later.",
    ),
    (errors.Unavailable, 451, "No healthy copy can be reached now; try again later."),
    (errors.Damaged, 451, "The stored copy is damaged and another one could not be read; try again later."),
    (errors.DiskFailed, 451, "A disk of this node failed; try again at another node."),
    (errors.DiskFull, 452, "Not enough free disk in the cluster; ask its operator for room."),
    (
        errors.QuotaExceeded,
        452,
        "It does not fit into your quota; delete something, or ask the operator for more.",
    ),
    (errors.TooLarge, 552, "Larger than this server takes; send a smaller file."),
    (errors.NotFound, 550, "No such file or directory."),
    (errors.AlreadyExists, 550, "It exists already; choose another name."),
    (errors.NotEmpty, 550, "The directory is not empty; delete what is in it first."),
    (errors.NotADirectory, 550, "Not a directory."),
    (errors.IsADirectory, 550, "It is a directory, not a file."),
    (errors.Cycle, 550, "A directory cannot be moved into itself."),
    (errors.Denied, 550, "You do not have the right to do that here."),
    (errors.Changed, 450, "It was changed meanwhile by another session; try again."),
    (TooMany, 450, "More names than one command takes; go on directory by directory."),
    (errors.Refused, 550, "This server does not allow it; ask its operator."),
)


one_line = paths.shown
"""Makes a text fit for one line of a reply or of the log."""


def refusal(error: StoreError, doing: Doing = Doing.NAMES) -> str:
    """Return the whole reply line for `error`."""
    if isinstance(error, errors.BadName):
        return f"553 {one_line(str(error))}."
    if isinstance(error, errors.Invalid):
        code = 501 if doing is Doing.NAMES else 554
        return f"{code} {one_line(error.detail or str(error))}."
    if isinstance(error, LimitReached):
        # 452: what is being written has nowhere to go; 450: what was asked for cannot be had now.
        return f"{452 if doing is Doing.WRITING else 450} {one_line(str(error))}."
    if isinstance(error, errors.Unavailable) and doing is Doing.READING:
        return "450 No healthy copy of this file can be reached now; try again later."
    if isinstance(error, errors.NoQuorum) and type(error) is errors.NoQuorum and doing is Doing.READING:
        return "451 Too few nodes of the cluster can be reached; try again later or at another node."
    for kind, code, text in _REPLIES:
        if isinstance(error, kind):
            return f"{code} {text}"
    return "451 The store could not do it; try again later."


def quoted(path: str) -> str:
    """Return `path` in double quotes, those within doubled (RFC 959, appendix II).

    Exactly, since the client may send it back. No name has a CR, LF or NUL; one that came before `paths.check_new` may
    have others that a terminal obeys.
    """
    return '"' + path.replace('"', '""') + '"'
