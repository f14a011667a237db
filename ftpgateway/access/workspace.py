"""What one session sees: its home, what is mounted in it, and only what the account has the right to.

Every call says whose session it is, and the store judges it: a read by the account and the names of one moment, a
change once more where it is applied (`raftstore.rights`). pyftpdlib's AbstractedFS is deliberately not the base class:
every method that it has and we would forget to override would reach for the host's files. Here there is nothing to
inherit, so nothing can.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from ftpgateway.access.account import Account
from ftpgateway.access.backend import Backend, Download, Upload
from ftpgateway.access.cursor import DirectoryCursor, matcher
from ftpgateway.access.freespace import FreeSpace
from ftpgateway.access.ledger import Charge, Holder, Ledger, Resource
from ftpgateway.access.settings import PeopleSettings
from ftpgateway.access.storetree import Home, StoreTree
from ftpgateway.access.tree import Mount, MountRefused, Place, Sending, Tree
from raftstore import paths
from raftstore.errors import AlreadyExists, Denied, NotADirectory, NotFound, StoreError
from raftstore.rights import Action, Actor
from raftstore.store.targets import Target
from raftstore.types import NEWEST_SENT, Entry, Kind, Order, SentItem, User
from raftstore.wire import commands_pb2 as commands


class Workspace:
    """A user's part of the store. Client paths are absolute below the home directory, which is `/` to the user.

    What is mounted there lies at the first name of a path. Calls raise Denied where the account does not have the
    right, beside the store's errors.
    """

    def __init__(
        self,
        store: Backend,
        account: Account,
        actor: Actor | None = None,
        *,
        hold: Callable[[Resource, int], Charge] | None = None,
        mounts: Iterable[Mount] = (),
        people: PeopleSettings | None = None,
    ) -> None:
        """`actor`: whose session it is, if not simply the account's as it is. `hold` charges what is held for it."""
        self._people = people or PeopleSettings()
        self._sending = Sending()
        self._hold = hold or partial(Ledger().charge, Holder(account.user.name, ""))
        self._store = store
        self._actor = Actor.session(account.user) if actor is None else actor
        self._home = Home(store, self._actor, account.view, self._hold)
        self._mounts = tuple(mounts)
        self._account = account
        self._mounted = self._mounted_for(account)
        self.cwd = "/"
        self._shut = False

    @property
    def account(self) -> Account:
        """The account as it is now."""
        return self._account

    def renew(self, account: Account) -> None:
        """The account was changed; its home is where it was, or the session would have ended."""
        self._account = account
        self._mounted = self._mounted_for(account)

    def _mounted_for(self, account: Account) -> dict[str, Tree]:
        place = Place(self._store, self._actor, account, self._hold, self._people, self._sending)
        found = {mount.name: mount.open(place) for mount in self._mounts}
        return {name: tree for name, tree in found.items() if tree is not None}

    def shut(self) -> None:
        """Allow nothing from now on: the session has to end."""
        self._shut = True

    def resolve(self, argument: str) -> str:
        """Return the client path that a client's argument means; it never leaves the home. Raises BadName."""
        path = paths.join(self.cwd, argument)
        tree, inner = self._part(path)
        tree.check(inner)
        return path

    def _part(self, path: str) -> tuple[Tree, str]:
        """Return the part of the view that a client's path lies in, and the path within that."""
        if self._mounted:
            name, _, rest = path[1:].partition("/")
            tree = self._mounted.get(name)
            if tree is not None:
                return tree, f"/{rest}"
        return self._home, path

    def _at(self, path: str) -> tuple[Tree, str]:
        """Do the same for a request. The home is as it was when the session began: with another it ends."""
        if self._shut:
            raise Denied("the session has ended")
        return self._part(path) if self._mounted else (self._home, path)

    def _change(self, path: str) -> tuple[Tree, str]:
        """Do the same for a change of names, which no mounted directory itself suffers."""
        tree, inner = self._at(path)
        if inner == "/" and tree is not self._home:
            raise MountRefused(f"{path} is always there")
        return tree, inner

    def check_change(self, path: str) -> None:
        """Raise MountRefused for a mounted directory itself: for what takes many changes, before the first of them."""
        self._change(path)

    def has_mount(self, name: str) -> bool:
        """Whether `/name` is mounted in the view, not a directory of the home."""
        return name in self._mounted

    def mount_of(self, path: str) -> str:
        """Return the name of the mounted directory that a path is in, "" for what is in the home."""
        name = path[1:].partition("/")[0]
        return name if name in self._mounted else ""

    def letters(self, path: str) -> str:
        """Return the account's rights at `path`."""
        tree, inner = self._part(path)
        return tree.letters(self._account, inner)

    def may(self, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account has the right to `action` at `path`; `own`: the file there is its own."""
        tree, inner = self._part(path)
        return tree.may(self._account, action, inner, own=own)

    # Looking.

    async def make_home(self) -> None:
        """Make the home directory where it is missing."""
        await self._store.make_home(self._actor)

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is published at `path`, to do that with it; the home directory has the name `/`.

        Who may not list there sees directories that it may enter, files that it may read, and its own ones if it may
        change them. What else is there is as if it were not: NotFound.
        """
        tree, inner = self._at(path)
        found = await tree.entry(inner, to=to)
        return replace(found, name=path[1:]) if inner == "/" and tree is not self._home else found

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
        tree, inner = self._at(path)
        return await tree.directory(
            inner,
            order=order,
            backwards=backwards,
            matches=matcher(pattern) if pattern else None,
            beside=await self._beside() if path == "/" and self._mounted else (),
        )

    async def _beside(self) -> list[Entry]:
        """Return the mounted directories that are to be seen."""
        seen = []
        for name in self._mounted:
            with contextlib.suppress(NotFound, Denied):
                seen.append(await self.entry(f"/{name}"))
        return seen

    async def enter(self, path: str) -> None:
        """Make `path` the working directory. Raises NotFound, NotADirectory."""
        if not (await self.entry(path, to=Action.ENTER)).is_directory:
            raise NotADirectory(path)
        self.cwd = path

    async def size(self, path: str) -> tuple[int | None, bool]:
        """Return how much of `path` there is (None: it is a directory) and whether that is not what is published.

        It is then what an interrupted upload of the account left, which can be gone on with.
        """
        tree, inner = self._at(path)
        partial = await tree.partial(inner) if inner != "/" else None
        if partial is not None:
            return partial.size, True
        entry = await self.entry(path)
        return (entry.size if entry.kind is Kind.FILE else None), False

    async def begun(self, path: str, *, anew: bool = True) -> int:
        """Return how many bytes of an interrupted upload to `path` the account can go on from; 0: there is none.

        `anew`: ask the cluster; not needed by who has just asked for the `entry` there, for the same request.
        """
        tree, inner = self._at(path)
        if inner == "/":
            return 0
        partial = await tree.partial(inner, anew=anew)
        return partial.size if partial is not None else 0

    async def forget(self, path: str) -> None:
        """Forget what the account could go on from at `path`, if there is something."""
        if await self.begun(path):
            tree, inner = self._at(path)
            with contextlib.suppress(NotFound):
                await tree.drop_partial(inner)

    async def require(self, action: Action, path: str) -> None:
        """Raise Denied unless the account may do it."""
        tree, inner = self._at(path)
        await tree.require(action, inner)

    # Changing names.

    async def make_directory(self, path: str) -> None:
        """Make a directory."""
        paths.check_new(path)
        tree, inner = self._at(path)
        if inner == "/":
            await tree.require(Action.MAKE_DIRECTORY, inner)
            raise AlreadyExists(path)
        await tree.make_directory(inner)

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        tree, inner = self._change(path)
        await tree.remove_directory(inner)

    async def remove(self, path: str) -> None:
        """Remove a file, and what its owner could have resumed there."""
        tree, inner = self._change(path)
        missing: NotFound | None = None
        try:
            await tree.remove(inner)
        except NotFound as error:
            missing = error
        try:
            begun = await tree.partial(inner) is not None
            if begun:
                await tree.drop_partial(inner)
        except StoreError as error:
            # The file is removed; what is begun stays until it is replaced or removed again.
            if missing is not None:
                raise missing if isinstance(error, NotFound) else error from None
        else:
            if missing is not None and not begun:
                raise missing

    async def check_remove(self, path: str) -> None:
        """Raise Denied unless the account may remove a file of its own at `path`."""
        tree, inner = self._change(path)
        await tree.check_remove(inner)

    async def check_rename_new(self, source: str, target: str, published: Entry | None) -> None:
        """Raise Denied unless a new file of the account may be published at `target`, where `published` is, not at
        `source`."""
        paths.check_new(target)
        (tree, old), (other, new) = self._change(source), self._change(target)
        if tree is not other:
            raise MountRefused("it is not stored yet; close it before you move it to another directory")
        await tree.check_rename_new(old, new, published)

    async def rename(self, source: str, target: str, *, exclusive: bool = False) -> None:
        """Rename a file, over an existing one too unless `exclusive`, or a directory.

        To take something to where other rights hold needs the right to read and to delete it; to move what others'
        homes and rules are for needs an admin's. Out of a mounted directory, or into one, it goes as far as that
        offers it.
        """
        paths.check_new(target)
        (tree, old), (other, new) = self._change(source), self._change(target)
        if tree is other:
            await tree.rename(old, new, exclusive=exclusive)
        elif tree is not self._home:
            await tree.rename_out(old, other, new, exclusive=exclusive)
        else:
            await other.rename_in(tree, old, new, exclusive=exclusive)

    async def copy(self, source: str, target: str, *, exclusive: bool = False) -> None:
        """Copy a file, over an existing one too unless `exclusive`; no byte is copied. In /send it delivers."""
        paths.check_new(target)
        (tree, old), (other, new) = self._at(source), self._change(target)
        await tree.copy_out(old, other, new, exclusive=exclusive)

    async def set_modified(self, path: str, mtime_ns: int) -> None:
        """Set the time of last modification."""
        tree, inner = self._at(path)
        await tree.set_modified(inner, mtime_ns)

    # Persons.

    def _person(self) -> User:
        """Return the account. Raises Denied for one that is no person."""
        user = self._account.user
        if self._shut or not user.person:
            raise Denied("that is for persons, and this account is none")
        return user

    async def send_file(self, path: str, to: str, *, expires_ns: int | None = None) -> commands.Result:
        """Send a stored file; the result says in how many inboxes it is. Raises NotFound (also: it is not taken).

        `expires_ns`: after how long it is gone, None: as the session has it, 0: as the account has it.
        """
        self._person()
        tree, inner = self._at(path)
        if not isinstance(tree, StoreTree):
            raise MountRefused("what is here cannot be sent")
        return await self._store.people.send_file(
            self._actor,
            tree.at(inner),
            to,
            expires_ns=self._sending.expires_ns if expires_ns is None else expires_ns,
        )

    async def sent(
        self, limit: int, *, before: tuple[int, int] = NEWEST_SENT, ended: bool = False
    ) -> list[SentItem]:
        """Return what the person has sent, newest first, one for each recipient; go on with the last one's `key`.

        `ended`: what is not among what it sent any more.
        """
        try:
            return await self._store.people.sent(self._person().name, limit, before=before, ended=ended)
        except NotFound:  # it has never sent anything
            return []

    def unopened(self, inodes: Sequence[int]) -> set[int]:
        """Return which entries of the inbox, which were just listed, the person has not read yet."""
        return self._store.people.unopened(self._person().name, inodes)

    async def restore(self, name: str, *, beside: bool = False) -> str | None:
        """Put a file of the trash back to where it was; return its path, None where the account does not see it.

        `beside`: where the name is taken, with a number behind its own. Raises NotFound, AlreadyExists, Denied.
        """
        if self._shut:
            raise Denied("the session has ended")
        return self._account.view.to_client(await self._store.trash.restore(self._actor, name, beside=beside))

    def expire_after(self, ns: int) -> None:
        """Have what the session sends from now on be gone everywhere after so long; 0: as the account has it."""
        self._person()
        self._sending.expires_ns = ns

    async def block(self, name: str, *, off: bool = False) -> None:
        """Take nothing more from `name`, or (`off`) take it again."""
        await self._store.people.block(self._actor, self._person().name, name, off=off)

    async def blocks(self) -> list[str]:
        """Return whom the person blocks."""
        return await self._store.people.blocks(self._person().name)

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
        tree, inner = self._change(path)
        return await tree.upload(
            inner, offset=offset, append=append, exclusive=exclusive, expected=expected, handle=handle
        )

    def upload_at_once(self, path: str, *, exclusive: bool, expected: int | None) -> Upload | None:
        """Open an upload that begins at byte 0, if nobody has to be asked for that; None: `upload` does it."""
        paths.check_new(path)
        tree, inner = self._change(path)
        return tree.upload_at_once(inner, exclusive=exclusive, expected=expected)

    async def reserve(self, path: str) -> Target | None:
        """Take the name at `path` for a new file, until that is published, or it is ended; None: this
        cluster cannot do that yet.

        Raises AlreadyExists.
        """
        paths.check_new(path)
        tree, inner = self._change(path)
        return await tree.reserve(inner)

    async def release(self, target: Target) -> None:
        """End the reservation of a name: others can take it when this returns."""
        await self._store.release(target)

    def forget_reservation(self, target: Target) -> None:
        """End the reservation of a name soon."""
        self._store.forget_reservation(target)

    async def base(self, path: str) -> Download:
        """Open what is published at `path`, to be changed. Its bytes are not for who may not read there."""
        tree, inner = self._at(path)
        return await tree.base(inner)

    async def rewrite(self, base: Download, path: str) -> Upload:
        """Open an upload that begins as all of `base`, which was at `path`."""
        tree, inner = self._at(path)
        return await tree.rewrite(base, inner)

    async def directory_of(self, path: str) -> int:
        """Return the inode of the directory that `path` is in; nothing is told of what is there. Raises NotFound."""
        tree, inner = self._at(path)
        return await (self._home.directory_of(path) if inner == "/" else tree.directory_of(inner))

    async def download(self, path: str) -> Download:
        """Open a download."""
        tree, inner = self._at(path)
        return await tree.download(inner)

    async def free_space(self, path: str) -> FreeSpace:
        """Return how much the account may still store at `path`. Raises NoQuorum, Denied."""
        tree, inner = self._at(path)
        return await tree.free_space(inner)
