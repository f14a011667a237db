"""FTP replies for the store's errors: a code, and the reason that all front-ends give. Pure."""

from __future__ import annotations

from ftpgateway.access.ledger import LimitReached
from ftpgateway.serving.refusals import Doing, TooManyNames, reason
from raftstore import errors
from raftstore.errors import StoreError

_CODES: tuple[tuple[type[StoreError], int], ...] = (
    (errors.DiskFull, 452),
    (errors.QuotaExceeded, 452),
    (errors.TooLarge, 552),
    (errors.NotFound, 550),
    (errors.AlreadyExists, 550),
    (errors.NotEmpty, 550),
    (errors.NotADirectory, 550),
    (errors.IsADirectory, 550),
    (errors.Cycle, 550),
    (errors.Denied, 550),
    (errors.Changed, 450),
    (TooManyNames, 450),
    (errors.Refused, 550),
)
"""All others are 451: the store could not do it now."""


def refusal(error: StoreError, doing: Doing = Doing.NAMES) -> str:
    """Return the whole reply line for `error`."""
    return f"{_code(error, doing)} {reason(error, doing)}"


def _code(error: StoreError, doing: Doing) -> int:
    if isinstance(error, errors.BadName):
        return 553
    if isinstance(error, errors.Invalid):
        return 501 if doing is Doing.NAMES else 554
    if isinstance(error, LimitReached):
        # 452: what is being written has nowhere to go; 450: what was asked for cannot be had now.
        return 452 if doing is Doing.WRITING else 450
    if isinstance(error, errors.Unavailable) and doing is Doing.READING:
        return 450
    return next((code for kind, code in _CODES if isinstance(error, kind)), 451)


def quoted(path: str) -> str:
    """Return `path` in double quotes, those within doubled (RFC 959, appendix II).

    Exactly, since the client may send it back. No name has a CR, LF or NUL; one that came before `paths.check_new` may
    have others that a terminal obeys.
    """
    return '"' + path.replace('"', '""') + '"'
