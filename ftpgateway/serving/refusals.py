"""Why the store refused, in words for the person at a client: what it means and what to do. Pure.

Each protocol adds a code of its own: see `ftp.replies` and `sftp.refusals`.
"""

from __future__ import annotations

import enum

from ftpgateway.access.ledger import LimitReached
from ftpgateway.access.tree import MountRefused
from raftstore import errors, paths
from raftstore.errors import StoreError
from raftstore.rights import Action
from raftstore.rights.reserved import says_takes_nothing


class Doing(enum.Enum):
    """What was under way when the store refused: code and text can depend on it."""

    NAMES = "names"
    READING = "reading"
    WRITING = "writing"


class TooManyNames(StoreError):
    """One command names more than it may."""

    code = "TooMany"
    message = "More names than one command takes"


_REASONS: tuple[tuple[type[StoreError], str], ...] = (
    (errors.OutcomeUnknown, "The cluster did not confirm in time; list the directory before you try again."),
    (errors.NoQuorum, "Too few nodes of the cluster can be reached; nothing was changed, try again later."),
    (errors.Unavailable, "No healthy copy can be reached now; try again later."),
    (errors.Damaged, "The stored copy is damaged and another one could not be read; try again later."),
    (errors.DiskFailed, "A disk of this node failed; try again at another node."),
    (errors.DiskFull, "Not enough free disk in the cluster; ask its operator for room."),
    (
        errors.QuotaExceeded,
        "It does not fit into your quota; delete something, or ask the operator for more.",
    ),
    (errors.TooLarge, "Larger than this server takes; send a smaller file."),
    (errors.NotFound, "No such file or directory."),
    (errors.AlreadyExists, "It exists already; choose another name."),
    (errors.NotEmpty, "The directory is not empty; delete what is in it first."),
    (errors.NotADirectory, "Not a directory."),
    (errors.IsADirectory, "It is a directory, not a file."),
    (errors.Cycle, "A directory cannot be moved into itself."),
    (errors.Denied, "You do not have the right to do that here."),
    (errors.Changed, "It was changed meanwhile by another session; try again."),
    (TooManyNames, "More names than one command takes; go on directory by directory."),
    (errors.Refused, "This server does not allow it; ask its operator."),
)
"""The first kind that fits counts."""


WRONG_PASSWORD = (
    "Wrong user name or password; after many wrong ones from an address the right one has to wait, too."
)
"""The one answer to whoever may not log in, whatever the reason: what it does not tell, nobody learns."""

TOO_MANY_LOGINS = "Too many logins at once; try again in a moment."

NO_QUORUM = "Too few nodes of the cluster can be reached; try again later or at another node."
"""To who cannot log in since the accounts cannot be read."""

one_line = paths.shown
"""Makes a text fit for one line of a reply or of the log."""


def reason(error: StoreError, doing: Doing = Doing.NAMES) -> str:
    """Return the text that tells a client why `error` came of its request: one line."""
    if isinstance(error, (errors.Invalid, MountRefused)):
        return f"{one_line(error.detail or str(error))}."
    if isinstance(error, errors.NotFound) and says_takes_nothing(error.detail):
        return f"{one_line(error.detail)}."
    if isinstance(error, errors.Denied) and says_why(error.detail):
        return f"{one_line(error.detail[:1].upper() + error.detail[1:])}."
    if isinstance(error, (errors.BadName, LimitReached)):
        return f"{one_line(str(error))}."
    if isinstance(error, errors.Unavailable) and doing is Doing.READING:
        return "No healthy copy of this file can be reached now; try again later."
    if type(error) is errors.NoQuorum and doing is Doing.READING:
        return "Too few nodes of the cluster can be reached; try again later or at another node."
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return text
    return "The store could not do it; try again later."


_ACTIONS = frozenset(action.value for action in Action)


def says_why(detail: str) -> bool:
    """Whether a denial says why: no path, of the store it would tell where the home lies, nor just what was asked."""
    return " " in detail and not detail.startswith("/") and detail not in _ACTIONS
