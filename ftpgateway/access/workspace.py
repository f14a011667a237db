"""What one session sees of the store: paths under the home directory, and only what the account has the right to.

Every call is checked here, against the account as it is now, and where the owner of a file decides, again when the
change is applied: so nobody replaces what another has put just before. pyftpdlib's AbstractedFS is deliberately not
the base class: every method that it has and we would forget to override would reach for the host's files. Here there
is nothing to inherit, so nothing can.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from ftpgateway.access.account import Account
from ftpgateway.access.backend import Backend, Download, Upload
from ftpgateway.access.directories import DirectoryCursor, Matches, arranged, matcher
from ftpgateway.access.rights import Action
from ftpgateway.access.room import Room
from raftstore import paths
from raftstore.errors import AlreadyExists, Denied, Invalid, NotADirectory, NotFound, StoreError
from raftstore.types import Entry, Kind, Order, Page


class Workspace:
    """A user's part of the store. Client paths are absolute below the home directory, which is `/` to the user.

    Calls raise Denied where the account does not have the right, beside the store's errors.
    """

    def __init__(self, store: Backend, account: Account) -> None:
        self._store = store
        self._owner = account.user.name
        self.account = account
        self.cwd = "/"
        self._shut = False

    def shut(self) -> None:
        """Allow nothing from now on: the session has to end."""
        self._shut = True

    def resolve(self, argument: str) -> str:
        """Return the client path that a client's argument means; it never leaves the home. Raises BadName."""
        return self.account.view.resolve(self.cwd, argument)

    def _at(self, path: str) -> str:
        return self.account.view.to_store(path)

    # Rights.

    def require(self, action: Action, path: str, *, own: bool = False) -> None:
        """Raise Denied unless the account may do it; `own`: there is a file of its own."""
        if not self._may(action, path, own=own):
            raise Denied(action.value)

    def _may(self, action: Action, path: str, *, own: bool = False) -> bool:
        return not self._shut and self.account.may(action, path, own=own)

    def _only_of(self, action: Action, path: str) -> str:
        """Return "" when the account may do it to any file at `path`, its name when only to its own; else Denied."""
        if self._may(action, path):
            return ""
        self.require(action, path, own=True)
        return self._owner

    # Looking.

    async def make_home(self) -> None:
        """Make the home directory where it is missing."""
        home = self.account.view.home
        if home == "/":
            return
        try:
            await self._store.lookup(home)
            return
        except NotFound:
            pass
        so_far = ""
        for name in paths.split(home):
            so_far += "/" + name
            try:
                await self._store.make_directory(so_far, self._owner)
            except AlreadyExists:
                pass

    async def entry(self, path: str) -> Entry:
        """Return what is published at `path`; the home directory has the name `/`.

        Who may not list there sees directories that it may enter, files that it may read, and its own ones if it may
        change them. What else is there is as if it were not: NotFound.
        """
        self._require_seen(path)
        try:
            found = await self._store.lookup(self._at(path))
        except NotADirectory:
            if self._lists(path):
                raise
            # There is a file on the way, which is not to be seen.
            raise NotFound(path) from None
        # What was found is as of now, so the rights must be, too: they may have changed with it.
        self._require_seen(path)
        if not self._sees(path, found):
            raise NotFound(path)
        return found

    def _require_seen(self, path: str) -> None:
        """Raise Denied when nothing that could be at `path` is to be seen."""
        if not (
            self._lists(path)
            or self._may(Action.ENTER, path)
            or self._may(Action.READ, path)
            or self._may(Action.SET_TIMES, path, own=True)
        ):
            raise Denied(Action.LIST.value)

    def _sees(self, path: str, found: Entry) -> bool:
        if self._lists(path):
            return True
        if found.is_directory:
            return self._may(Action.ENTER, path)
        own = found.owner == self._owner and self._may(Action.SET_TIMES, path, own=True)
        return own or self._may(Action.READ, path)

    def _lists(self, path: str) -> bool:
        return self._may(Action.LIST, path) and (path == "/" or self.account.shows(*paths.parent(path)))

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
        self.require(Action.LIST, path)
        matches = matcher(pattern) if pattern else None
        first = await self._store.listing(self._at(path), backwards=backwards and order is Order.NAME)
        if order is not Order.NAME and first.more:
            return await self._sorted(path, order, backwards, matches)
        if order is not Order.NAME:
            first = replace(first, entries=arranged(first.entries, order, backwards=backwards))

        def follow(page: Page) -> Page | None:
            return self._store.next_page(page.directory, page.entries[-1].name, backwards=backwards)

        cursor = DirectoryCursor(follow, self._shown, matches=matches)
        await cursor.take(first)
        return cursor

    async def _sorted(
        self, path: str, order: Order, backwards: bool, matches: Matches | None
    ) -> DirectoryCursor:
        """Return a cursor over a large directory that is not sorted by name."""
        packed = await self._store.sorted_listing(self._at(path), order)
        numbers = iter(range(packed.pages))

        def follow(page: Page) -> Page | None:
            return packed.page(next(numbers), backwards=backwards)

        cursor = DirectoryCursor(follow, self._shown, matches=matches, release=packed.close)
        try:
            await cursor.take(packed.page(next(numbers), backwards=backwards))
        except BaseException:
            cursor.close()
            raise
        return cursor

    def _shown(self, page: Page) -> list[Entry]:
        """Return what the account sees now of a page that was read in this step. Raises Denied, NotFound."""
        path = self.account.view.to_client(page.path)
        if path is None:
            raise NotFound(page.path.rpartition("/")[2])  # it was moved out of the account's home
        self.require(Action.LIST, path)
        shows = self.account.shown_in(path)
        return [entry for entry in page.entries if shows(entry.name)]

    async def enter(self, path: str) -> None:
        """Make `path` the working directory. Raises NotFound, NotADirectory."""
        self.require(Action.ENTER, path)
        found = await self.entry(path)
        self.require(Action.ENTER, path)
        if not found.is_directory:
            raise NotADirectory(path)
        self.cwd = path

    async def size(self, path: str) -> tuple[int | None, bool]:
        """Return how much of `path` there is (None: it is a directory) and whether that is not what is published.

        It is then what an interrupted upload of the account left, which can be gone on with.
        """
        partial = await self._store.partial(self._at(path), self._owner) if path != "/" else None
        if partial is not None:
            return partial.size, True
        entry = await self.entry(path)
        return (entry.size if entry.kind is Kind.FILE else None), False

    async def begun(self, path: str, *, anew: bool = True) -> int:
        """Return how many bytes of an interrupted upload to `path` the account can go on from; 0: there is none.

        `anew`: ask the cluster; not needed by who has just asked for the `entry` there, for the same request.
        """
        partial = await self._store.partial(self._at(path), self._owner, anew=anew) if path != "/" else None
        return partial.size if partial is not None else 0

    async def forget(self, path: str) -> None:
        """Forget what the account could go on from at `path`, if there is something."""
        if await self.begun(path):
            with contextlib.suppress(NotFound):
                await self._store.drop_partial(self._at(path), self._owner)

    # Changing names.

    async def make_directory(self, path: str) -> None:
        """Make a directory."""
        paths.check_new(path)
        self.require(Action.MAKE_DIRECTORY, path)
        if path == "/":
            raise AlreadyExists(path)
        await self._store.make_directory(self._at(path), self._owner)

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        self.require(Action.REMOVE_DIRECTORY, path)
        await self._store.remove_directory(self._at(path))

    async def remove(self, path: str) -> None:
        """Remove a file, and what its owner could have resumed there."""
        only_of = self._only_of(Action.DELETE, path)
        missing: NotFound | None = None
        try:
            await self._store.remove(self._at(path), only_of=only_of)
        except NotFound as error:
            missing = error
        try:
            begun = await self._store.partial(self._at(path), self._owner) is not None
            if begun:
                await self._store.drop_partial(self._at(path), self._owner)
        except StoreError as error:
            # The file is removed; what is begun stays until it is replaced or removed again.
            if missing is not None:
                raise missing if isinstance(error, NotFound) else error from None
        else:
            if missing is not None and not begun:
                raise missing

    def check_rename(self, path: str) -> None:
        """Raise Denied when nothing at `path` could be renamed by the account."""
        self._only_of(Action.RENAME, path)

    async def rename(self, source: str, target: str, *, exclusive: bool = False) -> None:
        """Rename a file, over an existing one too unless `exclusive`, or a directory.

        To take something to where other rights hold needs the right to read and to delete it.
        """
        paths.check_new(target)
        source_of = self._only_of(Action.RENAME, source)
        if not self.account.same_rights(source, target):
            self.require(Action.READ, source)
            self.require(Action.DELETE, source)
        if not self._may(Action.WRITE, target):
            # Enough for a directory, which replaces nothing.
            self.require(Action.MAKE_DIRECTORY, target)
            if not (await self.entry(source)).is_directory:
                raise Denied(Action.WRITE.value)
        target_of, keeps_all = self._replaces(Action.OVERWRITE, target)
        await self._store.rename(
            self._at(source),
            self._at(target),
            source_of=source_of,
            target_of=target_of,
            exclusive=exclusive or keeps_all,
        )

    def _replaces(self, action: Action, path: str) -> tuple[str, bool]:
        """Return whose file at `path` may be replaced ("": anybody's), and whether none at all."""
        if self._may(action, path):
            return "", False
        if self._may(action, path, own=True):
            return self._owner, False
        return "", True

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Set the time of last modification."""
        only_of = self._only_of(Action.SET_TIMES, path)
        await self._store.set_modified(self._at(path), mtime_ns, only_of=only_of)

    # Bytes.

    async def upload(
        self, path: str, *, offset: int | None, append: bool, exclusive: bool, expected: int | None
    ) -> Upload:
        """Open an upload."""
        paths.check_new(path)
        if not (append and self._may(Action.APPEND, path)):
            self.require(Action.WRITE, path)
        if offset:
            await self._check_continued(path, offset)
        # What goes on from an interrupted upload replaces what is there; nothing is appended to that.
        appends = append and await self._store.partial(self._at(path), self._owner) is None
        only_of, keep_all = self._replaces(Action.APPEND if appends else Action.OVERWRITE, path)
        return await self._store.upload(
            self._at(path),
            self._owner,
            offset=offset,
            append=append,
            exclusive=exclusive or keep_all,
            own_only=bool(only_of),
            # The right to append is none to replace: not with a partial upload either that comes up just now.
            resume=not appends,
            expected=expected,
            about=not self._sees_all(),
        )

    async def _check_continued(self, path: str, offset: int) -> None:
        """Raise Invalid where the account neither sees how long the file is nor has begun it.

        Whether there are `offset` bytes to go on from would tell who asks often enough.
        """
        if self._may(Action.READ, path) or await self.begun(path):
            return
        try:
            await self.entry(path)
        except (NotFound, Denied):
            raise Invalid(
                f"cannot continue at byte {offset}: you have begun no upload there; send the file again from 0"
            ) from None

    async def download(self, path: str) -> Download:
        """Open a download."""
        self.require(Action.READ, path)
        download = await self._store.download(self._at(path))
        try:
            self.require(Action.READ, path)
        except Denied:
            await download.close()
            raise
        return download

    def _sees_all(self) -> bool:
        """Whether nothing is hidden from the account: it may know what is stored, and so how much is free."""
        user, needed = self.account.user, {"l", "r"}
        rules = () if "A" in user.rights else user.rules
        return user.home == "/" and all(
            needed <= set(each) for each in (user.rights, *(r.rights for r in rules))
        )

    async def room(self, path: str) -> Room:
        """Return how much the account may still store at `path`; roughly, if it does not see all that is stored.

        Raises NoQuorum, Denied.
        """
        self.require(Action.WRITE, path)
        user = await self._store.user(self._owner) or self.account.user
        usage = self._store.usage(self._owner)
        full = bool(user.quota_files) and usage.files >= user.quota_files
        free = self._store.takes(self._owner, about=not self._sees_all())
        return Room(free, user.quota_bytes or None, usage.bytes, full)
