"""The boot number: grows with every start of a node, so that an operation id is never used twice."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from raftstore.errors import Damaged


@dataclass(frozen=True, slots=True)
class Boots:
    """The number of this start of a node, that of the start before on the same disk, and where the log ended then.

    0: it is not known. A node that knows that it lost its log does not tell where that ended.
    """

    previous: int = 0
    now: int = 0
    log_end: int = 0

    def outdated(self, before: int) -> bool:
        """Whether the node has started elsewhere since: `before` is the newest start but this one that is known.

        Each start announces itself in the log. One that these data do not know of was made on newer ones: they are an
        older copy, a snapshot of a machine or a backup, and lack what the node acknowledged since.
        """
        return 0 < self.previous < before


def next_boot(path: Path, own: int = 0, others: int = 0) -> Boots:
    """Choose a boot number above every earlier one of this node and make it durable in `path`.

    The clock is its floor, so that a node whose disk was replaced still gets a higher one. That clock may be behind the
    one of the earlier disk. So above the starts of this node that stand in its `own` catalog, too, and in those of
    `others`, as far as these were asked; what is in its own was no later start. Raises Damaged when the file holds
    something else, OSError when it cannot be written.
    """
    previous = 0
    if path.exists():
        text = path.read_text(errors="replace").strip()
        if not text.isascii() or not text.isdigit():
            raise Damaged(
                f"{path} should hold a number; remove it to let the node take a new one from its clock"
            )
        previous = int(text)
    if previous and not _retracted(path).exists():
        previous = max(previous, own)
    boot = max(previous + 1, own + 1, others + 1, time.time_ns())
    _write(path, boot)
    return Boots(previous, boot)


def retract(path: Path, boots: Boots) -> None:
    """Have the next start say of these data what this one has said: it was told that they are an older copy."""
    if boots.previous:
        # Its catalog may have caught up since, and knows of the later start now: that does not count then.
        _retracted(path).touch()
        _write(path, boots.previous)


def _retracted(path: Path) -> Path:
    return path.with_suffix(".retracted")


def _write(path: Path, boot: int) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(f"{boot}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
