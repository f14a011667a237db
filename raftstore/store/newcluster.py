"""The data directories of a new cluster's nodes, made of another's catalog and chunks, before any of them is started.

Each node gets the catalog, the chunks that are placed on it, and a log of two entries: the last of the old cluster's,
without what it said, and the configuration of the new one. Term 1, no vote, no boot: nothing of the old nodes is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raftstore.chunks.placement.placement import score
from raftstore.chunks.placement.topology import ClusterView
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import PREFIX
from raftstore.metadata.newcluster import Making, NewStore, make_catalog
from raftstore.util.disk import RealDisk

NO_OPERATION = b"\x01"
"""pysyncobj's command type of an entry that does nothing."""
TERM = 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk to be stored: its bytes are verified."""

    digest: bytes
    data: bytes


class NewCluster:
    """The data directories of the nodes, while they are filled. `async with NewCluster(...) as cluster`."""

    def __init__(
        self, directories: Mapping[str, Path], replicas: int, *, volume_bytes: int, reserve_bytes: int
    ) -> None:
        """`directories`: by name of the node; they are made. `replicas`: copies of a chunk, at most one a node."""
        self._directories = dict(sorted(directories.items()))
        self._volumes = {
            number: VolumeSet(directory / "volumes", volume_bytes=volume_bytes, reserve_bytes=reserve_bytes)
            for number, directory in enumerate(self._directories.values(), start=1)
        }
        self._view = ClusterView((), nodes=len(self._directories), replicas=replicas)
        self._stack = contextlib.AsyncExitStack()
        self.index = 0
        """Log index of the new configuration, once there is a catalog."""

    async def __aenter__(self) -> NewCluster:
        try:
            for directory, volumes in zip(self._directories.values(), self._volumes.values(), strict=True):
                directory.mkdir(mode=0o700, parents=True)
                await volumes.open()
                self._stack.push_async_callback(volumes.close)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def place(self, digest: bytes, copies: int) -> tuple[int, ...]:
        """Return the stores of a chunk: rendezvous hashing, as for one that is put, with equal weights."""
        return tuple(sorted(self._volumes, key=lambda number: -score(digest, number))[:copies])

    async def make_catalogs(
        self, source: Path, lost: Collection[bytes], *, secrets: Sequence[str] = ()
    ) -> Path:
        """Make the catalog out of the old one, which is changed for that, and give each node one; return one of them.

        `secrets` names those of the old cluster that stay.
        Raises Damaged, TooNew, DiskFull, OSError.
        """
        configuration = Configuration.of(self._directories).encode()
        making = Making(
            stores=[
                NewStore(number, node, self._volumes[number].identity)
                for number, node in enumerate(self._directories, start=1)
            ],
            configuration=configuration,
            wanted=self._view.wanted,
            place=lambda digest, copies: () if digest in lost else self.place(digest, copies),
            secrets=secrets,
        )
        self.index = await asyncio.to_thread(make_catalog, source, making)
        places = [directory / "catalog" / "catalog.db" for directory in self._directories.values()]
        for directory, place in zip(self._directories.values(), places, strict=True):
            await asyncio.to_thread(_copy, source, place)
            await asyncio.to_thread(_make_journal, directory / "journal", self.index, configuration)
        return places[0]

    async def put(self, chunk: Chunk, stores: Collection[int]) -> None:
        """Store a chunk where the catalog says that it is; durable on return. Raises DiskFull, DiskFailed."""
        await asyncio.gather(
            *(self._volumes[number].put(chunk.digest, chunk.data, verified=True) for number in stores)
        )

    async def put_all(self, chunks: AsyncIterator[tuple[Chunk, Collection[int]]], at_a_time: int = 16) -> None:
        """Store many, some at a time: they share syncs."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            async for chunk, stores in chunks:
                under_way.add(asyncio.ensure_future(self.put(chunk, stores)))
                if len(under_way) >= at_a_time:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    await _all(done)
            await _all(under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


async def _all(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for all of some tasks; raise what the first of them that failed has raised."""
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        if error is not None:
            raise error


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.touch(mode=0o600)
    shutil.copyfile(source, place)
    with place.open("rb+") as file:
        os.fsync(file.fileno())
    RealDisk().sync_directory(place.parent)


def _make_journal(directory: Path, index: int, configuration: bytes) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    journal = Journal(directory)
    try:
        journal.clear()
        journal.add(NO_OPERATION, index - 1, TERM)
        journal.add(PREFIX + configuration, index, TERM)
        journal.setCurrentTerm(TERM, None)
        journal.setRaftCommitIndex(index)
        journal.sync()
    finally:
        journal.close()
