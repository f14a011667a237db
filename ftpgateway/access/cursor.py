"""Directories that are listed page by page, so that neither a large one nor a slow client costs much.

The place in a directory is its inode and the last name that was seen. So nothing is held between two pages, the listing
goes on when the directory is renamed, and rights are judged for each page, by where the directory is then and what the
account may do by then.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from raftstore.types import Entry, Order, Page
from raftstore.util.limits.slices import Slice, next_slice

Matches = Callable[[str], object]


def matcher(pattern: str) -> Matches:
    """Return what tells whether a name fits a pattern with the wildcards of a shell."""
    return re.compile(fnmatch.translate(pattern)).match


def arranged(entries: Sequence[Entry], order: Order, *, backwards: bool) -> list[Entry]:
    """Return entries, which come by name, in another order."""
    if order is Order.TIME:
        ordered = sorted(entries, key=lambda entry: -entry.mtime_ns)
    elif order is Order.SIZE:
        ordered = sorted(entries, key=lambda entry: -entry.size)
    else:
        ordered = list(entries)
    if backwards:
        ordered.reverse()
    return ordered


class DirectoryCursor:
    """A place in a directory: `entries` are those of the page at hand, as far as they are to be seen.

    `more`: `advance` may bring further ones. To be closed when it is given up before its end.
    """

    def __init__(
        self,
        follow: Callable[[Page], Page | None],
        *,
        matches: Matches | None = None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """`follow` returns what the account sees of the page after another one (raises StoreError)."""
        self._follow = follow
        self._matches = matches
        self._release = release
        self._page: Page | None = None
        self.entries: list[Entry] = []

    @classmethod
    def of(cls, entries: list[Entry]) -> DirectoryCursor:
        """Return a cursor over what is known already."""
        cursor = cls(lambda page: None)
        cursor.entries = entries
        return cursor

    @property
    def more(self) -> bool:
        """Whether there may be further entries."""
        return self._page is not None and self._page.more

    async def take(self, page: Page) -> None:
        """Go to `page`."""
        self._page = page
        found = list(page.entries)
        self.entries = found if self._matches is None else await _matching(found, self._matches)
        if not page.more:
            self.close()

    async def advance(self) -> None:
        """Go to the next page, when it is this listing's turn. Raises StoreError."""
        assert self._page is not None
        await next_slice()
        page = self._follow(self._page)
        if page is None:
            self._page, self.entries = None, []
            self.close()
        else:
            await self.take(page)

    async def skip(self, name: str, *, backwards: bool = False) -> None:
        """Go on behind a name, in a listing by name, as if what comes before it had been read. Raises StoreError."""
        if self._page is None:
            self.entries = [each for each in self.entries if _behind(each.name, name, backwards)]
            return
        if not (self.entries and _behind(self.entries[-1].name, name, backwards)) and self._page.more:
            self._page = replace(self._page, last=name)
            await self.advance()
        self.entries = [each for each in self.entries if _behind(each.name, name, backwards)]

    def close(self) -> None:
        """Let go of what it holds; further calls do nothing."""
        release, self._release = self._release, lambda: None
        release()


def _behind(name: str, other: str, backwards: bool) -> bool:
    return name < other if backwards else name > other


async def _matching(entries: list[Entry], matches: Matches) -> list[Entry]:
    found: list[Entry] = []
    part = Slice()
    for entry in entries:
        if matches(entry.name):
            found.append(entry)
        if part.used:
            await part.rest()
    return found
