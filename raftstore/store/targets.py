"""What an upload meets at its path: what it keeps of it, and what it must not replace. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from raftstore.errors import AlreadyExists, Denied, Invalid, IsADirectory, NotADirectory, NotFound
from raftstore.rights import Action, Rights
from raftstore.rights.changes import put_file
from raftstore.rights.looks import sees
from raftstore.types import Entry, FileVersion, Partial
from raftstore.wire import commands_pb2 as commands


class Reading(Protocol):
    """What is looked at of the catalog."""

    def published(self, path: str) -> Entry | None:
        """Return what `path` names, None when it is not there; raise unless its directory is."""
        ...

    def file(self, path: str) -> FileVersion:
        """Return the published version of a file."""
        ...

    def partial(self, owner: str, path: str) -> Partial | None:
        """Return what `owner` can resume at `path`."""
        ...


def target(
    rights: Rights, catalog: Reading, put: commands.PutFile, *, append: bool, offset: int | None
) -> tuple[Entry | None, FileVersion | Partial | None]:
    """Return the file that an upload would replace, and what it keeps the beginning of.

    Sets in `put` whether it is an append to what is published: that goes on from a partial upload is none. Raises
    Denied, AlreadyExists, IsADirectory, NotFound, NotADirectory, BadName.
    """
    path = put.path
    begun = catalog.partial(rights.owner, path) if append or offset else None
    put.append = append and begun is None
    granted = put_file(rights, put)
    try:
        published = catalog.published(path)
    except NotADirectory:
        if rights.lists(path):
            raise
        raise NotFound(path) from None
    if published is not None:
        if published.is_directory:
            raise IsADirectory(path)
        if granted.keeps or put.exclusive:
            raise AlreadyExists(path)
        if granted.target_of and published.owner != granted.target_of:
            raise Denied(Action.OVERWRITE.value)
    base: FileVersion | Partial | None = begun
    # What goes on, or not, behind a certain byte would tell how long a file is that is not to be seen.
    seen = published is not None and sees(rights, path, directory=False, owner=published.owner)
    if base is None and published is not None and (append or (offset and seen)):
        base = catalog.file(path)
    return published, base


def changed(rights: Rights, catalog: Reading, path: str) -> FileVersion:
    """Return the published version at `path`, which the actor may replace. Raises as `target`, NotFound."""
    published, _ = target(rights, catalog, commands.PutFile(path=path), append=False, offset=None)
    if published is None:
        raise NotFound(path)
    return catalog.file(path)


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
    holds the name for it (0: nothing does), see `raftstore.metadata.tables.names.reservations`.
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
