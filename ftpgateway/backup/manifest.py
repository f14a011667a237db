"""What one backup is: of which cluster and moment, and of which blocks its copy of the catalog is made.

The copy names the chunks. A manifest is JSON with a version; what a newer program adds without raising that is ignored.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, fields
from typing import Any

from raftstore.errors import Damaged, TooNew

VERSION = 1
BLOCK = 64 * 1024
"""Bytes of the catalog's copy in one object: pages that did not change lie in blocks that are at the target already."""
LARGEST = 256 << 20
"""Of a manifest, unpacked."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. Sizes in bytes; digests are BLAKE3, in hex.

    `size` and `digest` are of the copy of the catalog, of which `blocks` are the pieces. `chunks` and `chunk_bytes` is
    what it refers to. `new_objects` and `new_bytes` came to the target with this backup. `lost` are chunks of which no
    copy could be read, and which the operator did without.
    """

    name: str
    cluster: str
    time_ns: int
    index: int
    level: int
    program: str
    size: int
    digest: str
    blocks: tuple[str, ...]
    files: int
    chunks: int
    chunk_bytes: int
    new_objects: int
    new_bytes: int
    lost: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Return its bytes."""
        return zlib.compress(json.dumps({"version": VERSION, **asdict(self)}).encode())

    @staticmethod
    def decode(data: bytes) -> Manifest:
        """Read what `encode` has made. Raises Damaged, TooNew."""
        try:
            values: dict[str, Any] = json.loads(zlib.decompressobj().decompress(data, LARGEST))
            version = int(values.pop("version"))
            if version > VERSION:
                raise TooNew(f"a backup of version {version}, this program reads up to {VERSION}")
            known = {field.name for field in fields(Manifest)}
            values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
            return Manifest(**{key: value for key, value in values.items() if key in known})
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            raise Damaged(f"not a backup's manifest: {error}") from None
