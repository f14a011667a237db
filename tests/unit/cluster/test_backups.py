"""What a node does for a backup: holds, one copy of the catalog at a time, chunks in bounded portions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from blake3 import blake3
from catalogs import Feeder, put
from waiting import until

from raftstore.chunks.transfer.download import Fetcher
from raftstore.cluster.backups import MAX_CHUNKS, PIECE, Backups
from raftstore.errors import Invalid, NotFound, StoreError, Unavailable
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.contents.holds import Holds
from raftstore.types import ChunkRef
from raftstore.util.buffers import Buffer
from raftstore.wire import commands_pb2 as commands

ONE, TWO = bytes([1]) * 16, bytes([2]) * 16


class Chunks:
    """Has some chunks."""

    def __init__(self, *data: bytes) -> None:
        self.data = {blake3(each).digest(): each for each in data}

    async def fetch(self, ref: ChunkRef) -> Buffer:
        """Return one, or fail as the store does."""
        if ref.digest not in self.data:
            raise Unavailable("no copy is reachable")
        return self.data[ref.digest]


class Node:
    """A catalog to which commands are proposed, and its part in backups."""

    def __init__(self, feeder: Feeder, backups: Backups, directory: Path) -> None:
        self.feeder = feeder
        self.backups = backups
        self.file = directory / "backup.snapshot"


@asynccontextmanager
async def node(tmp_path: Path, *data: bytes, level: int = 3, keep: float = 300.0) -> AsyncIterator[Node]:
    directory = tmp_path / "snapshots"
    directory.mkdir()
    (directory / "backup.snapshot").write_bytes(b"an earlier start's")
    with Feeder(tmp_path / "catalog" / "catalog.db", level=level) as feeder:
        feeder.one(put("/a.jpg", 1))

        async def propose(command: commands.Command) -> commands.Result:
            return accepted(feeder.one(command).SerializeToString())

        fetcher = cast(Fetcher, Chunks(*data))
        backups = Backups(feeder.catalog, propose, fetcher, directory, keep=keep)
        made = Node(feeder, backups, directory)
        assert not made.file.exists()
        yield made
        await backups.stop()
        assert not made.file.exists()


def run(coroutine: Any) -> None:
    asyncio.run(coroutine)


def test_a_copy_is_of_the_holds_index_and_is_read_in_pieces(tmp_path: Path) -> None:
    async def case() -> None:
        async with node(tmp_path) as one:
            index = await one.backups.hold(ONE)
            assert one.feeder.catalog.ask(Holds, Holds.in_force)
            copy = await one.backups.copy(ONE)
            assert copy is not None and copy.index >= index
            assert await one.backups.copy(ONE) == copy
            half = copy.size // 2
            data = await one.backups.piece(copy.id, 0, half)
            data += await one.backups.piece(copy.id, half, copy.size - half)
            assert blake3(data).digest() == copy.digest and len(data) == copy.size
            for offset, length in ((0, PIECE + 1), (copy.size, 1), (0, 0)):
                with pytest.raises(Invalid):
                    await one.backups.piece(copy.id, offset, length)
            with pytest.raises(NotFound):
                await one.backups.piece(bytes(16), 0, 1)
            await one.backups.end(ONE)
            assert not one.feeder.catalog.ask(Holds, Holds.in_force) and not one.file.exists()
            with pytest.raises(NotFound):
                await one.backups.piece(copy.id, 0, 1)
            with pytest.raises(NotFound):
                await one.backups.copy(ONE)

    run(case())


def test_two_backups_do_not_share_a_copy(tmp_path: Path) -> None:
    async def case() -> None:
        async with node(tmp_path) as one:
            await one.backups.hold(ONE)
            await one.backups.hold(TWO)
            assert await one.backups.copy(ONE) is not None
            with pytest.raises(Unavailable, match="ask another one"):
                await one.backups.copy(TWO)
            await one.backups.end(ONE)
            copy = await one.backups.copy(TWO)
            assert copy is not None and copy.hold == TWO

    run(case())


def test_a_copy_that_nobody_reads_goes(tmp_path: Path) -> None:
    async def case() -> None:
        async with node(tmp_path, keep=0.05) as one:
            await one.backups.hold(ONE)
            assert await one.backups.copy(ONE) is not None
            await until(lambda: not one.file.exists())

    run(case())


def test_chunks_come_in_bounded_portions_and_a_lost_one_is_empty(tmp_path: Path) -> None:
    async def case() -> None:
        async with node(tmp_path, b"here") as one:
            here, lost = ChunkRef(blake3(b"here").digest(), 4, ()), ChunkRef(bytes(32), 4, ())
            assert await one.backups.chunks([here, lost, here]) == [b"here", b"", b"here"]
            assert await one.backups.chunks([]) == []
            for refs in ([here] * (MAX_CHUNKS + 1), [ChunkRef(bytes(32), PIECE, ()), here]):
                with pytest.raises(Invalid):
                    await one.backups.chunks(refs)

    run(case())


def test_a_cluster_below_level_3_is_not_backed_up(tmp_path: Path) -> None:
    async def case() -> None:
        async with node(tmp_path, level=2) as one:
            with pytest.raises(StoreError, match="pixraft upgrade status"):
                await one.backups.hold(ONE)

    run(case())
