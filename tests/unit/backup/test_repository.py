"""What a target holds: objects, manifests, locks."""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from ftpgateway.backup import repository as repositories
from ftpgateway.backup.keys import OVERHEAD, Key, Kind
from ftpgateway.backup.manifest import VERSION, Manifest
from ftpgateway.backup.repository import HEADER, Repository, object_place, open_repository
from ftpgateway.backup.target import DirectoryTarget, open_target
from raftstore.errors import Changed, Damaged, Invalid, NotFound, TooNew, Unavailable

KEY = Key(bytes(32))
MANIFEST = Manifest(
    *("a", "pictures", 10**18, 7, 3, "0.3.0", 5, "00", ("11", "22"), 1, 2, 3, 4, 5),
    lost=("33",),
)
MINUTE = 60.0


@pytest.fixture
def target(tmp_path: Path) -> DirectoryTarget:
    return DirectoryTarget(tmp_path / "target")


@pytest.fixture
def repository(target: DirectoryTarget) -> Repository:
    return open_repository(target, KEY, make=True)


def test_a_target_is_a_directory_for_now(tmp_path: Path) -> None:
    for text in ("s3://bucket/x", "sftp:host:/x", "https://host/x"):
        with pytest.raises(Invalid, match="not there yet"):
            open_target(text)
    target = open_target(str(tmp_path / "a"))
    target.put("b/c", b"12")
    target.put("b/c", b"123")
    assert target.get("b/c") == b"123" and list(target.sizes("b")) == [("b/c", 3)]
    assert list(target.sizes("nothing")) == []
    (tmp_path / "a" / "tmp" / "left").write_bytes(b"x")
    target.tidy()
    assert not any((tmp_path / "a" / "tmp").iterdir())
    target.remove("b/c")
    target.remove("b/c")
    with pytest.raises(NotFound):
        target.get("b/c")
    for name in ("../x", "tmp/x", "/etc/x", ""):
        with pytest.raises(Invalid):
            target.put(name, b"")


def test_what_is_there_is_opened_with_its_key_alone(target: DirectoryTarget, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_repository(target, KEY)
    open_repository(target, KEY, make=True)
    open_repository(target, KEY)
    with pytest.raises(Invalid, match="the key is not that of this target"):
        open_repository(target, Key(bytes([7]) * 32), make=True)
    target.put(HEADER, b"pixraft-backup 99 x")
    with pytest.raises(TooNew):
        open_repository(target, KEY)
    target.put(HEADER, b"something")
    with pytest.raises(Damaged):
        open_repository(target, KEY)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(Invalid, match="holds something else"):
        open_repository(DirectoryTarget(tmp_path / "other"), KEY, make=True)


def test_objects_are_verified_on_their_way_in_and_out(repository: Repository) -> None:
    data = b"bytes of a picture"
    digest = blake3(data).digest()
    assert repository.put_chunk(digest, data) == len(data) + OVERHEAD
    assert repository.chunk(digest) == data
    assert dict(repository.objects()) == {repository.chunk_name(digest): len(data) + OVERHEAD}
    with pytest.raises(Damaged):
        repository.put_chunk(digest, b"others")
    with pytest.raises(NotFound):
        repository.chunk(bytes(32))
    repository.put_block(data)
    assert repository.block(digest) == data
    # Another object with the right name and key, but not with the content that is named.
    name = repository.chunk_name(digest)
    repository.target.put(object_place(name), KEY.seal(Kind.CHUNK, name, b"others"))
    with pytest.raises(Damaged):
        repository.chunk(digest)
    blown = KEY.seal(Kind.CATALOG, repository.block_name(digest), zlib.compress(bytes(1 << 24)))
    repository.target.put(object_place(repository.block_name(digest)), blown)
    with pytest.raises(Damaged):
        repository.block(digest)


def test_manifests(repository: Repository) -> None:
    assert Manifest.decode(MANIFEST.encode()) == MANIFEST
    later = replace(MANIFEST, name="b", time_ns=10**18 + 1)
    repository.put_manifest(later)
    place, size = repository.put_manifest(MANIFEST)
    assert dict(repository.target.sizes("backups"))[place] == size
    assert [found.manifest for found in repository.manifests()] == [MANIFEST, later]
    assert repository.chosen(None) == later and repository.chosen("a") == MANIFEST
    with pytest.raises(NotFound):
        repository.chosen("c")
    repository.target.put(place, b"")
    assert [found.title for found in repository.manifests()] == ["b", place]
    with pytest.raises(Damaged, match=place):
        repository.chosen("a")


def test_a_manifest_of_another_version() -> None:
    values = json.loads(zlib.decompress(MANIFEST.encode()))
    more = zlib.compress(json.dumps({**values, "later": 1}).encode())
    assert Manifest.decode(more) == MANIFEST
    with pytest.raises(TooNew):
        Manifest.decode(zlib.compress(json.dumps({**values, "version": VERSION + 1}).encode()))
    del values["blocks"]
    for data in (zlib.compress(json.dumps(values).encode()), zlib.compress(b"[]"), b"x"):
        with pytest.raises(Damaged):
            Manifest.decode(data)


# Locks.


def test_nobody_prunes_while_a_backup_is_made_nor_the_other_way_round(repository: Repository) -> None:
    one = repository.lock("create", ("prune",))
    two = repository.lock("create", ("prune",))
    with pytest.raises(Unavailable, match="`pixraft backup create` is at work"):
        repository.lock("prune", ("create", "prune"))
    one.release()
    two.renew()
    two.check()
    with pytest.raises(Unavailable):
        repository.lock("prune", ("create", "prune"))
    two.release()
    prune = repository.lock("prune", ("create", "prune"))
    with pytest.raises(Unavailable, match="`pixraft backup prune` is at work"):
        repository.lock("create", ("prune",))
    prune.release()
    assert list(repository.target.sizes("locks")) == []


def test_a_lock_that_was_left_is_broken_and_is_not_renewed(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = repository.lock("create", ("prune",))
    now = time.time()
    monkeypatch.setattr(repositories.time, "time", lambda: now + repositories.STALE + MINUTE)
    prune = repository.lock("prune", ("create", "prune"))
    with pytest.raises(Changed):
        left.check()
    with pytest.raises(Changed):
        left.renew()
    assert [place for place, _ in repository.target.sizes("locks")] == [prune.place]


def test_a_lock_that_is_renewed_while_it_is_broken_still_counts(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who breaks a lock looks once more: its owner may have noted another one just before."""
    backup = repository.lock("create", ("prune",))
    now = time.time()
    monkeypatch.setattr(repositories.time, "time", lambda: now + repositories.STALE + MINUTE)
    remove, stale = repository.target.remove, backup.place

    def renew_first(name: str) -> None:
        if name == stale and backup.place == stale:
            monkeypatch.setattr(repository.target, "remove", remove)
            backup.renew()
        remove(name)

    monkeypatch.setattr(repository.target, "remove", renew_first)
    with pytest.raises(Unavailable):
        repository.lock("prune", ("create", "prune"))
    backup.check()
