"""Keys of [jobs]: work in the background."""

from __future__ import annotations

from dataclasses import dataclass

from ftpgateway.node.config import kinds
from ftpgateway.node.config.declare import declared


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsConfig:
    """Work in the background: copies, verification, collection. The same on every node, but for the bandwidth."""

    concurrency: int = declared(
        kinds.integer(1, 16), "Jobs that this node does at a time (`pixraft jobs list` shows them).", 2
    )
    bandwidth: int = declared(
        kinds.integer(256 * 1024, 64 * 1024**3),
        "Bytes a second that all jobs of this node together read or write; an eighth of it while clients upload.",
        32 * 1024**2,
    )
    repair_after: int = declared(
        kinds.integer(1, 30 * 86400),
        "Seconds after which the pictures of a node that cannot be reached are copied to others.",
        300,
    )
    scrub_period: int = declared(
        kinds.integer(10, 365 * 86400),
        "Seconds within which every chunk on disk is read and verified again; a download of a large chunk relies on "
        "what was verified on this node within that time.",
        14 * 86400,
    )
    collect_grace: int = declared(
        kinds.integer(1, 365 * 86400),
        "Seconds for which the bytes of a deleted picture stay on disk at least; it takes up to twice as long "
        "until their space is free.",
        86400,
    )
    keep_partials: int = declared(
        kinds.integer(1, 10 * 365 * 86400),
        "Seconds for which what an interrupted upload left is kept for its owner to go on with (`pixraft partials "
        "list` shows it). Counted while the cluster has a leader, by a clock that nobody sets, in 168 parts, each of "
        "which begins anew when another node becomes the leader.",
        7 * 86400,
    )
