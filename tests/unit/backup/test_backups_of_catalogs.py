"""Verifying, pruning and what is sent, on a target filled from a catalog, without a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3
from catalogs import Feeder, command

from ftpgateway.backup.catalogfile import CatalogFile, blocks, digest_of
from ftpgateway.backup.keys import Key
from ftpgateway.backup.manifest import Manifest
from ftpgateway.backup.policy import Policy
from ftpgateway.backup.pruning import prune
from ftpgateway.backup.repository import Repository, object_place, open_repository
from ftpgateway.backup.source import MAX_CHUNKS, PIECE, portions
from ftpgateway.backup.target import DirectoryTarget
from ftpgateway.backup.verifying import verify
from raftstore.errors import Damaged, Unavailable
from raftstore.types import ChunkRef
from raftstore.wire import commands_pb2 as commands


def silent(what: str, done: int, total: int) -> None:
    """Hear of progress."""


class Backups:
    """A catalog, and backups of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.feeder = Feeder(directory / "catalog" / "catalog.db")
        self.repository: Repository = open_repository(
            DirectoryTarget(directory / "target"), Key(bytes(32)), make=True
        )
        self.made = 0

    def put(self, path: str, data: bytes) -> bytes:
        """Put a file into the catalog, and its chunk to the target."""
        digest = blake3(data).digest()
        chunk = commands.Chunk(digest=digest, length=len(data), stores=[1])
        put = command("put_file", path=path, owner="ada", size=len(data), chunks=[chunk])
        assert self.feeder.status(put) == "OK"
        self.repository.put_chunk(digest, data)
        return digest

    def back_up(self) -> Manifest:
        """Make a backup, as `creating` does."""
        copy = self.directory / "copy"
        self.feeder.catalog.settle()
        index = self.feeder.catalog.write_snapshot(copy)
        for block in blocks(copy):
            self.repository.put_block(block)
        size, digest = digest_of(copy)
        self.made += 1
        manifest = Manifest(
            name=f"b{self.made}",
            cluster="pictures",
            time_ns=self.made * 86_400 * 10**9,
            index=index,
            level=3,
            program="test",
            size=size,
            digest=digest,
            blocks=tuple(blake3(block).hexdigest() for block in blocks(copy)),
            files=0,
            chunks=0,
            chunk_bytes=0,
            new_objects=0,
            new_bytes=0,
        )
        self.repository.put_manifest(manifest)
        return manifest


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path)


def test_a_catalog_tells_its_chunks_and_whose_they_are(backups: Backups, tmp_path: Path) -> None:
    backups.feeder.make("/d", "/d/e")
    digest = backups.put("/d/e/a.jpg", b"a")
    backups.put("/b.jpg", b"a")
    backups.feeder.catalog.settle()
    backups.feeder.catalog.write_snapshot(tmp_path / "copy")
    with CatalogFile.unpacked(tmp_path / "copy", tmp_path) as catalog:
        assert list(catalog.chunks()) == [ChunkRef(digest, 1, (1,))]
        assert catalog.paths(digest) == ["/b.jpg", "/d/e/a.jpg"]
        assert catalog.paths(bytes(32)) == []
        assert catalog.totals() == (1, 1) and catalog.files == 2
        assert catalog.index == backups.feeder.index and catalog.level == 3


def test_verify_names_what_is_wrong(backups: Backups) -> None:
    digests = {name: backups.put(f"/{name}.jpg", name.encode() * 100) for name in ("a", "b", "c", "d")}
    manifest = backups.back_up()
    repository = backups.repository
    assert verify(repository, [manifest, manifest], silent) == []
    places = {name: object_place(repository.chunk_name(digest)) for name, digest in digests.items()}
    sealed = {name: repository.target.get(place) for name, place in places.items()}
    repository.target.remove(places["a"])
    repository.target.put(places["b"], sealed["b"][:-1])
    repository.target.put(places["c"], sealed["d"])
    found = verify(repository, [manifest], silent)
    assert {(fault.what, fault.of) for fault in found} == {
        ("missing", "a chunk of /a.jpg"),
        ("cut", "a chunk of /b.jpg"),
        ("damaged", "a chunk of /c.jpg"),
    }
    lost = replace(manifest, lost=(digests["a"].hex(),))
    assert {fault.of for fault in verify(repository, [lost], silent)} == {
        "a chunk of /b.jpg",
        "a chunk of /c.jpg",
    }
    block = repository.block_name(bytes.fromhex(manifest.blocks[0]))
    repository.target.remove(object_place(block))
    (fault,) = verify(repository, [manifest], silent)
    assert block in str(fault) and "missing" in str(fault)


def test_prune_removes_what_no_backup_that_stays_refers_to(backups: Backups) -> None:
    repository = backups.repository
    backups.put("/a.jpg", b"first")
    first = backups.back_up()
    backups.put("/a.jpg", b"second")
    second = backups.back_up()
    left = blake3(b"left").digest()
    repository.put_chunk(left, b"left")  # of a backup that was never finished
    before = dict(repository.objects())
    planned = prune(repository, Policy(last=1), silent, dry_run=True)
    assert dict(repository.objects()) == before and len(repository.manifests()) == 2
    done = prune(repository, Policy(last=1), silent)
    assert (done.kept, done.removed) == ([second], [first])
    assert (planned.objects, planned.bytes) == (done.objects, done.bytes)
    after = dict(repository.objects())
    assert repository.chunk_name(left) not in after
    assert repository.chunk_name(blake3(b"first").digest()) not in after
    assert repository.chunk_name(blake3(b"second").digest()) in after
    assert sum(before.values()) - sum(after.values()) == done.bytes
    assert verify(repository, [second], silent) == []


def test_nothing_is_pruned_while_a_backup_is_made_or_cannot_be_read(backups: Backups) -> None:
    repository = backups.repository
    backups.put("/a.jpg", b"first")
    manifest = backups.back_up()
    lock = repository.lock("create", ("prune",))
    with pytest.raises(Unavailable):
        prune(repository, Policy(last=1), silent)
    lock.release()
    place, _ = repository.put_manifest(replace(manifest, name="other"))
    repository.target.put(place, b"damaged")
    before = dict(repository.objects())
    with pytest.raises(Damaged, match=place):
        prune(repository, Policy(last=1), silent)
    assert dict(repository.objects()) == before


def test_portions_fit_into_one_answer() -> None:
    refs = [ChunkRef(bytes(32), length, ()) for length in (PIECE, 1, PIECE, PIECE // 2, PIECE // 2, 1)]
    assert [[ref.length for ref in portion] for portion in portions(refs)] == [
        [PIECE],
        [1],
        [PIECE],
        [PIECE // 2, PIECE // 2],
        [1],
    ]
    assert list(map(len, portions([ChunkRef(bytes(32), 1, ())] * (MAX_CHUNKS + 1)))) == [MAX_CHUNKS, 1]
    assert portions([]) == []
