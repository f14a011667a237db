"""A large directory's entries at one moment, kept small: some 20 bytes an entry instead of 300."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from raftstore.metadata.namespace import Row, entry_of
from raftstore.types import Entry

PAGE = 500


class Listing(Sequence[Entry]):
    """Entries, packed by pages; those who go through it in order unpack one page at a time.

    To hold them packed lets go of the database at once: a reader that waits for a slow client would keep its
    write-ahead log from being emptied.
    """

    def __init__(self, pages: Iterable[list[Row]]) -> None:
        """Pack `pages`, of PAGE rows each but for the last."""
        self._pages: list[bytes] = []
        self._count = 0
        for rows in pages:
            self._pages.append(zlib.compress(json.dumps(rows).encode(), 1))
            self._count += len(rows)

    def _page(self, number: int) -> list[Row]:
        rows: list[Row] = json.loads(zlib.decompress(self._pages[number]))
        return rows

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for number in range(len(self._pages)):
            yield from map(entry_of, self._page(number))

    def __reversed__(self) -> Iterator[Entry]:
        for number in reversed(range(len(self._pages))):
            yield from map(entry_of, reversed(self._page(number)))

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        if isinstance(item, slice):
            return [self[position] for position in range(*item.indices(self._count))]
        position = item if item >= 0 else item + self._count
        if not 0 <= position < self._count:
            raise IndexError(item)
        return entry_of(self._page(position // PAGE)[position % PAGE])
