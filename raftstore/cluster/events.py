"""Events as one reader follows them: pages behind a number, and waking when there is more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from raftstore.cluster.proposals import Barrier
from raftstore.errors import EventsLost, Invalid, Unavailable
from raftstore.metadata import Catalog
from raftstore.metadata.tables.clock import LEVEL
from raftstore.metadata.tables.events import Events, Noted
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Records
from raftstore.rights.reserved import Area
from raftstore.types import DeliveryState, Event
from raftstore.util.limits.slices import next_slice

PAGE = 200
"""Events that are read at a time."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody in a record, by identity. `inode`: the number of the delivery, by which one goes on."""

    inode: int
    identity: str
    state: DeliveryState


def _why_lost(after: int, first: int, last: int) -> str:
    """Say why nobody can go on behind `after`, where there are events from `first` to `last`."""
    if after > last:
        return f"{after} is yet to come: " + (f"the last one is {last}" if last else "there were none so far")
    there = f"there are {first} to {last}" if first <= last else f"the next one is {first}"
    return f"what follows {after} is not kept any more: {there}"


class EventFeed:
    """Reads what has happened, and waits for more. A reader that has gone, or is slow, holds nothing.

    Every call may raise StoreError, and Invalid while the level in force has no events.
    """

    def __init__(self, catalog: Catalog, barrier: Barrier) -> None:
        """Its signal is the only one that the catalog tells of events. To be made and used in one loop."""
        self._catalog = catalog
        self._barrier = barrier
        self._more: asyncio.Event | None = None
        catalog.watch_events(self._changed)

    def _changed(self) -> None:
        if self._more is not None:
            self._more.set()
            self._more = None

    async def bounds(self) -> tuple[int, int]:
        """Return the numbers of the oldest event that is kept and of the newest that was acknowledged anywhere.

        The oldest is the newest + 1 where there is none.
        """
        await self._barrier()
        return self._bounds()

    def _bounds(self) -> tuple[int, int]:
        if self._catalog.level < LEVEL:
            raise Invalid("there are no events before the cluster is upgraded: see `pixraft upgrade`")
        if self._catalog.behind:
            raise Unavailable("the disk of this node is full: events were undone, and come again")
        return self._catalog.ask(Events, lambda events: (events.first(), events.last))

    async def page(self, after: int, limit: int = PAGE) -> list[Event]:
        """Return events behind a number, the oldest first, as this node has applied them; none: there are no more.

        Raises EventsLost when what follows is not kept any more, or the number was never given.
        """
        await next_slice()
        first, last = self._bounds()
        if not first - 1 <= after <= last:
            raise EventsLost(_why_lost(after, first, last), first)
        return [
            self._event(each) for each in self._catalog.ask(Events, lambda events: events.after(after, limit))
        ]

    async def after(self, number: int) -> AsyncIterator[Event]:
        """Yield all events behind a number, and then each as it is applied here, for ever. 0: from the first.

        Begins with a read barrier: a number that another node gave is known here. Raises EventsLost as `page`, also
        for a reader who is so slow that what follows is not kept any more.
        """
        await self._barrier()
        while True:
            page = await self.page(number)
            for event in page:
                yield event
                number = event.number
            if not page:
                await self.more(number)

    async def more(self, number: int) -> None:
        """Wait until there is an event behind `number`."""
        while self._bounds()[1] <= number:
            if self._more is None:
                self._more = asyncio.Event()
            await self._more.wait()

    def _event(self, noted: Noted) -> Event:
        return Event(
            noted.number,
            noted.entry,
            noted.time_ns,
            noted.kind,
            noted.files,
            noted.record,
            noted.inode,
            self._identity(noted.actor),
            self._identity(noted.subject) or noted.owner,
        )

    def _identity(self, number: int) -> str:
        return self._catalog.ask(Persons, lambda persons: persons.identity(number)) if number else ""

    # What an event is about, as far as it is still known here.

    def recipients(self, record: int, after: int = 0, limit: int = PAGE) -> list[Recipient]:
        """Return who is in a record, behind the delivery `after`: none any more once it has ended and left inboxes."""
        found = self._catalog.ask(Records, lambda records: records.deliveries(record, limit, after))
        return [Recipient(each.inode, self._identity(each.recipient), each.state) for each in found]

    def path(self, event: Event) -> str:
        """Return where it is: of what was sent that below /send, else in the store. "": it is known no more."""
        if not event.record:
            return self._catalog.path_of(event.inode) or "" if event.inode else ""
        path = self._catalog.path_of(event.record)
        if path is not None and path.startswith(f"{Area.SENT.value}/"):
            return path.split("/", 4)[4]
        return self._catalog.ask(Records, lambda records: records.past_path(event.inode)) or ""
