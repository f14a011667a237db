"""Make the data directories of a new cluster out of a backup. Nothing stays when the backup is not whole."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ftpgateway.backup.catalogfile import CatalogFile
from ftpgateway.backup.manifest import Manifest
from ftpgateway.backup.repository import Report, Repository
from ftpgateway.backup.verifying import Fault, catalog_of, cut_or_missing, part_of, summary
from raftstore.errors import Damaged, DiskFull, NotFound
from raftstore.store.newcluster import Chunk, NewCluster
from raftstore.types import ChunkRef
from raftstore.util.disk import RealDisk

PORTION = 16
"""Objects that are read at a time."""
SPARE = 64 << 20
"""Bytes that must stay free where the cluster is made."""
VOLUME_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Restored:
    """What was made: `index` is the log entry at which the new cluster begins."""

    index: int
    files: int
    chunks: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Restoring:
    """Restores a backup into data directories, by node, that are not there yet."""

    repository: Repository
    manifest: Manifest
    directories: Mapping[str, Path]
    replicas: int
    report: Report
    secrets: tuple[str, ...] = ()

    async def run(self) -> Restored:
        """Restore. Raises Damaged, naming all that is wrong with the backup; DiskFull, TooNew. The caller clears up."""
        with catalog_of(self.repository, self.manifest) as old:
            sizes = await asyncio.to_thread(lambda: dict(self.repository.objects()))
            faults = await asyncio.to_thread(cut_or_missing, self.repository, self.manifest, old, sizes)
            if faults:
                raise Damaged(summary(faults))
            chunks, size = old.totals()
            self._check_space(size)
            return await self._make(old, chunks, size)

    def _check_space(self, size: int) -> None:
        copies = max(1, min(self.replicas, len(self.directories)))
        place = next(iter(self.directories.values()))
        while not place.exists():
            place = place.parent
        needed = size * copies + self.manifest.size * len(self.directories) + SPARE
        if RealDisk().free_bytes(place) < needed:
            raise DiskFull(f"{place}: {copies} copies of {size} bytes need {needed} bytes there")

    async def _make(self, old: CatalogFile, chunks: int, size: int) -> Restored:
        lost = {bytes.fromhex(digest) for digest in self.manifest.lost}
        cluster = NewCluster(
            self.directories, self.replicas, volume_bytes=VOLUME_BYTES, reserve_bytes=SPARE // 4
        )
        faults: list[Fault] = []
        async with cluster:
            source = old.path.with_name("new.db")
            await asyncio.to_thread(shutil.copyfile, old.path, source)
            made = await cluster.make_catalogs(source, lost, secrets=self.secrets)
            with CatalogFile(made) as new:
                await cluster.put_all(self._chunks(old, new, size, lost, faults))
        if faults:
            raise Damaged(summary(faults))
        return Restored(cluster.index, old.files, chunks, size)

    async def _chunks(
        self, old: CatalogFile, new: CatalogFile, total: int, lost: Collection[bytes], faults: list[Fault]
    ) -> AsyncIterator[tuple[Chunk, tuple[int, ...]]]:
        """Read all chunks; what is faulty is noted, and the rest read all the same, so that all of it is named."""
        refs = (ref for ref in new.chunks() if ref.digest not in lost)
        done = 0
        while portion := list(islice(refs, PORTION)):
            found = await asyncio.gather(*(asyncio.to_thread(self._read, ref) for ref in portion))
            for ref, data in zip(portion, found, strict=True):
                done += ref.length
                if isinstance(data, bytes):
                    yield Chunk(ref.digest, data), ref.stores
                else:
                    name = self.repository.chunk_name(ref.digest)
                    faults.append(Fault(self.manifest.name, name, data, part_of(old, ref)))
            self.report("chunks", done, total)

    def _read(self, ref: ChunkRef) -> bytes | str:
        """Return a chunk, or what is wrong with it."""
        try:
            data = self.repository.chunk(ref.digest)
        except NotFound:
            return "missing"
        except Damaged:
            return "damaged"
        return data if len(data) == ref.length else "damaged"
