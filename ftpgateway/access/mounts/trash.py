"""`/trash`: what an account had put, and was deleted or replaced. For all accounts that have trash, persons or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ftpgateway.access.account import View
from ftpgateway.access.backend import Download, Upload
from ftpgateway.access.cursor import DirectoryCursor, Matches
from ftpgateway.access.storetree import StoreTree
from ftpgateway.access.tree import Mount, MountRefused, Place, Tree, virtual_entry
from raftstore.errors import NotFound
from raftstore.rights import Action
from raftstore.rights.reserved import Area
from raftstore.store.targets import Target
from raftstore.types import Entry, Order


class Trash(StoreTree):
    """What is there is read, deleted for good, or moved out to be restored. It is made when the first file comes."""

    refusal = "only what is deleted or replaced comes here; upload to another directory"

    # Looking.

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is there; the trash itself also before anything is in it."""
        try:
            return await super().entry(path, to=to)
        except NotFound:
            if path != "/":
                raise
            return virtual_entry(self, path, None, 0)

    async def directory(
        self,
        path: str,
        *,
        order: Order = Order.NAME,
        backwards: bool = False,
        matches: Matches | None = None,
        beside: Sequence[Entry] = (),
    ) -> DirectoryCursor:
        """Return a cursor over what is in it."""
        try:
            return await super().directory(path, order=order, backwards=backwards, matches=matches)
        except NotFound:
            if path != "/":
                raise
            return DirectoryCursor.of([])

    # Nothing is put here.

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
        """Refuse."""
        self.refuse()

    async def base(self, path: str) -> Download:
        """Refuse."""
        self.refuse()

    async def reserve(self, path: str) -> Target | None:
        """Refuse."""
        self.refuse()

    async def make_directory(self, path: str) -> None:
        """Refuse."""
        self.refuse()

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Refuse."""
        raise MountRefused("what was deleted keeps its time; move it out of /trash first")

    # Names.

    async def rename(self, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        self._keeps_name()

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Refuse."""
        self._keeps_name()

    async def rename_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        raise MountRefused("nothing is moved into /trash: delete it, and it is here")

    async def copy_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        self.refuse()

    async def rename_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Restore it, never over a file that is there."""
        await to.rename_in(self, source, target, exclusive=True)

    def _keeps_name(self) -> NoReturn:
        raise MountRefused("what was deleted keeps its name while it is in /trash; move it out to restore it")


def _open(place: Place) -> Tree | None:
    user = place.account.user
    if not user.trash_ns:
        return None
    return Trash(place.store, place.actor, View(Area.TRASH.of(user.name)), place.hold)


TRASH = Mount("trash", _open)
