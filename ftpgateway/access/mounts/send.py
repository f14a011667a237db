"""`/send`: what a person puts to `/send/NAME/` is in NAME's inbox, with the reply; what it has sent is listed there."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ftpgateway.access.account import Account, View
from ftpgateway.access.backend import Download, Upload
from ftpgateway.access.cursor import DirectoryCursor, Matches
from ftpgateway.access.ledger import Resource
from ftpgateway.access.mounts.failed import FailedRecords
from ftpgateway.access.storetree import StoreTree
from ftpgateway.access.tree import Mount, MountRefused, Place, Tree, cursor_over, virtual_entry
from raftstore import paths
from raftstore.errors import AlreadyExists, NotFound
from raftstore.rights import Action
from raftstore.rights.reserved import Area
from raftstore.store.targets import Target
from raftstore.types import Entry, Order, Partial

FAILED = ".failed"
"""What was not taken, or never opened; shown to who asks for it."""


class Send(StoreTree):
    """A directory for each to whom one can send: made in the store when something is put there for the first time.

    Those whom a person may see are listed before that, too, and are empty.
    """

    refusal = "put a picture into the directory of who is to get it: /send/NAME/"

    def __init__(self, place: Place) -> None:
        user = place.account.user
        super().__init__(place.store, place.actor, View(Area.SENT.of(user.name)), place.hold)
        self._name = user.name
        self._settings = place.people
        self._sending = place.sending
        self._failed = FailedRecords(place.store, user.name, f"/{FAILED}")

    # Looking.

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is there, or the directory of who could be sent something."""
        if _in_failed(path):
            return await self._failed.entry(path, to=to)
        try:
            return await super().entry(path, to=to)
        except NotFound:
            if not await self._offers(path):
                raise
            return virtual_entry(self, path, None, 0)

    async def _offers(self, path: str) -> bool:
        """Whether `path` is that of somebody to whom one can send, or has to look like it."""
        name = path[1:]
        if not name or "/" in name or "@" in name or name.startswith(".") or name == self._name:
            return False
        if not self._settings.list:
            return True
        return await self._store.people.sees(self._actor, name, all_persons=True)

    async def _visible(self) -> list[str]:
        return await self._store.people.visible(self._actor, all_persons=self._settings.list)

    async def directory(
        self,
        path: str,
        *,
        order: Order = Order.NAME,
        backwards: bool = False,
        matches: Matches | None = None,
        beside: Sequence[Entry] = (),
    ) -> DirectoryCursor:
        """Return a cursor over what was sent to somebody, or over those to whom something can be sent."""
        if _in_failed(path):
            return await self._failed.directory(path, order=order, backwards=backwards, matches=matches)
        if path == "/":
            return await self._all(order, backwards=backwards, matches=matches)
        try:
            return await super().directory(path, order=order, backwards=backwards, matches=matches)
        except NotFound:
            if not await self._offers(path):
                raise
            return DirectoryCursor.of([])

    async def _all(self, order: Order, *, backwards: bool, matches: Matches | None) -> DirectoryCursor:
        """List those who can be seen, and those to whom something was sent: as many as there are persons and groups."""
        names = await self._visible()
        with self._hold(Resource.NAMES, len(names)) as held:
            cursor = await super().directory("/")
            there = {entry.name: entry for entry in cursor.entries}
            while cursor.more:
                await cursor.advance()
                there.update((entry.name, entry) for entry in cursor.entries)
                held.resize(len(names) + len(there))
        shown = [virtual_entry(self, f"/{name}", None, 0) for name in names if name not in there]
        return cursor_over([*there.values(), *shown], order, backwards=backwards, matches=matches)

    def letters(self, account: Account, path: str) -> str:
        """Return the account's rights at `path`."""
        return self._failed.letters(account, path) if _in_failed(path) else super().letters(account, path)

    def may(self, account: Account, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account may `action` at `path`; `own`: the file there is its own."""
        if _in_failed(path):
            return self._failed.may(account, action, path, own=own)
        return super().may(account, action, path, own=own)

    async def download(self, path: str) -> Download:
        """Open what was sent, or what is told of a failure."""
        return await (self._failed.download(path) if _in_failed(path) else super().download(path))

    async def partial(self, path: str, *, anew: bool = True) -> Partial | None:
        """Return what the account can go on from at `path`."""
        return None if _in_failed(path) else await super().partial(path, anew=anew)

    # Putting.

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
        """Open an upload that is delivered when it is published."""
        self._check_put(path)

        async def opened() -> Upload:
            return await self._store.upload(
                self._actor,
                self.at(path),
                offset=offset,
                append=append,
                exclusive=exclusive,
                expected=expected,
                handle=handle,
                draft=self._is_draft(path),
                expires_ns=self._sending.expires_ns,
            )

        try:
            return await opened()
        except NotFound:
            await self._make(path)
            return await opened()

    def upload_at_once(self, path: str, *, exclusive: bool, expected: int | None) -> Upload | None:
        """Do the same, if nobody has to be asked; None: `upload` does it."""
        self._check_put(path)
        return self._store.upload_at_once(
            self._actor,
            self.at(path),
            exclusive=exclusive,
            expected=expected,
            draft=self._is_draft(path),
            expires_ns=self._sending.expires_ns,
        )

    def _check_put(self, path: str) -> None:
        """Raise MountRefused where nothing is put at all."""
        self._check_name(path)
        if path.count("/") < 2:
            self.refuse()

    def _check_name(self, path: str) -> None:
        name = path[1:].partition("/")[0]
        if name == FAILED:
            self._failed.refuse()
        if name == self._name:
            raise MountRefused("nobody sends to oneself; put it into your own directories")

    async def _make(self, path: str) -> None:
        """Make the directory that is missing for what comes to `path`, if it is one to send to. Raises NotFound."""
        directory, _ = paths.parent(path)
        if directory.count("/") > 1:
            raise NotFound(directory)
        with contextlib.suppress(AlreadyExists):
            await super().make_directory(directory)

    def _is_draft(self, path: str) -> bool:
        return self._settings.is_draft(path.rpartition("/")[2])

    async def rewrite(self, base: Download, path: str) -> Upload:
        """Open an upload that begins as all of `base`, which was at `path`."""
        return await self._store.rewrite(
            self._actor,
            base,
            self.at(path),
            draft=self._is_draft(path),
            expires_ns=self._sending.expires_ns,
        )

    async def reserve(self, path: str) -> Target | None:
        """Take the name at `path` for a new file."""
        self._check_put(path)
        try:
            return await super().reserve(path)
        except NotFound:
            await self._make(path)
            return await super().reserve(path)

    # Names.

    async def make_directory(self, path: str) -> None:
        """Make a directory: that of somebody to send to, or one that travels along."""
        self._check_name(path)
        try:
            await super().make_directory(path)
        except NotFound:
            if path.count("/") < 2:
                raise
            await self._make(path)  # the first thing that is put there may be a directory
            await super().make_directory(path)

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory; who can be seen is shown all the same."""
        self._check_name(path)
        try:
            await super().remove_directory(path)
        except NotFound:
            if not await self._offers(path):
                raise
            raise MountRefused("nothing was sent there; it is shown because you can") from None

    async def remove(self, path: str) -> None:
        """Recall what nobody has opened, and clear the record."""
        if _in_failed(path):
            self._failed.refuse()
        await super().remove(path)

    async def rename(self, source: str, target: str, *, exclusive: bool) -> None:
        """Give a draft another name; one that is no draft's delivers it."""
        self._check_name(source)
        self._check_put(target)
        await self._store.rename(
            self._actor,
            self.at(source),
            self.at(target),
            exclusive=exclusive,
            draft=self._is_draft(target),
            expires_ns=self._sending.expires_ns,
        )

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Raise Denied unless a new file may be published at `target`."""
        self._check_put(target)
        await super().check_rename_new(source, target, published)

    async def rename_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        raise MountRefused("what was sent stays here until you delete it; download it to have it elsewhere")

    async def rename_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Refuse."""
        raise MountRefused(
            "nothing is moved into /send: copy or upload it there, or send it by SITE SEND path NAME"
        )

    async def copy_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Copy what was sent."""
        if _in_failed(source):
            self._failed.refuse()
        await super().copy_out(source, to, target, exclusive=exclusive)

    async def copy_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Send a file of the store under the name `target`."""
        self._check_put(target)
        if not isinstance(of, StoreTree):
            await super().copy_in(of, source, target, exclusive=exclusive)
            return
        copied = of.at(source)

        async def copy() -> None:
            await self._store.copy(
                self._actor,
                copied,
                self.at(target),
                exclusive=exclusive,
                draft=self._is_draft(target),
                expires_ns=self._sending.expires_ns,
            )

        try:
            await copy()
        except NotFound:
            await of.entry(source)
            await self._make(target)
            await copy()


def _in_failed(path: str) -> bool:
    return path == f"/{FAILED}" or path.startswith(f"/{FAILED}/")


SEND = Mount("send", lambda place: Send(place) if place.account.user.person else None)
