"""What is put to persons and groups: decided where the command stands in the log, and all of it done there.

The sender's entry lies in /people/@sent/SENDER/TO, one for each recipient in /people/@inbox/RECIPIENT/SENDER. All refer
to the same chunks: no byte is copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts import Accounts
from raftstore.metadata.tables.clock import Budget, Clock
from raftstore.metadata.tables.contents import Contents
from raftstore.metadata.tables.namespace import Namespace, Place, Row
from raftstore.metadata.tables.partials import Partials
from raftstore.metadata.tables.people.drafts import Drafts
from raftstore.metadata.tables.people.groups import Groups
from raftstore.metadata.tables.people.inboxes import Inboxes
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import Record, Records
from raftstore.metadata.tables.people.storing import Storing
from raftstore.metadata.tables.replicas import DEFAULT, joined
from raftstore.metadata.tables.reservations import Reservations
from raftstore.metadata.tables.retention import Retention
from raftstore.metadata.tables.staging import Copied, Staging
from raftstore.metadata.tables.state import State
from raftstore.metadata.tables.versions import Versions
from raftstore.paths import parent
from raftstore.rights.reserved import Area, Spot, spot, takes_nothing
from raftstore.types import INBOX_MARK, DeliveryState, Kind, User, identity_of
from raftstore.wire import commands_pb2 as commands

REPEATED_NS = 24 * 3600 * 10**9
"""Cluster time within which the same content under the same name is the same delivery."""

LONGEST_NS = 100 * 365 * 24 * 3600 * 10**9
"""Longest time after which something may expire."""

MAX_WAY_BYTES = 3_000
"""Of what follows /people/@sent/SENDER/TO: the names in an inbox may be longer than those, and must be reachable."""

MAX_OPENED = 1_000
"""Files that one command marks as opened."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What is to be sent: by whom, to whom (those who take it, and names of those who do not), how long it stays."""

    sender: User
    way: tuple[str, ...]
    takers: list[User]
    others: list[str]
    lasts_ns: int
    size: int


class Sending(Table):
    """Applies what is put into, renamed in and removed from what a person sends. No table of its own."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables.database)
        self._state = tables[State]
        self._names = tables[Namespace]
        self._contents = tables[Contents]
        self._accounts = tables[Accounts]
        self._staging = tables[Staging]
        self._versions = tables[Versions]
        self._retention = tables[Retention]
        self._partials = tables[Partials]
        self._reservations = tables[Reservations]
        self._clock = tables[Clock]
        self._storing = tables[Storing]
        self._persons = tables[Persons]
        self._groups = tables[Groups]
        self._records = tables[Records]
        self._inboxes = tables[Inboxes]
        self._drafts = tables[Drafts]

    @classmethod
    def over(cls, tables: Tables) -> Self:
        """Make it with all that a delivery concerns."""
        return cls(tables)

    # Who gets it.

    def check_directory(self, at: Context, path: str) -> bool:
        """Refuse a new directory in /people that could not be used; return whether it is nobody's: one to send to."""
        found = spot(path)
        if found is None or found.area is not Area.SENT or not found.rest:
            raise Refusal(commands.DENIED, "here directories are made by themselves")
        sender = self._sender(found, at)
        if len(found.rest) > 1:
            return False
        takers = [user for user in self._asked(sender, found.to) if self._inboxes.takes(user, sender, 0)]
        if not takers:
            raise Refusal(commands.NOT_FOUND, takes_nothing(found.to))
        return True

    def _sender(self, found: Spot, at: Context) -> User:
        user = self._accounts.owner(at.leave.owner)
        if user is None or not user.person or user.name != found.name:
            raise Refusal(commands.DENIED, f"only {found.name} sends from here")
        return user

    def _asked(self, sender: User, to: str) -> list[User | None]:
        """Return who is meant by a name, a person or the others of a group; None for who is no account."""
        if to == sender.name:
            raise Refusal(commands.DENIED, "nobody sends to oneself")
        return [self._accounts.user(name) for name in self._named(sender, to)]

    def _named(self, sender: User, to: str) -> list[str]:
        if self._accounts.user(to) is not None:
            return [to]
        group = self._groups.find(to)
        if group is None:
            return [to]
        if sender.name not in group.members and sender.owner != group.owner:
            return []
        return [name for name in group.members if name != sender.name]

    def _planned(self, at: Context, found: Spot, size: int, lasts_ns: int) -> Sent:
        """Return who gets what is put there. Refuses as it is refused to the sender."""
        sender = self._sender(found, at)
        if len(found.rest) < 2:
            raise Refusal(commands.DENIED, "a picture is put into the directory of who is to get it")
        if len("/".join(found.rest[1:]).encode()) > MAX_WAY_BYTES:
            raise Refusal(commands.BAD_NAME, f"names of at most {MAX_WAY_BYTES:,} bytes together can be sent")
        if not 0 <= lasts_ns <= LONGEST_NS:
            raise Refusal(commands.INVALID, "it expires after a time")
        if found.to == sender.name:
            raise Refusal(commands.DENIED, "nobody sends to oneself")
        takers: list[User] = []
        others: list[str] = []
        for name in self._named(sender, found.to):
            user = self._accounts.user(name)
            if user is not None and self._inboxes.takes(user, sender, size):
                takers.append(user)
            else:
                others.append(name)
        if not takers:
            raise Refusal(commands.NOT_FOUND, takes_nothing(found.to))
        return Sent(sender, found.rest[1:], takers, others, lasts_ns or sender.expires_ns, size)

    # Putting.

    def put(
        self, command: commands.PutFile, at: Context, place: Place, row: Row | None, source: int = 0
    ) -> commands.Result:
        """Publish a file at `place`, in an area of /people, where `row` is: deliver it, or keep it as a draft.

        `source`: the inode of the file whose content it gets.
        """
        path = at.path or command.path
        found = spot(path)
        if found is None or found.area is not Area.SENT:
            raise Refusal(commands.DENIED, "nothing is put here")
        # A file that was renamed while it was open has another name than the one that its uploader judged by.
        waits = command.draft and parent(path)[1] == parent(command.path)[1]
        record = self._record_at(row)
        if row is not None and record is not None and self._knows(at, record, row, command, source):
            self._staging.discard(command.content)
            return self._again(at, place, row, command.mtime_ns)
        if waits or not command.size:
            self._check_draft(at, found)
            sent = None
        else:
            sent = self._planned(at, found, command.size, command.expires_ns)
        owner = at.leave.owner
        content = Copied(source) if source else self._staging.content(command, command.quorum)
        displaced = self._displaced(at, owner, place, row, command.size)
        content = self._staging.hold(content, owner)
        self._versions.displace(at, displaced)
        if row is not None:
            self._clear(at, place, row, record)
        mtime_ns = command.mtime_ns or at.time_ns
        inode = self._storing.add(at, place, command.size, mtime_ns, owner, self._staging.new_inode(content))
        self._reservations.end(place)
        self._partials.forget(place, owner)
        if sent is None:
            self._staging.give(inode, content, owner, published=True)
            self._drafts.note(at, inode)
            return commands.Result(inode=inode)
        inodes = self._inboxes.put(at, sent.takers, sent.sender, sent.way, sent.size, mtime_ns)
        self._staging.give(inode, content, owner, published=True, others=inodes, demand=self._demand(sent))
        return self._note(at, sent, inode, inodes)

    def _check_draft(self, at: Context, found: Spot) -> None:
        self._sender(found, at)
        if len(found.rest) < 2:
            raise Refusal(commands.DENIED, "a picture is put into the directory of who is to get it")

    def _displaced(self, at: Context, owner: str, place: Place, row: Row | None, size: int) -> list[int]:
        """Return what of the owner's trash must go for a file in the place of `row`, which is kept nowhere."""
        return self._versions.displaced_beside(at, owner, size, place, row)[0]

    def _record_at(self, row: Row | None) -> Record | None:
        return self._records.record(row[2]) if row is not None else None

    def _knows(self, at: Context, record: Record, row: Row, command: commands.PutFile, source: int) -> bool:
        if not command.size:
            return True
        if not self._recent(at, record, row, command.size):
            return False
        if source:
            return self._holds(row, self._contents.number(source))
        if command.content:
            return self._holds(row, self._staging.find(command.content).content)
        digests = [chunk.digest for chunk in command.chunks]
        return digests == self._contents.digests(row[2], len(digests) + 1)

    def _recent(self, at: Context, record: Record, row: Row, size: int) -> bool:
        """Whether as much was sent under a name so lately that the same is no other delivery."""
        return (
            size == row[3] and self._clock.stamp(at) - self._clock.counted_from(record.sent_ns) <= REPEATED_NS
        )

    def _holds(self, row: Row, content: int | None) -> bool:
        """Whether a file has the same chunks as a content of its size."""
        own = self._contents.number(row[2])
        return own is not None and content is not None and self._contents.alike(own, content)

    def _repeats(self, at: Context, record: Record, row: Row, source: Row) -> bool:
        """Whether the file `source` is sent again under the same name, by who does not know that it has arrived."""
        return self._recent(at, record, row, source[3]) and self._holds(row, self._contents.number(source[2]))

    def _again(self, at: Context, place: Place, row: Row, mtime_ns: int) -> commands.Result:
        """Say yes to what was delivered before, and to the empty file with which some clients begin it anew."""
        self._names.replace(place, row[3], mtime_ns or row[4], row[5], at.index)
        self._reservations.end(place)
        self._partials.forget(place, row[5])
        return commands.Result(inode=row[2], repeated=True)

    def _clear(self, at: Context, place: Place, row: Row, record: Record | None) -> None:
        """Remove the sender's entry, a draft or one with a record, which ends."""
        if record is not None:
            path = self._names.path_of(row[2])
            assert path is not None
            self._records.end(at, record, "/".join(path.split("/")[4:]), row[3])
        else:
            self._drafts.forget(row[2])
        self._storing.remove(at, place, row)

    def _note(self, at: Context, sent: Sent, inode: int, inodes: list[int]) -> commands.Result:
        """Make the record of what was put from the sender's entry `inode` into the inboxes, as `inodes`."""
        sender = self._persons.number(sent.sender.owner)
        now = self._clock.stamp(at)
        record = Record(inode, sender, now, now + sent.lasts_ns if sent.lasts_ns else 0)
        deliveries = [
            (entry, self._persons.number(user.owner), DeliveryState.DELIVERED)
            for entry, user in zip(inodes, sent.takers, strict=True)
        ]
        deliveries += [
            (self._state.new_inode(), self._persons.number(self._identity(name)), DeliveryState.REFUSED)
            for name in sent.others
        ]
        self._records.add(record, deliveries)
        return commands.Result(inode=inode, accepted=len(inodes), refused=len(sent.others))

    def _demand(self, sent: Sent) -> int:
        """Return how many copies all want who have it now."""
        demand = 0
        for user in sent.takers:
            demand = joined(demand, user.replicas or DEFAULT)
        return demand

    def _identity(self, name: str) -> str:
        user = self._accounts.user(name)
        return user.owner if user is not None else name

    # What is there already.

    @handles("send_file", level=3)
    def send_file(self, command: commands.SendFile, at: Context) -> commands.Result:
        """Send a file that is stored already. Refuses as a put, and with NOT_FOUND, IS_A_DIRECTORY."""
        sender = self._accounts.owner(at.leave.owner)
        if sender is None or not sender.person:
            raise Refusal(commands.INVALID, "a person sends")
        source = self._names.old_place(at, command.path, commands.IS_A_DIRECTORY)[1]
        if source[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, command.path)
        size, name = source[3], parent(command.path)[1]
        if not size:
            raise Refusal(commands.DENIED, "an empty file is not sent")
        found = Spot(Area.SENT, sender.name, (command.to, name))
        place, row = self._sent_place(found)
        record = self._record_at(row)
        if row is not None and record is not None and self._repeats(at, record, row, source):
            assert place is not None
            return self._again(at, place, row, row[4])
        sent = self._planned(at, found, size, command.expires_ns)
        if row is not None and row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, name)
        displaced = (
            self._displaced(at, sender.owner, place, row, size)
            if place is not None
            else self._versions.displaced(at, sender.owner, 1, size)
        )
        inode = self._state.new_inode()
        demand = joined(self._accounts.replicas(sender.owner) or DEFAULT, self._demand(sent))
        self._contents.share(source[2], [inode], demand)  # before what gives way: that may be the source
        self._versions.displace(at, displaced)
        if place is None:
            place = Place(self._storing.directory(at, f"{Area.SENT.of(sender.name)}/{command.to}"), name)
        if row is not None:
            self._clear(at, place, row, record)
        self._storing.add(at, place, size, source[4], sender.owner, inode)
        inodes = self._inboxes.put(at, sent.takers, sent.sender, sent.way, size, source[4])
        self._contents.share(inode, inodes, demand)
        return self._note(at, sent, inode, inodes)

    def _sent_place(self, found: Spot) -> tuple[Place | None, Row | None]:
        """Return where a file is to be sent from, and what is there; None: its directory is still to be made."""
        try:
            directory = self._names.directory(f"{Area.SENT.of(found.name)}/{found.to}")
        except (NotFound, NotADirectory):
            return None, None
        except BadName as error:
            raise Refusal(commands.BAD_NAME, error.detail) from None
        place = Place(directory, found.rest[1])
        self._reservations.check_free(place)
        return place, self._names.at(place)

    # Renaming.

    def rename(
        self, command: commands.Rename, at: Context, moved: tuple[Place, Row], target: tuple[Place, Row | None]
    ) -> commands.Result:
        """Rename a file in the areas of /people, or out of an inbox, where it is kept."""
        here, there = spot(command.source), spot(command.target)
        if moved[1][1] == Kind.DIRECTORY:
            raise Refusal(commands.DENIED, "here only files are moved, one by one")
        if target[1] is None:
            self._reservations.check_free(target[0])
        if here is not None and here.area is Area.INBOX and there is None:
            return self._keep(at, moved, target)
        if here is not None and there is not None and here.area is there.area is Area.SENT:
            return self._rename_draft(command, at, moved, target, there)
        raise Refusal(commands.DENIED, "nothing is moved to here: copy it")

    def _keep(self, at: Context, moved: tuple[Place, Row], target: tuple[Place, Row | None]) -> commands.Result:
        (place, row), (new_place, there) = moved, target
        owner = identity_of(row[5])
        displaced, kept = self._versions.displaced_beside(at, owner, row[3], new_place, there)
        self._versions.displace(at, displaced)
        if there is not None:
            self._versions.replace(at, new_place, there, kept)
        self._inboxes.keep(at, place, row, new_place, owner)
        self._partials.forget(new_place, owner)
        self._retention.note(new_place, row[2], row[6], row[3])
        return commands.Result(inode=row[2])

    def _rename_draft(
        self,
        command: commands.Rename,
        at: Context,
        moved: tuple[Place, Row],
        target: tuple[Place, Row | None],
        found: Spot,
    ) -> commands.Result:
        (place, row), (new_place, there) = moved, target
        if self._record_at(row) is not None:
            raise Refusal(commands.DENIED, "what was delivered keeps its name: put it again under another one")
        self._check_draft(at, found)
        record, size = self._record_at(there), row[3]
        if command.draft or not size:
            if record is not None:
                raise Refusal(commands.DENIED, "a draft does not take the place of what was delivered")
            sent = None
        else:
            if record is not None and there is not None and self._repeats(at, record, there, row):
                self._clear(at, place, row, None)
                return self._again(at, new_place, there, row[4])
            sent = self._planned(at, found, size, command.expires_ns)
        if there is not None:
            self._clear(at, new_place, there, record)
        self._storing.move(at, place, new_place)
        self._partials.forget(new_place, row[5])
        if sent is None:
            self._drafts.note(at, row[2])
            return commands.Result(inode=row[2])
        self._drafts.forget(row[2])
        inodes = self._inboxes.put(at, sent.takers, sent.sender, sent.way, size, row[4])
        self._contents.share(row[2], inodes, self._demand(sent))
        return self._note(at, sent, row[2], inodes)

    def copied_out(self, at: Context, row: Row) -> None:
        """A file was copied to where nothing is sent: of its own inbox the person has kept it. What is there stays."""
        if at.leave.owner and row[5] == at.leave.owner + INBOX_MARK:
            self._inboxes.keep_copied(row)

    # Removing.

    def remove(self, at: Context, path: str, place: Place, row: Row) -> None:
        """Remove a file from an area: what was sent is recalled from where nobody has opened it."""
        found = spot(path)
        if found is not None and found.area is Area.INBOX:
            self._inboxes.remove(at, place, row)
            return
        if found is not None and found.area is Area.TRASH:
            self._versions.remove(at, place, row)
            return
        record = self._record_at(row)
        if record is not None:
            for delivery in self._records.deliveries(record.inode):
                if delivery.there and delivery.state is DeliveryState.DELIVERED:
                    entry = self._inboxes.find(delivery)
                    if entry is not None:
                        self._inboxes.remove(at, *entry, DeliveryState.RECALLED)
        self._clear(at, place, row, record)

    @handles("mark_opened", level=3)
    def mark_opened(self, command: commands.MarkOpened, at: Context) -> None:
        """Note what was read. It ends the right to recall it. Refuses with INVALID."""
        if len(command.inodes) > MAX_OPENED:
            raise Refusal(commands.INVALID, f"at most {MAX_OPENED:,} files a command")
        for inode in command.inodes:
            if inode <= MAX_INTEGER:
                self._records.open(inode)

    # Time.

    def due(self, until_ns: int) -> int | None:
        """Return when the first of what was sent expires, if not after `until_ns`."""
        record = self._records.expired(until_ns)
        return record.expires_ns if record is not None else None

    def expire(self, at: Context, until_ns: int, budget: Budget) -> None:
        """Remove what expires, from inboxes and from what its sender sees; what was kept stays."""
        while (record := self._records.expired(until_ns)) is not None:
            counted = self._clock.counted_from(record.sent_ns)
            if counted > record.sent_ns:
                if not budget.take():
                    return
                self._records.put_off(record, counted)
            elif not self._expire(at, record, budget):
                return

    def _expire(self, at: Context, record: Record, budget: Budget) -> bool:
        """Return whether all of a record is gone."""
        for delivery in self._records.deliveries(record.inode):
            entry = self._inboxes.find(delivery)
            if entry is None:
                continue
            if not budget.take(entry[1][3]):
                return False
            self._inboxes.remove(at, *entry, DeliveryState.EXPIRED)
        found = None if record.ended else self._names.of_inode(record.inode)
        if found is None:
            return True  # with its last entry its row has gone
        if not budget.take(found[1][3]):
            return False
        self._clear(at, *found, record)
        return True
