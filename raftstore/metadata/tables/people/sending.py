"""What is put to persons and groups: decided where the command stands in the log, and all of it done there.

The sender's entry lies in /people/@sent/SENDER/TO, one for each recipient in /people/@inbox/RECIPIENT/SENDER. All refer
to the same chunks: no byte is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

from raftstore.errors import BadName, NotADirectory, NotFound
from raftstore.metadata.refusal import MAX_INTEGER, Refusal
from raftstore.metadata.registry import Context, Table, Tables, handles
from raftstore.metadata.tables.accounts.accounts import LONGEST_NS, Accounts
from raftstore.metadata.tables.cluster.clock import Budget, Clock
from raftstore.metadata.tables.cluster.state import State
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.contents.replicas import DEFAULT, joined
from raftstore.metadata.tables.contents.staging import Copied, Staging
from raftstore.metadata.tables.names.namespace import Namespace, Place, Row
from raftstore.metadata.tables.names.partials import Partials
from raftstore.metadata.tables.names.reservations import Reservations
from raftstore.metadata.tables.names.retention import Retention
from raftstore.metadata.tables.names.versions import Versions
from raftstore.metadata.tables.people.drafts import Drafts
from raftstore.metadata.tables.people.groups import MAX_MEMBERS, Groups
from raftstore.metadata.tables.people.inboxes import Audience, Inboxes
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.records import IN_INBOX, NOT_THERE, Delivery, Record, Records
from raftstore.metadata.tables.people.storing import Storing
from raftstore.paths import parent
from raftstore.rights.reserved import LEVEL, Area, Spot, spot, takes_nothing
from raftstore.types import INBOX_MARK, MAX_CHUNKS, DeliveryState, Kind, User, identity_of
from raftstore.wire import commands_pb2 as commands

REPEATED_NS = 24 * 3600 * 10**9
"""Cluster time within which the same content under the same name is the same delivery."""

MAX_WAY_BYTES = 3_000
"""Of what follows /people/@sent/SENDER/TO: the names in an inbox may be longer than those, and must be reachable."""

MAX_KNOWN = 256
"""Pairs of a sender and a person or group of which it is kept in memory who is meant."""

MAX_MADE = 3_000
"""Directories, for all recipients together, that travel along with a file: each is some rows for every node."""

MAX_OPENED = 1_000
"""Files that one command marks as opened."""


@dataclass(frozen=True, slots=True)
class _Meant:
    """Who is meant by a name, as of some revisions: `audience` are those who may take something, `others` the rest."""

    revision: tuple[int, int, int]
    names: list[str]
    audience: Audience
    others: list[str]


@dataclass(frozen=True, slots=True)
class _Also:
    """Who gets what was delivered before, and has it not: `refused` are the entries of those who did not take it."""

    sent: Sent
    refused: list[int]


@dataclass(frozen=True, slots=True)
class _Revived:
    """A record that comes back: the same is put once more under its name, where something else was meanwhile."""

    record: Record
    deliveries: list[Delivery]
    also: _Also


@dataclass(frozen=True, slots=True)
class Sent:
    """What is to be sent: by whom, to whom (those who take it, and names of those who do not), how long it stays."""

    sender: User
    way: tuple[str, ...]
    takers: Audience
    others: Sequence[str]
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
        self._known: dict[tuple[str, str], _Meant] = {}

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
        if not self._divided(sender, found, 0)[0].users:
            raise Refusal(commands.NOT_FOUND, takes_nothing(found.to))
        return True

    def _sender(self, found: Spot, at: Context) -> User:
        user = self._accounts.owner(at.leave.owner)
        if user is None or not user.person or user.name != found.name:
            raise Refusal(commands.DENIED, f"only {found.name} sends from here")
        return user

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
        takers, others = self._divided(sender, found, size)
        if (len(found.rest) - 2) * len(takers.users) > MAX_MADE:
            raise Refusal(
                commands.INVALID,
                "so many directories do not travel to so many: send it from fewer, or to fewer",
            )
        if not takers.users:
            raise Refusal(commands.NOT_FOUND, takes_nothing(found.to))
        return Sent(sender, found.rest[1:], takers, others, lasts_ns or sender.expires_ns, size)

    def _divided(self, sender: User, found: Spot, size: int) -> tuple[Audience, Sequence[str]]:
        """Return who takes what is put there, and the names of others who are meant."""
        if found.to == sender.name:
            raise Refusal(commands.DENIED, "nobody sends to oneself")
        meant = self._meant(sender, found.to)
        takers = self._inboxes.takers(meant.audience, sender, found.rest[1:] or ("",), size)
        if takers is meant.audience:
            return takers, meant.others
        taken = {user.name for user in takers.users}
        return takers, [name for name in meant.names if name not in taken]

    def _meant(self, sender: User, to: str) -> _Meant:
        """Return who is meant by a name: kept until a group or an account changes, since a group's is long."""
        revision = self._groups.revision, self._accounts.changes, self._persons.added
        known = self._known.get((sender.owner, to))
        if known is not None and known.revision == revision:
            return known
        names = self._named(sender, to)
        self._accounts.load(names)
        users = [user for name in names if (user := self._accounts.user(name)) is not None]
        audience = self._inboxes.audience(users, sender)
        there = {user.name for user in audience.users}
        made = _Meant(revision, names, audience, [name for name in names if name not in there])
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[sender.owner, to] = made
        return made

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
        waits = command.unfinished or (command.draft and parent(path)[1] == parent(command.path)[1])
        record = self._record_at(row)
        if row is not None and record is not None and self._knows(at, record, row, command, source):
            done = self._again(at, found, (place, row), record if command.size else None, command.mtime_ns)
            self._staging.discard(command.content)
            return done
        sent = revived = None
        if waits or not command.size:
            self._check_draft(at, found)
        else:
            revived = self._replaced(at, found, command.size, lambda: self._digests(command, source))
            if revived is None:
                sent = self._planned(at, found, command.size, command.expires_ns)
        owner = at.leave.owner
        content = Copied(source) if source else self._staging.content(command, command.quorum)
        displaced = self._displaced(at, owner, place, row, command.size)
        if source:
            content = self._staging.hold(content, owner)
        if displaced:
            self._versions.displace(at, displaced)
        if row is not None:
            self._give_way(at, place, row, record)
        mtime_ns = command.mtime_ns or at.time_ns
        inode = self._storing.add(at, place, command.size, mtime_ns, owner, self._staging.new_inode(content))
        if self._reservations.by_place:
            self._reservations.end(place)
        if self._partials.total:
            self._partials.forget(place, owner)
        if sent is None:
            self._staging.give(inode, content, owner, published=True, fresh=True)
            if revived is not None:
                return self._revive(at, revived, inode, mtime_ns)
            self._drafts.note(at, inode)
            return commands.Result(inode=inode)
        inodes = self._inboxes.put(at, sent.takers, sent.sender, sent.way, sent.size, mtime_ns)
        self._staging.give(
            inode, content, owner, published=True, others=inodes, demand=self._demand(sent), fresh=True
        )
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
        digests = self._digests(command, source)
        return digests == self._contents.digests(row[2], len(digests) + 1)

    def _digests(self, command: commands.PutFile, source: int) -> list[bytes]:
        """Return the chunks that are put."""
        if source:
            return self._contents.digests(source, MAX_CHUNKS)
        if command.content:
            return self._contents.digests(self._staging.find(command.content).content, MAX_CHUNKS)
        return [chunk.digest for chunk in command.chunks]

    def _replaced(
        self, at: Context, found: Spot, size: int, digests: Callable[[], list[bytes]]
    ) -> _Revived | None:
        """Return the record that is meant when the same is put again under a name that something else has by now."""
        sender = self._persons.find(at.leave.owner)
        known = self._records.replaced(sender, "/".join(found.rest), size) if sender is not None else []
        wanted = _digest_of(digests()) if known else b""
        for each in known:
            record = each.record
            lately = self._clock.stamp(at) - self._clock.counted_from(record.sent_ns) <= REPEATED_NS
            if each.digest != wanted or not lately or 0 < record.expires_ns <= self._clock.now_ns:
                continue
            deliveries = self._records.replaced_deliveries(record)
            if any(delivery.state in IN_INBOX for delivery in deliveries):
                return _Revived(record, deliveries, self._also(at, found, size, deliveries))
        return None

    def _revive(self, at: Context, revived: _Revived, inode: int, mtime_ns: int) -> commands.Result:
        """Make the record that of the sender's entry `inode`, which has its content again."""
        record = self._records.revive(revived.record, inode, revived.deliveries)
        done = commands.Result(inode=inode, repeated=True)
        self._deliver_also(at, revived.also, record, mtime_ns, done)
        return done

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

    def _again(
        self, at: Context, found: Spot, there: tuple[Place, Row], record: Record | None, mtime_ns: int
    ) -> commands.Result:
        """Say yes to what was delivered before, and deliver it to those who take it by now and are not in its record.

        Without a record: to the empty file with which some clients begin anew what they put.
        """
        place, row = there
        done = commands.Result(inode=row[2], repeated=True)
        if record is not None:
            also = self._also(at, found, row[3], self._records.deliveries(record.inode))
            self._deliver_also(at, also, record, row[4], done)
        self._names.replace(place, row[3], mtime_ns or row[4], row[5], at.index)
        self._reservations.end(place)
        self._partials.forget(place, row[5])
        return done

    def _also(self, at: Context, found: Spot, size: int, deliveries: Sequence[Delivery]) -> _Also:
        """Return who takes it by now and is not among those to whom it was delivered. Refuses with QUOTA, DENIED."""
        sender = self._sender(found, at)
        noted = {each.recipient: each for each in deliveries}
        takers, others = self._divided(sender, found, size)
        known = [noted.get(number) if number is not None else None for number in takers.numbers]
        refused = [each.inode for each in known if each is not None and each.state in NOT_THERE]
        new = takers.of([each is None or each.state in NOT_THERE for each in known])
        others = [name for name in others if self._persons.find(self._identity(name)) not in noted]
        if len(noted) - len(refused) + len(new.users) + len(others) > MAX_MEMBERS:
            raise Refusal(
                commands.QUOTA, f"one picture goes to at most {MAX_MEMBERS:,}: put it under another name"
            )
        return _Also(Sent(sender, found.rest[1:], new, others, 0, size), refused)

    def _deliver_also(
        self, at: Context, also: _Also, record: Record, mtime_ns: int, done: commands.Result
    ) -> None:
        sent = also.sent
        self._records.remove_deliveries(also.refused)
        inodes = (
            self._inboxes.put(at, sent.takers, sent.sender, sent.way, sent.size, mtime_ns)
            if sent.takers.users
            else []
        )
        if inodes:
            self._contents.share(record.inode, inodes, self._demand(sent))
        self._records.add_deliveries(record, self._deliveries(sent, inodes))
        done.accepted, done.refused = len(sent.takers.users), len(sent.others)

    def _give_way(self, at: Context, place: Place, row: Row, record: Record | None) -> None:
        """Remove the sender's entry for another of its name; if it was delivered, it is known when it comes again."""
        if record is not None:
            digest = _digest_of(self._contents.digests(row[2], MAX_CHUNKS))
            self._records.note_replaced(record, self._path_of(row[2]), row[3], digest)
        self._clear(at, place, row, record)

    def _path_of(self, inode: int) -> str:
        """Return the path of a sender's entry in its place: to whom, and the name."""
        path = self._names.path_of(inode)
        assert path is not None
        return "/".join(path.split("/")[4:])

    def _clear(
        self,
        at: Context,
        place: Place,
        row: Row,
        record: Record | None,
        deliveries: Sequence[Delivery] | None = None,
        recalled: Collection[int] = (),
    ) -> None:
        """Remove the sender's entry, a draft or one with a record, which ends (see `Records.end`)."""
        if record is not None:
            if deliveries is None:
                deliveries = self._records.deliveries(record.inode)
            self._records.end(at, record, self._path_of(row[2]), row[3], deliveries, recalled)
        else:
            self._drafts.forget(row[2])
        self._storing.remove(at, place, row)

    def _note(self, at: Context, sent: Sent, inode: int, inodes: list[int]) -> commands.Result:
        """Make the record of what was put from the sender's entry `inode` into the inboxes, as `inodes`."""
        sender = self._persons.number(sent.sender.owner)
        now = self._clock.stamp(at)
        record = Record(inode, sender, now, now + sent.lasts_ns if sent.lasts_ns else 0)
        self._records.add(record, self._deliveries(sent, inodes))
        return commands.Result(inode=inode, accepted=len(inodes), refused=len(sent.others))

    def _deliveries(self, sent: Sent, inodes: list[int]) -> list[tuple[int, int, DeliveryState]]:
        """Return the rows of who has something now, as `inodes`, and of who has not."""
        identities = [user.owner for user in sent.takers.users] + [self._identity(name) for name in sent.others]
        numbers, accepted = self._persons.given(identities), len(inodes)
        rows = [
            (entry, number, DeliveryState.DELIVERED) for entry, number in zip(inodes, numbers, strict=False)
        ]
        return rows + [
            (self._state.new_inode(), number, DeliveryState.REFUSED) for number in numbers[accepted:]
        ]

    def _demand(self, sent: Sent) -> int:
        """Return how many copies all want who have it now."""
        demand = 0
        for copies in {user.replicas for user in sent.takers.users}:
            demand = joined(demand, copies or DEFAULT)
        return demand

    def _identity(self, name: str) -> str:
        user = self._accounts.user(name)
        return user.owner if user is not None else name

    # What is there already.

    @handles("send_file", level=LEVEL)
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
        if "/" in command.to:
            raise Refusal(commands.NOT_FOUND, takes_nothing(command.to))
        found = Spot(Area.SENT, sender.name, (command.to, name))
        place, row = self._sent_place(found)
        record = self._record_at(row)
        if row is not None and record is not None and self._repeats(at, record, row, source):
            assert place is not None
            return self._again(at, found, (place, row), record, row[4])
        sent = None
        revived = self._replaced(at, found, size, lambda: self._contents.digests(source[2], MAX_CHUNKS))
        if revived is None:
            sent = self._planned(at, found, size, command.expires_ns)
        if row is not None and row[1] == Kind.DIRECTORY:
            raise Refusal(commands.IS_A_DIRECTORY, name)
        displaced = (
            self._displaced(at, sender.owner, place, row, size)
            if place is not None
            else self._versions.displaced(at, sender.owner, 1, size)
        )
        inode = self._state.new_inode()
        demand = self._accounts.replicas(sender.owner) or DEFAULT
        if sent is not None:
            demand = joined(demand, self._demand(sent))
        self._contents.share(source[2], [inode], demand)  # before what gives way: that may be the source
        self._versions.displace(at, displaced)
        if place is None:
            place = Place(self._storing.directory(at, f"{Area.SENT.of(sender.name)}/{command.to}"), name)
        if row is not None:
            self._give_way(at, place, row, record)
        self._storing.add(at, place, size, source[4], sender.owner, inode)
        if revived is not None:
            return self._revive(at, revived, inode, source[4])
        assert sent is not None
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
        sent = revived = None
        if command.draft or not size:
            if record is not None:
                raise Refusal(commands.DENIED, "a draft does not take the place of what was delivered")
        else:
            if record is not None and there is not None and self._repeats(at, record, there, row):
                done = self._again(at, found, (new_place, there), record, row[4])
                self._clear(at, place, row, None)
                return done
            revived = self._replaced(at, found, size, lambda: self._contents.digests(row[2], MAX_CHUNKS))
            if revived is None:
                sent = self._planned(at, found, size, command.expires_ns)
        if there is not None:
            self._give_way(at, new_place, there, record)
        self._storing.move(at, place, new_place)
        self._partials.forget(new_place, row[5])
        if revived is not None:
            self._drafts.forget(row[2])
            return self._revive(at, revived, row[2], row[4])
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
        if record is None:
            self._clear(at, place, row, None)
            return
        deliveries = self._records.deliveries(record.inode)
        unread = [each for each in deliveries if each.there and each.state is DeliveryState.DELIVERED]
        entries = self._inboxes.find(unread)
        self._inboxes.remove_all(
            at, record, [(each, entries[each.inode]) for each in unread if each.inode in entries]
        )
        self._clear(at, place, row, record, deliveries, entries)

    def throw_away(self, at: Context, place: Place, row: Row, budget: Budget) -> bool:
        """Remove a file among what somebody has sent who is no person any more, and what is noted of it.

        What is in inboxes stays there. Return whether it was within the budget.
        """
        record = self._record_at(row)
        noted = len(self._records.deliveries(record.inode)) if record is not None else 0
        if not budget.take(row[3], 1 + noted):
            return False
        if record is not None:
            self._records.end_untold(record)
        else:
            self._drafts.forget(row[2])
        self._storing.remove(at, place, row)
        return True

    @handles("mark_opened", level=LEVEL)
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
        while there := self._records.there(record.inode, max(1, budget.left)):
            entries = self._inboxes.find(there)
            gone: list[Delivery] = []
            for delivery in there:
                # All have one content: its chunks go once, with the last of it.
                entry = entries.get(delivery.inode)
                if not budget.take(entry[1][3] if entry is not None and not gone else 0):
                    break
                gone.append(delivery)
            found = [(each, entries[each.inode]) for each in gone if each.inode in entries]
            self._inboxes.remove_all(at, record, found)
            kept = [each for each in gone if each.state is DeliveryState.KEPT]
            others = [each for each in gone if each.state is not DeliveryState.KEPT]
            self._records.become_all(record, others, DeliveryState.EXPIRED, there=False)
            if kept:
                self._records.become_all(record, kept, DeliveryState.KEPT, there=False)
            if len(gone) < len(there):
                return False
        found_at = None if record.ended else self._names.of_inode(record.inode)
        if found_at is None:
            self._records.forget(record.inode)
            return True
        deliveries = self._records.deliveries(record.inode)
        if not budget.take(found_at[1][3], 1 + len(deliveries)):
            return False
        self._clear(at, *found_at, record, deliveries)
        return True


def _digest_of(chunks: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(chunks)).digest()
