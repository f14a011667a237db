"""What the FTP front-end must be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ftpgateway.serving.proxies import Network
from raftstore.util.addresses import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpSettings:
    """Settings of the FTP front-end; times are in seconds.

    `listen` with host "" or "::" serves IPv6 and IPv4 on one socket. `passive_ports` is (first, last), both
    used; None takes any free port. `masquerade_address` (IPv4 address or host name) is told to clients in the
    reply to PASV when the node is behind NAT; a name is looked up every `masquerade_interval`. `active_mode`:
    PORT and EPRT are there. `certificate` is a PEM file with private key and certificate chain, looked at for a
    new one every `certificate_interval`; None offers no TLS. Who connects to `implicit_tls_listen` begins with
    TLS. `require_tls_reuse`: a TLS data connection must resume a session of its own control connection.
    `login_timeout` bounds the time from connection to login, `handshake_timeout` that for TLS on a control
    connection, `data_timeout` that for a data connection to come about, `stall_timeout` that of a transfer without
    progress to speak of, `wait_limit` any wait for the store (the store has its own, shorter deadlines).
    `max_logging_in` sessions may be on their way to a login; who connects from one of `proxy_networks` is a balancer,
    which tells the client by the PROXY protocol.
    """

    listen: Address = Address("0.0.0.0", 2121)
    also_listen: tuple[Address, ...] = ()
    passive_ports: tuple[int, int] | None = None
    masquerade_address: str | None = None
    active_mode: bool = True
    certificate: Path | None = None
    certificate_interval: float = 30.0
    implicit_tls_listen: Address | None = None
    require_tls: bool = False
    require_tls_reuse: bool = False
    masquerade_interval: float = 60.0
    idle_timeout: float = 300.0
    login_timeout: float = 60.0
    handshake_timeout: float = 30.0
    data_timeout: float = 30.0
    stall_timeout: float = 120.0
    wait_limit: float = 60.0
    max_sessions: int = 2000
    max_sessions_per_address: int = 0
    max_logging_in: int = 500
    proxy_networks: tuple[Network, ...] = ()
    max_login_attempts: int = 3
    hash_threads: int = 2
    banner: str = "pixraft FTP server ready."

    def __post_init__(self) -> None:
        if self.certificate is None and (self.require_tls or self.implicit_tls_listen is not None):
            raise ValueError("require_tls and implicit_tls_listen need a certificate")
        if self.passive_ports is not None and not 0 < self.passive_ports[0] <= self.passive_ports[1] < 65536:
            raise ValueError("passive_ports is (first, last) with 0 < first <= last < 65536")
