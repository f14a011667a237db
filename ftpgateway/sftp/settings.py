"""What the SFTP front-end must be told: the section [sftp], and what only code and tests set."""

from __future__ import annotations

from dataclasses import dataclass

from raftstore.util.addresses import Address
from raftstore.util.settings import declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpSettings:
    """What SFTP clients see. Accounts, rights and pictures are the same as for FTP.

    Times are in seconds, sizes in bytes. `idle_timeout` bounds a session without a whole request or a keep-alive and
    one that does not read its replies, `wait_limit` any wait for the store.
    """

    listen: Address | None = declared(
        kinds.ADDRESS_OR_EMPTY, 'Address of the SFTP server. "" offers no SFTP.', "0.0.0.0:2022"
    )
    workers: int = declared(
        kinds.integer(1, 64),
        "Most processes that do SSH for this node; they are started as sessions need them. As many as processors.",
        2,
    )
    idle_timeout: float = declared(
        kinds.integer(10, 86400),
        "Seconds after which a session that does nothing is closed; keep-alives of SSH count as doing something.",
        300,
    )
    login_timeout: float = declared(
        kinds.integer(5, 3600), "Seconds within which a client has to have logged in.", 60
    )
    max_login_attempts: int = declared(
        kinds.integer(1, 10), "Wrong passwords after which the connection is closed.", 3
    )
    max_sessions: int = declared(
        kinds.integer(1, 10_000),
        "Connections at once on this node. An account has at most three quarters of them.",
        500,
    )
    max_sessions_per_address: int = declared(
        kinds.integer(0, 10_000), "Connections at once from one address; 0 is any number.", 0
    )
    max_logging_in: int = declared(
        kinds.integer(1, 10_000),
        "Connections at once that have not logged in yet, three quarters of them from one address. One more replaces "
        "the oldest that has sent nothing, of the address that has most.",
        64,
    )
    legacy_algorithms: bool = declared(
        kinds.BOOLEAN,
        "Also offer what devices and programs from before some 2015 need: RSA keys that sign with SHA-1 (ssh-rsa), "
        "diffie-hellman-group14-sha1, hmac-sha1, aes128-cbc, aes256-cbc and 3des-cbc. They are weak; each is used only "
        "by clients that know nothing better.",
        False,
    )
    wait_limit: float = 60.0
    max_channels: int = 8
    max_handles: int = 1024
    restart_longest: float = 30.0
