"""What directories keep, as operators ask for it."""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import dataclass

from raftstore.cluster.proposals import Barrier, Change
from raftstore.errors import Invalid, NotADirectory
from raftstore.metadata import Catalog
from raftstore.metadata.tables.names.retention import Retention, may_have_retention, no_retention
from raftstore.rights import Actor
from raftstore.rights.reserved import LEVEL
from raftstore.types import Kind
from raftstore.util.limits.slices import next_slice
from raftstore.wire import commands_pb2 as commands

PAGE = 500
SHOWN = 20
"""Paths that are told of what would go."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a directory keeps: files for `age_ns`, and at most so many `bytes` and `files`; 0: no bound."""

    age_ns: int = 0
    bytes: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """The bounds of a directory, and what is there. `settled`: the leader has looked through all of it."""

    path: str
    bounds: Bounds
    files: int
    bytes: int
    settled: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go of so many files and bytes, and the paths of the oldest of it."""

    files: int
    bytes: int
    of_files: int
    of_bytes: int
    paths: tuple[str, ...]


def beyond(sizes: list[tuple[int, int]], bounds: Bounds, too_old: int) -> int:
    """Return how many of the files, given by version and size, the oldest first, go by some bounds. Pure.

    `too_old`: the version below which all are older than the age.
    """
    files, total = len(sizes), sum(size for _, size in sizes)
    for gone, (version, size) in enumerate(sizes):
        if not (version < too_old or 0 < bounds.files < files or 0 < bounds.bytes < total):
            return gone
        files, total = files - 1, total - size
    return len(sizes)


class RetentionCalls:
    """What operators do with retention. Every call may raise StoreError, and Invalid where the level has none."""

    def __init__(self, catalog: Catalog, barrier: Barrier, change: Change) -> None:
        """`change` proposes in the name of an actor."""
        self._catalog = catalog
        self._barrier = barrier
        self._change = change

    async def set(self, actor: Actor, path: str, bounds: Bounds) -> None:
        """Have a directory keep so much. Raises NotFound, NotADirectory, Invalid, Denied."""
        self._check_level()
        put = commands.PutRetention(
            path=path, age_ns=bounds.age_ns, max_bytes=bounds.bytes, max_files=bounds.files
        )
        await self._change(actor, commands.Command(put_retention=put))

    async def remove(self, actor: Actor, path: str) -> None:
        """Have a directory keep everything again. Raises NotFound, NotADirectory, Denied."""
        self._check_level()
        command = commands.RemoveRetention(path=path)
        await self._change(actor, commands.Command(remove_retention=command))

    async def rules(self) -> list[RetentionRule]:
        """Return all rules, by path."""
        await self._barrier()
        self._check_level()
        found = self._catalog.ask(Retention, lambda table: table.rules())
        return sorted(
            (
                RetentionRule(
                    self._catalog.path_of(rule.directory) or "",
                    Bounds(rule.age_ns, rule.max_bytes, rule.max_files),
                    rule.files,
                    rule.bytes,
                    rule.settled,
                )
                for rule in found
                if rule.live
            ),
            key=lambda rule: rule.path,
        )

    async def preview(self, path: str, bounds: Bounds) -> Preview:
        """Return what would go if the directory had these bounds now; nothing is changed.

        It goes through all that is there, some names a slice. Raises NotFound, NotADirectory, Invalid.
        """
        await self._barrier()
        self._check_level()
        if not may_have_retention(path):
            raise Invalid(no_retention(path))
        directory = self._catalog.lookup(path)
        if not directory.is_directory:
            raise NotADirectory(path)
        versions, sizes, inodes = array("q"), array("q"), array("q")
        waiting = [directory.inode]
        others = {
            rule.directory for rule in self._catalog.ask(Retention, lambda table: table.rules()) if rule.live
        }
        while waiting:
            inode, after = waiting.pop(), ""
            while page := self._catalog.ask(
                Retention,
                lambda table, where=inode, last=after: table.entries(where, last, PAGE),  # type: ignore[misc]
            ):
                for row in page:
                    if row[1] == Kind.FILE:
                        versions.append(row[6])
                        sizes.append(row[3])
                        inodes.append(row[2])
                    elif row[2] not in others:
                        waiting.append(row[2])
                after = page[-1][0]
                await next_slice()
        # Cluster time stands a little behind while nothing expires; the rule would have it go on.
        now_ns = time.time_ns()
        too_old = self._catalog.ask(Retention, lambda table: table.too_old(bounds.age_ns, now_ns))
        # A million take more than a second: not on the loop.
        gone, freed, oldest = await asyncio.to_thread(_judged, versions, sizes, inodes, bounds, too_old)
        paths = (self._catalog.path_of(inode) for inode in oldest)
        return Preview(gone, freed, len(sizes), sum(sizes), tuple(path for path in paths if path is not None))

    def _check_level(self) -> None:
        if self._catalog.level < LEVEL:
            raise Invalid("there is no retention before the cluster is upgraded: see `pixraft upgrade`")


def _judged(
    versions: array[int], sizes: array[int], inodes: array[int], bounds: Bounds, too_old: int
) -> tuple[int, int, list[int]]:
    """Return how many files go, the bytes in them, and the inodes of some of the oldest."""
    order = sorted(range(len(versions)), key=lambda place: (versions[place], inodes[place]))
    gone = beyond([(versions[place], sizes[place]) for place in order], bounds, too_old)
    freed = sum(sizes[place] for place in order[:gone])
    return gone, freed, [inodes[place] for place in order[: min(gone, SHOWN)]]
