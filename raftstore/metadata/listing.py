"""How much of a directory is read at once, and listings that must be held whole because they are sorted otherwise than
by name: kept small, some 20 bytes an entry instead of 300.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterable

from raftstore.errors import Unavailable
from raftstore.metadata.tables.names.namespace import Row, entry_of
from raftstore.types import Entry, Page

PAGE = 256
"""Entries of a page: to read them and to write their lines takes a millisecond or two."""

MAX_SORTED = 200_000
"""Entries of a directory that is sorted otherwise than by name."""

MAX_PACKED = 2_000_000
"""Entries of all such listings of a node together: some 50 MB."""


class PackingBudget:
    """Bounds the entries that are packed at a time. Thread-safe."""

    def __init__(self, limit: int = MAX_PACKED) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self.taken = 0

    def take(self, count: int) -> None:
        """Take more. Raises Unavailable when there are too many."""
        with self._lock:
            if self.taken + count > self._limit:
                raise Unavailable("too many large directories are being sorted")
            self.taken += count

    def give(self, count: int) -> None:
        """Give back."""
        with self._lock:
            self.taken -= count


class PackedListing:
    """A directory's entries at one moment, packed by pages. To be closed.

    To hold them packed lets go of the database at once: a reader that waits for a slow client would keep its
    write-ahead log from being emptied.
    """

    def __init__(self, directory: int, path: str, pages: Iterable[list[Row]], budget: PackingBudget) -> None:
        """Pack `pages`. Raises Unavailable."""
        self._directory = directory
        self._path = path
        self._budget = budget
        self._count = 0
        self._pages: list[bytes] = []
        try:
            for rows in pages:
                budget.take(len(rows))
                self._count += len(rows)
                self._pages.append(zlib.compress(json.dumps(rows).encode(), 1))
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """How many entries are held."""
        return self._count

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return len(self._pages)

    def page(self, number: int, *, backwards: bool = False) -> Page:
        """Return a page, the first one is 0; `backwards`: from the end."""
        rows: list[Row] = json.loads(zlib.decompress(self._pages[-1 - number if backwards else number]))
        entries: list[Entry] = list(map(entry_of, reversed(rows) if backwards else rows))
        return Page(self._directory, self._path, entries, number + 1 < len(self._pages))

    def close(self) -> None:
        """Let go of the entries."""
        self._budget.give(self._count)
        self._count = 0
        self._pages = []
