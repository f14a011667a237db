"""What a part of a session's view answers, and what a mount is.

A path within a part is absolute below it: `/` is the part itself.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ftpgateway.access import mounts
from ftpgateway.access.account import Account
from ftpgateway.access.backend import Backend, Download, Upload
from ftpgateway.access.cursor import DirectoryCursor, Matches, arranged
from ftpgateway.access.freespace import FreeSpace
from ftpgateway.access.ledger import Charge, Resource
from ftpgateway.access.settings import PeopleSettings
from raftstore import paths
from raftstore.errors import Denied
from raftstore.rights import Action, Actor
from raftstore.store.targets import Target
from raftstore.types import Entry, Kind, Order, Partial
from raftstore.util.modules import declared_in

_VIRTUAL = 1 << 62
"""Inodes of the store are far below."""


class MountRefused(Denied):
    """A directory that is mounted does not do that, whatever the account's rights: the detail is for the client."""

    code = "MountRefused"
    message = "The directory does not offer it"


@dataclass(slots=True)
class Sending:
    """How a session sends, as long as it lasts. `expires_ns`: after how long it is gone, 0: as the account has it."""

    expires_ns: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """What a mount is given of the session that it is made for."""

    store: Backend
    actor: Actor
    account: Account
    """The account as it is now; when it changes, its mounts are made anew."""
    hold: Callable[[Resource, int], Charge]
    """Charges what is held for the session. Raises LimitReached."""
    people: PeopleSettings = PeopleSettings()  # noqa: RUF009  # immutable
    sending: Sending = field(default_factory=Sending)


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory `/name` in the view of the accounts for which `open` returns what is there; None: it is not there."""

    name: str
    open: Callable[[Place], Tree | None]


def all_mounts() -> tuple[Mount, ...]:
    """Return what the modules of `ftpgateway.access.mounts` declare, for all front-ends of a node."""
    return tuple(declared_in([mounts], Mount))


class Tree(ABC):
    """One part of a session's view. What a kind of tree does not offer it refuses, with its `refusal`.

    All calls raise StoreError. `entry`, `directory` and `letters` are what a client looks around with.
    """

    refusal = "this directory does not take that"
    """Why it refuses what it does not offer, for the client."""

    def refuse(self) -> NoReturn:
        """Raise MountRefused."""
        raise MountRefused(self.refusal)

    def check(self, path: str) -> None:
        """Raise BadName when nothing can be at `path`."""
        paths.split(path, existing=True)

    # Looking.

    @abstractmethod
    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is at `path`, to do that with it. Of `/` the view gives it the name."""

    @abstractmethod
    async def directory(
        self,
        path: str,
        *,
        order: Order = Order.NAME,
        backwards: bool = False,
        matches: Matches | None = None,
        beside: Sequence[Entry] = (),
    ) -> DirectoryCursor:
        """Return a cursor over a directory. `beside`: what is mounted in it, and hides what it has of these names."""

    @abstractmethod
    def letters(self, account: Account, path: str) -> str:
        """Return the account's rights at `path`, as letters."""

    @abstractmethod
    def may(self, account: Account, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account may `action` at `path`; `own`: the file there is its own."""

    async def require(self, action: Action, path: str) -> None:
        """Raise Denied unless the account may `action` at `path`."""
        self.refuse()

    async def directory_of(self, path: str) -> int:
        """Return the inode of the directory that `path` is in."""
        return virtual_inode(self, paths.parent(path)[0])

    async def free_space(self, path: str) -> FreeSpace:
        """Return how much the account may still store at `path`."""
        self.refuse()

    # Reading.

    async def download(self, path: str) -> Download:
        """Open what is at `path`."""
        self.refuse()

    async def base(self, path: str) -> Download:
        """Open what is at `path`, to be changed."""
        self.refuse()

    # Writing.

    async def upload(
        self,
        path: str,
        *,
        offset: int | None,
        append: bool,
        exclusive: bool,
        expected: int | None,
        handle: bool,
    ) -> Upload:
        """Open an upload; see `Backend.upload`."""
        self.refuse()

    def upload_at_once(self, path: str, *, exclusive: bool, expected: int | None) -> Upload | None:
        """Open an upload that begins at byte 0, if nobody has to be asked for that; None: `upload` does it."""
        return None

    async def rewrite(self, base: Download, path: str) -> Upload:
        """Open an upload that begins as all of `base`, which was at `path`."""
        self.refuse()

    async def reserve(self, path: str) -> Target | None:
        """Take the name at `path` for a new file; None: that is not possible, it is published all the same."""
        return None

    async def partial(self, path: str, *, anew: bool = True) -> Partial | None:
        """Return what the account can go on from at `path`, None when there is nothing."""
        return None

    async def drop_partial(self, path: str) -> None:
        """Forget what the account could go on from at `path`."""
        self.refuse()

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Set the time of last modification."""
        self.refuse()

    # Names. `/` itself is never made, removed or moved: the view refuses that.

    async def make_directory(self, path: str) -> None:
        """Make a directory."""
        self.refuse()

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        self.refuse()

    async def remove(self, path: str) -> None:
        """Remove a file."""
        self.refuse()

    async def check_remove(self, path: str) -> None:
        """Raise Denied unless the account may remove a file of its own at `path`."""
        self.refuse()

    async def rename(self, source: str, target: str, *, exclusive: bool) -> None:
        """Rename within the tree."""
        self.refuse()

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Raise Denied unless a new file may be published at `target`, where `published` is, not at `source`."""
        self.refuse()

    async def rename_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Move `source` out of a mount, to `target` in another tree."""
        raise MountRefused("what is here cannot be moved out of this directory; copy it")

    async def rename_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Move `source` of the home into a mount, as `target`."""
        raise MountRefused("nothing can be moved into this directory; upload it there")

    async def copy_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Copy the file `source` to `target`, in this tree or another."""
        raise MountRefused("what is here cannot be copied; download it")

    async def copy_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Copy the file `source` of a tree in the store to `target`."""
        raise MountRefused("nothing can be copied into this directory; upload it there")


def virtual_inode(tree: Tree, path: str) -> int:
    """Return an inode for what is not in the store: the same for the same path, none that the store has."""
    name = f"{type(tree).__qualname__}{path}".encode()
    return _VIRTUAL | int.from_bytes(hashlib.blake2b(name, digest_size=7).digest())


def virtual_entry(tree: Tree, path: str, size: int | None, mtime_ns: int, owner: str = "") -> Entry:
    """Return the entry of a file that is not in the store, or of a directory (`size` None)."""
    kind = Kind.DIRECTORY if size is None else Kind.FILE
    name = path.rpartition("/")[2] or "/"
    return Entry(name, kind, virtual_inode(tree, path), size or 0, mtime_ns, owner, 0)


def cursor_over(
    entries: Sequence[Entry], order: Order, *, backwards: bool, matches: Matches | None
) -> DirectoryCursor:
    """Return a cursor over all entries of a directory that is not in the store; `entries` in any order."""
    named = sorted(entries, key=lambda entry: entry.name)
    found = [entry for entry in named if matches is None or matches(entry.name)]
    return DirectoryCursor.of(arranged(found, order, backwards=backwards))
