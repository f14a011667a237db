"""Keys of [clients]: what clients of all protocols may hold, and where they come from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from ftpgateway.node.config import kinds
from ftpgateway.node.config.declare import Mistake, declared

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsConfig:
    """What clients of FTP and SFTP together may hold at once on this node, and the balancers they come through."""

    proxy_networks: tuple[Network, ...] = declared(
        kinds.NETWORKS,
        "Networks of load balancers in front of this node, separated by commas: who connects from there must say by "
        "the PROXY protocol (version 1 or 2) who the client is, and is believed. Nobody else is.",
        "",
    )
    memory: int = declared(
        kinds.integer(0, 1024**4),
        "Bytes of buffers and unfinished files in memory for all clients. 0: a quarter of the machine's memory.",
        0,
    )
    memory_per_account: int = declared(
        kinds.integer(0, 1024**4), "Of these, bytes for one account. 0: a quarter.", 0
    )
    memory_per_address: int = declared(
        kinds.integer(0, 1024**4), "Of these, bytes for one address (IPv6: a /64). 0: a half.", 0
    )
    handles: int = declared(
        kinds.integer(16, 10_000_000),
        "Open files and directories of all clients; an account has at most a tenth, an address a quarter of them.",
        20_000,
    )
    names: int = declared(
        kinds.integer(1000, 1_000_000_000),
        "Entries of listings that are held for all clients while they read them; an account has at most a fifth, an "
        "address a half of them.",
        2_000_000,
    )
    connections_per_account: int = declared(
        kinds.integer(0, 1_000_000),
        "Sessions of one account over all protocols; `max_sessions` of `pixraft user` bounds single accounts. 0: three "
        "quarters of what each protocol takes.",
        0,
    )
    connections_per_address: int = declared(
        kinds.integer(0, 1_000_000),
        "Connections of one address over all protocols, logged in or not. 0: as many as each protocol takes.",
        0,
    )

    def mistakes(self) -> Iterator[Mistake]:
        """Yield what does not fit together."""
        for key in ("memory", "memory_per_account", "memory_per_address"):
            if 0 < getattr(self, key) < 16 * _MIB:
                yield Mistake(
                    key, "one SFTP session alone may need a mebibyte", f"give at least {16 * _MIB}, or 0"
                )
        for key in ("memory_per_account", "memory_per_address"):
            if self.memory and getattr(self, key) > self.memory:
                yield Mistake(key, "is more than clients.memory", "give less, or 0")
