"""The part of a session's view that lies in the store: its home, and what is mounted from elsewhere in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ftpgateway.access.account import Account, View
from ftpgateway.access.backend import Backend, Download, Upload
from ftpgateway.access.cursor import DirectoryCursor, Matches, arranged
from ftpgateway.access.freespace import FreeSpace
from ftpgateway.access.ledger import Charge, Resource
from ftpgateway.access.tree import Mount, Place, Tree
from raftstore import paths
from raftstore.rights import Action, Actor
from raftstore.store.targets import Target
from raftstore.types import Entry, Order, Page, Partial, User
from raftstore.wire import commands_pb2 as commands


def mapped(name: str, target: Callable[[User], str | None]) -> Mount:
    """Return the mount of a directory of the store: `target` says which for an account, None: none.

    What may be done there the store judges by the account's rights at that path. Between two directories of the store
    things can be moved, as far as the rights at both paths allow it.
    """

    def open_at(place: Place) -> Tree | None:
        root = target(place.account.user)
        return None if root is None else StoreTree(place.store, place.actor, View(root), place.hold)

    return Mount(name, open_at)


class StoreTree(Tree):
    """What a session sees of the store at and below one directory of it."""

    def __init__(
        self, store: Backend, actor: Actor, view: View, hold: Callable[[Resource, int], Charge]
    ) -> None:
        self._store = store
        self._actor = actor
        self._view = view
        self._hold = hold

    def at(self, path: str) -> str:
        """Return the store's path."""
        return self._view.to_store(path)

    def check(self, path: str) -> None:
        """Raise BadName when nothing can be at `path`."""
        paths.split(self.at(path), existing=True)

    # Looking.

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is published at `path`, as far as the account sees it."""
        return await self._store.lookup(self._actor, self.at(path), to=to)

    async def directory(
        self,
        path: str,
        *,
        order: Order = Order.NAME,
        backwards: bool = False,
        matches: Matches | None = None,
        beside: Sequence[Entry] = (),
    ) -> DirectoryCursor:
        """Return a cursor over what the account sees of a directory. Raises NotADirectory for a file."""
        by_name = order is Order.NAME
        first = await self._store.listing(self._actor, self.at(path), backwards=backwards and by_name)
        if not by_name and first.more:
            return await self._sorted(path, order, backwards, matches, beside)
        mixed = _Beside(beside, backwards=backwards and by_name).into if beside else _as_it_is
        first = mixed(first)
        if not by_name:
            first = replace(first, entries=arranged(first.entries, order, backwards=backwards))

        def follow(page: Page) -> Page | None:
            found = self._store.next_page(self._actor, page.directory, page.last, backwards=backwards)
            return None if found is None else mixed(found)

        cursor = DirectoryCursor(follow, matches=matches)
        await cursor.take(first)
        return cursor

    async def _sorted(
        self, path: str, order: Order, backwards: bool, matches: Matches | None, beside: Sequence[Entry]
    ) -> DirectoryCursor:
        """Return a cursor over a large directory that is not sorted by name; what is mounted there comes first."""
        packed = await self._store.sorted_listing(self._actor, self.at(path), order)
        if not packed.pages:  # nothing of it is to be seen
            packed.close()
            return DirectoryCursor.of([entry for entry in beside if matches is None or matches(entry.name)])
        numbers = iter(range(packed.pages))
        hidden = {entry.name for entry in beside}

        def page(number: int) -> Page:
            found = packed.page(number, backwards=backwards)
            if not beside:
                return found
            entries = [entry for entry in found.entries if entry.name not in hidden]
            return replace(found, entries=[*(beside if number == 0 else ()), *entries])

        def follow(_: Page) -> Page | None:
            return page(next(numbers))

        try:
            held = self._hold(Resource.NAMES, packed.count)
        except BaseException:
            packed.close()
            raise

        def release() -> None:
            held.release()
            packed.close()

        cursor = DirectoryCursor(follow, matches=matches, release=release)
        try:
            await cursor.take(page(next(numbers)))
        except BaseException:
            cursor.close()
            raise
        return cursor

    def letters(self, account: Account, path: str) -> str:
        """Return the account's rights at `path`."""
        return account.rights.letters(self.at(path))

    def may(self, account: Account, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account may `action` at `path`; `own`: the file there is its own."""
        return account.rights.may(action, self.at(path), own=own)

    async def require(self, action: Action, path: str) -> None:
        """Raise Denied unless the account may do it."""
        await self._store.require(self._actor, action, self.at(path))

    async def directory_of(self, path: str) -> int:
        """Return the inode of the directory that `path` is in; nothing is told of what is there. Raises NotFound."""
        return await self._store.directory_of(self._actor, self.at(path))

    async def free_space(self, path: str) -> FreeSpace:
        """Return how much the account may still store at `path`. Raises NoQuorum, Denied."""
        user = await self._store.require(self._actor, Action.WRITE, self.at(path))
        usage = self._store.usage(user.owner)
        full = bool(user.quota_files) and usage.files >= user.quota_files
        return FreeSpace(self._store.takes(user.name), user.quota_bytes or None, usage.bytes, full)

    # Bytes.

    async def download(self, path: str) -> Download:
        """Open a download."""
        return await self._store.download(self._actor, self.at(path))

    async def base(self, path: str) -> Download:
        """Open what is published at `path`, to be changed. Its bytes are not for who may not read there."""
        return await self._store.base(self._actor, self.at(path))

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
        """Open an upload; `handle`: published by what is at `path` now, see `Upload.publish`."""
        return await self._store.upload(
            self._actor,
            self.at(path),
            offset=offset,
            append=append,
            exclusive=exclusive,
            expected=expected,
            handle=handle,
        )

    async def rewrite(self, base: Download, path: str) -> Upload:
        """Open an upload that begins as all of `base`, which was at `path`."""
        return await self._store.rewrite(self._actor, base, self.at(path))

    async def reserve(self, path: str) -> Target | None:
        """Take the name at `path` for a new file, until that is published, or it is ended. Raises AlreadyExists."""
        return await self._store.reserve(self._actor, self.at(path))

    async def partial(self, path: str, *, anew: bool = True) -> Partial | None:
        """Return what the account can go on from at `path`; `anew`: ask the cluster."""
        return await self._store.partial(self._actor, self.at(path), anew=anew)

    async def drop_partial(self, path: str) -> None:
        """Forget what the account could go on from at `path`. Raises NotFound."""
        await self._store.drop_partial(self._actor, self.at(path))

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Set the time of last modification."""
        await self._store.set_modified(self._actor, self.at(path), mtime_ns)

    # Changing names.

    async def make_directory(self, path: str) -> None:
        """Make a directory."""
        await self._store.make_directory(self._actor, self.at(path))

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        await self._store.remove_directory(self._actor, self.at(path))

    async def remove(self, path: str) -> None:
        """Remove a file."""
        await self._store.remove(self._actor, self.at(path))

    async def check_remove(self, path: str) -> None:
        """Raise Denied unless the account may remove a file of its own at `path`."""
        remove = commands.RemoveFile(path=self.at(path))
        await self._store.allow(self._actor, commands.Command(remove_file=remove))

    async def rename(self, source: str, target: str, *, exclusive: bool) -> None:
        """Rename a file, over an existing one too unless `exclusive`, or a directory."""
        await self._store.rename(self._actor, self.at(source), self.at(target), exclusive=exclusive)

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Raise Denied unless a new file may be published at `target`, where `published` is, not at `source`."""
        rename = commands.Rename(source=self.at(source), target=self.at(target))
        await self._store.allow(self._actor, commands.Command(rename=rename), published)
        put = commands.PutFile(path=self.at(target))
        await self._store.allow(self._actor, commands.Command(put_file=put), published)

    async def rename_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Move it to where `to` takes it."""
        await to.rename_in(self, source, target, exclusive=exclusive)

    async def rename_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Move what is elsewhere in the store here."""
        if isinstance(of, StoreTree):
            await self._store.rename(self._actor, of.at(source), self.at(target), exclusive=exclusive)
        else:
            await super().rename_in(of, source, target, exclusive=exclusive)

    async def copy_out(self, source: str, to: Tree, target: str, *, exclusive: bool) -> None:
        """Copy it to where `to` takes it."""
        await to.copy_in(self, source, target, exclusive=exclusive)

    async def copy_in(self, of: Tree, source: str, target: str, *, exclusive: bool) -> None:
        """Copy a file of the store here."""
        if isinstance(of, StoreTree):
            await self._store.copy(self._actor, of.at(source), self.at(target), exclusive=exclusive)
        else:
            await super().copy_in(of, source, target, exclusive=exclusive)


class Home(StoreTree):
    """A session's home: what is put there is stored, and that is all."""

    def upload_at_once(self, path: str, *, exclusive: bool, expected: int | None) -> Upload | None:
        """Open an upload that begins at byte 0, if nobody has to be asked for that; None: `upload` does it."""
        return self._store.upload_at_once(self._actor, self.at(path), exclusive=exclusive, expected=expected)


def _as_it_is(page: Page) -> Page:
    return page


class _Beside:
    """What is mounted in a directory, put among the pages of its listing by name, where each has its place."""

    def __init__(self, entries: Sequence[Entry], *, backwards: bool) -> None:
        self._names = {entry.name for entry in entries}
        self._left = sorted(entries, key=lambda entry: entry.name, reverse=backwards)
        self._backwards = backwards

    def into(self, page: Page) -> Page:
        """Return the page with what belongs before its end, the last one with all that is left."""
        here = [entry for entry in self._left if not page.more or self._before(entry.name, page.last)]
        self._left = self._left[len(here) :]
        entries = [entry for entry in page.entries if entry.name not in self._names]
        entries = sorted([*entries, *here], key=lambda entry: entry.name, reverse=self._backwards)
        return replace(page, entries=entries)

    def _before(self, name: str, last: str) -> bool:
        return name > last if self._backwards else name < last
