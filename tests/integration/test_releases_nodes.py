"""Clusters made by earlier releases: served as they were, then upgraded, with all that they held."""

from __future__ import annotations

import contextlib
import ftplib
import io
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Cluster
from members import Failed, pixraft
from releases import NAMES, expected, is_content, level, unpack
from waiting import eventually

from raftstore.metadata.database.database import SCHEMA_VERSION, schema_of
from raftstore.metadata.database.schemas import schema_at
from raftstore.metadata.levels import NEWEST

OLDER = [release for release in NAMES if level(release) < NEWEST]
"""Those whose clusters can be upgraded."""


class Old(Cluster):
    """The release's cluster under this version. Its accounts are its own."""

    def __init__(self, release: str, directory: Path) -> None:
        unpack(release, directory)
        super().__init__(directory)
        self.release = release

    def __enter__(self) -> Old:
        try:
            self.local.start()
            for name in self.names:
                eventually(lambda name=name: self.login(name, "anna", "anna-secret")).close()
        except BaseException:
            self.close()
            raise
        return self

    def wait_ready(self, name: str) -> None:
        eventually(lambda: self.login(name, "anna", "anna-secret")).close()

    @property
    def options(self) -> tuple[str, ...]:
        return ("--config", str(self.local.directory / "admin" / "admin.toml"))

    def run(self, *words: str) -> Any:
        return eventually(lambda: [self._attempt(*words)])[0]

    def _attempt(self, *words: str) -> Any:
        try:
            return pixraft(*words, *self.options)
        except Failed as failure:
            if failure.code in (5, 30, 31):
                raise OSError(str(failure)) from failure
            raise

    def catalog(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.data(name) / 'catalog' / 'catalog.db'}?mode=ro", uri=True)

    def levels(self) -> set[int]:
        found = set()
        for name in self.names:
            with contextlib.closing(self.catalog(name)) as database:
                found.add(database.execute("PRAGMA user_version").fetchone()[0] - SCHEMA_VERSION + 1)
        return found


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    with Old(request.param, tmp_path / "old") as cluster:
        yield cluster


def check_everything(cluster: Old, name: str, *, upgraded: bool = False) -> None:
    """All that the release had is there at that node, byte for byte, for whom it was there."""
    was = expected(cluster.release)
    with contextlib.closing(cluster.login(name, "root", "root-secret")) as root:
        for path, file in was["files"].items():
            if "size" not in file:
                assert root.sendcmd(f"MLST {path}")
                continue
            content = io.BytesIO()
            root.retrbinary(f"RETR {path}", content.write)
            assert is_content(content.getvalue(), file), path
            assert root.size(path) == file["size"]
        root.voidcmd("TYPE I")
    with contextlib.closing(cluster.login(name, "anna", "anna-secret")) as anna:
        assert anna.sendcmd("MDTM 2024/summer/p0.jpg") == "213 20240102030405"
        anna.voidcmd("TYPE I")
        assert anna.size("broken.jpg") == 30_000  # of the upload that broke off
    with contextlib.closing(cluster.login(name, "bert", "bert-secret")) as bert:
        with pytest.raises(ftplib.error_perm):
            bert.retrbinary("RETR /anna/private/hidden.jpg", lambda _: None)
        with pytest.raises(ftplib.error_perm):
            bert.storbinary("STOR /team/no.jpg", io.BytesIO(b"x"))
    with pytest.raises(ftplib.error_perm, match="530"):
        cluster.login(name, "off", "off-secret")
    with pytest.raises(ftplib.error_perm, match="530"):
        cluster.login(name, "gone", "gone-secret")
    accounts = {user["name"]: user for user in cluster.run("user", "list")["users"]}
    assert set(accounts) == set(was["users"])
    for user, (files, size, *_) in was["usage"].items():
        if user in accounts:
            # Since level 2 directories count, too.
            own = [path for path, file in was["files"].items() if "size" not in file and file["owner"] == user]
            count = files + (len(own) if upgraded and level(cluster.release) == 1 else 0)
            assert (accounts[user]["used_files"], accounts[user]["used_bytes"]) == (count, size)


@pytest.mark.parametrize("old", NAMES, indirect=True)
def test_a_cluster_of_a_release_is_served_as_it_was_until_its_upgrade_is_finished(old: Old) -> None:
    before = level(old.release)
    for name in old.names:
        check_everything(old, name)
    with contextlib.closing(old.login("n1", "anna", "anna-secret")) as anna:
        anna.storbinary("STOR new.jpg", io.BytesIO(b"n" * 5000))
        anna.rename("new.jpg", "newer.jpg")
        anna.storbinary("STOR broken.jpg", io.BytesIO(b"rest"), rest=30_000)
        assert anna.size("broken.jpg") == 30_004
        anna.delete("broken.jpg")
        anna.delete("newer.jpg")
    jobs = {job["id"]: job["node"] for job in old.run("jobs", "list", "--all")["jobs"]}
    for number, _, node in expected(old.release).get("jobs", []):
        assert jobs[number] == node
    status = old.run("upgrade", "status")
    assert (status["level"], status["target"], status["obstacles"]) == (before, NEWEST, [])
    assert status["finished"] == (before == NEWEST)
    assert {node["newest"] for node in status["nodes"]} == {NEWEST}
    old.local.stop_all()
    # What is on disk is what the release reads: its schema, and nothing in the log that it does not know.
    assert old.levels() == {before}
    for name in old.names:
        with contextlib.closing(old.catalog(name)) as database:
            assert schema_of(database) == schema_at(before)


@pytest.mark.parametrize("old", OLDER, indirect=True)
def test_an_upgrade_is_finished_when_all_nodes_are_there_and_keeps_everything(old: Old) -> None:
    old.local.stop("n3")
    with pytest.raises(Failed) as refused:
        old.run("upgrade", "finish", "--yes")
    assert refused.value.code == 55
    assert "n3: cannot be reached; start it with the new version" in refused.value.said
    before = level(old.release)
    assert old.levels() == {before}
    old.start_node("n3")
    old.wait_ready("n3")
    with pytest.raises(Failed, match="give --yes"):
        old.run("upgrade", "finish")
    done = old.run("upgrade", "finish", "--yes")
    assert (done["before"], done["level"], done["finished"]) == (before, NEWEST, True)
    again = old.run("upgrade", "finish", "--yes")
    assert (again["before"], again["level"]) == (NEWEST, NEWEST)
    check_everything(old, "n1", upgraded=True)
    assert {node["level"] for node in old.run("upgrade", "status")["nodes"]} == {NEWEST}
    old.kill_all()
    old.local.start()
    # One comes back without its catalog and log: it gets both from the others.
    shutil.rmtree(old.data("n2") / "catalog")
    for name in old.names:
        old.wait_ready(name)
    for name in ("n2", "n3"):
        check_everything(old, name, upgraded=True)
    old.local.stop_all()
    assert old.levels() == {NEWEST}
