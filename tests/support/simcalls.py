"""Clients with accounts in the simulator: how they ask a node for something, and what they know of it then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raftstore.errors import (
    AlreadyExists,
    DiskFull,
    NoQuorum,
    NotFound,
    OutcomeUnknown,
    StoreError,
    Unavailable,
)
from raftstore.metadata import Catalog
from raftstore.rights import Actor
from raftstore.store.names import Names
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands

if TYPE_CHECKING:
    from simclients import Clients
    from simcluster import Cluster
    from simnode import Node

SETUP = 8.0
"""Virtual seconds until what they need must be there, or this seed does without."""

INFINITY = float("inf")


@dataclass(slots=True)
class Call:
    """Something that a client asked for; `ok` None: it does not know."""

    called: float = 0.0
    returned: float = INFINITY
    ok: bool | None = None


class Callers:
    """Some clients that do the same sort of things, at nodes that have come to a level."""

    level = 3

    def __init__(self, cluster: Cluster, clients: Clients, kind: str) -> None:
        self._cluster = cluster
        self._clients = clients
        self._kind = kind
        self._rng = random.Random(f"{cluster.scenario.seed} {kind}")
        self.actors: dict[str, Actor] = {}
        self.store = self.since = 0
        """The number of a store, and an index at which it was there: what is put names both."""

    async def prepare(self, steps: list[Callable[[Names], Awaitable[object]]]) -> bool:
        """Do what must be done first, one after the other; False when something may come later."""
        for step in steps:
            if not await self.once(step):
                return False
        return True

    async def once(self, step: Callable[[Names], Awaitable[object]]) -> bool:
        """Do something until it is done; False: whether it is, is not known, or not in time."""
        loop = self._cluster.loop
        deadline = loop.time() + SETUP
        while loop.time() < deadline and not self._clients.stopped:
            nodes = self._cluster.running
            node = self._rng.choice(nodes) if nodes else None
            if node is not None and self._ready(node):
                try:
                    await self._clients.at(node, step(self._clients.names(node, 2.0)), 2.0)
                    return True
                except AlreadyExists:
                    return True
                except (OutcomeUnknown, self._clients.died):
                    return False
                except StoreError:
                    pass
            await asyncio.sleep(0.1)
        return False

    def _ready(self, node: Node) -> bool:
        """Whether a node has applied the log as far as to the level that these clients need."""
        return node.catalog is not None and node.catalog.catalog.level >= self.level

    @staticmethod
    def commanded(command: commands.Command) -> Callable[[Names], Awaitable[object]]:
        """Return what the system has done."""
        return lambda names: names.change(Actor.system("simulation"), command)

    def registered(self) -> Callable[[Names], Awaitable[object]]:
        """Return the step that makes the first node's store known."""
        first = self._cluster.names[0]
        register = commands.RegisterStore(node=first, identity=first.encode().ljust(16, b"\0"))
        return self.commanded(commands.Command(register_store=register))

    def learned(self, names: Iterable[str]) -> Callable[[Names], Awaitable[object]]:
        """Return the step by which some accounts log in, and that store is looked up."""

        def look(rights: object, catalog: Catalog) -> None:
            self.store, self.since = catalog.stores()[0].number, catalog.applied_index
            for name in names:
                user = catalog.user(name)
                if user is None:
                    raise NotFound(name)
                self.actors[name] = Actor.session(user)

        return lambda names: names.read(Actor.anonymous_user(User("anonymous", "")), look)

    async def perform(
        self,
        rng: random.Random,
        call: Call,
        what: str,
        work: Callable[[Names], Awaitable[object]],
        refusals: tuple[type[StoreError], ...] = (),
    ) -> None:
        """Ask some node for it, and note how that went. `refusals`: answers that are in order, beside NotFound."""
        cluster = self._cluster
        call.called, timeout = cluster.loop.time(), rng.choice((0.3, 1.0, 3.0))
        ready = [node for node in cluster.running if self._ready(node)]
        if not ready:
            call.ok = False
        else:
            node = rng.choice(ready)
            try:
                await self._clients.at(node, work(self._clients.names(node, timeout)), timeout)
                call.ok = True
            except (OutcomeUnknown, self._clients.died):
                call.ok = None
            except StoreError as error:
                call.ok = False
                if not isinstance(error, (NoQuorum, DiskFull, Unavailable, NotFound, *refusals)):
                    cluster.violate("wrong answer", f"{self._kind}: {error!r} for {what}")
        if call.ok is not None:
            call.returned = cluster.loop.time()
        cluster.trace.event("", self._kind, f"{what}: {call.ok}")
