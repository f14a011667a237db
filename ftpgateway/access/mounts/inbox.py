"""`/inbox`: what others have sent to a person, a directory for each sender."""

from __future__ import annotations

import contextlib
from typing import NoReturn

from ftpgateway.access.account import View
from ftpgateway.access.backend import Download, Upload
from ftpgateway.access.storetree import StoreTree
from ftpgateway.access.tree import Mount, MountRefused, Place, Tree
from raftstore.errors import NotFound
from raftstore.rights.reserved import Area
from raftstore.store.targets import Target
from raftstore.types import Entry


class Inbox(StoreTree):
    """What came is read, deleted, or moved out to be kept."""

    refusal = "only what others send comes here; to send a picture, put it to /send/NAME/"

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

    async def remove_directory(self, path: str) -> None:
        """Say yes to who removes a directory after all that was in it: it has gone with the last file."""
        with contextlib.suppress(NotFound):
            await super().remove_directory(path)

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Refuse."""
        raise MountRefused("what came keeps the time that it came with; move it out of /inbox first")

    async def rename(self, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        self._keeps_name()

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Refuse."""
        self._keeps_name()

    async def rename_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        self.refuse()

    async def copy_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        self.refuse()

    def _keeps_name(self) -> NoReturn:
        raise MountRefused("what came keeps its name while it is in /inbox; move it out to keep it")


def _open(place: Place) -> Tree | None:
    user = place.account.user
    if not user.person:
        return None
    return Inbox(place.store, place.actor, View(Area.INBOX.of(user.name)), place.hold)


INBOX = Mount("inbox", _open)
