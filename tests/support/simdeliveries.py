"""Persons who send to each other, at work in the simulator, and what must be in their inboxes in the end.

Each picture has a name that no other has. It is put to a person or a group, or lies in its sender's home first and is
sent from there; some expire. Who does not learn whether it has arrived puts it again, as clients do. Of what is known
to have arrived some is read, recalled by its sender, deleted or kept by who got it, and cluster time goes on. In the
end each picture that was accepted is in each inbox once, whole, or in the home of who has kept it, unless it was
recalled, deleted or its time is over; none that was refused is; what was read or kept before it was recalled stays;
and everybody is charged for what is its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simcalls import Call, Callers

from raftstore.errors import NotFound
from raftstore.metadata import Catalog
from raftstore.metadata.tables.cluster.clock import STEP, Clock
from raftstore.metadata.tables.events.events import MAX_KEPT, Events
from raftstore.rights import ROLES, Actor
from raftstore.store.names import Names
from raftstore.types import INBOX_MARK, Entry, EventKind, User
from raftstore.wire import commands_pb2 as commands

if TYPE_CHECKING:
    from simclients import Clients
    from simcluster import Cluster

PERSONS = ("anna", "bob", "carl")
GROUP = "all"
BLOCKED = ("carl", "anna")
"""Who takes nothing, and from whom: by itself that is refused, and of what the group gets the others have it."""

CLIENTS = 3
TRIES = 3
MINUTE = 60 * 10**9
_KEPT = "kept-"


@dataclass(slots=True)
class Picture:
    """Something that was put to somebody, and what was done with it then. `reads` and `deletions` by recipient."""

    sender: str
    to: str
    name: str
    seeds: tuple[int, ...]
    puts: list[Call] = field(default_factory=list)
    recalls: list[Call] = field(default_factory=list)
    reads: dict[str, list[Call]] = field(default_factory=dict)
    deletions: dict[str, list[Call]] = field(default_factory=dict)
    keeps: dict[str, list[Call]] = field(default_factory=dict)
    finished: bool = False
    """Whether it is not put again any more."""
    stored: bool = False
    """Whether it is sent from its sender's home."""
    lasts_ns: int = 0
    earliest: int = 0
    latest: int = 0
    """Cluster time that had come for certain when it was put first, and that may have come when it was put last."""

    @property
    def path(self) -> str:
        """Where its sender sees it."""
        return f"/people/@sent/{self.sender}/{self.to}/{self.name}"

    def recipients(self) -> list[str]:
        """Return who is to have it, if it is accepted."""
        asked = [name for name in PERSONS if name != self.sender] if self.to == GROUP else [self.to]
        return [name for name in asked if (name, self.sender) != BLOCKED]

    def wrong(self, name: str, count: int, kept: int = 0, now: int = 0, asked: int = 0) -> str:
        """Say what is wrong with it being so many times in the inbox of a person; "": nothing.

        `kept`: how often it is in that person's home; `now`: cluster time, on its way to what was `asked`: of what
        expires up to that some goes before the clock has come there.
        """
        keeps = self.keeps.get(name, [])
        if count + kept > 1:
            return "delivered more than once"
        if any(call.ok for call in keeps) and not kept:
            return "kept, and gone"
        if kept:
            return "" if any(call.ok is not False for call in keeps) else "kept by nobody"
        late = self.lasts_ns and asked >= self.earliest + self.lasts_ns
        certain = self.finished and all(put.ok is not None for put in self.puts)
        if self.lasts_ns and count and certain and now >= self.latest + STEP + self.lasts_ns:
            return "there, but its time is over"
        return "" if late and not count else self._wrong_in_time(name, count)

    def _wrong_in_time(self, name: str, count: int) -> str:
        if name not in self.recipients() or all(put.ok is False for put in self.puts):
            return "delivered, but refused" if count else ""
        arrived = any(put.ok for put in self.puts)
        deletions, reads = self.deletions.get(name, []), self.reads.get(name, [])
        recalled = [call for call in self.recalls if call.ok is not False]
        read_first = any(read.ok and all(read.returned < call.called for call in recalled) for read in reads)
        if arrived and not count and not deletions and (not recalled or read_first):
            return "recalled after it was read" if recalled else "accepted, but not delivered"
        read = any(call.ok is not False for call in reads)
        if count and (any(call.ok for call in deletions) or (not read and any(call.ok for call in recalled))):
            return "there, but deleted or recalled"
        return ""


class Deliveries(Callers):
    """All such clients, and what they have done."""

    def __init__(self, cluster: Cluster, clients: Clients) -> None:
        super().__init__(cluster, clients, "person")
        self._reached = self._asked = 0
        """Cluster time that has come for certain, and that may have come."""
        self.pictures: list[Picture] = []

    def start(self) -> None:
        """Begin, once the persons are there."""
        self._cluster.loop.create_task(self._run())

    async def _run(self) -> None:
        if not await self._prepare():
            return
        for number in range(CLIENTS):
            rng = random.Random(f"{self._cluster.scenario.seed} sender {number}")
            self._cluster.loop.create_task(self._client(rng))

    # Persons, a group, and the directories to send to.

    async def _prepare(self) -> bool:
        """Do it one after the other; False when something may come later."""
        group = commands.Group(name=GROUP, members=PERSONS)
        ready = [
            self.registered(),
            *map(self._person, PERSONS),
            self.commanded(commands.Command(put_group=commands.PutGroup(group=group))),
            self.learned(PERSONS),
            *(self._directory(name, to) for name in PERSONS for to in (*PERSONS, GROUP) if to != name),
            self._blocked,
        ]
        return await self.prepare(ready)

    def _person(self, name: str) -> Callable[[Names], Awaitable[object]]:
        user = commands.User(
            name=name, password_hash="$argon2id$", home=f"/people/{name}", rights=ROLES["member"], person=True
        )
        return self.commanded(commands.Command(put_user=commands.PutUser(user=user)))

    def _directory(self, name: str, to: str) -> Callable[[Names], Awaitable[object]]:
        return lambda names: names.make_directory(self.actors[name], f"/people/@sent/{name}/{to}")

    def _blocked(self, names: Names) -> Awaitable[object]:
        person, name = BLOCKED
        block = commands.Command(block=commands.Block(person=person, name=name))
        return names.change(self.actors[person], block)

    # What they do.

    async def _client(self, rng: random.Random) -> None:
        cluster = self._cluster
        while not self._clients.stopped:
            await asyncio.sleep(max(0.02, cluster.scenario.think) * self._clients.pace * rng.random())
            # They may be stopped by now, which mypy does not see.
            if not self._clients.stopped and not cluster.quiet:  # type: ignore[redundant-expr]
                arrived = [each for each in self.pictures if each.finished and all(put.ok for put in each.puts)]
                chance = rng.random()
                if chance < 0.1:
                    await self._go_on(rng)
                elif not arrived or chance < 0.5:
                    await self._send(rng)
                else:
                    await self._follow(rng, rng.choice(arrived[-5:]))

    async def _send(self, rng: random.Random) -> None:
        sender = rng.choice(PERSONS)
        to = rng.choice([name for name in (*PERSONS, GROUP, GROUP) if name != sender])
        number = len(self.pictures) + 1
        seeds = tuple((number << 8) + each for each in range(rng.choice((1, 1, 2, 4))))
        picture = Picture(sender, to, f"{number}.jpg", seeds)
        picture.lasts_ns = rng.choice((0, 0, 0, MINUTE))
        self.pictures.append(picture)
        picture.stored = rng.random() < 0.3 and await self._laid(rng, picture)
        picture.earliest = self._reached
        for _ in range(TRIES):
            call = Call()
            picture.puts.append(call)
            await self.perform(rng, call, f"put {picture.path}", lambda names: self._put(names, picture))
            picture.latest = self._asked
            if call.ok is False or (call.ok and rng.random() < 0.7):
                break
            await asyncio.sleep(rng.random() * 0.5)
        picture.finished = True

    async def _laid(self, rng: random.Random, picture: Picture) -> bool:
        """Put a picture into its sender's home; return whether it is there for certain."""
        call, path = Call(), _stored(picture)
        put = self._put_at(picture, path)
        actor = self.actors[picture.sender]
        await self.perform(rng, call, f"put {path}", lambda names: names.change(actor, put))
        return bool(call.ok)

    async def _put(self, names: Names, picture: Picture) -> None:
        if picture.stored:
            send = commands.SendFile(path=_stored(picture), to=picture.to, expires_ns=picture.lasts_ns)
            command = commands.Command(send_file=send)
        else:
            command = self._put_at(picture, picture.path)
            command.put_file.expires_ns = picture.lasts_ns
        await names.change(self.actors[picture.sender], command)

    def _put_at(self, picture: Picture, path: str) -> commands.Command:
        chunks = [commands.Chunk(digest=digest(seed), length=10, stores=[self.store]) for seed in picture.seeds]
        put = commands.PutFile(
            path=path, size=10 * len(chunks), chunks=chunks, since=self.since, mtime_ns=self._clients.token()
        )
        return commands.Command(put_file=put)

    async def _go_on(self, rng: random.Random) -> None:
        """Let cluster time go on by less than what would be a standstill."""
        call, until = Call(), max(self._reached, 1) + STEP // 2
        self._asked = max(self._asked, until)
        advance = self.commanded(
            commands.Command(advance_clock=commands.AdvanceClock(time_ns=until, limit=rng.choice((1, 64))))
        )
        await self.perform(rng, call, f"cluster time {until}", advance)
        if call.ok:
            await self.perform(rng, Call(), "what time it is", self._look_at_clock)

    async def _look_at_clock(self, names: Names) -> None:
        def look(rights: object, catalog: Catalog) -> None:
            self._reached = max(self._reached, catalog.ask(Clock, lambda clock: clock.now_ns))

        await names.read(Actor.anonymous_user(User("anonymous", "")), look)

    async def _follow(self, rng: random.Random, picture: Picture) -> None:
        """Something is done with what has arrived."""
        name, call = rng.choice(picture.recipients()), Call()
        path = f"/people/@inbox/{name}/{picture.sender}/{picture.name}"
        match rng.choice(("read", "read", "recall", "delete", "keep")):
            case "read":
                picture.reads.setdefault(name, []).append(call)
                await self.perform(rng, call, f"read {path}", lambda names: self._read(names, name, path))
            case "recall":
                picture.recalls.append(call)
                sender = self.actors[picture.sender]
                await self.perform(
                    rng, call, f"recall {picture.path}", lambda names: names.remove(sender, picture.path)
                )
            case "delete":
                picture.deletions.setdefault(name, []).append(call)
                await self.perform(
                    rng, call, f"delete {path}", lambda names: names.remove(self.actors[name], path)
                )

            case "keep":
                picture.keeps.setdefault(name, []).append(call)
                home = f"/people/{name}/{_KEPT}{picture.name}"
                actor = self.actors[name]
                await self.perform(rng, call, f"keep {path}", lambda names: names.rename(actor, path, home))

    async def _read(self, names: Names, name: str, path: str) -> None:
        inode = (await names.lookup(self.actors[name], path)).inode
        opened = commands.Command(mark_opened=commands.MarkOpened(inodes=[inode]))
        await names.change(Actor.system("simulation"), opened)

    # In the end.

    def account(self) -> None:
        """See who has what."""
        node = next(iter(self._cluster.running))
        if not self.actors or node.catalog is None:
            return
        catalog = node.catalog.catalog
        now = catalog.ask(Clock, lambda clock: clock.now_ns)
        has = {name: Counter(_plain(path) for path, _ in _files(catalog, _inbox(name))) for name in PERSONS}
        kept = {name: Counter(path for path, _ in _files(catalog, f"/people/{name}")) for name in PERSONS}
        for picture in self.pictures:
            for name in PERSONS:
                count = has[name][f"{picture.sender}/{picture.name}"]
                wrong = picture.wrong(name, count, kept[name][f"{_KEPT}{picture.name}"], now, self._asked)
                if wrong:
                    self._cluster.violate(wrong, f"{picture} for {name} at {now}")
        self._whole(catalog)
        self._charged(catalog)
        self._noted(catalog)

    def _noted(self, catalog: Catalog) -> None:
        """Each delivery is one event, no number is missing. That all nodes have the same is seen by their digests."""
        events = catalog.ask(Events, lambda table: table.after(0, MAX_KEPT))
        delivered = [event.record for event in events if event.kind is EventKind.DELIVERED]
        arrived = sum(any(put.ok for put in picture.puts) for picture in self.pictures)
        # What has expired is another delivery when it is put once more.
        asked = [[put.ok is not False for put in picture.puts] for picture in self.pictures]
        possible = sum(
            sum(puts) if picture.lasts_ns else any(puts)
            for picture, puts in zip(self.pictures, asked, strict=True)
        )
        if [event.number for event in events] != list(range(1, len(events) + 1)):
            self._cluster.violate("events missing", f"there are {len(events)}")
        if len(set(delivered)) != len(delivered) or not arrived <= len(delivered) <= possible:
            self._cluster.violate(
                "events of deliveries", f"{len(delivered)}, of {arrived} to {possible} that arrived"
            )

    def _whole(self, catalog: Catalog) -> None:
        seeds = {(picture.sender, picture.name): picture.seeds for picture in self.pictures}
        for name in PERSONS:
            for path, _ in _files(catalog, _inbox(name)):
                sender, plain = _plain(path).split("/")
                found = [ref.digest for ref in catalog.file(f"{_inbox(name)}/{path}").chunks]
                if found != [digest(seed) for seed in seeds[sender, plain]]:
                    self._cluster.violate("not whole", f"{path} of {name} has {len(found)} chunks")

    def _charged(self, catalog: Catalog) -> None:
        for name, actor in self.actors.items():
            assert actor.user is not None
            own = (f"/people/@sent/{name}", f"/people/{name}")
            for paths, owner in ((own, actor.user.owner), ((_inbox(name),), _marked(actor))):
                size = sum(entry.size for path in paths for _, entry in _files(catalog, path))
                if catalog.usage(owner).bytes != size:
                    self._cluster.violate(
                        "charged wrongly", f"{owner} for {catalog.usage(owner).bytes} bytes, not {size}"
                    )


def digest(seed: int) -> bytes:
    """Return the name of a chunk."""
    return seed.to_bytes(32, "big")


def _stored(picture: Picture) -> str:
    return f"/people/{picture.sender}/{picture.name}"


def _inbox(name: str) -> str:
    return f"/people/@inbox/{name}"


def _marked(actor: Actor) -> str:
    assert actor.user is not None
    return actor.user.owner + INBOX_MARK


def _plain(path: str) -> str:
    """Return a path without the number that a name has got because it was taken."""
    stem, _, _ = path.removesuffix(".jpg").partition(" (")
    return f"{stem}.jpg"


def _files(catalog: Catalog, path: str) -> Iterator[tuple[str, Entry]]:
    """Yield the files beneath a directory, by their paths in it."""
    try:
        entries = catalog.listing(path)
    except NotFound:
        return
    for entry in entries:
        if entry.is_directory:
            yield from (
                (f"{entry.name}/{each}", found) for each, found in _files(catalog, f"{path}/{entry.name}")
            )
        else:
            yield entry.name, entry
