"""Persons as front-ends and admin calls see them: what they have sent, groups, blocks, whom they may see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from raftstore.errors import NotFound
from raftstore.metadata.catalog import Catalog
from raftstore.metadata.tables.names.namespace import Namespace
from raftstore.metadata.tables.people.blocks import Blocks
from raftstore.metadata.tables.people.groups import Group, Groups
from raftstore.metadata.tables.people.persons import Persons
from raftstore.metadata.tables.people.purging import MAX_PURGED
from raftstore.metadata.tables.people.records import Delivery, Past, Record, Records, as_shown
from raftstore.paths import split
from raftstore.rights import Actor
from raftstore.rights.reserved import LEVEL
from raftstore.types import INBOX_MARK, NEWEST_SENT, DeliveryState, SentItem, Usage, User, owner_name
from raftstore.wire import commands_pb2 as commands


class People:
    """What a node's store tells of persons and does for them. Every call may raise StoreError."""

    def __init__(
        self,
        catalog: Catalog,
        barrier: Callable[[], Awaitable[None]],
        propose: Callable[[commands.Command], Awaitable[commands.Result]],
        change: Callable[[Actor, commands.Command], Awaitable[commands.Result]],
    ) -> None:
        """`change` proposes in the name of an actor."""
        self._catalog = catalog
        self._barrier = barrier
        self._propose = propose
        self._change = change

    @property
    def there(self) -> bool:
        """Whether the level in force knows persons."""
        return self._catalog.level >= LEVEL

    # Sending.

    async def send_file(self, actor: Actor, path: str, to: str, *, expires_ns: int = 0) -> commands.Result:
        """Send a stored file to a person or group; no byte is copied. `expires_ns`: after how long it is gone.

        The result says in how many inboxes it is. Raises NotFound (also for who takes nothing), IsADirectory, Denied,
        QuotaExceeded.
        """
        split(path, existing=True)
        command = commands.SendFile(path=path, to=to, expires_ns=expires_ns)
        return await self._change(actor, commands.Command(send_file=command))

    async def sent(
        self, name: str, limit: int, *, before: tuple[int, int] = NEWEST_SENT, ended: bool = False
    ) -> list[SentItem]:
        """Return what a person has sent, newest first, one for each recipient; go on with the last one's `key`.

        `ended`: what is not among what it sent any more. Raises NotFound.
        """
        await self._barrier()
        number = self._number(name)
        if ended:
            return self._past(number, before[0], limit)
        found = self._catalog.ask(Records, lambda records: records.live(number, before, limit))
        return self._items(found)

    def _items(self, found: Sequence[tuple[Record, Delivery]]) -> list[SentItem]:
        recipients = self._recipients({delivery.recipient for _, delivery in found})
        files: dict[int, tuple[str, int]] = {}
        for record, _ in found:
            if record.inode not in files:  # a group's stands there once for each member
                files[record.inode] = self._file(record.inode)
        return [
            SentItem(
                files[record.inode][0],
                owner_name(recipients[delivery.recipient]),
                self._state(delivery.state, recipients[delivery.recipient]),
                files[record.inode][1],
                record.sent_ns,
                record.expires_ns,
                0,
                (record.inode, delivery.inode),
            )
            for record, delivery in found
        ]

    def _file(self, inode: int) -> tuple[str, int]:
        """Return where a sender's entry is, within its own, and how large it is."""
        path = self._catalog.path_of(inode) or ""
        found = self._catalog.ask(Namespace, lambda names: names.of_inode(inode))
        return "/".join(path.split("/")[4:]), found[1][3] if found is not None else 0

    def _past(self, number: int, before: int, limit: int) -> list[SentItem]:
        found = self._catalog.ask(Records, lambda records: records.past(number, before, limit))
        recipients = self._recipients({each.recipient for each in found})
        return [self._ended(each, recipients[each.recipient]) for each in found]

    def _ended(self, each: Past, recipient: str) -> SentItem:
        return SentItem(
            each.path,
            owner_name(recipient),
            self._state(each.state, recipient),
            each.size,
            each.sent_ns,
            0,
            each.ended_ns,
            (each.number, 0),
        )

    async def sent_one(self, name: str, number: int) -> SentItem | None:
        """Return what a person has sent, by the number that is the last of its `key`s while it stands, the first after.

        None: it has sent nothing of that number, or it is not kept. Raises NotFound.
        """
        await self._barrier()
        sender = self._number(name)
        delivery = self._catalog.ask(Records, lambda records: records.delivery(number))
        if delivery is not None:
            record = self._catalog.ask(Records, lambda records: records.record(delivery.record))
            if record is None or record.sender != sender:
                return None
            if not record.ended:
                return self._items([(record, delivery)])[0]
        past = self._catalog.ask(Records, lambda records: records.past(sender, number + 1, 1))
        if not past or past[0].number != number:
            return None
        return self._ended(past[0], self._recipients({past[0].recipient})[past[0].recipient])

    def unopened(self, name: str, inodes: Sequence[int]) -> set[int]:
        """Return which of these entries of a person's inbox nobody has read, as this node has applied it.

        For what was just listed. Raises NotFound.
        """
        number = self._number(name)

        def look(records: Records) -> list[Delivery | None]:
            return [records.delivery(inode) for inode in inodes]

        found = self._catalog.ask(Records, look)
        return {
            each.inode
            for each in found
            if each is not None and each.recipient == number and each.state is DeliveryState.DELIVERED
        }

    def _state(self, state: DeliveryState, identity: str) -> DeliveryState:
        return as_shown(state, identity, self._catalog.user(owner_name(identity)))

    def _recipients(self, numbers: set[int]) -> dict[int, str]:
        return self._catalog.ask(Persons, lambda persons: persons.identities(numbers))

    def _number(self, name: str) -> int:
        user = self._catalog.user(name)
        identity = (
            user.owner if user is not None else self._catalog.ask(Persons, lambda persons: persons.holder(name))
        )
        number = self._catalog.ask(Persons, lambda persons: persons.find(identity)) if identity else None
        if number is None:
            raise NotFound(f"person {name}")
        return number

    def inbox(self, user: User) -> Usage:
        """Return how much is in a person's inbox, directories among the files, as this node has applied it."""
        return self._catalog.usage(user.owner + INBOX_MARK)

    # Who is there.

    async def visible(self, actor: Actor, *, all_persons: bool) -> list[str]:
        """Return to whom an account may see that it can send: persons and groups, by name.

        `all_persons`: everybody sees every person. Otherwise those that are in a group with it, or in one that it owns.
        """
        await self._barrier()
        user = actor.user
        if user is None or not self.there:
            return []
        groups = self._catalog.ask(Groups, lambda table: table.of(user.owner))
        if all_persons:
            names = self._catalog.ask(Persons, lambda persons: persons.listed())
        else:
            names = self._catalog.ask(Groups, lambda table: table.companions(user.owner))
        return sorted({*groups, *names} - {user.name})

    async def sees(self, actor: Actor, name: str, *, all_persons: bool) -> bool:
        """Whether a name is among those that `visible` returns."""
        await self._barrier()
        user = actor.user
        if user is None or not self.there or name == user.name:
            return False
        groups = self._catalog.ask(Groups, lambda table: table.of(user.owner))
        if name in groups or not self._is_listed(name):
            return name in groups
        return all_persons or self._catalog.ask(Groups, lambda table: table.are_companions(user.owner, name))

    def _is_listed(self, name: str) -> bool:
        return self._catalog.ask(Persons, lambda persons: persons.is_listed(name))

    # Groups and blocks. Without an actor it is an operator who wants it.

    async def group(self, name: str) -> Group | None:
        """Return a group, None when there is none."""
        await self._barrier()
        return self._catalog.ask(Groups, lambda groups: groups.find(name)) if self.there else None

    async def groups(self, after: str = "", limit: int = -1) -> list[str]:
        """Return the names of the groups behind `after`, sorted; `limit` -1: all."""
        await self._barrier()
        return self._catalog.ask(Groups, lambda groups: groups.names(after, limit)) if self.there else []

    def groups_of(self, user: User) -> list[str]:
        """Return the groups that an account is in, or owns, by name, as this node has applied it."""
        return self._catalog.ask(Groups, lambda groups: groups.of(user.owner)) if self.there else []

    async def put_group(
        self,
        actor: Actor,
        name: str,
        members: Sequence[str],
        *,
        create: bool = False,
        update: bool = False,
        revision: int = 0,
        owner: str = "",
    ) -> None:
        """Make or change a group; `owner`: whose it becomes if an operator makes it, an identity.

        Raises AlreadyExists, NotFound (there is none of the actor's), BadName, Changed, Invalid: who is no person is no
        member, and told by name. So who asks for a person looks first whether it `sees` those names.
        """
        group = commands.Group(name=name, members=members, revision=revision, owner=owner)
        put = commands.PutGroup(group=group, create=create, update=update)
        await self._change(actor, commands.Command(put_group=put))

    async def remove_group(self, actor: Actor, name: str) -> None:
        """Remove a group. Raises NotFound."""
        await self._change(actor, commands.Command(remove_group=commands.RemoveGroup(name=name)))

    async def block(self, actor: Actor, person: str, name: str, *, off: bool = False) -> None:
        """Have `person` take nothing more from `name`, or (`off`) take it again. Raises NotFound, Denied."""
        await self._change(actor, commands.Command(block=commands.Block(person=person, name=name, off=off)))

    async def blocks(self, person: str) -> list[str]:
        """Return whom a person blocks, sorted."""
        await self._barrier()
        return self._catalog.ask(Blocks, lambda blocks: blocks.of(person)) if self.there else []

    # What somebody leaves.

    async def purge(self, identity: str) -> tuple[int, bool]:
        """Remove some of what a former person has left; return how many names, and whether that was all.

        Raises NotFound, Changed (it is a person).
        """
        command = commands.PurgePerson(identity=identity, limit=MAX_PURGED)
        done = await self._propose(commands.Command(purge_person=command))
        return done.removed, done.finished

    def former(self, name: str) -> str | None:
        """Return the identity of which something may be in the places of the person `name`, as applied here."""
        return self._catalog.ask(Persons, lambda persons: persons.holder(name)) if self.there else None
