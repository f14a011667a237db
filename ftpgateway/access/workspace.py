"""What one session sees of the store: paths under the home directory, and only what the account has the right to.

Every call says whose session it is, and the store judges it: a read by the account and the names of one moment, a
change once more where it is applied (`raftstore.rights`). pyftpdlib's AbstractedFS is deliberately not the base class:
every method that it has and we would forget to override would reach for the host's files. Here there is nothing to
inherit, so nothing can.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ftpgateway.access.account import Account
from ftpgateway.access.backend import Backend, Download, Upload
from ftpgateway.access.directories import DirectoryCursor, Matches, arranged, matcher
from ftpgateway.access.freespace import FreeSpace
from ftpgateway.access.ledger import Charge, Holder, Ledger, Resource
from raftstore import paths
from raftstore.errors import AlreadyExists, Denied, NotADirectory, NotFound, StoreError
from raftstore.rights import Action, Actor
from raftstore.store.targets import Target
from raftstore.types import Entry, Kind, Order, Page
from raftstore.wire import commands_pb2 as commands


class Workspace:
    """A user's part of the store. Client paths are absolute below the home directory, which is `/` to the user.

    Calls raise Denied where the account does not have the right, beside the store's errors.
    """

    def __init__(
        self,
        store: Backend,
        account: Account,
        actor: Actor | None = None,
        *,
        hold: Callable[[Resource, int], Charge] | None = None,
    ) -> None:
        """`actor`: whose session it is, if not simply the account's as it is. `hold` charges what is held for it."""
        self._hold = hold or partial(Ledger().charge, Holder(account.user.name, ""))
        self._store = store
        self._actor = Actor.session(account.user) if actor is None else actor
        self._view = account.view
        self.account = account
        self.cwd = "/"
        self._shut = False

    def shut(self) -> None:
        """Allow nothing from now on: the session has to end."""
        self._shut = True

    def resolve(self, argument: str) -> str:
        """Return the client path that a client's argument means; it never leaves the home. Raises BadName."""
        return self._view.resolve(self.cwd, argument)

    def _at(self, path: str) -> str:
        """Return the store's path of a client's, as the home was when the session began: with another it ends."""
        if self._shut:
            raise Denied("the session has ended")
        return self._view.to_store(path)

    # Looking.

    async def make_home(self) -> None:
        """Make the home directory where it is missing."""
        await self._store.make_home(self._actor)

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is published at `path`, to do that with it; the home directory has the name `/`.

        Who may not list there sees directories that it may enter, files that it may read, and its own ones if it may
        change them. What else is there is as if it were not: NotFound.
        """
        return await self._store.lookup(self._actor, self._at(path), to=to)

    async def matching(
        self, path: str, *, order: Order = Order.NAME, backwards: bool = False
    ) -> DirectoryCursor:
        """Return a cursor over what the wildcards in the last name of `path` select. Raises NotFound without any."""
        if path == "/":
            raise NotFound(path)
        directory, pattern = paths.parent(path)
        if not any(character in pattern for character in "*?["):
            raise NotFound(path)
        return await self.directory(directory, order=order, backwards=backwards, pattern=pattern)

    async def directory(
        self, path: str, *, order: Order = Order.NAME, backwards: bool = False, pattern: str = ""
    ) -> DirectoryCursor:
        """Return a cursor over what the account sees of a directory. Raises NotADirectory for a file."""
        matches = matcher(pattern) if pattern else None
        at = self._at(path)
        first = await self._store.listing(self._actor, at, backwards=backwards and order is Order.NAME)
        if order is not Order.NAME and first.more:
            return await self._sorted(path, order, backwards, matches)
        if order is not Order.NAME:
            first = replace(first, entries=arranged(first.entries, order, backwards=backwards))

        def follow(page: Page) -> Page | None:
            return self._store.next_page(self._actor, page.directory, page.last, backwards=backwards)

        cursor = DirectoryCursor(follow, matches=matches)
        await cursor.take(first)
        return cursor

    async def _sorted(
        self, path: str, order: Order, backwards: bool, matches: Matches | None
    ) -> DirectoryCursor:
        """Return a cursor over a large directory that is not sorted by name."""
        packed = await self._store.sorted_listing(self._actor, self._at(path), order)
        if not packed.pages:  # nothing of it is to be seen
            packed.close()
            return DirectoryCursor.of([])
        numbers = iter(range(packed.pages))

        def follow(_: Page) -> Page | None:
            return packed.page(next(numbers), backwards=backwards)

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
            await cursor.take(packed.page(next(numbers), backwards=backwards))
        except BaseException:
            cursor.close()
            raise
        return cursor

    async def enter(self, path: str) -> None:
        """Make `path` the working directory. Raises NotFound, NotADirectory."""
        if not (await self.entry(path, to=Action.ENTER)).is_directory:
            raise NotADirectory(path)
        self.cwd = path

    async def size(self, path: str) -> tuple[int | None, bool]:
        """Return how much of `path` there is (None: it is a directory) and whether that is not what is published.

        It is then what an interrupted upload of the account left, which can be gone on with.
        """
        partial = await self._store.partial(self._actor, self._at(path)) if path != "/" else None
        if partial is not None:
            return partial.size, True
        entry = await self.entry(path)
        return (entry.size if entry.kind is Kind.FILE else None), False

    async def begun(self, path: str, *, anew: bool = True) -> int:
        """Return how many bytes of an interrupted upload to `path` the account can go on from; 0: there is none.

        `anew`: ask the cluster; not needed by who has just asked for the `entry` there, for the same request.
        """
        if path == "/":
            return 0
        partial = await self._store.partial(self._actor, self._at(path), anew=anew)
        return partial.size if partial is not None else 0

    async def forget(self, path: str) -> None:
        """Forget what the account could go on from at `path`, if there is something."""
        if await self.begun(path):
            with contextlib.suppress(NotFound):
                await self._store.drop_partial(self._actor, self._at(path))

    async def require(self, action: Action, path: str) -> None:
        """Raise Denied unless the account may do it."""
        await self._store.require(self._actor, action, self._at(path))

    # Changing names.

    async def make_directory(self, path: str) -> None:
        """Make a directory."""
        paths.check_new(path)
        if path == "/":
            await self._store.require(self._actor, Action.MAKE_DIRECTORY, self._at(path))
            raise AlreadyExists(path)
        await self._store.make_directory(self._actor, self._at(path))

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        await self._store.remove_directory(self._actor, self._at(path))

    async def remove(self, path: str) -> None:
        """Remove a file, and what its owner could have resumed there."""
        missing: NotFound | None = None
        try:
            await self._store.remove(self._actor, self._at(path))
        except NotFound as error:
            missing = error
        try:
            begun = await self._store.partial(self._actor, self._at(path)) is not None
            if begun:
                await self._store.drop_partial(self._actor, self._at(path))
        except StoreError as error:
            # The file is removed; what is begun stays until it is replaced or removed again.
            if missing is not None:
                raise missing if isinstance(error, NotFound) else error from None
        else:
            if missing is not None and not begun:
                raise missing

    async def check_remove(self, path: str) -> None:
        """Raise Denied unless the account may remove a file of its own at `path`."""
        await self._store.allow(
            self._actor, commands.Command(remove_file=commands.RemoveFile(path=self._at(path)))
        )

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Raise Denied unless a new file of the account may be published at `target`, where `published` is, not at
        `source`."""
        paths.check_new(target)
        rename = commands.Rename(source=self._at(source), target=self._at(target))
        await self._store.allow(self._actor, commands.Command(rename=rename), published)
        put = commands.PutFile(path=self._at(target))
        await self._store.allow(self._actor, commands.Command(put_file=put), published)

    async def rename(self, source: str, target: str, *, exclusive: bool = False) -> None:
        """Rename a file, over an existing one too unless `exclusive`, or a directory.

        To take something to where other rights hold needs the right to read and to delete it; to move what others'
        homes and rules are for needs an admin's.
        """
        paths.check_new(target)
        await self._store.rename(self._actor, self._at(source), self._at(target), exclusive=exclusive)

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Set the time of last modification."""
        await self._store.set_modified(self._actor, self._at(path), mtime_ns)

    # Bytes.

    async def upload(
        self,
        path: str,
        *,
        offset: int | None,
        append: bool,
        exclusive: bool,
        expected: int | None,
        handle: bool = False,
    ) -> Upload:
        """Open an upload; `handle`: published by what is at `path` now, see `Upload.publish`."""
        paths.check_new(path)
        return await self._store.upload(
            self._actor,
            self._at(path),
            offset=offset,
            append=append,
            exclusive=exclusive,
            expected=expected,
            handle=handle,
        )

    async def reserve(self, path: str) -> Target | None:
        """Take the name at `path` for a new file, until that is published, or it is ended; None: this
        cluster cannot do that yet.

        Raises AlreadyExists.
        """
        paths.check_new(path)
        return await self._store.reserve(self._actor, self._at(path))

    async def release(self, target: Target) -> None:
        """End the reservation of a name: others can take it when this returns."""
        await self._store.release(target)

    def forget_reservation(self, target: Target) -> None:
        """End the reservation of a name soon."""
        self._store.forget_reservation(target)

    async def base(self, path: str) -> Download:
        """Open what is published at `path`, to be changed. Its bytes are not for who may not read there."""
        return await self._store.base(self._actor, self._at(path))

    async def rewrite(self, base: Download, path: str) -> Upload:
        """Open an upload that begins as all of `base`, which was at `path`."""
        return await self._store.rewrite(self._actor, base, self._at(path))

    async def directory_of(self, path: str) -> int:
        """Return the inode of the directory that `path` is in; nothing is told of what is there. Raises NotFound."""
        return await self._store.directory_of(self._actor, self._at(path))

    async def download(self, path: str) -> Download:
        """Open a download."""
        return await self._store.download(self._actor, self._at(path))

    async def free_space(self, path: str) -> FreeSpace:
        """Return how much the account may still store at `path`. Raises NoQuorum, Denied."""
        user = await self._store.require(self._actor, Action.WRITE, self._at(path))
        usage = self._store.usage(user.owner)
        full = bool(user.quota_files) and usage.files >= user.quota_files
        return FreeSpace(self._store.takes(user.name), user.quota_bytes or None, usage.bytes, full)
