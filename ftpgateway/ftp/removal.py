"""Removing a directory with all that is in it: name by name, each for itself, with a few under way at a time.

Each name is removed as DELE and RMD remove it, by the same rights, durably; so what was removed stays removed when
the rest cannot be, and nobody's commands wait for a huge one. What is put into the directory meanwhile is kept: the
removal then ends with NotEmpty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

from ftpgateway.access.cursor import DirectoryCursor
from ftpgateway.access.workspace import Workspace
from ftpgateway.serving.refusals import TooManyNames
from raftstore.errors import NotFound
from raftstore.types import Entry

AT_ONCE = 64
"""Removals under way together: consensus takes many for little more than one."""

LIMIT = 1_000_000
"""Names that one command removes at most."""

PORTION = 5.0
"""Seconds after which `Removal.some` returns though it has not finished: a wait for the store is bounded."""


class _Level:
    """A directory whose contents are being removed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._cursor: DirectoryCursor | None = None
        self._left: Iterator[Entry] = iter(())

    async def some(self, files: Workspace) -> list[Entry]:
        """Return the next entries, at most AT_ONCE; none at the end. Raises StoreError."""
        if self._cursor is None:
            self._cursor = await files.directory(self.path)
            self._left = iter(self._cursor.entries)
        while not (batch := list(islice(self._left, AT_ONCE))) and self._cursor.more:
            await self._cursor.advance()
            self._left = iter(self._cursor.entries)
        return batch


class Removal:
    """The removal of the directory `path`; `removed` counts the names that are gone."""

    def __init__(self, files: Workspace, path: str) -> None:
        self.removed = 0
        self._files = files
        # The way from the top to where the work is: directories, and how far each is (None: not looked at yet).
        self._way: list[_Level] = [_Level(path)]

    async def some(self) -> bool:
        """Go on for a while; return whether all is done. Raises StoreError: what is left then stays."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PORTION
        while self._way:
            level = self._way[-1]
            batch = await level.some(self._files)
            if not batch:
                self._way.pop()
                await self._files.remove_directory(level.path)
                self._count(1)
            await self._remove_files(f"{level.path}/{entry.name}" for entry in batch if not entry.is_directory)
            self._way += [_Level(f"{level.path}/{entry.name}") for entry in batch if entry.is_directory]
            if loop.time() >= until:
                break
        return not self._way

    async def _remove_files(self, paths: Iterable[str]) -> None:
        results = await asyncio.gather(*map(self._remove_file, paths), return_exceptions=True)
        self._count(sum(result is None for result in results))
        for result in results:
            if result is not None:
                raise result

    async def _remove_file(self, path: str) -> None:
        try:
            await self._files.remove(path)
        except NotFound:
            pass  # somebody else was faster

    def _count(self, more: int) -> None:
        self.removed += more
        if self.removed >= LIMIT:
            raise TooManyNames
