"""What is refused, as HTTP: a status, and the words that all front-ends have for it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from ftpgateway.access.ledger import LimitReached
from ftpgateway.access.refusal import LoginRefused
from ftpgateway.serving.refusals import Doing, TooManyNames, reason
from raftstore import errors
from raftstore.errors import StoreError

_STATUSES: tuple[tuple[type[StoreError], int], ...] = (
    (LimitReached, 429),
    (TooManyNames, 400),
    (errors.OutcomeUnknown, 504),
    (errors.DiskFull, 507),
    (errors.QuotaExceeded, 507),
    (errors.TooLarge, 413),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.NotEmpty, 409),
    (errors.NotADirectory, 409),
    (errors.IsADirectory, 409),
    (errors.Cycle, 409),
    (errors.Changed, 409),
    (errors.BadName, 400),
    (errors.Invalid, 400),
    (errors.Denied, 403),
    (errors.Refused, 403),
)
"""The first kind that fits counts; all others are 503: the store could not do it now."""

RETRY_SECONDS = 5


class Refusal(NamedTuple):
    """A status and a sentence; `code` names the kind for programs."""

    status: int
    text: str
    code: str

    @property
    def again(self) -> bool:
        """Whether the same may succeed in a moment."""
        return self.status in (429, 503, 504)


class NotServing(LoginRefused):
    """This node takes no clients now: it is in maintenance."""


class BadRequest(Exception):
    """A request that nobody could answer; `str()` is a sentence for its client."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def login_refused(error: LoginRefused) -> Refusal:
    """Return what is said to who may not sign in, or go on, whatever the password."""
    status = 503 if isinstance(error, NotServing) else 429
    return Refusal(status, f"{str(error).rstrip('.')}.", "LimitReached" if status == 429 else "Unavailable")


def refusal(error: StoreError, doing: Doing = Doing.NAMES) -> Refusal:
    """Return what is said of `error`."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 503)
    return Refusal(status, reason(error, doing), error.code)
