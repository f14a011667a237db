"""Keys of [consensus]: how much of the replicated log is kept."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.node.config import kinds
from ftpgateway.node.config.declare import declared


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusConfig:
    """How much of the replicated log is kept: the same on every node. The defaults suit nearly everyone."""

    log_entries: int = declared(
        kinds.integer(30, 10_000_000),
        "Entries (each of up to 1024 commands) up to which the log grows before it is cut; a third of them stay. "
        "A node that was away for longer than they last is sent a snapshot of the catalog.",
        30_000,
    )
    log_bytes: int = declared(
        kinds.integer(64 * 1024, 64 * 1024**3),
        "Bytes up to which the log grows before it is cut, in memory too; about half of them stay.",
        64 * 1024**2,
    )
    snapshot_piece: int = declared(
        kinds.integer(4096, 4 * 1024**2),
        "Bytes of a snapshot that a node asks for at a time: the next piece when it has stored the last one.",
        1024**2,
    )
