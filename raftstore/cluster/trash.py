"""The trash as somebody asks for it: what is in it, how it comes back, and how it is emptied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from raftstore.cluster.proposals import Barrier, Change
from raftstore.errors import Invalid, NotFound
from raftstore.metadata import Catalog
from raftstore.metadata.refusal import MAX_INTEGER
from raftstore.metadata.tables.names.trash import MAX_DISPLACED, Trash
from raftstore.paths import join
from raftstore.rights import Actor
from raftstore.rights.reserved import LEVEL, Area
from raftstore.types import Usage, User
from raftstore.util.limits.slices import next_slice
from raftstore.wire import commands_pb2 as commands

PAGE = 100
COUNTED = 2000
"""Files that are counted at a time: some milliseconds."""

EMPTIED = 64
"""Files that one command empties: some milliseconds of every node's loop."""


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """A file in the trash: `name` there, and the `path` where it was. Times in ns since the epoch, by cluster time."""

    inode: int
    name: str
    path: str
    size: int
    mtime_ns: int
    removed_ns: int
    expires_ns: int


class TrashCalls:
    """What front-ends and admin calls do with trash.

    An account's session has its own; the system says whose by the account's name, `of`. Every call may raise
    StoreError, and Invalid while the level in force has no trash.
    """

    def __init__(self, catalog: Catalog, barrier: Barrier, change: Change) -> None:
        """`change` proposes in the name of an actor."""
        self._catalog = catalog
        self._barrier = barrier
        self._change = change

    async def entries(self, actor: Actor, *, of: str = "", after: int = 0) -> AsyncIterator[list[TrashEntry]]:
        """Yield what is in it behind inode `after`, the oldest first, some at a time. Raises NotFound, Denied."""
        owner = (await self._user(actor, of)).owner
        while True:
            await next_slice()
            page = self._catalog.ask(Trash, lambda trash, last=after: trash.of(owner, last, PAGE))  # type: ignore[misc]
            if not page:
                return
            yield [
                TrashEntry(each.inode, row[0], each.path, row[3], row[4], each.stamp_ns, each.expires_ns)
                for each, row in page
            ]
            after = page[-1][0].inode

    async def usage(self, actor: Actor, *, of: str = "") -> Usage:
        """Return how many files are in it, and bytes in them; none before there is trash. Raises NotFound, Denied."""
        if self._catalog.level < LEVEL:
            return Usage(0, 0)
        owner = (await self._user(actor, of)).owner
        files, size, after = 0, 0, 0
        while True:
            await next_slice()
            found = self._catalog.ask(Trash, lambda trash, last=after: trash.sizes(owner, last, COUNTED))  # type: ignore[misc]
            if not found:
                return Usage(files, size)
            files, size = files + len(found), size + sum(each for _, each in found)
            after = found[-1][0]

    async def restore(
        self,
        actor: Actor,
        name: str,
        *,
        to: str = "",
        beside: bool = False,
        replace: bool = False,
        of: str = "",
    ) -> str:
        """Put the file `name` of the trash to the path `to`, or to where it was; return where it is.

        Directories that are missing are made. Where the name is taken it gets a number behind its own (`beside`), takes
        the place of what is there (`replace`), or is refused. Raises NotFound, AlreadyExists, Denied, BadName.
        """
        user = await self._user(actor, of)
        inode = self._catalog.lookup(join(Area.TRASH.of(user.name), name)).inode
        kept = self._catalog.ask(Trash, lambda trash: trash.find(inode))
        if kept is None or kept.owner != user.owner:
            raise NotFound(name)
        command = commands.RestoreTrash(inode=inode, to=to or kept.path, beside=beside, replace=replace)
        await self._change(actor, commands.Command(restore_trash=command))
        return self._catalog.path_of(inode) or command.to

    async def newest_of(self, actor: Actor, path: str, *, of: str = "") -> str:
        """Return the name of what was removed from `path` last: a path of the store, or in the account's home.

        Raises NotFound, Denied.
        """
        user = await self._user(actor, of)
        ways = path, join(user.home, path[1:])
        found = {
            each.path: each.name
            async for page in self.entries(actor, of=of)
            for each in page
            if each.path in ways
        }
        name = next((found[way] for way in ways if way in found), None)
        if name is None:
            raise NotFound(path)
        return name

    async def empty(self, actor: Actor, *, of: str = "") -> int:
        """Remove for good all that is in it now; return how many files that were. Raises NotFound, Denied."""
        owner = (await self._user(actor, of)).owner
        upto = self._catalog.ask(Trash, lambda trash: trash.newest(owner))
        removed, finished = 0, not upto
        while not finished:
            command = commands.EmptyTrash(owner=owner, upto=upto, limit=EMPTIED)
            done = await self._change(actor, commands.Command(empty_trash=command))
            removed, finished = removed + done.removed, done.finished
        return removed

    async def _user(self, actor: Actor, of: str) -> User:
        await self._barrier()
        if self._catalog.level < LEVEL:
            raise Invalid("there is no trash before the cluster is upgraded: see `pixraft upgrade`")
        if actor.user is not None:
            return actor.rights(self._catalog.rights, self._catalog.level).user
        user = self._catalog.user(of)
        if user is None:
            raise NotFound(of)
        return user


def reclaimable(catalog: Catalog, owner: str) -> Usage:
    """Return how many files, and bytes in them, give way at most to one command that needs room in the quota."""
    if catalog.level < LEVEL:
        return Usage(0, 0)
    oldest = catalog.ask(Trash, lambda trash: trash.oldest(owner, MAX_DISPLACED, MAX_INTEGER))
    return Usage(len(oldest), sum(size for _, size in oldest))
