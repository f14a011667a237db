"""Small file systems of their own for tests: ext4 in a file where this machine mounts one, else memory (tmpfs)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


class SmallDisk:
    """A mounted file system. Others fill it as an operator's log files would."""

    def __init__(self, place: Path, kind: str) -> None:
        self.place = place
        self.kind = kind

    @property
    def filler(self) -> Path:
        """What fills it."""
        return self.place / "filler"

    def free(self) -> int:
        """Bytes that are left."""
        status = os.statvfs(self.place)
        return status.f_bavail * status.f_frsize

    def fill(self) -> None:
        """Fill it to the last byte, by dd."""
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={self.filler}", "bs=64k", "oflag=append", "conv=notrunc"],
            stderr=subprocess.DEVNULL,
            check=False,  # it ends with: no space left on device
        )

    def empty(self) -> None:
        """Give the space back."""
        self.filler.unlink(missing_ok=True)


def _run(*words: str | Path) -> str:
    """Run a command; return what it complains of, "" if it does not."""
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{words[0]}: {done.stderr.strip() or done.returncode}"


def mount(directory: Path, name: str, size: int) -> SmallDisk:
    """Mount a new file system of `size` bytes at `directory`/`name`. Skips the test where that is not allowed."""
    place, image = directory / name, directory / f"{name}.ext4"
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size)
    complaint = _run("mkfs.ext4", "-q", "-F", "-m", "0", image) or _run("mount", "-o", "loop", image, place)
    if not complaint:
        return SmallDisk(place, "ext4")
    another = _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
    if another:
        pytest.skip(f"this machine mounts no file system for a test: {complaint}; {another}")
    return SmallDisk(place, "tmpfs")


def unmount(disk: SmallDisk) -> None:
    """Unmount, whatever still holds it."""
    if _run("umount", disk.place):
        _run("umount", "--lazy", disk.place)


@contextmanager
def small_disks(directory: Path, names: tuple[str, ...], size: int) -> Iterator[dict[str, SmallDisk]]:
    """One a name; all are gone at the end."""
    disks: dict[str, SmallDisk] = {}
    try:
        for name in names:
            disks[name] = mount(directory, name, size)
        yield disks
    finally:
        for disk in disks.values():
            unmount(disk)
