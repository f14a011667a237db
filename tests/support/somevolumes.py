"""Chunks and volume sets for the tests of volumes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from blake3 import blake3
from failing_files import FailingFiles

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.util.buffers import Buffer

_T = TypeVar("_T")


def chunk(number: int, size: int = 1000) -> tuple[bytes, bytes]:
    """Digest and bytes of chunk `number`."""
    data = (b"%08d" % number * (size // 8 + 1))[:size]
    return blake3(data).digest(), data


def run(scenario: Coroutine[Any, Any, _T]) -> _T:
    """Run a scenario to its end, for a minute at most."""
    return asyncio.run(asyncio.wait_for(scenario, 60))


async def opened(directory: Path, files: FailingFiles | None = None, **settings: Any) -> VolumeSet:
    """An open volume set on files that can be made to fail."""
    volumes = VolumeSet(directory, files=files or FailingFiles(), **settings)
    await volumes.open()
    return volumes


class NoSpaceForBytes(FailingFiles):
    """Takes quarantine's reports, but not the bytes that go with them."""

    def save(self, path: Path, content: Buffer) -> None:
        if path.suffix == ".bytes":
            raise OSError(28, "no space")
        super().save(path, content)
