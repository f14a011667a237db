"""Trash, copies and retention, at work in the simulator, and what must be left in the end.

An account whose trash is kept for ever puts, replaces, removes, restores and copies files under a few names. Nothing of
it is lost then: each content that was accepted is in one place, under a name or in the trash, and in one more for each
copy. It also puts pictures into a directory that keeps a few: the last ones are there, and no more than these.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simcalls import Call, Callers
from simdeliveries import digest

from raftstore.errors import AlreadyExists, Changed, NotFound
from raftstore.metadata import Catalog
from raftstore.metadata.tables.names.trash import Trash
from raftstore.rights import ROLES, Actor
from raftstore.store.names import Names
from raftstore.wire import commands_pb2 as commands

if TYPE_CHECKING:
    from simclients import Clients
    from simcluster import Cluster

NAME = "dora"
DESK, CAMERA, BIN = "/desk", "/camera", f"/people/@trash/{NAME}"
PATHS = tuple(f"{DESK}/{name}" for name in "abc")
KEPT = 3
"""Pictures that the directory of the camera keeps."""

FOR_EVER = 50 * 365 * 24 * 3600 * 10**9
FIRST = 1 << 40
"""Of the numbers of contents: others have lower ones."""


@dataclass(slots=True)
class Content:
    """What was put once, and how often it was asked for a copy of it."""

    seed: int
    path: str
    put: Call = field(default_factory=Call)
    copies: list[Call] = field(default_factory=list)

    def wrong(self, count: int) -> str:
        """Say what is wrong with it being in so many places; "": nothing."""
        least = int(bool(self.put.ok)) + sum(bool(copy.ok) for copy in self.copies)
        most = int(self.put.ok is not False) + sum(copy.ok is not False for copy in self.copies)
        if count < least:
            return "lost"
        return "there more than once" if count > most else ""


def missing(pictures: list[Content], there: set[int]) -> list[Content]:
    """Return which of the pictures of one camera, in the order in which it put them, should be there and are not.

    Those that were accepted, as long as fewer than KEPT have come since, or may have: one of which nobody knows whether
    it was put may come later than what was put after it.
    """
    gone = []
    for place, content in enumerate(pictures):
        late = sum(each.put.ok is None for each in pictures[:place])
        since = late + sum(each.put.ok is not False for each in pictures[place + 1 :])
        if content.put.ok and since < KEPT and content.seed not in there:
            gone.append(content)
    return gone


class Trashed(Callers):
    """A client of each kind, and what it has done."""

    def __init__(self, cluster: Cluster, clients: Clients) -> None:
        super().__init__(cluster, clients, "trash")
        self._contents: list[Content] = []
        self._pictures: list[Content] = []

    def start(self) -> None:
        """Begin, once the account is there."""
        self._cluster.loop.create_task(self._run())

    async def _run(self) -> None:
        user = commands.User(name=NAME, password_hash="$argon2id$", home="/", rights=ROLES["member"])
        user.trash_ns = FOR_EVER
        rule = commands.PutRetention(path=CAMERA, max_files=KEPT)
        ready = [
            self.registered(),
            self.commanded(commands.Command(put_user=commands.PutUser(user=user))),
            self.learned([NAME]),
            *(self._directory(path) for path in (DESK, CAMERA)),
            self.commanded(commands.Command(put_retention=rule)),
        ]
        if await self.prepare(ready):
            for kind, work in (("desk", self._at_desk), ("camera", self._photograph)):
                rng = random.Random(f"{self._cluster.scenario.seed} trash {kind}")
                self._cluster.loop.create_task(self._client(rng, work))

    def _directory(self, path: str) -> Callable[[Names], Awaitable[object]]:
        return lambda names: names.make_directory(self._known, path)

    @property
    def _known(self) -> Actor:
        return self.actors[NAME]

    async def _client(self, rng: random.Random, work: Callable[[random.Random], Awaitable[None]]) -> None:
        while not self._clients.stopped:
            await asyncio.sleep(max(0.02, self._cluster.scenario.think) * self._clients.pace * rng.random())
            if not self._clients.stopped and not self._cluster.quiet:  # type: ignore[redundant-expr]
                await work(rng)

    # What they do.

    async def _photograph(self, rng: random.Random) -> None:
        content = Content(FIRST + 2 * len(self._pictures), f"{CAMERA}/{len(self._pictures)}.jpg")
        self._pictures.append(content)
        await self._put(rng, content)

    async def _at_desk(self, rng: random.Random) -> None:
        path = rng.choice(PATHS)
        match rng.choice(("put", "put", "remove", "restore", "restore", "copy")):
            case "put":
                content = Content(FIRST + 2 * len(self._contents) + 1, path)
                self._contents.append(content)
                await self._put(rng, content)
            case "remove":
                await self.perform(rng, Call(), f"remove {path}", lambda names: names.remove(self._known, path))
            case "restore":
                how = rng.choice(("", "beside", "replace"))
                await self.perform(
                    rng,
                    Call(),
                    f"restore to {path} {how}",
                    lambda names: self._restore(names, rng, path, how),
                    (AlreadyExists,),
                )
            case "copy":
                await self._copy(rng, path)

    async def _put(self, rng: random.Random, content: Content) -> None:
        chunk = commands.Chunk(digest=digest(content.seed), length=10, stores=[self.store])
        put = commands.PutFile(path=content.path, size=10, chunks=[chunk], since=self.since)
        put.mtime_ns = self._clients.token()
        command = commands.Command(put_file=put)
        await self.perform(
            rng, content.put, f"put {content.path}", lambda names: names.change(self._known, command)
        )

    async def _restore(self, names: Names, rng: random.Random, path: str, how: str) -> None:
        def look(rights: object, catalog: Catalog) -> list[int]:
            owner = self._known.owner
            return [trashed.inode for trashed, _ in catalog.ask(Trash, lambda trash: trash.of(owner))]

        found = await names.read(self._known, look)
        if not found:
            raise NotFound("anything in the trash")
        restore = commands.RestoreTrash(inode=rng.choice(found), to=path)
        restore.beside, restore.replace = how == "beside", how == "replace"
        await names.change(self._known, commands.Command(restore_trash=restore))

    async def _copy(self, rng: random.Random, path: str) -> None:
        """Copy what is at a path: which content that is, is not known before."""
        call = Call()
        for content in self._contents:
            if content.put.ok is not False:
                content.copies.append(call)
        target = f"{DESK}/copy {self._clients.token()}"
        copy = commands.Command(copy_file=commands.CopyFile(source=path, target=target))
        await self.perform(rng, call, f"copy {path}", lambda names: names.change(self._known, copy), (Changed,))
        call.ok = None if call.ok else call.ok  # one of them has it: which one is not known

    # In the end.

    def account(self) -> None:
        """See what is left."""
        node = next(iter(self._cluster.running))
        if not self.actors or node.catalog is None:
            return
        catalog = node.catalog.catalog
        places: Counter[bytes] = Counter()
        for directory in (DESK, BIN):
            places.update(_contents(catalog, directory))
        for content in self._contents:
            wrong = content.wrong(places[digest(content.seed)])
            if wrong:
                self._cluster.violate(f"trash: {wrong}", f"{content}")
        there = set(_contents(catalog, CAMERA))
        gone = missing(self._pictures, {each.seed for each in self._pictures if digest(each.seed) in there})
        if gone or len(there) > KEPT:
            self._cluster.violate("retention", f"{len(there)} are there, {gone} are not")
        size = 10 * (sum(places.values()) + len(there))
        if catalog.usage(self._known.owner).bytes != size:
            self._cluster.violate(
                "trash: charged wrongly", f"{catalog.usage(self._known.owner)}, not {size} bytes"
            )


def _contents(catalog: Catalog, directory: str) -> list[bytes]:
    """Return the contents of the files in a directory, a chunk each."""
    try:
        entries = catalog.listing(directory)
    except NotFound:
        return []
    return [catalog.file(f"{directory}/{entry.name}").chunks[0].digest for entry in entries]
