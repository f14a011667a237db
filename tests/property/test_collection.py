"""The claim of raftstore.cluster.collector under random interleavings: what the catalog lists is not removed.

Real catalogs that apply the log at their own pace, real collectors, sessions and evidence; volumes are imitated. Each
mutant takes one of the rules away, and must be caught.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from blake3 import blake3
from catalogs import NOW, STORES, command

from raftstore.cluster.collector import Collector
from raftstore.errors import Changed, StoreError
from raftstore.evidence import Evidence, Keeper
from raftstore.gathering import Gathering
from raftstore.metadata import Catalog
from raftstore.sessions import LateReplicas, UploadSession
from raftstore.types import ChunkRef
from raftstore.wire import commands_pb2 as commands

NAMES = [blake3(bytes([n])).digest() for n in range(5)]
LENGTH = 10


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
        self.catalog = Catalog(path)
        self.volumes = Volumes(world)
        self.collector = Collector(
            self.volumes,  # type: ignore[arg-type]
            grace=5,
            unreferenced=self.catalog.unreferenced,
            barrier=self.barrier,
            begin=self.begin,
            swept=lambda: self.catalog.swept()[number],
            clock=lambda: world.steps / 20,
        )

    async def barrier(self) -> None:
        index = len(self.world.log)
        while self.catalog.applied_index < index:
            await self.world.pause(2)

    async def begin(self) -> int:
        if self.world.mutant == "unannounced":
            return self.catalog.swept()[self.number]
        return (await self.propose(command("begin_sweep", store=self.number))).index

    async def propose(self, built: commands.Command) -> commands.Result:
        """Bring a command into the log, some time; return its result when it is applied here."""
        await self.world.pause(40)
        if self.world.mutant == "fenceless":
            kind = built.WhichOneof("kind")
            if kind in ("put_file", "put_partial"):
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
        evidence = Evidence(self.catalog, self.confirm)
        late = LateReplicas(self, evidence.begun)

        async def overtaken() -> bool:
            return False

        async def chunk(name: bytes) -> ChunkRef:
            first, *others = world.random.sample(sorted(world.nodes), 2)
            await world.nodes[first].volumes.put(name)
            for store in others:
                world.start(self.late(name, store, late))
            return ChunkRef(name, LENGTH, (first,))

        chosen = world.random.sample(NAMES, world.random.randrange(1, 3))
        refs = [await chunk(name) for name in chosen]
        session = UploadSession(
            path,
            "ada",
            Received(refs),  # type: ignore[arg-type]
            late,
            self.propose,
            overtaken,
            evidence,
            Keeper(1000, self.confirm),
            Gathering(),
            quorum=1,
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
    """Three nodes, one log, and one random sequence of steps."""

    def __init__(self, directory: Path, seed: int, mutant: str) -> None:
        self.random = random.Random(seed)
        self.mutant = mutant
        self.steps = 0
        self.removed = self.published = self.refused = 0
        self.log: list[bytes] = []
        self.results: dict[int, commands.Result] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.reference = Catalog(directory / "reference.db")
        self.nodes = {number: Node(self, number, directory / f"{number}.db") for number in STORES}

    async def pause(self, most: int) -> None:
        for _ in range(self.random.randrange(most + 1)):
            self.steps += 1
            await asyncio.sleep(0)

    def start(self, work: object) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))  # type: ignore[arg-type]

    def append(self, built: commands.Command) -> int:
        identity = commands.OperationId(node="n1", boot=1, sequence=len(self.log) + 1)
        operation = commands.Operation(id=identity, time_ns=NOW, command=built.SerializeToString())
        self.log.append(commands.Batch(operations=[operation]).SerializeToString())
        self.results[len(self.log)] = self.apply(self.reference)
        self.check()
        return len(self.log)

    def apply(self, catalog: Catalog) -> commands.Result:
        index = catalog.applied_index + 1
        if index <= len(self.log):
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
        for number, identity in STORES.items():
            self.append(command("register_store", node=f"n{number}", identity=identity))
        for node in self.nodes.values():
            for index in range(1, 4):
                node.catalog.apply(index, self.log[index - 1])
            self.start(node.follow())
            self.start(node.collect())
        while len(self.log) < entries:
            for task in [task for task in self.tasks if task.done()]:
                self.tasks.remove(task)
                task.result()
            await self.pause(20)
            node = self.random.choice(list(self.nodes.values()))
            path = f"/{self.random.randrange(4)}"
            if self.random.random() < 0.45:
                self.start(node.upload(path))
            else:
                self.start(self.remove(node, path))

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


async def explored(directory: Path, seed: int, mutant: str = "", entries: int = 250) -> World:
    world = World(directory, seed, mutant)
    try:
        await world.run(entries)
    finally:
        await world.stop()
    return world


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[Path]:
    return (tmp_path / str(number) for number in range(1000))


def test_what_is_listed_is_not_removed(directories: Iterator[Path]) -> None:
    removed = published = 0
    for seed in range(8):
        world = asyncio.run(explored(next(directories), seed))
        removed += world.removed
        published += world.published
    # Something went on.
    assert removed > 60
    assert published > 120


@pytest.mark.parametrize("mutant", ["fenceless", "untouched", "unannounced"])
def test_without_any_of_its_rules_something_is_lost(mutant: str, directories: Iterator[Path]) -> None:
    for seed in range(200):
        try:
            asyncio.run(explored(next(directories), seed, mutant))
        except AssertionError as error:
            assert "listed at" in str(error)
            return
    raise AssertionError(f"{mutant} was not noticed")
