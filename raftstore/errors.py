"""Errors of the store. A class's docstring is its message; its exit code is stable (docs/exit-codes.md)."""

from __future__ import annotations

from collections.abc import Iterable


class StoreError(Exception):
    """The store could not do what was asked"""

    exit_code = 1

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        message = (type(self).__doc__ or "").strip()
        return f"{message}: {self.detail}" if self.detail else message


class NotFound(StoreError):
    """Not found"""

    exit_code = 10

    @staticmethod
    def node(name: str, members: Iterable[str]) -> str:
        """Return the detail for a node that is no member."""
        return f"node {name}; the cluster has {', '.join(sorted(members))}"


class AlreadyExists(StoreError):
    """It exists already"""

    exit_code = 11


class NotEmpty(StoreError):
    """The directory is not empty"""

    exit_code = 12


class NotADirectory(StoreError):
    """Not a directory"""

    exit_code = 13


class IsADirectory(StoreError):
    """It is a directory"""

    exit_code = 14


class Cycle(StoreError):
    """A directory cannot be moved into itself"""

    exit_code = 15


class BadName(StoreError):
    """Not a usable name"""

    exit_code = 16


class QuotaExceeded(StoreError):
    """Does not fit into the owner's quota"""

    exit_code = 17


class DiskFull(StoreError):
    """Not enough free disk on enough nodes"""

    exit_code = 18


class TooLarge(StoreError):
    """Larger than the store takes"""

    exit_code = 19


class Changed(StoreError):
    """It was changed meanwhile by another session"""

    exit_code = 20


class Denied(StoreError):
    """The account does not have the right to it"""

    exit_code = 21


class NoQuorum(StoreError):
    """A majority of the cluster cannot be reached"""

    exit_code = 30


class Unavailable(StoreError):
    """No healthy copy of the data can be reached now"""

    exit_code = 31


class OutcomeUnknown(NoQuorum):
    """The cluster did not confirm in time; it may or may not have been done"""

    exit_code = 32


class Damaged(StoreError):
    """Damaged data on disk"""

    exit_code = 40


class DiskFailed(StoreError):
    """The disk failed; nothing more is acknowledged from it"""

    exit_code = 41


class Refused(StoreError):
    """The node refused the request"""

    exit_code = 50


class Incompatible(Refused):
    """The versions of the nodes do not fit together"""

    exit_code = 55


class Removed(StoreError):
    """This node was removed from the cluster"""

    exit_code = 52


class Superseded(StoreError):
    """This node's data are older than what it had on another disk"""

    exit_code = 53


class WrongClock(StoreError):
    """This machine's clock is wrong"""

    exit_code = 56


class TooNew(StoreError):
    """The cluster's data need a newer version of pixraft than this one"""

    exit_code = 54
    way_out = (
        "Install a version of pixraft that knows it (`pixraft upgrade status` at another node names theirs) and start "
        'the node again: nothing is lost, it goes on where it stopped. See "A node that is too old" in '
        "docs/operating.md"
    )
    """What to do about it; for the end of a detail."""


class Invalid(StoreError):
    """Not a valid request"""

    exit_code = 51


_BY_NAME: dict[str, type[StoreError]] = {
    name: kind
    for name, kind in globals().copy().items()
    if isinstance(kind, type) and issubclass(kind, StoreError)
}


def error_of(name: str, detail: str) -> StoreError:
    """Make the error that another node reported; a class that this version does not know becomes StoreError."""
    return _BY_NAME.get(name, StoreError)(detail)
