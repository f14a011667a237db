"""Where the file of an open handle is published: decided by what the file is, not by the name that it was opened by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from raftstore.cluster.proposals import Barrier
from raftstore.errors import AlreadyExists, Changed, IsADirectory, NotFound
from raftstore.rights.reserved import LEVEL, Area
from raftstore.store.targets import Target
from raftstore.wire import commands_pb2 as commands

ATTEMPTS = 4
"""To publish at level 1, while others rename the file or what it is in."""


def _failed(task: asyncio.Task[Target]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


Put = Callable[[commands.PutFile], Awaitable[commands.Result]]


class Names(Protocol):
    """What is asked of the catalog as this node has applied it."""

    @property
    def level(self) -> int:
        """The level in force."""
        ...

    def path_of(self, inode: int) -> str | None:
        """Return the path of an inode; None when there is none with that number."""
        ...


class Aim:
    """Finds the file that an upload was opened on, and publishes there."""

    def __init__(self, names: Names, barrier: Barrier, look: Callable[[], Target], *, sure: bool) -> None:
        """`look` returns what is at the upload's path, as applied here. `sure`: nothing newer was acknowledged.

        If not so, that is found out while the client sends: of a file that is written anew nothing depends on whether
        it was opened before or after others published there, as long as one of both is true.
        """
        self._names = names
        self._barrier = barrier
        self._look = look
        self._found: Target | None = look() if sure else None
        self._finding: asyncio.Task[Target] | None = None

    def begin(self) -> None:
        """Look now, while other things go on: this, or later, is when it was opened."""
        if self._found is None:
            self._finding = asyncio.create_task(self._find(), name="upload's target")

    async def _find(self) -> Target:
        await self._barrier()
        return self._look()

    async def target(self) -> Target:
        """Return the file that the upload was opened on, or will make. Raises StoreError."""
        if self._found is None:
            # What could not be found out then, for want of a quorum, can be now.
            waits = self._finding is not None and not _failed(self._finding)
            self._found = await (asyncio.shield(self._finding) if waits and self._finding else self._find())
            self._finding = None
        return self._found

    def drop(self) -> None:
        """Nobody asks any more."""
        finding, self._finding = self._finding, None
        if finding is not None:
            finding.cancel()
            finding.add_done_callback(lambda over: over.cancelled() or over.exception())

    def delivers(self, path: str) -> bool:
        """Whether what is published at `path` comes to others."""
        return self._names.level >= LEVEL and Area.SENT.has(path)

    async def publish(self, target: Target, put: commands.PutFile, propose: Put) -> commands.Result | None:
        """Propose `put` for `target`; None: the file is gone. Raises StoreError; see UploadSession.publish."""
        if self._names.level >= 2:
            return await self._by_handle(target, put, propose)
        return await self._by_path(target, put, propose)

    async def _by_handle(self, target: Target, put: commands.PutFile, propose: Put) -> commands.Result | None:
        handle = commands.Handle(directory=target.directory, name=target.name, reservation=target.reservation)
        handle.inode, handle.version = (target.inode, target.version) if target.inode else target.replaces
        handle.new = not target.inode
        put.handle.CopyFrom(handle)
        done = await propose(put)
        return done if done.inode else None

    async def _by_path(self, target: Target, put: commands.PutFile, propose: Put) -> commands.Result | None:
        """Do what level 1 can: look where the file is, and have the entry refused where that has changed."""
        for attempt in range(1, ATTEMPTS + 1):
            await self._barrier()
            path = self._path(target)
            if path is None:
                return None
            put.path = path
            base = (target.inode, target.version) if target.inode else target.replaces
            put.base_inode, put.base_version = base
            put.exclusive = put.exclusive or base == (0, 0)
            try:
                return await propose(put)
            except (AlreadyExists, IsADirectory):
                if target.inode:
                    raise
                raise Changed(path) from None
            except Changed:
                if attempt == ATTEMPTS or self._path(target) == path:
                    raise
        raise AssertionError

    def _path(self, target: Target) -> str | None:
        if target.inode:
            return self._names.path_of(target.inode)
        directory = self._names.path_of(target.directory)
        if directory is None:
            raise NotFound("its directory was removed")
        return f"{directory.rstrip('/')}/{target.name}"
