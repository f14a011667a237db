"""Feeds a Catalog with commands as consensus would, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raftstore.metadata import Catalog
from raftstore.metadata.levels import NEWEST
from raftstore.rights import Actor
from raftstore.rights.changes import JUDGED
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands

NOW = 1_700_000_000_000_000_000
STORES = {number: bytes([number]) * 16 for number in (1, 2, 3)}


WHOEVER = Actor.anonymous_user(User("anonymous", ""))
"""Who may see everything."""


def digest(seed: int) -> bytes:
    """Return the digest of an imagined chunk."""
    return seed.to_bytes(32, "big")


def chunk(seed: int, length: int = 10, stores: tuple[int, ...] = (1, 2, 3)) -> commands.Chunk:
    """Return a chunk as a command holds it."""
    return commands.Chunk(digest=digest(seed), length=length, stores=stores)


def command(kind: str, **fields: Any) -> commands.Command:
    """Return a Command of one `kind` with its `fields`."""
    built = commands.Command()
    message = getattr(built, kind)
    message.SetInParent()
    message.MergeFrom(type(message)(**fields))
    return built


def put(path: str, *seeds: int, owner: str = "ada", length: int = 10, **fields: Any) -> commands.Command:
    """Return a PutFile of chunks of `length` bytes each."""
    chunks = [chunk(seed, length) for seed in seeds]
    fields.setdefault("size", length * len(seeds))
    fields.setdefault("chunks", chunks)
    return command("put_file", path=path, owner=owner, **fields)


def partial(path: str, *seeds: int, owner: str = "ada", length: int = 10) -> commands.Command:
    """Return a PutPartial of chunks of `length` bytes each."""
    chunks = [chunk(seed, length) for seed in seeds]
    return command("put_partial", path=path, owner=owner, size=length * len(seeds), chunks=chunks)


def by(built: commands.Command, actor: Actor) -> commands.Command:
    """Return a command with its actor."""
    copied = commands.Command()
    copied.CopyFrom(built)
    copied.actor.CopyFrom(actor.message())
    return copied


class Feeder:
    """Proposes commands to a catalog: one log entry a call, each operation with an id of its own.

    A new catalog is first raised to `level`, as a new cluster's; None: the log says so itself.
    """

    def __init__(self, path: Path, *, stores: bool = True, level: int | None = NEWEST, **options: Any) -> None:
        self.path = path
        self.options = options
        self.catalog = Catalog(path, **options)
        self.index = self.catalog.applied_index
        self.sequence = 0
        self.boot = 1
        self.log: list[tuple[int, bytes]] = []
        new = not self.index
        if new and level is not None and level > self.catalog.level:
            assert self.one(command("set_level", level=level, fresh=True)).status == commands.OK
        if stores and new:
            self.all(*(command("register_store", node=f"n{n}", identity=i) for n, i in STORES.items()))

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *_: object) -> None:
        self.catalog.close()

    def reopen(self) -> None:
        """Close the catalog and open it again."""
        self.catalog.close()
        self.catalog = Catalog(self.path, **self.options)

    def check_replay(self, path: Path) -> None:
        """Feed a second catalog, at `path`, with the whole log: it must be equal."""
        with Feeder(path, stores=False, level=None) as replayed:
            for index, batch in self.log:
                replayed.catalog.apply(index, batch)
            assert replayed.catalog.digest() == self.catalog.digest()

    def operation(self, built: commands.Command, **fields: Any) -> commands.Operation:
        """Return the next operation. A command that says not whose it is is the system's, where one must say so."""
        self.sequence += 1
        if self.catalog.level >= 2 and built.WhichOneof("kind") in JUDGED and not built.HasField("actor"):
            built = by(built, Actor.system("test"))
        identity = {"node": "n1", "boot": self.boot, "sequence": self.sequence, "acknowledged": 0, **fields}
        return commands.Operation(
            id=commands.OperationId(**identity),
            time_ns=NOW + self.index,
            command=built.SerializeToString(deterministic=True),
        )

    def apply(self, *operations: commands.Operation) -> list[commands.Result]:
        """Apply one log entry of `operations`; return their results."""
        self.index += 1
        batch = commands.Batch(operations=operations).SerializeToString(deterministic=True)
        self.log.append((self.index, batch))
        return [commands.Result.FromString(result) for result in self.catalog.apply(self.index, batch)]

    def all(self, *built: commands.Command) -> list[commands.Result]:
        """Apply one log entry of these commands; return their results."""
        return self.apply(*(self.operation(each) for each in built))

    def one(self, built: commands.Command) -> commands.Result:
        """Apply one log entry of one command; return its result."""
        return self.all(built)[0]

    def status(self, built: commands.Command) -> str:
        """Apply one command; return the name of its status."""
        return commands.Status.Name(self.one(built).status)

    def make(self, *paths: str) -> None:
        """Make directories."""
        for result in self.all(*(command("make_directory", path=path, owner="ada") for path in paths)):
            assert result.status == commands.OK, result.detail
