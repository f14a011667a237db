"""Read a backup whole: every object is there, opens with the key, and is what its name says. Blocking."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from blake3 import blake3

from ftpgateway.backup.catalogfile import CatalogFile
from ftpgateway.backup.manifest import Manifest
from ftpgateway.backup.repository import Report, Repository, sealed_size
from raftstore.errors import Damaged, NotFound, StoreError
from raftstore.types import ChunkRef

THREADS = 4
_PORTION = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an object: it is missing, cut or damaged. `of` says what it is a part of."""

    backup: str
    object: str
    what: str
    of: str

    def __str__(self) -> str:
        return f"{self.backup}: object {self.object} is {self.what}: {self.of}"


@contextmanager
def catalog_of(repository: Repository, manifest: Manifest) -> Iterator[CatalogFile]:
    """Put the copy of the catalog of a backup together, for as long as it is needed; it is removed at the end.

    Raises Damaged, naming what is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="pixraft-backup-") as scratch:
        copy = Path(scratch) / "catalog.copy"
        faults = _write_copy(repository, manifest, copy)
        if faults:
            raise Damaged(summary(faults))
        with CatalogFile.unpacked(copy, Path(scratch)) as catalog:
            copy.unlink()
            yield catalog


def _write_copy(repository: Repository, manifest: Manifest, copy: Path) -> list[Fault]:
    hasher, size = blake3(), 0
    faults = []
    with copy.open("wb") as file:
        for number, hexed in enumerate(manifest.blocks):
            digest = bytes.fromhex(hexed)
            try:
                block = repository.block(digest)
            except (NotFound, Damaged) as error:
                name = repository.block_name(digest)
                faults.append(Fault(manifest.name, name, _what(error), f"block {number} of the catalog"))
                continue
            hasher.update(block)
            size += len(block)
            file.write(block)
    if not faults and (size, hasher.hexdigest()) != (manifest.size, manifest.digest):
        raise Damaged(f"{manifest.name}: the blocks of the catalog do not make what was copied")
    return faults


def _what(error: StoreError) -> str:
    return "missing" if isinstance(error, NotFound) else "damaged"


def cut_or_missing(
    repository: Repository, manifest: Manifest, catalog: CatalogFile, sizes: dict[str, int]
) -> list[Fault]:
    """Return what is wrong as far as names and sizes tell."""
    lost = set(manifest.lost)
    faults = []
    for ref in catalog.chunks():
        name = repository.chunk_name(ref.digest)
        size = sizes.get(name)
        if size != sealed_size(ref.length) and ref.digest.hex() not in lost:
            what = "missing" if size is None else "cut" if size < sealed_size(ref.length) else "damaged"
            faults.append(Fault(manifest.name, name, what, part_of(catalog, ref)))
    return faults


def part_of(catalog: CatalogFile, ref: ChunkRef) -> str:
    """Say what has a chunk."""
    paths = catalog.paths(ref.digest)
    return f"a chunk of {', '.join(paths)}" if paths else "a chunk of no visible file"


def verify(repository: Repository, manifests: Sequence[Manifest], report: Report) -> list[Fault]:
    """Read backups whole, each object once; return what is wrong with them."""
    faults: list[Fault] = []
    sizes = dict(repository.objects())
    sound: set[bytes] = set()
    for manifest in manifests:
        try:
            with catalog_of(repository, manifest) as catalog:
                faults += cut_or_missing(repository, manifest, catalog, sizes)
                faulty = {fault.object for fault in faults}
                faults += _read_all(repository, manifest, catalog, sound, faulty, report)
        except Damaged as error:
            faults.append(Fault(manifest.name, "catalog", "damaged", error.detail))
    return faults


def _read_all(
    repository: Repository,
    manifest: Manifest,
    catalog: CatalogFile,
    sound: set[bytes],
    faulty: set[str],
    report: Report,
) -> list[Fault]:
    lost = {bytes.fromhex(digest) for digest in manifest.lost}
    _, total = catalog.totals()
    done = 0
    faults = []

    def look(ref: ChunkRef) -> StoreError | None:
        name = repository.chunk_name(ref.digest)
        if ref.digest in sound or ref.digest in lost or name in faulty:
            return None
        try:
            if len(repository.chunk(ref.digest)) != ref.length:
                return Damaged("of another length")
        except (NotFound, Damaged) as error:
            return error
        return None

    refs = catalog.chunks()
    with ThreadPoolExecutor(THREADS, "backup-verify") as threads:
        while portion := list(islice(refs, _PORTION)):
            for ref, error in zip(portion, threads.map(look, portion), strict=True):
                if error is None:
                    sound.add(ref.digest)
                else:
                    name = repository.chunk_name(ref.digest)
                    faults.append(Fault(manifest.name, name, _what(error), part_of(catalog, ref)))
                done += ref.length
            report("verified", done, total)
    return faults


def summary(faults: Sequence[Fault], most: int = 5) -> str:
    """Say what is wrong, for a message."""
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(map(str, faults[:most])) + more
