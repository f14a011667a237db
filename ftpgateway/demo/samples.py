"""The pictures that the demo uploads: those that come with it, or a folder of the user's."""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

from ftpgateway.node.config.errors import ConfigError
from raftstore import paths
from raftstore.errors import BadName

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".webp",
        ".heic",
        ".heif",
        ".avif",
        ".tif",
        ".tiff",
        ".bmp",
        ".dng",
        ".cr2",
        ".nef",
    }
)
MOST_FILES = 200
MOST_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to upload: `name` is its path on the server, relative to the user's home, `size` in bytes."""

    name: str
    file: Path
    size: int


def shipped() -> list[Picture]:
    """Return the pictures that come with pixraft."""
    return folder(Path(str(importlib.resources.files("ftpgateway.demo") / "pictures")))


def folder(directory: Path) -> list[Picture]:
    """Return the pictures in a folder and below, at most 200 and 512 MiB of them; ConfigError if none."""
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such directory; give one with pictures")
    found: list[Picture] = []
    total = 0
    for file in sorted(directory.rglob("*")):
        if len(found) == MOST_FILES:
            break
        if file.suffix.lower() not in SUFFIXES or not file.is_file() or not (size := file.stat().st_size):
            continue
        name = file.relative_to(directory).as_posix()
        if total + size > MOST_BYTES or not _usable(name):
            continue
        found.append(Picture(name, file, size))
        total += size
    if not found:
        raise ConfigError(f"{directory}: holds no pictures; known are {', '.join(sorted(SUFFIXES))}")
    return found


def _usable(name: str) -> bool:
    try:
        paths.split(f"/{name}")
    except BadName:
        return False
    return True
