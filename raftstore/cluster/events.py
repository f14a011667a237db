"""Events as one reader follows them: pages behind a number, and waking when there is more."""

from __future__ import annotations

from dataclasses import dataclass

from raftstore.cluster.feed import PAGE, Feed
from raftstore.cluster.proposals import Barrier
from raftstore.metadata import Catalog
from raftstore.metadata.tables.events.events import Events, Noted
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Records
from raftstore.rights.reserved import Area
from raftstore.types import DeliveryState, Event


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody in a record, by identity. `inode`: the number of the delivery, by which one goes on."""

    inode: int
    identity: str
    state: DeliveryState


class EventFeed(Feed[Event]):
    """Reads what has happened, and waits for more (`Feed`)."""

    name = "are no events"

    def __init__(self, catalog: Catalog, barrier: Barrier) -> None:
        """Its signal is the only one that the catalog tells of events. To be made and used in one loop."""
        super().__init__(catalog, barrier, Events)
        catalog.watch_events(self.changed)

    def _row(self, noted: Noted) -> Event:
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
