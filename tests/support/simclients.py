"""Clients: they write and read through any node, give up in time, and note what they were told."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from simaccounts import AccountClients
from simcluster import Cluster
from simdeliveries import Deliveries
from simhistory import Answer, Kind, Operation
from simmachine import put, remove
from simnode import Node
from simstaging import BrokenOff, LargeFiles
from simtrash import Trashed

from raftstore.errors import DiskFull, NoQuorum, OutcomeUnknown, StoreError, Unavailable
from raftstore.metadata.results import accepted
from raftstore.rights import Actor
from raftstore.store.names import Names
from raftstore.wire import commands_pb2

REFUSED = {
    Kind.CREATE: commands_pb2.EXISTS,
    Kind.SWAP: commands_pb2.CHANGED,
    Kind.REMOVE: commands_pb2.NOT_FOUND,
}
PADDING = "o" * 200


class Died(Exception):
    """The node is gone; whatever it was doing may be done."""


class Clients:
    """All clients of a simulation and the history that they have seen."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.history: list[Operation] = []
        self.stopped = False
        self.pace = 1.0
        """How much slower than usual they are: a node with the slowest disk, and appends of two entries, must be able
        to catch up."""
        self._tokens = 0
        self.died = Died
        self._large = LargeFiles(cluster)
        self.accounts = AccountClients(cluster, self) if cluster.scenario.accounts else None
        self.deliveries = Deliveries(cluster, self) if cluster.scenario.persons else None
        self.trash = Trashed(cluster, self) if cluster.scenario.trash else None
        self._seen: dict[tuple[int, int], tuple[int, int, int] | None] = {}
        """What a client has last read of a key: token, inode, version."""

    def start(self) -> None:
        scenario = self._cluster.scenario
        self._cluster.flood, self._cluster.query = self._flood, self._query
        for number in range(scenario.clients):
            rng = random.Random(f"{scenario.seed} client {number}")
            self._cluster.loop.create_task(self._client(number, rng))
        if self.accounts is not None:
            self.accounts.start()
        if self.deliveries is not None:
            self.deliveries.start()
        if self.trash is not None:
            self.trash.start()

    def _flood(self, node: Node, count: int) -> None:
        for number in range(count):
            write = Operation(100 + number, number % self._cluster.scenario.keys, Kind.WRITE, self.token(), 0.0)
            if node.consensus is not None:
                self._cluster.loop.create_task(self.perform(node, write, timeout=1.0))

    def _query(self, node: Node, count: int) -> None:
        for number in range(count):
            read = Operation(200 + number, number % self._cluster.scenario.keys, Kind.READ, None, 0.0)
            if node.consensus is not None:
                self._cluster.loop.create_task(self.perform(node, read, timeout=1.0))

    def token(self) -> int:
        """A value that no other write has."""
        self._tokens += 1
        return self._tokens

    async def _client(self, number: int, rng: random.Random) -> None:
        scenario = self._cluster.scenario
        while not self.stopped:
            await asyncio.sleep(scenario.think * self.pace * 2 * rng.random())
            nodes = self._cluster.running
            # It may be stopped by now, which mypy does not see.
            if nodes and not self.stopped and not self._cluster.quiet:  # type: ignore[redundant-expr]
                node = rng.choice(nodes)
                operation = self._choose(number, rng)
                await self.perform(node, operation, timeout=rng.choice((0.3, 1.0, 3.0)), padding=rng.random())

    def _choose(self, client: int, rng: random.Random) -> Operation:
        key = rng.randrange(self._cluster.scenario.keys)
        kind = rng.choice((Kind.READ, Kind.READ, Kind.WRITE, Kind.WRITE, Kind.CREATE, Kind.SWAP, Kind.REMOVE))
        expected = None
        if kind is Kind.SWAP:
            seen = self._seen.get((client, key))
            if seen is None:
                kind = Kind.READ
            else:
                expected = seen[0]
        value = self.token() if kind not in (Kind.READ, Kind.REMOVE) else None
        return Operation(client, key, kind, value, 0.0, expected)

    async def perform(self, node: Node, operation: Operation, *, timeout: float, padding: float = 0.0) -> None:
        """Do it at a node and note how that went."""
        cluster = self._cluster
        operation.called, operation.node = cluster.loop.time(), node.name
        self.history.append(operation)
        try:
            if operation.kind is Kind.READ:
                await self.at(node, self._read(node, operation, timeout), timeout)
                operation.answer = Answer.OK
            else:
                command = self._command(operation, padding)
                names = self.names(node, timeout, refusals=False)
                large = operation.kind is Kind.WRITE and self._large.wanted(node)
                change = (
                    self._large.write(node, names, command, timeout)
                    if large
                    else names.change(Actor.system("simulation"), command)
                )
                done = await self.at(node, change, timeout)
                if (
                    large and done.status == commands_pb2.CHANGED
                ):  # the node is no member any more, or was none yet
                    operation.answer = Answer.FAILED
                else:
                    self._take(operation, done)
        except (OutcomeUnknown, Died):  # the former is a NoQuorum too
            operation.answer = Answer.FAILED if operation.kind is Kind.READ else Answer.UNKNOWN
        except (
            NoQuorum,
            DiskFull,
            Unavailable,
        ):  # the latter: what was applied had to be undone for want of space
            operation.answer = Answer.FAILED
        except BrokenOff:
            operation.answer = Answer.FAILED
        except StoreError as error:
            cluster.violate("wrong answer", f"a client gets {error!r} for {operation}")
        if operation.answer is not Answer.UNKNOWN:
            operation.returned = cluster.loop.time()
        cluster.trace.event(operation.node, "client", str(operation))

    def _command(self, operation: Operation, padding: float) -> commands_pb2.Command:
        owner = PADDING[: int(len(PADDING) * padding)]
        if operation.kind is Kind.REMOVE:
            return remove(operation.key)
        base = None
        if operation.kind is Kind.SWAP:
            seen = self._seen[operation.client, operation.key]
            assert seen is not None and seen[0] == operation.expected
            base = seen[1:]
        assert operation.value is not None
        return put(operation.key, operation.value, owner, exclusive=operation.kind is Kind.CREATE, base=base)

    def _take(self, operation: Operation, result: commands_pb2.Result) -> None:
        operation.hint = result.index
        if result.status == commands_pb2.OK:
            operation.answer = Answer.OK
        elif result.status == REFUSED.get(operation.kind):
            operation.answer = Answer.REFUSED
        else:
            status = commands_pb2.Status.Name(result.status)
            self._cluster.violate("wrong answer", f"a client gets {status} {result.detail} for {operation}")

    def names(self, node: Node, timeout: float, *, refusals: bool = True) -> Names:
        """Names as production has them, at a node. `refusals`: they are raised."""
        assert node.consensus is not None and node.catalog is not None
        consensus, catalog = node.consensus, node.catalog.catalog

        async def barrier() -> None:
            await consensus.read_barrier(timeout=timeout)

        async def propose(command: commands_pb2.Command) -> commands_pb2.Result:
            raw = await consensus.propose(command.SerializeToString(), timeout=timeout)
            result = commands_pb2.Result.FromString(raw)
            return accepted(raw) if refusals or result.status == commands_pb2.INVALID else result

        return Names(catalog, barrier, propose)

    async def _read(self, node: Node, operation: Operation, timeout: float) -> None:
        assert node.consensus is not None and node.catalog is not None
        catalog = node.catalog
        await node.consensus.read_barrier(timeout=timeout)
        value = catalog.value(operation.key)
        operation.value = None if value is None else value[0]
        operation.hint = catalog.applied_index + 0.5
        self._seen[operation.client, operation.key] = value

    async def at(self, node: Node, work: Any, timeout: float) -> Any:
        """Await work that a node does; Died when it dies, or does not answer in twice the time it was given."""
        loop, process = self._cluster.loop, node.process
        assert process is not None
        future = loop.create_future()
        task: asyncio.Task[Any] | None = None

        def begin() -> None:
            nonlocal task
            if node.consensus is None or future.done():
                work.close()
                died()
                return
            task = loop.create_task(work)
            task.add_done_callback(lambda done: process.run(lambda: finish(done)))

        def finish(done: asyncio.Task[Any]) -> None:
            if future.done():
                return
            error = done.exception()
            if error is None:
                future.set_result(done.result())
            elif isinstance(error, StoreError):
                future.set_exception(error)
            else:
                raise error

        def died() -> None:
            if not future.done():
                future.set_exception(Died())

        process.at_death.append(died)
        timer = loop.call_later(2 * timeout + 5.0, died)
        process.run(begin)
        try:
            return await future
        finally:
            timer.cancel()
            if died in process.at_death:
                process.at_death.remove(died)
            if task is None:
                work.close()
