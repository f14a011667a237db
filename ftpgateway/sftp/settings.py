"""What the SFTP front-end is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.serving.proxies import Network
from raftstore.util.addresses import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpSettings:
    """Settings of the SFTP front-end; times are in seconds, sizes in bytes.

    `workers` is the most SSH processes there are; they are started as connections need them. `login_timeout` bounds the
    time from connection to login, `idle_timeout` a session without a whole request or a keep-alive and one that does
    not read its replies, `wait_limit` any wait for the store. `max_logging_in` connections may be on their way to a
    login at once. Who connects from one of `proxy_networks` is a balancer, which tells the client by the PROXY
    protocol. `legacy_algorithms`: SHA-1 and CBC are offered, too, for old devices.
    """

    listen: Address = Address("0.0.0.0", 2022)
    workers: int = 2
    max_sessions: int = 500
    max_logging_in: int = 64
    max_sessions_per_address: int = 0
    proxy_networks: tuple[Network, ...] = ()
    max_login_attempts: int = 6
    login_timeout: float = 60.0
    idle_timeout: float = 300.0
    wait_limit: float = 60.0
    max_channels: int = 8
    max_handles: int = 1024
    restart_longest: float = 30.0
    legacy_algorithms: bool = False
