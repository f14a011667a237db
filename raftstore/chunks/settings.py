"""Keys of [chunks]: picture bytes on disk."""

from __future__ import annotations

from dataclasses import dataclass

from raftstore.util.settings import declared, kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunksSettings:
    """How picture bytes lie on this node's disk."""

    volume_bytes: int = declared(
        kinds.integer(1024**2, 32 * 1024**3),
        "Bytes up to which a file of pictures grows before the next one is begun. Space is given back by the file.",
        1024**3,
    )
