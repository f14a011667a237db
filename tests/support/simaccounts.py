"""Clients with accounts and rules, at work in the simulator. What they see is judged by `simrights`."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from simcalls import Callers
from simrights import LETTERS, MARK, SLOTS, Answer, Kind, Operation, fault, settled

from raftstore.errors import (
    Denied,
    DiskFull,
    NoQuorum,
    NotFound,
    OutcomeUnknown,
    StoreError,
    Unavailable,
)
from raftstore.metadata.tables.events.audit import AuditLog
from raftstore.rights import ROLES, Actor
from raftstore.rights.reserved import LEVEL as AUDITED
from raftstore.store.names import Names
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands

if TYPE_CHECKING:
    from simclients import Clients
    from simcluster import Cluster
    from simnode import Node

MEMBER, CHIEF = "member", "chief"
HASH = "$argon2id$"
CLIENTS = 3


def directory(slot: str) -> str:
    """Return the path of what is renamed."""
    return f"/rights-{slot}"


def within(slot: str) -> str:
    """Return the path of the directory with the rule."""
    return f"{directory(slot)}/in"


def call_of(operation: Operation) -> bytes:
    """Return what names an admin's call."""
    return operation.number.to_bytes(16, "big")


class AccountClients(Callers):
    """All of them, and the history that they have seen."""

    level = 2

    def __init__(self, cluster: Cluster, clients: Clients) -> None:
        super().__init__(cluster, clients, "accounts")
        self._numbers = MARK
        self._users: dict[str, User] = {}
        self.history: list[Operation] = []
        self._audited: list[Operation] = []
        """Those that carry the record of an admin's call."""

    def start(self) -> None:
        """Begin, once the directories are there."""
        self._cluster.loop.create_task(self._run())

    async def _run(self) -> None:
        if not await self._prepare():
            return
        for number in range(CLIENTS):
            rng = random.Random(f"{self._cluster.scenario.seed} account client {number}")
            self._cluster.loop.create_task(self._client(rng))

    async def _prepare(self) -> bool:
        """Make directories and accounts, one after the other; False when one of them may come later."""
        steps: list[Callable[[Names], Awaitable[object]]] = [
            *(partial(self._make, path=path) for path in (directory("a"), within("a"))),
            *(partial(self._account, name=name) for name in (CHIEF, MEMBER)),
            self._learn,
        ]
        return await self.prepare(steps)

    async def _make(self, names: Names, path: str) -> None:
        await names.make_directory(Actor.system("simulation"), path)

    async def _account(self, names: Names, name: str) -> None:
        user = commands.User(name=name, password_hash=HASH, home="/", rights=ROLES["admin"])
        if name == MEMBER:
            user.rights = ROLES["member"]
            user.rules.add(path=within("a"), rights="")
        await names.change(Actor.system("simulation"), commands.Command(put_user=commands.PutUser(user=user)))

    async def _learn(self, names: Names) -> None:
        """Log in: see who the accounts are."""

        def look(rights: Any, catalog: Any) -> dict[str, User | None]:
            return {name: catalog.user(name) for name in (MEMBER, CHIEF)}

        anonymous = Actor.anonymous_user(User("anonymous", ""))
        for name, user in (await names.read(anonymous, look)).items():
            assert user is not None
            self._users[name] = user

    def number(self) -> int:
        """A number that no other command has."""
        self._numbers += 1
        return self._numbers

    async def _client(self, rng: random.Random) -> None:
        cluster = self._cluster
        while not self._clients.stopped:
            await asyncio.sleep(max(0.02, cluster.scenario.think) * self._clients.pace * rng.random())
            nodes = cluster.running
            # They may be stopped by now, which mypy does not see.
            if nodes and not self._clients.stopped and not cluster.quiet:  # type: ignore[redundant-expr]
                await self._perform(rng.choice(nodes), self._choose(rng), rng.choice((0.3, 1.0, 3.0)))

    def _choose(self, rng: random.Random) -> Operation:
        kind = rng.choice(
            (Kind.FLIP, Kind.FLIP, Kind.RULE, Kind.PUT, Kind.PUT, Kind.READ, Kind.READ, Kind.READ, Kind.REMOVE)
        )
        operation = Operation(kind, rng.choice(SLOTS), self.number(), 0.0)
        if kind is Kind.RULE:
            operation.letters, operation.role = rng.choice(list(LETTERS)), rng.choice(("full", "full", "read"))
        if kind is Kind.PUT:
            operation.value = operation.number
        return operation

    async def _perform(self, node: Node, operation: Operation, timeout: float) -> None:
        cluster = self._cluster
        operation.called, operation.node = cluster.loop.time(), node.name
        self.history.append(operation)
        try:
            await self._clients.at(node, self._do(node, operation, timeout), timeout)
        except (OutcomeUnknown, self._clients.died):
            operation.answer = Answer.FAILED if operation.kind is Kind.READ else Answer.UNKNOWN
        except StoreError as error:
            if not isinstance(error, NoQuorum | DiskFull | Unavailable):
                cluster.violate("wrong answer", f"an account's client gets {error!r} for {operation}")
            operation.answer = Answer.FAILED
        if operation.answer is not Answer.UNKNOWN:
            operation.returned = cluster.loop.time()
        cluster.trace.event(operation.node, "account", str(operation))

    async def _do(self, node: Node, operation: Operation, timeout: float) -> None:
        assert node.catalog is not None
        names, catalog = self._clients.names(node, timeout), node.catalog.catalog
        try:
            await self._call(names, operation, audited=catalog.level >= AUDITED)
            answer = Answer.OK
        except Denied:
            answer = Answer.DENIED
        except NotFound:
            answer = Answer.ABSENT
        # Of what stands in the log, its place there counts instead.
        operation.place = catalog.applied_index + 0.5
        operation.answer = answer

    async def _call(self, names: Names, operation: Operation, *, audited: bool) -> None:
        chief, member = (
            Actor.session(replace(self._users[name], revision=operation.number)) for name in (CHIEF, MEMBER)
        )
        slot = operation.slot
        path = f"{within(slot)}/f"
        match operation.kind:
            case Kind.FLIP:
                await names.rename(chief, directory(slot), directory(SLOTS[slot == SLOTS[0]]))
            case Kind.RULE:
                user = commands.User(name=MEMBER, password_hash=HASH, home="/", rights=LETTERS[operation.role])
                user.rules.add(path=within(slot), rights=LETTERS[operation.letters])
                user.quota_bytes = operation.number
                put = commands.Command(put_user=commands.PutUser(user=user))
                if audited:
                    put.audit.CopyFrom(commands.Audit(call=call_of(operation), caller="simulation"))
                    self._audited.append(operation)
                await names.change(Actor.system("simulation"), put)
            case Kind.PUT:
                assert operation.value is not None
                put = commands.Command(put_file=commands.PutFile(path=path, mtime_ns=operation.value))
                await names.change(member, put)
            case Kind.READ:
                operation.value = None
                operation.value = (await names.file(member, path)).entry.mtime_ns
            case Kind.REMOVE:
                await names.remove(member, path)

    def account(self) -> None:
        """At the end: everything must fit the claimed order."""
        operations, wrong = settled(self.history, self._cluster.checks.numbered)
        wrong = wrong or fault(operations)
        if wrong:
            text = "\n".join(str(operation) for operation in operations)
            self._cluster.violate("rights do not fit", f"{wrong}\n{text}")
        self._account_audit()

    def _account_audit(self) -> None:
        """At the end: what is done for an admin is recorded once, and nothing else is."""
        for node in self._cluster.running:
            assert node.catalog is not None
            if node.catalog.level < AUDITED:
                continue
            found = node.catalog.catalog.ask(AuditLog, lambda audit: audit.after(0, 1_000_000))
            records = Counter(record.call for record in found)
            for operation in self._audited:
                count, answer = records[call_of(operation)], operation.answer
                if count > 1 or (count != (answer is Answer.OK) and answer is not Answer.UNKNOWN):
                    self._cluster.violate("audit", f"{count} records at {node.name} of {operation}")
