"""What an upload meets at its path: what it keeps of it, and what it must not replace. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from raftstore.errors import Invalid
from raftstore.types import Entry, FileVersion, Partial


class Keep(enum.Enum):
    """What an upload must not replace."""

    NONE = enum.auto()
    OTHERS = enum.auto()
    """What another owner has put."""
    ALL = enum.auto()


def newer_of(owner: str, before: Entry | None, now: Entry | None) -> bool:
    """Whether what is at a path now is a version that `owner` has put there since `before`."""
    return now is not None and now.owner == owner and (before is None or now.version != before.version)


def kept_bytes(base: FileVersion | Partial | None, offset: int | None, append: bool) -> int:
    """Return how many bytes of `base` a new upload keeps. Raises Invalid when `offset` is past its end."""
    size = 0 if base is None else base.entry.size if isinstance(base, FileVersion) else base.size
    if append:
        return size
    if offset and offset > size:
        raise Invalid(
            f"cannot continue at byte {offset}: only {size} bytes are there; send the file again from 0"
        )
    return offset or 0


@dataclass(frozen=True, slots=True)
class Target:
    """The file that an open handle stands for, whatever its name is by now.

    A published one is `inode` at `version`. A new one (`inode` 0) will be `name` in the directory with the inode
    `directory`; there it takes the place of the file `replaces` (inode, version), or of nothing. `reservation` is what
    holds the name for it (0: nothing does), see `raftstore.metadata.reservations`.
    """

    directory: int
    name: str
    inode: int = 0
    version: int = 0
    replaces: tuple[int, int] = (0, 0)
    reservation: int = 0

    @staticmethod
    def of(directory: int, name: str, published: Entry | None) -> Target:
        """Return what a handle stands for that was opened where `published` is, or nothing."""
        if published is None:
            return Target(directory, name)
        return Target(directory, name, published.inode, published.version)

    def became(self, entry: Entry) -> Target:
        """Return what the handle stands for after `entry` was published through it."""
        return Target(self.directory, self.name, entry.inode, entry.version)
