"""What the node must be told about logins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Settings of logins; times are in seconds.

    A verified password is remembered for `credential_ttl`, at most `credential_entries` of them; `password_threads`
    verify others, and at most `password_queue` logins wait for that.
    """

    credential_ttl: float = 300.0
    credential_entries: int = 4096
    password_threads: int = 2
    password_queue: int = 256
