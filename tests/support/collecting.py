"""Nodes that upload, remove, collect and trim, in a random sequence of steps.

Real catalogs that apply the log at their own pace, real collectors, trims, sessions and evidence; volumes are imitated.
What is checked is checked at each step: what the log lists is there, and who gives a copy up leaves enough. `mutant`
takes one of the rules away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3
from catalogs import NOW, by, command

from raftstore.chunks.placement.topology import ClusterView, StoreState
from raftstore.cluster.jobs.counters import JobCounter
from raftstore.cluster.jobs.task import Task
from raftstore.cluster.jobs.trim import Trim
from raftstore.cluster.replicas.collector import Collector
from raftstore.consensus.membership.configuration import Configuration
from raftstore.errors import Changed, StoreError
from raftstore.metadata import Catalog
from raftstore.metadata.levels import NEWEST
from raftstore.metadata.tables.cluster.jobs import draining
from raftstore.rights import Actor
from raftstore.rights.changes import TABLE
from raftstore.store.transfers.ahead import Stager
from raftstore.store.transfers.confirmations import ConfirmedCopies, TransferLeases
from raftstore.store.transfers.publishbatch import PublishBatch
from raftstore.store.transfers.sessions import LateReplicas, PublishCalls, UploadPlan, UploadSession
from raftstore.types import ChunkRef
from raftstore.wire import commands_pb2 as commands

NAMES = [blake3(bytes([n])).digest() for n in range(5)]
LENGTH = 10
WANTED = 2
Job = commands.Job


@dataclass(frozen=True)
class Entry:
    """A chunk that is here."""

    key: bytes


class Volumes:
    """What a VolumeSet promises, with the widest gaps that it may have."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.here: set[bytes] = set()
        self.changing: dict[bytes, str] = {}
        self.on_touch: Callable[[bytes], None] | None = None

    def has(self, name: bytes) -> bool:
        return name in self.here and name not in self.changing

    def touch(self, name: bytes) -> None:
        if self.on_touch is not None and self.world.mutant != "untouched":
            self.on_touch(name)

    def confirm(self, name: bytes) -> bool:
        if not self.has(name):
            return False
        self.touch(name)
        return True

    async def put(self, name: bytes) -> None:
        self.touch(name)
        if self.has(name):
            await self.world.pause(3)
            if self.confirm(name):
                return
        while name in self.changing:
            await self.world.pause(1)
        if name not in self.here:
            self.changing[name] = "stored"
            await self.world.pause(3)
            self.here.add(name)
            del self.changing[name]
        await self.world.pause(3)

    async def remove_many(self, names: Iterable[bytes], *, unless: Callable[[bytes], bool]) -> int:
        removed = 0
        for key in names:
            whole = next(name for name in NAMES if name.startswith(key))
            while whole in self.changing:
                await self.world.pause(1)
            if whole in self.here and not unless(key):
                self.changing[whole] = "removed"
                self.world.check()
                await self.world.pause(3)
                self.here.discard(whole)
                del self.changing[whole]
                removed += 1
        self.world.removed += removed
        return removed

    async def digests(self) -> AsyncIterator[Sequence[Entry]]:
        for name in sorted(self.here):
            yield [Entry(name[:16])]
            await self.world.pause(2)


class Node:
    """A node with its catalog, volumes and collector."""

    def __init__(self, world: World, number: int, path: Path) -> None:
        self.world = world
        self.number = number
        self.name = f"n{number}"
        self.catalog = Catalog(path)
        self.volumes = Volumes(world)
        self.boot = 0
        self.stager = Stager(self.name, 1, self.catalog, self.propose, lambda: number == 1, piece=1)
        self.work: list[asyncio.Task[None]] = []

    def begin_work(self) -> None:
        """Start what collects and trims, as each start of a node does: it remembers nothing."""
        self.boot += 1
        self.collector = Collector(
            self.volumes,  # type: ignore[arg-type]
            grace=50 if self.world.trims else 5,
            unlisted=self.unlisted,
            find=self.find_unlisted,
            barrier=self.barrier,
            begin=self.begin,
            swept=self.swept,
            clock=lambda: self.world.steps / 20,
            share=1.0,
        )
        if self.world.collects:
            self.work.append(self.world.start(self.collect()))
        if self.world.trims:
            self.work.append(self.world.start(self.trim()))

    async def kill(self) -> None:
        """Stop the work wherever it is; what was being removed may be gone or not."""
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        self.work.clear()
        for name, change in list(self.volumes.changing.items()):
            if change == "removed":
                del self.volumes.changing[name]
                if self.world.random.random() < 0.5:
                    self.volumes.here.discard(name)

    def unlisted(self, names: Iterable[bytes]) -> list[bytes]:
        """What the catalog, as applied here, does not list at this node."""
        return list(names) if self.world.mutant == "unasked" else self.catalog.unlisted(names, self.number)

    async def find_unlisted(self, names: Sequence[bytes]) -> list[bytes]:
        """The same, as of some moment before this returns."""
        await self.world.pause(1)
        found = self.unlisted(names)
        await self.world.pause(1)
        return found

    def swept(self) -> int:
        """Where the last sweep of this node's store began."""
        return self.catalog.swept()[self.number]

    def view(self) -> ClusterView:
        """The cluster as this node knows it: it may be late."""
        going = draining(self.catalog.jobs())
        stores = [
            StoreState(n, node.name, n == self.number, leaving=node.name in going)
            for n, node in sorted(self.world.nodes.items())
        ]
        return ClusterView(tuple(stores), nodes=len(stores) - len(going), replicas=WANTED)

    async def trim(self) -> None:
        """Do jobs that give up copies, one after the other."""
        trimming = Trim(
            node=self.name,
            boot=self.boot,
            replicas=WANTED,
            view=self.view,
            catalog=self.catalog,
            confirm=self.confirm,
            propose=self.propose,
            swept=self.swept,
            give_up=self.collector.give_up,
        )
        while True:
            await self.world.pause(5)
            view = self.view()
            if not any(self.catalog.surplus_pages(view.wanted, view.staying, self.number, 10**9)):
                continue
            try:
                number = await self.job()
                held = {"id": number, "node": self.name, "boot": self.boot}
                await self.propose(command("take_job", lease_ns=10**9, **held))
                job, task = self.catalog.job(number), Task()
                assert job is not None
                await trimming.run(job, task)
                self.world.trimmed += task.counts[JobCounter.TRIMMED]
                await self.propose(command("finish_job", **held))
            except StoreError:
                continue

    async def job(self) -> int:
        """Return the number of the job that is open for this node, or of a new one."""
        for job in self.catalog.jobs():
            if (job.kind, job.node) == (Job.TRIM, self.name) and job.state in (Job.WAITING, Job.RUNNING):
                return job.id
        # Each leader sees the rooms in its own way: two nodes may each think that theirs is too many.
        sizes = [commands.Share(store=n, bytes=self.world.random.randrange(1, 5)) for n in self.world.nodes]
        wanted = Job(kind=Job.TRIM, node=self.name, replicas=WANTED, upto=10**9, shares=sizes)
        return (await self.propose(command("put_job", job=wanted))).job

    async def barrier(self) -> None:
        index = len(self.world.log)
        while self.catalog.applied_index < index:
            await self.world.pause(2)

    async def begin(self) -> int:
        if self.world.mutant == "unannounced":
            return self.swept()
        return (await self.propose(command("begin_sweep", store=self.number))).index

    async def propose(self, built: commands.Command) -> commands.Result:
        """Bring a command into the log, some time; return its result when it is applied here."""
        await self.world.pause(5 if (built.WhichOneof("kind") or "").endswith("job") else 40)
        if self.world.mutant == "fenceless":
            kind = built.WhichOneof("kind")
            if kind in ("put_file", "put_partial", "stage_content"):
                getattr(built, kind).since = 10**9
            elif kind == "change_replicas":
                built.change_replicas.added[0].since = 10**9
        index = self.world.append(built)
        while self.catalog.applied_index < index:
            await self.world.pause(2)
        result = self.world.results[index]
        if result.status == commands.CHANGED:
            raise Changed(result.detail)
        if result.status != commands.OK:
            raise StoreError(result.detail)
        return result

    async def follow(self) -> None:
        while True:
            await self.world.pause(12)
            self.world.apply(self.catalog)

    async def end_staged(self) -> None:
        while True:
            await self.world.pause(60)
            await self.stager.look()

    async def collect(self) -> None:
        while True:
            await self.world.pause(30)
            await self.collector.look()

    # What uploads do.

    async def confirm(self, store: int, digests: Sequence[bytes]) -> set[bytes]:
        await self.world.pause(10)
        volumes = self.world.nodes[store].volumes
        held = {digest for digest in digests if volumes.confirm(digest)}
        await self.world.pause(10)
        return held

    def added(self, digest: bytes, store: int, since: int) -> None:
        change = commands.ReplicaChange(digest=digest, store=store, since=since)
        self.world.start(self.note(command("change_replicas", added=[change])))

    async def note(self, built: commands.Command) -> None:
        await self.world.pause(60)
        await self.propose(built)

    async def upload(self, path: str) -> None:
        world = self.world
        confirmed = ConfirmedCopies(self.catalog, self.confirm)
        late = LateReplicas(self, confirmed.begun)

        async def overtaken() -> bool:
            return False

        async def chunk(name: bytes) -> ChunkRef:
            first, *others = world.random.sample(sorted(world.nodes), 4 if world.trims else 2)
            await world.nodes[first].volumes.put(name)
            for store in others:
                world.start(self.late(name, store, late))
            return ChunkRef(name, LENGTH, (first,))

        chosen = world.random.sample(NAMES, world.random.randrange(1, 3))
        refs = [await chunk(name) for name in chosen]
        leases = TransferLeases(1000, self.confirm)
        session = UploadSession(
            UploadPlan(commands.PutFile(path=path, owner="ada", quorum=1), "ada"),
            Received(refs),  # type: ignore[arg-type]
            PublishCalls(self.propose, overtaken, confirmed, late, leases, PublishBatch(), self.stager),
        )
        await world.pause(80)
        try:
            if world.random.random() < 0.8:
                await session.commit(NOW)
                world.published += 1
            else:
                await session.suspend()
        except StoreError:
            world.refused += 1

    async def late(self, name: bytes, store: int, late: LateReplicas) -> None:
        await self.world.pause(20)
        await self.world.nodes[store].volumes.put(name)
        late(name, store)


class Received:
    """Stands for an Upload whose chunks are durable."""

    def __init__(self, refs: list[ChunkRef]) -> None:
        self.refs = refs
        self.position = LENGTH * len(refs)

    async def finish(self) -> tuple[list[ChunkRef], int]:
        return self.durable()

    def durable(self) -> tuple[list[ChunkRef], int]:
        return self.refs, self.position


class World:
    """Some nodes, one log, and one random sequence of steps."""

    def __init__(
        self,
        directory: Path,
        seed: int,
        mutant: str,
        *,
        nodes: int = 3,
        collects: bool = True,
        trims: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.mutant = mutant
        self.collects = collects
        self.trims = trims
        self.steps = 0
        self.removed = self.published = self.refused = self.trimmed = self.killed = self.drained = 0
        self.log: list[bytes] = []
        self.results: dict[int, commands.Result] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.reference = Catalog(directory / "reference.db")
        self.nodes = {n: Node(self, n, directory / f"{n}.db") for n in range(1, nodes + 1)}

    async def pause(self, most: int) -> None:
        for _ in range(self.random.randrange(most + 1)):
            self.steps += 1
            await asyncio.sleep(0)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    def append(self, built: commands.Command) -> int:
        if built.WhichOneof("kind") in TABLE:
            built = by(built, Actor.system("test"))
        identity = commands.OperationId(node="n1", boot=1, sequence=len(self.log) + 1)
        operation = commands.Operation(id=identity, time_ns=NOW, command=built.SerializeToString())
        self.log.append(commands.Batch(operations=[operation]).SerializeToString())
        before = dict(self.reference.held_by(NAMES))
        self.results[len(self.log)] = self.apply(self.reference)
        self.check()
        if built.WhichOneof("kind") == "drop_replicas":
            self.check_copies(before)
        return len(self.log)

    def check_copies(self, before: dict[bytes, tuple[int, ...]]) -> None:
        """Of what was given up there are as many copies as wanted, on disks that stay."""
        going = draining(self.reference.jobs())
        for name, stores in self.reference.held_by(NAMES):
            if stores != before[name]:
                left = [
                    n for n in stores if self.nodes[n].name not in going and name in self.nodes[n].volumes.here
                ]
                assert len(left) >= WANTED, "too few copies are left"

    def apply(self, catalog: Catalog) -> commands.Result:
        index = catalog.applied_index + 1
        if index == 1:
            catalog.configure(1, self.log[0])
        elif index <= len(self.log):
            return commands.Result.FromString(catalog.apply(index, self.log[index - 1])[0])
        return commands.Result()

    def check(self) -> None:
        """What the log lists is there. Called when either changes."""
        for name, stores in self.reference.held_by(NAMES):
            for store in stores:
                volumes = self.nodes[store].volumes
                assert name in volumes.here, f"listed at {store} and gone"
                assert volumes.changing.get(name) != "removed", f"listed at {store} and being removed"

    async def run(self, entries: int) -> None:
        """Go on until the log has so many entries."""
        self.log.append(Configuration.of([node.name for node in self.nodes.values()]).encode())
        self.apply(self.reference)
        self.append(command("set_level", level=NEWEST, fresh=True))
        for number, node in self.nodes.items():
            self.append(command("register_store", node=node.name, identity=bytes([number]) * 16))
        for node in self.nodes.values():
            while node.catalog.applied_index < len(self.log):
                self.apply(node.catalog)
            self.start(node.follow())
            self.start(node.end_staged())
            node.begin_work()
        while len(self.log) < entries:
            for task in [task for task in self.tasks if task.done()]:
                self.tasks.remove(task)
                if not task.cancelled():
                    task.result()
            await self.pause(150 if self.trims else 20)
            await self.step()

    async def step(self) -> None:
        """Begin something."""
        node = self.random.choice(list(self.nodes.values()))
        path = f"/{self.random.randrange(4)}"
        if self.trims and self.random.random() < 0.3:
            if self.random.random() < 0.5:
                await node.kill()
                node.begin_work()
                self.killed += 1
            else:
                self.start(self.drain(node))
        elif self.random.random() < (0.7 if self.trims else 0.45):
            self.start(node.upload(path))
        else:
            self.start(self.remove(node, path))

    async def drain(self, node: Node) -> None:
        """Have a node drained, or let it take pictures again."""
        job = next((job for job in node.catalog.jobs() if (job.kind, job.node) == (Job.DRAIN, node.name)), None)
        try:
            if job is not None and job.state == Job.WAITING:
                await node.propose(command("cancel_job", id=job.id))
            else:
                await node.propose(command("put_job", job=Job(kind=Job.DRAIN, node=node.name, replicas=WANTED)))
                self.drained += 1
        except StoreError:
            pass

    async def remove(self, node: Node, path: str) -> None:
        kind = "remove_file" if self.random.random() < 0.8 else "drop_partial"
        fields = {"path": path} if kind == "remove_file" else {"path": path, "owner": "ada"}
        try:
            await node.propose(command(kind, **fields))
        except StoreError:
            pass

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for catalog in (self.reference, *(node.catalog for node in self.nodes.values())):
            catalog.close()


async def explored(directory: Path, seed: int, mutant: str = "", entries: int = 250, **options: Any) -> World:
    """Run one random sequence; `options` as World has them. Raises AssertionError."""
    world = World(directory, seed, mutant, **options)
    try:
        await world.run(entries)
    finally:
        await world.stop()
    return world
