"""Numbered rows of the catalog as one reader follows them: pages behind a number, and waking when there is more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

from raftstore.cluster.proposals import Barrier
from raftstore.errors import EventsLost, Invalid, Unavailable
from raftstore.metadata import Catalog
from raftstore.rights.reserved import LEVEL
from raftstore.util.limits.slices import next_slice

PAGE = 200
"""Rows that are read at a time."""

_Row = TypeVar("_Row")


class Numbered(Protocol):
    """A table whose rows are numbered without gaps. `last`: the newest number."""

    last: int

    def first(self) -> int:
        """Return the number of the oldest row that is kept, or that the next one will have."""
        ...

    def after(self, number: int, limit: int) -> list[Any]:
        """Return rows behind a number, the oldest first."""
        ...


def _why_lost(after: int, first: int, last: int) -> str:
    """Say why nobody can go on behind `after`, where there are rows from `first` to `last`."""
    if after > last:
        return f"{after} is yet to come: " + (f"the last one is {last}" if last else "there were none so far")
    there = f"there are {first} to {last}" if first <= last else f"the next one is {first}"
    return f"what follows {after} is not kept any more: {there}"


class Feed(Generic[_Row]):
    """Reads the rows, and waits for more. A reader that has gone, or is slow, holds nothing.

    Every call may raise StoreError, and Invalid while the level in force does not have them.
    """

    name: str
    """What there is none of then."""

    def __init__(self, catalog: Catalog, barrier: Barrier, table: type[Any]) -> None:
        """`table` is a `Numbered`. To be made and used in one loop; `changed` is to be the catalog's only signal."""
        self._catalog = catalog
        self._barrier = barrier
        self._table = table
        self._more: asyncio.Event | None = None

    def changed(self) -> None:
        """Wake who waits."""
        if self._more is not None:
            self._more.set()
            self._more = None

    async def bounds(self) -> tuple[int, int]:
        """Return the numbers of the oldest row that is kept and of the newest that was acknowledged anywhere.

        The oldest is the newest + 1 where there is none.
        """
        await self._barrier()
        return self._bounds()

    def _bounds(self) -> tuple[int, int]:
        if self._catalog.level < LEVEL:
            raise Invalid(f"there {self.name} before the cluster is upgraded: see `pixraft upgrade`")
        if self._catalog.behind:
            raise Unavailable("the disk of this node is full: what happened was undone, and comes again")
        found: tuple[int, int] = self._ask(lambda rows: (rows.first(), rows.last))
        return found

    def newest(self) -> int:
        """Return the number of the newest row that this node has applied."""
        return self._bounds()[1]

    def _ask(self, question: Callable[[Numbered], Any]) -> Any:
        return self._catalog.ask(self._table, question)

    async def page(self, after: int, limit: int = PAGE) -> list[_Row]:
        """Return rows behind a number, the oldest first, as this node has applied them; none: there are no more.

        Raises EventsLost when what follows is not kept any more, or the number was never given.
        """
        await next_slice()
        first, last = self._bounds()
        if not first - 1 <= after <= last:
            raise EventsLost(_why_lost(after, first, last), first)
        return [self._row(each) for each in self._ask(lambda rows: rows.after(after, limit))]

    def _row(self, row: Any) -> _Row:
        """Make what readers get of a row of the table."""
        raise NotImplementedError

    async def after(self, number: int) -> AsyncIterator[_Row]:
        """Yield all rows behind a number, and then each as it is applied here, for ever. 0: from the first.

        Begins with a read barrier: a number that another node gave is known here. Raises EventsLost as `page`, also
        for a reader who is so slow that what follows is not kept any more.
        """
        await self._barrier()
        while True:
            page = await self.page(number)
            for row in page:
                yield row
                number += 1
            if not page:
                await self.more(number)

    async def more(self, number: int) -> None:
        """Wait until there is a row behind `number`."""
        while self._bounds()[1] <= number:
            if self._more is None:
                self._more = asyncio.Event()
            await self._more.wait()

    async def waited_page(self, after: int, seconds: float) -> list[_Row]:
        """Return a page, and if there is nothing yet wait for it so long at most."""
        found = await self.page(after)
        if not found and seconds:
            try:
                async with asyncio.timeout(seconds):
                    await self.more(after)
            except TimeoutError:
                return []
            found = await self.page(after)
        return found
