"""The data directories of earlier releases (tests/releases), as clusters to start."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

from ftpgateway.demo import ports

RELEASES = Path(__file__).resolve().parents[1] / "releases"


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
