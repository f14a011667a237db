"""What the node must be told about its clients: who logs in, and what all of them may hold."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from ftpgateway.access.ledger import MIB, LedgerLimits, Limits
from ftpgateway.access.login.guard import Slowness
from raftstore.util.networks import Network
from raftstore.util.settings import Mistake, declared, kinds

LEAST_MEMORY = 128 * MIB
"""Bytes for clients on however small a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleSettings:
    """Persons, and what they send to each other. All nodes should have the same here."""

    list: bool = declared(
        kinds.BOOLEAN,
        "Persons see the names of all others in /send. Otherwise only of those that they are in a group with, or have "
        "sent something to; they can send to everybody all the same.",
        True,
    )
    drafts: tuple[str, ...] = declared(
        kinds.PATTERNS,
        "Names, in upper or lower case, that uploaders use while they write, separated by commas. What has such a name "
        "in /send is delivered when it is renamed, and gone after 24 hours.",
        "*.part, *.partial, *.filepart, *.tmp, .*",
    )

    def is_draft(self, name: str) -> bool:
        """Whether it is a name that uploaders use while they write."""
        return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in self.drafts)


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
    people: PeopleSettings = PeopleSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsSettings:
    """What clients of all protocols together may hold at once on this node, and the balancers they come through."""

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
            if 0 < getattr(self, key) < 16 * MIB:
                yield Mistake(
                    key, "one SFTP session alone may need a mebibyte", f"give at least {16 * MIB}, or 0"
                )
        for key in ("memory_per_account", "memory_per_address"):
            if self.memory and getattr(self, key) > self.memory:
                yield Mistake(key, "is more than clients.memory", "give less, or 0")

    def limits(self, machine: int, ports: int = 0) -> LedgerLimits:
        """Return what clients may hold at once on a machine with so many bytes of memory.

        Of `ports` for passive data connections (0: any number) an account has at most half.
        """
        memory = self.memory or max(LEAST_MEMORY, machine // 4)
        return LedgerLimits(
            node=Limits(memory=memory, handles=self.handles, names=self.names),
            account=Limits(
                memory=self.memory_per_account or memory // 4,
                handles=max(1, self.handles // 10),
                names=max(1, self.names // 5),
                connections=self.connections_per_account,
                ports=-(-ports // 2),
            ),
            network=Limits(
                memory=self.memory_per_address or memory // 2,
                handles=max(1, self.handles // 4),
                names=max(1, self.names // 2),
                connections=self.connections_per_address,
                ports=-(-ports * 3 // 4),
            ),
        )
