"""What a store must be told: who it is, where its data lies, who the others are, and its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raftstore.peers.pki import Identity

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Settings of one node's store.

    `members` holds every node of the cluster, this one too, with the address at which *this* node reaches it.
    Times are in seconds, sizes in bytes.
    """

    name: str
    data: Path
    listen: Address
    members: Mapping[str, Address]
    identity: Identity
    replicas: int = 3
    encryption: Literal["full", "bulk-auth"] = "full"
    volume_bytes: int = 1 << 30
    reserve_bytes: int = 64 << 20
    command_timeout: float = 10.0
    barrier_timeout: float = 5.0
    compact_entries: int = 100_000

    @property
    def others(self) -> list[str]:
        """The names of the other members."""
        return [name for name in self.members if name != self.name]
