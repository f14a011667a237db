"""Names as somebody asks for them: every read and every change is judged by its actor's rights.

A read takes account and names from one state of the catalog, in one step: after the barrier nothing is awaited between
the look at the account and the look at the names. There is no other way to read names for a front-end, so a new read
cannot forget it. A change is refused early where the account does not have the right; what counts is decided once more
when it is applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from raftstore.cluster.proposals import Barrier, Propose
from raftstore.errors import AlreadyExists, Denied, Invalid, NoQuorum, NotFound
from raftstore.paths import parent, split
from raftstore.rights import Action, Actor, Rights, Whose, looks
from raftstore.rights.changes import Leave, leave, write
from raftstore.types import Entry, FileVersion, Page, Partial, User
from raftstore.wire import commands_pb2 as commands

if TYPE_CHECKING:
    from raftstore.metadata.catalog import Catalog

_T = TypeVar("_T")

COPIES = 3
"""The level from which on files can be copied."""

Look = Callable[[Rights, "Catalog"], _T]
"""Reads names, all at once, and judges them by the rights that hold for them. Must not wait."""


class Names:
    """What front-ends see and change of the names. Every call may raise Denied and other StoreErrors."""

    def __init__(
        self,
        catalog: Catalog,
        barrier: Barrier,
        propose: Propose,
    ) -> None:
        self._catalog = catalog
        self._barrier = barrier
        self._propose = propose

    # Looking.

    async def read(self, actor: Actor, look: Look[_T]) -> _T:
        """Return what `look` finds once all that was acknowledged anywhere is applied here."""
        await self._barrier()
        return self.now(actor, look)

    def now(self, actor: Actor, look: Look[_T]) -> _T:
        """Return what `look` finds in what is applied here: for what was asked of the cluster just before.

        Raises NoQuorum when some of that had to be undone since, for want of space.
        """
        catalog = self._catalog
        if catalog.behind:
            raise NoQuorum("the disk of this node is full: what was applied last is not to be seen here")
        return look(actor.rights(catalog.rights, catalog.level), catalog)

    async def lookup(self, actor: Actor, path: str, *, to: Action | None = None) -> Entry:
        """Return what `path` names, to do that with it, as far as the actor sees it."""

        def look(rights: Rights, catalog: Catalog) -> Entry:
            if to is not None and rights.whose(to, path) is Whose.NOBODYS:
                rights.require(to, path)
            return looks.entry(rights, path, catalog.lookup)

        return await self.read(actor, look)

    def page(self, actor: Actor, path: str, *, backwards: bool) -> Page:
        """Return what the actor is shown of the first entries of a directory, or the last ones, as applied here."""

        def look(rights: Rights, catalog: Catalog) -> Page:
            rights.require(Action.LIST, path)
            return looks.page(rights, catalog.page(path, backwards=backwards))

        return self.now(actor, look)

    def next_page(self, actor: Actor, directory: int, after: str, *, backwards: bool) -> Page | None:
        """Return what follows the name `after` in the directory with this inode; None: it was removed."""

        def look(rights: Rights, catalog: Catalog) -> Page | None:
            page = catalog.next_page(directory, after, backwards=backwards)
            return None if page is None else looks.page(rights, page)

        return self.now(actor, look)

    async def file(self, actor: Actor, path: str) -> FileVersion:
        """Return the published version of a file to read."""
        return await self.read(actor, lambda rights, catalog: looks.version(rights, path, catalog.file))

    async def partial(self, actor: Actor, path: str, *, anew: bool = True) -> Partial | None:
        """Return what the actor can resume at `path`, or None. Nobody else sees it.

        `anew`: ask the cluster; not needed by who has just looked the path up for the same request.
        """

        def look(rights: Rights, catalog: Catalog) -> Partial | None:
            return looks.partial(rights, path, catalog.partial)

        return await self.read(actor, look) if anew else self.now(actor, look)

    async def require(self, actor: Actor, action: Action, path: str) -> User:
        """Raise Denied unless the actor may `action` at `path`; return the account as it is."""

        def look(rights: Rights, _: Catalog) -> User:
            rights.require(action, path)
            return rights.user

        return await self.read(actor, look)

    async def directory_of(self, actor: Actor, path: str) -> int:
        """Return the inode of the directory that `path` is in: to compare with, not to be told. Raises NotFound."""

        def look(rights: Rights, catalog: Catalog) -> int:
            if not looks.goes_on(rights, path):
                looks.require_seen(rights, path)
            return catalog.lookup(parent(path)[0]).inode

        return await self.read(actor, look)

    # Changing.

    async def change(self, actor: Actor, command: commands.Command) -> commands.Result:
        """Replicate a command that changes names and return its result; raise the StoreError that it is refused with.

        What its actor may do of it is written into it, or it says who that is.
        """
        while True:
            level, proposed = self._catalog.level, command
            if level >= 2:
                # An upload was judged when it was opened; otherwise nobody fills the log with what is refused.
                if not command.HasField("put_file"):
                    await self._granted(actor, command)
                command.actor.CopyFrom(actor.message())
            elif actor.user is not None:
                granted = await self._granted(actor, command)
                if granted.directories:
                    await self._check_directory(actor, command.rename.source)
                proposed = commands.Command()
                proposed.CopyFrom(command)  # what level 1 does not know is needed if it is raised meanwhile
                write(proposed, granted)
            try:
                return await self._propose(proposed)
            except Invalid:
                # Made for the level before: it was refused whole, when the level had been raised meanwhile.
                if self._catalog.level == level:
                    raise

    async def _granted(self, actor: Actor, command: commands.Command) -> Leave:
        """Return what the actor may do by the account as it is applied here; only a refusal has to be certain."""
        if actor.user is None or command.put_file.HasField("handle"):
            return Leave()  # a system's; or where it will be published, only its entry knows
        try:
            return leave(actor.rights(self._catalog.rights, self._catalog.level), command)
        except Denied:
            return await self.read(actor, lambda rights, _: leave(rights, command))

    async def _check_directory(self, actor: Actor, path: str) -> None:
        if not (await self.lookup(actor, path)).is_directory:
            raise Denied(Action.WRITE.value)

    async def allow(self, actor: Actor, command: commands.Command, published: Entry | None) -> None:
        """Raise Denied or AlreadyExists unless the actor may do what `command` asks; `published`: what it replaces."""

        def look(rights: Rights, _: Catalog) -> None:
            granted = leave(rights, command)
            if published is not None and granted.keeps:
                raise AlreadyExists(published.name)
            if published is not None and granted.target_of and published.owner != granted.target_of:
                raise Denied(Action.OVERWRITE.value)

        await self.read(actor, look)

    async def make_directory(self, actor: Actor, path: str) -> None:
        """Make a directory. Raises AlreadyExists, NotFound (its parent), BadName."""
        split(path)
        await self.change(actor, commands.Command(make_directory=commands.MakeDirectory(path=path)))

    async def make_home(self, actor: Actor) -> None:
        """Make the actor's home where it is missing, and the way to it, whatever its rights."""

        def missing(rights: Rights, catalog: Catalog) -> list[str]:
            names = split(rights.home)
            ways = ["/" + "/".join(names[:count]) for count in range(1, len(names) + 1)]
            for number, way in enumerate(ways):
                try:
                    catalog.check_directory(way)
                except NotFound:
                    return ways[number:]
            return []

        for path in await self.read(actor, missing):
            make = commands.MakeDirectory(path=path, home=True)
            try:
                await self.change(actor, commands.Command(make_directory=make))
            except AlreadyExists:
                pass

    async def remove_directory(self, actor: Actor, path: str) -> None:
        """Remove an empty directory. Raises NotFound, NotADirectory, NotEmpty."""
        split(path, existing=True)
        await self.change(actor, commands.Command(remove_directory=commands.RemoveDirectory(path=path)))

    async def remove(self, actor: Actor, path: str) -> None:
        """Remove a file. Raises NotFound, IsADirectory."""
        split(path, existing=True)
        await self.change(actor, commands.Command(remove_file=commands.RemoveFile(path=path)))

    async def rename(
        self, actor: Actor, source: str, target: str, rename: commands.Rename | None = None
    ) -> None:
        """Rename a file (over an existing file too, unless `rename` says no) or a whole directory.

        Raises AlreadyExists, Cycle, NotFound, BadName (also for what is in it: its paths would be too long).
        """
        split(source, existing=True)
        split(target)
        rename = rename or commands.Rename()
        rename.source, rename.target = source, target
        await self.change(actor, commands.Command(rename=rename))

    async def copy(self, actor: Actor, source: str, target: str, copy: commands.CopyFile) -> None:
        """Copy a file. Raises AlreadyExists, Denied, IsADirectory, NotFound, NotADirectory, BadName, QuotaExceeded."""
        split(source, existing=True)
        split(target)
        if self._catalog.level < COPIES:
            raise Denied(f"copies need a cluster of level {COPIES}: its operator has to finish the upgrade")
        copy.source, copy.target = source, target
        await self.change(actor, commands.Command(copy_file=copy))

    async def set_modified(self, actor: Actor, path: str, mtime_ns: int) -> None:
        """Set the time of last modification, in ns since the epoch. Raises NotFound."""
        split(path, existing=True)
        times = commands.SetTimes(path=path, mtime_ns=mtime_ns)
        await self.change(actor, commands.Command(set_times=times))

    async def drop_partial(self, actor: Actor, path: str) -> None:
        """Forget what the actor could resume at `path`. Raises NotFound."""
        await self.change(actor, commands.Command(drop_partial=commands.DropPartial(path=path)))
