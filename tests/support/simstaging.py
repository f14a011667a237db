"""Large files in the simulator: their chunks travel ahead of the command that publishes them, in slices of two."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest import mock

from raftstore.errors import StoreError
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.contents import longcontents
from raftstore.rights import Actor
from raftstore.store.names import Names
from raftstore.store.transfers.ahead import Stager
from raftstore.types import ChunkRef
from raftstore.wire import commands_pb2

if TYPE_CHECKING:
    from simcluster import Cluster
    from simnode import Node

PART = 0.4
"""Of the seeds have large files."""

PIECE = 2
"""Chunks that travel at a time; in production hundreds."""

LARGE = 0.3
"""Of the writes, in such a seed."""


@contextlib.contextmanager
def small_slices() -> Iterator[None]:
    """Have contents of more than PIECE chunks for long ones."""
    with mock.patch.object(longcontents, "SLICE", PIECE):
        yield


class BrokenOff(StoreError):
    """The upload ends before it is published."""


class LargeFiles:
    """Writes as uploads of large files do it, at any node."""

    def __init__(self, cluster: Cluster) -> None:
        seed = cluster.scenario.seed
        self._rng = random.Random(f"{seed} large files")
        self._some = self._rng.random() < PART
        self._stagers: dict[tuple[str, int], Stager] = {}
        self.published = 0

    def wanted(self, node: Node) -> bool:
        """Whether the next write is one of a large file."""
        return (
            self._some and self._rng.random() < LARGE and node.catalog is not None and node.catalog.level >= 2
        )

    async def write(
        self, node: Node, names: Names, command: commands_pb2.Command, timeout: float
    ) -> commands_pb2.Result:
        """Do what `command` says, with a content that is staged first. Raises StoreError."""
        assert node.consensus is not None and node.catalog is not None
        consensus, catalog = node.consensus, node.catalog.catalog

        async def propose(proposed: commands_pb2.Command) -> commands_pb2.Result:
            return accepted(await consensus.propose(proposed.SerializeToString(), timeout=timeout))

        stager = self._stagers.get((node.name, node.boot))
        if stager is None:
            stager = Stager(node.name, node.boot, catalog, propose, lambda: consensus.is_leader, piece=PIECE)
            self._stagers[node.name, node.boot] = stager
        stores = [store.number for store in catalog.stores()]
        if not stores:
            register = commands_pb2.RegisterStore(node=node.name, identity=node.name.encode().ljust(16, b"\0"))
            stores = [(await propose(commands_pb2.Command(register_store=register))).store]
        since = catalog.applied_index
        chunks = [
            ChunkRef(self._rng.randrange(12).to_bytes(32, "big"), 10, (stores[0],))
            for _ in range(self._rng.randrange(3, 7))
        ]
        try:
            command.put_file.content = await stager.stage(chunks, since, "")
        except StoreError as error:
            raise BrokenOff(str(error)) from error
        command.put_file.size = 10 * len(chunks)
        try:
            if self._rng.random() < 0.2:
                raise BrokenOff
            done = await names.change(Actor.system("simulation"), command)
        finally:
            stager.over(command.put_file.content)
        self.published += done.status == commands_pb2.OK
        if self._rng.random() < 0.5:
            with contextlib.suppress(StoreError):
                await stager.look()
        return done
