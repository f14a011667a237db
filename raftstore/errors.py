"""Errors of the store.

Each class states its `code`, which stands on the wire, in the log and in `-o json`; its `message`, which is for people;
and its `exit_code` (docs/exit-codes.md). All three are stable: a class may be renamed, they may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class StoreError(Exception):
    """Something that the store could not do: the base of all its errors, and one of no closer kind."""

    code: ClassVar[str] = "StoreError"
    """Its name for programs."""
    message: ClassVar[str] = "The store could not do what was asked"
    """What str() says before the detail."""
    exit_code: ClassVar[int] = 1
    """What a command exits with that fails with it."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message}: {self.detail}" if self.detail else self.message


class NotFound(StoreError):
    """What is named is not there."""

    code = "NotFound"
    message = "Not found"
    exit_code = 10

    @staticmethod
    def node(name: str, members: Iterable[str]) -> str:
        """Return the detail for a node that is no member."""
        return f"node {name}; the cluster has {', '.join(sorted(members))}"


class AlreadyExists(StoreError):
    """The name is taken."""

    code = "AlreadyExists"
    message = "It exists already"
    exit_code = 11


class NotEmpty(StoreError):
    """The directory to remove or to replace has entries."""

    code = "NotEmpty"
    message = "The directory is not empty"
    exit_code = 12


class NotADirectory(StoreError):
    """A file stands where a directory is needed."""

    code = "NotADirectory"
    message = "Not a directory"
    exit_code = 13


class IsADirectory(StoreError):
    """A directory stands where a file is needed."""

    code = "IsADirectory"
    message = "It is a directory"
    exit_code = 14


class Cycle(StoreError):
    """A directory would come to lie below itself."""

    code = "Cycle"
    message = "A directory cannot be moved into itself"
    exit_code = 15


class BadName(StoreError):
    """A name that the store does not take, whoever asks."""

    code = "BadName"
    message = "Not a usable name"
    exit_code = 16


class QuotaExceeded(StoreError):
    """It would take the owner above the quota."""

    code = "QuotaExceeded"
    message = "Does not fit into the owner's quota"
    exit_code = 17


class DiskFull(StoreError):
    """There is too little free disk for what is to be written."""

    code = "DiskFull"
    message = "Not enough free disk on enough nodes"
    exit_code = 18


class TooLarge(StoreError):
    """It exceeds a limit of the store."""

    code = "TooLarge"
    message = "Larger than the store takes"
    exit_code = 19


class Changed(StoreError):
    """Another session changed it since it was read."""

    code = "Changed"
    message = "It was changed meanwhile by another session"
    exit_code = 20


class Denied(StoreError):
    """The account lacks the right."""

    code = "Denied"
    message = "The account does not have the right to it"
    exit_code = 21


class NoQuorum(StoreError):
    """No majority answers: nothing was changed."""

    code = "NoQuorum"
    message = "A majority of the cluster cannot be reached"
    exit_code = 30


class Unavailable(StoreError):
    """What is needed cannot be reached now; it may be later."""

    code = "Unavailable"
    message = "No healthy copy of the data can be reached now"
    exit_code = 31


class OutcomeUnknown(NoQuorum):
    """It was proposed and not confirmed in time: it may or may not have been done."""

    code = "OutcomeUnknown"
    message = "The cluster did not confirm in time; it may or may not have been done"
    exit_code = 32


class Damaged(StoreError):
    """Bytes on disk are not those that were written."""

    code = "Damaged"
    message = "Damaged data on disk"
    exit_code = 40


class DiskFailed(StoreError):
    """A write or a sync failed: this disk acknowledges nothing any more."""

    code = "DiskFailed"
    message = "The disk failed; nothing more is acknowledged from it"
    exit_code = 41


class Refused(StoreError):
    """The node that was asked does not do it, and says why."""

    code = "Refused"
    message = "The node refused the request"
    exit_code = 50


class Incompatible(Refused):
    """The versions of two nodes, or of a node and the cluster's level, do not fit together."""

    code = "Incompatible"
    message = "The versions of the nodes do not fit together"
    exit_code = 55


class Removed(StoreError):
    """This node is no member any more."""

    code = "Removed"
    message = "This node was removed from the cluster"
    exit_code = 52


class Superseded(StoreError):
    """This node's disk is older than one that the node had in the cluster since."""

    code = "Superseded"
    message = "This node's data are older than what it had on another disk"
    exit_code = 53


class WrongClock(StoreError):
    """This machine's clock is too far from the others'."""

    code = "WrongClock"
    message = "This machine's clock is wrong"
    exit_code = 56


class TooNew(StoreError):
    """The cluster uses what this version does not know."""

    code = "TooNew"
    message = "The cluster's data need a newer version of pixraft than this one"
    exit_code = 54
    way_out = (
        "Install a version of pixraft that knows it (`pixraft upgrade status` at another node names theirs) and start "
        'the node again: nothing is lost, it goes on where it stopped. See "A node that is too old" in '
        "docs/operating.md"
    )
    """What to do about it; for the end of a detail."""


class EventsLost(StoreError):
    """One cannot go on behind a number: what follows it is not kept any more, or it was never given: list anew.

    `first` is the oldest that there is. Another node's answer has it in the detail alone.
    """

    code = "EventsLost"
    message = "One cannot go on behind this number"
    exit_code = 57

    def __init__(self, detail: str = "", first: int = 0) -> None:
        super().__init__(detail)
        self.first = first


class Invalid(StoreError):
    """A request that no node can take, whatever its state."""

    code = "Invalid"
    message = "Not a valid request"
    exit_code = 51


KINDS: tuple[type[StoreError], ...] = tuple(
    kind for kind in globals().copy().values() if isinstance(kind, type) and issubclass(kind, StoreError)
)
"""The errors that arrive at another node as what they are: those of this module."""

_BY_CODE = {kind.code: kind for kind in KINDS}


def error_of(code: str, detail: str) -> StoreError:
    """Make the error that another node reported; a code that this version does not know becomes StoreError."""
    return _BY_CODE.get(code, StoreError)(detail)
