"""The data directories of earlier releases (tests/releases), as clusters to start."""

from __future__ import annotations

import json
import re
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from blake3 import blake3

from ftpgateway.demo import ports
from raftstore.types import CHUNK_SIZE

RELEASES = Path(__file__).resolve().parents[1] / "releases"
NAMES = tuple(sorted(folder.parent.name for folder in RELEASES.glob("*/expected.json")))
"""All that are there. Each has the same accounts (whose password is the name and "-secret") and names."""
NODES = ("n1", "n2", "n3")


def unpack(release: str, directory: Path) -> None:
    """Put a release's cluster into `directory`; its nodes get ports that are free now."""
    with tarfile.open(RELEASES / release / "data.tar.xz") as archive:
        archive.extractall(directory, filter="tar")
    admin = directory / "admin" / "admin.toml"
    before = admin.read_text()
    found = re.findall(r"127\.0\.0\.1:(\d+)", before)
    fresh = iter(ports.free("127.0.0.1", len(found)))
    admin.write_text(re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{next(fresh)}", before))


def expected(release: str) -> Any:
    """What was there, as that release saw it."""
    return json.loads((RELEASES / release / "expected.json").read_text())


def level(release: str) -> int:
    """The level of the log that the release left; what knew no levels left the first."""
    return int(expected(release).get("level", 1))


def applied(release: str, node: str) -> int:
    """Up to where the node had applied the log."""
    found = expected(release)["applied"]
    return int(found if isinstance(found, int) else found[node])


def is_content(content: bytes, file: Any) -> bool:
    """Whether these bytes are those of a file in `expected`; 35711ca did not note their SHA-256."""
    pieces = range(0, len(content), CHUNK_SIZE)
    digests = [blake3(content[start : start + CHUNK_SIZE]).hexdigest() for start in pieces]
    noted = file.get("sha256")
    return digests == file["chunks"] and (noted is None or sha256(content).hexdigest() == noted)
