"""What the node must be told about logins."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.access.ledger import LedgerLimits
from ftpgateway.access.login.guard import Slowness


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Settings of logins; times are in seconds.

    A verified password is remembered for `credential_ttl`, at most `credential_entries` of them; `password_threads`
    verify others, and at most `password_queue` logins wait for that, `password_queue_per_network` of them from one
    network. `failed_delay` passes before a wrong password is answered, and `slowness` says how networks with many of
    them are treated. With `anonymous_root`, a directory of the store, the users anonymous and ftp may read what is
    there, whatever their password. `ledger` bounds what clients may hold at once.
    """

    credential_ttl: float = 300.0
    credential_entries: int = 4096
    password_threads: int = 2
    password_queue: int = 256
    password_queue_per_network: int = 64
    failed_delay: float = 1.0
    slowness: Slowness = Slowness()  # noqa: RUF009  # immutable
    anonymous_root: str | None = None
    ledger: LedgerLimits = LedgerLimits()  # noqa: RUF009  # immutable
