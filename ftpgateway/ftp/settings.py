"""What the FTP front-end must be told: the section [ftp], and what only code and tests set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raftstore.util.addresses import Address
from raftstore.util.settings import Mistake, declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpSettings:
    """What FTP clients see.

    Times are in seconds. `listen` with host "" or "::" serves IPv6 and IPv4 on one socket. `passive_ports` is (first,
    last), both used; None takes any free port. A new certificate is looked for every `certificate_interval`, the
    masquerade address every `masquerade_interval`. `wait_limit` bounds any wait for the store, which has its own,
    shorter deadlines.
    """

    listen: Address = declared(kinds.ADDRESS, "Address of the FTP server.", "0.0.0.0:2121")
    passive_ports: tuple[int, int] | None = declared(
        kinds.PORT_RANGE,
        'Ports for passive data connections, first-last, for your firewall. "" takes any free port.',
        "50000-50999",
    )
    masquerade_address: str = declared(
        kinds.HOST_OR_EMPTY,
        "Address that clients are told for passive data connections, when the node is behind NAT; a name is looked up "
        'once a minute. "" tells them the address that they connected to.',
        "",
    )
    tls_certificate: Path | None = declared(
        kinds.FILE_OR_EMPTY,
        'PEM file with the private key and certificate chain for FTPS (AUTH TLS). "" offers no FTPS. A new one is '
        "taken within half a minute.",
        "",
    )
    implicit_tls_listen: Address | None = declared(
        kinds.ADDRESS_OR_EMPTY,
        "Address for old clients that begin with TLS (ftps://, usually port 990); needs `tls_certificate`. "
        '"" has none.',
        "",
    )
    require_tls: bool = declared(
        kinds.BOOLEAN, "Refuse logins and transfers that are not encrypted; needs `tls_certificate`.", False
    )
    require_tls_reuse: bool = declared(
        kinds.BOOLEAN,
        "Refuse TLS data connections that do not resume a TLS session of their own control connection: nobody else "
        "can take them over. Clients that cannot do that (Python's ftplib, old ones) fail then.",
        False,
    )
    active_mode: bool = declared(
        kinds.BOOLEAN,
        "Connect to clients that ask for it (PORT, EPRT), at their own address and ports from 1024 only.",
        True,
    )
    idle_timeout: float = declared(
        kinds.integer(1, 86400),
        "Seconds after which a session that does nothing, or does not read its replies, is closed.",
        300,
    )
    login_timeout: float = declared(
        kinds.integer(1, 3600), "Seconds from connecting to having logged in; then the session is closed.", 60
    )
    handshake_timeout: float = declared(
        kinds.integer(1, 3600),
        "Seconds for the TLS handshake of a control connection; then the session is closed.",
        30,
    )
    data_timeout: float = declared(
        kinds.integer(1, 3600),
        "Seconds for a data connection to come about, with its TLS handshake; then the transfer gets 425.",
        30,
    )
    stall_timeout: float = declared(
        kinds.integer(1, 86400),
        "Seconds within which a transfer must move 4 KiB, as far as that is up to the client; then it gets 426.",
        120,
    )
    max_sessions: int = declared(
        kinds.integer(1, 100_000),
        "Sessions at once on this node; one more is refused with 421. An account has at most three quarters of them.",
        2000,
    )
    max_sessions_per_address: int = declared(
        kinds.integer(0, 100_000),
        "Of these, sessions from one address; one more is refused with 421. 0: as many as there may be.",
        0,
    )
    max_logging_in: int = declared(
        kinds.integer(1, 100_000),
        "Of these, sessions that have not logged in yet, three quarters of them from one address. One more replaces "
        "the oldest that has sent nothing, of the address that has most.",
        500,
    )
    anonymous: bool = declared(
        kinds.BOOLEAN,
        "Let everybody read what is in `anonymous_root`, as user anonymous or ftp with any password.",
        False,
    )
    anonymous_root: str = declared(
        kinds.STORE_PATH, "Directory of the store that the user anonymous sees as /.", "/public"
    )
    also_listen: tuple[Address, ...] = ()
    certificate_interval: float = 30.0
    masquerade_interval: float = 60.0
    wait_limit: float = 60.0
    max_login_attempts: int = 3
    hash_threads: int = 2
    banner: str = "pixraft FTP server ready."

    def __post_init__(self) -> None:
        if self.passive_ports is not None and not 0 < self.passive_ports[0] <= self.passive_ports[1] < 65536:
            raise ValueError("passive_ports is (first, last) with 0 < first <= last < 65536")

    def mistakes(self) -> Iterator[Mistake]:
        """Yield what does not fit together."""
        if self.implicit_tls_listen is not None and self.tls_certificate is None:
            yield Mistake("implicit_tls_listen", "needs a certificate", "set ftp.tls_certificate")
        if self.require_tls_reuse and self.tls_certificate is None:
            yield Mistake("require_tls_reuse", "needs a certificate", "set ftp.tls_certificate")
        if self.require_tls and self.tls_certificate is None:
            yield Mistake("require_tls", "needs a certificate", "set ftp.tls_certificate")
