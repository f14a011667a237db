"""Catalogs and logs that earlier releases left: read, replayed, raised to the newest level, and taken as snapshots."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogs import command
from releases import NAMES, NODES, applied, expected, level, unpack

from raftstore.consensus.log.journal import Journal
from raftstore.consensus.membership.watchedlog import PREFIX
from raftstore.consensus.pysyncobj.raft import CALL_PREFIX
from raftstore.metadata import Catalog
from raftstore.metadata.levels import NEWEST
from raftstore.types import Kind
from raftstore.wire import commands_pb2 as commands

WHOLE_LOG = ("35711ca",)
"""Releases whose nodes still had their logs from the first entry on."""


@pytest.fixture(scope="module", params=NAMES)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def left(release: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("release")
    unpack(release, directory)
    return directory


@contextlib.contextmanager
def catalog_of(left: Path, node: str, directory: Path) -> Iterator[Catalog]:
    """A copy of a node's catalog, open."""
    path = directory / f"{node}.db"
    path.write_bytes((left / node / "data" / "catalog" / "catalog.db").read_bytes())
    opened = Catalog(path)
    try:
        yield opened
    finally:
        opened.close()


def contents(catalog: Catalog) -> dict[str, Any]:
    """Every name and what is known of it, as make.py of the release wrote it down."""
    found, waiting = {}, ["/"]
    while waiting:
        directory = waiting.pop()
        for entry in catalog.listing(directory):
            path = f"{directory.rstrip('/')}/{entry.name}"
            found[path] = {"owner": entry.owner, "mtime_ns": entry.mtime_ns}
            if entry.kind is Kind.DIRECTORY:
                waiting.append(path)
            else:
                found[path] |= {"size": entry.size, "version": entry.version}
                found[path]["chunks"] = [chunk.digest.hex() for chunk in catalog.file(path).chunks]
    return found


def raise_level(catalog: Catalog) -> None:
    operation = commands.Operation(
        id=commands.OperationId(node="n1", boot=2**62, sequence=catalog.level),
        command=command("set_level", level=catalog.level + 1).SerializeToString(),
    )
    batch = commands.Batch(operations=[operation]).SerializeToString()
    (result,) = catalog.apply(catalog.applied_index + 1, batch)
    assert commands.Result.FromString(result).status == commands.OK


def check(catalog: Catalog, release: str) -> None:
    """What the release had is there, for whom it was there."""
    was = expected(release)
    names = contents(catalog)
    assert set(names) == set(was["files"])
    for path, file in was["files"].items():
        now = names[path]
        owner = account(now.pop("owner"))
        noted = {field: value for field, value in file.items() if field not in ("owner", "sha256")}
        assert (owner, now) == (account(file["owner"]), noted), path
    users = {user.name: user for user in catalog.users()}
    left = {
        (one.path.rpartition("/")[2], account(one.owner), one.size) for one in catalog.partials((0, "", ""), -1)
    }
    assert left == {(path.rpartition("/")[2], account(owner), size) for path, owner, size in was["partials"]}
    jobs = {job.id: [job.id, job.kind, job.node] for job in catalog.jobs()}
    assert [jobs[job[0]] for job in was.get("jobs", ())] == was.get("jobs", [])
    assert set(users) == set(was["users"])
    for name, user in was["users"].items():
        now = users[name]
        assert (now.home, now.rights, dict(now.rules), now.disabled) == tuple(
            user[field] for field in ("home", "rights", "rules", "disabled")
        )
        assert list(now.authorized_keys) == user.get("keys", list(now.authorized_keys))


def account(owner: str) -> str:
    """The name in an owner, which since level 2 is an identity."""
    return owner.partition("/")[0]


@pytest.mark.parametrize("node", NODES)
def test_a_release_s_catalog_is_read_as_it_is_and_nothing_in_it_is_changed(
    release: str, left: Path, tmp_path: Path, node: str
) -> None:
    with catalog_of(left, node, tmp_path) as catalog:
        assert (catalog.level, catalog.applied_index) == (level(release), applied(release, node))
        check(catalog, release)
    before = sqlite3.connect(left / node / "data" / "catalog" / "catalog.db")
    after = sqlite3.connect(tmp_path / f"{node}.db")
    with contextlib.closing(before), contextlib.closing(after):
        assert list(after.iterdump()) == list(before.iterdump())


@pytest.mark.parametrize("release", WHOLE_LOG, indirect=True, scope="module")
@pytest.mark.parametrize("node", NODES)
def test_a_release_s_log_replays_to_the_very_catalog_that_it_made(
    release: str, left: Path, tmp_path: Path, node: str
) -> None:
    journal = Journal(left / node / "data" / "journal")
    replayed = Catalog(tmp_path / "replayed.db")
    try:
        upto = applied(release, node)
        for entry, index, _ in journal[:]:
            if index > upto:
                break
            if entry.startswith(CALL_PREFIX):
                replayed.apply(index, entry[len(CALL_PREFIX) :])
            elif entry.startswith(PREFIX):
                replayed.configure(index, entry[len(PREFIX) :])
        with catalog_of(left, node, tmp_path) as kept:
            assert replayed.applied_index <= kept.applied_index  # the rest are entries without commands
            replayed.settle()
            assert tables(tmp_path / "replayed.db") == tables(tmp_path / f"{node}.db")
    finally:
        replayed.close()
        journal.close()


def tables(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [line for line in database.iterdump() if not line.startswith('INSERT INTO "state"')]


def owner_of(catalog: Catalog, name: str) -> str:
    """Who owns what an account of that name put; an account that is gone had no identity of its own."""
    user = catalog.user(name)
    return user.owner if user is not None else name


def test_all_is_there_at_the_newest_level_after_a_restart_and_in_a_snapshot(
    release: str, left: Path, tmp_path: Path
) -> None:
    with catalog_of(left, "n1", tmp_path) as catalog:
        while catalog.level < NEWEST:
            raise_level(catalog)
        check(catalog, release)
        for owner, (_, size, *_) in expected(release)["usage"].items():
            assert catalog.usage(owner_of(catalog, owner)).bytes == size
        digest = catalog.digest()
        catalog.write_snapshot(tmp_path / "snapshot")
    again = Catalog(tmp_path / "n1.db")
    other = Catalog(tmp_path / "other" / "other.db")
    try:
        other.install_snapshot(tmp_path / "snapshot")
        for reopened in (again, other):
            assert (reopened.level, reopened.digest()) == (NEWEST, digest)
            check(reopened, release)
    finally:
        again.close()
        other.close()


def test_nodes_that_raise_the_same_catalog_come_to_the_same_one(left: Path, tmp_path: Path) -> None:
    digests = set()
    for node in NODES:
        with catalog_of(left, node, tmp_path) as catalog:
            while catalog.level < NEWEST:
                raise_level(catalog)
            digests.add(catalog.digest())
    assert len(digests) == 1
