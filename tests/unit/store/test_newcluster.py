"""Data directories of a new cluster: each node opens its own as after a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blake3 import blake3
from catalogs import Feeder, command

from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.membership.configuration import Configuration
from raftstore.consensus.membership.watchedlog import WatchedLog
from raftstore.consensus.startup import base_configuration, check_start
from raftstore.errors import DiskFull
from raftstore.metadata import Catalog
from raftstore.store.newcluster import Chunk, NewCluster
from raftstore.wire import commands_pb2 as commands

CONTENTS = {blake3(data).digest(): data for data in (bytes([number]) * 1000 for number in range(40))}


def old_catalog(tmp_path: Path) -> Path:
    path = tmp_path / "old" / "catalog.db"
    with Feeder(path) as feeder:
        for number, (digest, data) in enumerate(CONTENTS.items()):
            chunk = commands.Chunk(digest=digest, length=len(data), stores=[1, 2, 3])
            put = command("put_file", path=f"/{number}.jpg", owner="ada", size=len(data), chunks=[chunk])
            assert feeder.status(put) == "OK"
    return path


def make(tmp_path: Path, names: tuple[str, ...], replicas: int, *, reserve: int = 0) -> dict[str, Path]:
    places = {name: tmp_path / "new" / name / "data" for name in names}

    async def chunks(catalog: Catalog) -> AsyncIterator[tuple[Chunk, tuple[int, ...]]]:
        for digest, data in CONTENTS.items():
            yield Chunk(digest, data), catalog.chunk_stores(digest)

    async def fill() -> None:
        cluster = NewCluster(places, replicas, volume_bytes=1 << 20, reserve_bytes=reserve)
        async with cluster:
            made = await cluster.make_catalogs(old_catalog(tmp_path), ())
            catalog = Catalog(made)
            try:
                await cluster.put_all(chunks(catalog))
            finally:
                catalog.close()

    asyncio.run(fill())
    return places


@pytest.mark.parametrize(("names", "replicas", "copies"), [(("n1",), 3, 1), (("a", "b", "c", "d", "e"), 3, 3)])
def test_catalog_log_and_volumes_of_each_node_fit_together(
    tmp_path: Path, names: tuple[str, ...], replicas: int, copies: int
) -> None:
    places = make(tmp_path, names, replicas)
    held: dict[bytes, int] = dict.fromkeys(CONTENTS, 0)
    digests = set()
    for number, (name, place) in enumerate(places.items(), 1):
        catalog, journal = Catalog(place / "catalog" / "catalog.db"), Journal(place / "journal")
        initial = Configuration.of(["whoever"])
        check_start(name, initial, catalog, journal)
        assert journal.getRaftCommitIndex() == catalog.applied_index == journal[-1][1]
        assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (1, None)
        base = base_configuration(catalog, initial)
        log = WatchedLog(journal, lambda base=base: base, lambda: None)  # type: ignore[misc]
        assert log.latest == (catalog.applied_index, Configuration.of(names))

        async def look(place: Path = place, number: int = number, catalog: Catalog = catalog) -> None:
            volumes = VolumeSet(place / "volumes", reserve_bytes=0)
            await volumes.open()
            (store,) = [store for store in catalog.stores() if store.number == number]
            assert store.identity == volumes.identity
            for digest, data in CONTENTS.items():
                assert (digest in volumes) == (number in catalog.chunk_stores(digest))
                if digest in volumes:
                    held[digest] += 1
                    assert await volumes.get(digest) == data
            await volumes.close()

        asyncio.run(look())
        digests.add(catalog.digest())
        journal.close()
        catalog.close()
    assert set(held.values()) == {copies}
    assert len(digests) == 1


def test_a_full_disk_ends_it(tmp_path: Path) -> None:
    with pytest.raises(DiskFull):
        make(tmp_path, ("n1",), 1, reserve=1 << 60)
