"""Clusters made by earlier releases: served as they were, then upgraded, with all that they held."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from members import Failed
from oldclusters import Old, check_everything, check_usage
from releases import NAMES, expected, level

from raftstore.metadata.database.database import schema_of
from raftstore.metadata.database.schemas import schema_at
from raftstore.metadata.levels import NEWEST

OLDER = [release for release in NAMES if level(release) < NEWEST]
"""Those whose clusters can be upgraded."""


@pytest.fixture
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    with Old(request.param, tmp_path / "old") as cluster:
        yield cluster


@pytest.mark.parametrize("old", NAMES, indirect=True)
def test_a_cluster_of_a_release_is_served_as_it_was_until_its_upgrade_is_finished(old: Old) -> None:
    before = level(old.release)
    for name in old.names:
        check_everything(old, name)
    check_usage(old)
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
    check_everything(old, "n1")
    check_usage(old, upgraded=True)
    assert {node["level"] for node in old.run("upgrade", "status")["nodes"]} == {NEWEST}
    old.kill_all()
    old.local.start()
    # One comes back without its catalog and log: it gets both from the others.
    shutil.rmtree(old.data("n2") / "catalog")
    for name in old.names:
        old.wait_ready(name)
    for name in ("n2", "n3"):
        check_everything(old, name)
    check_usage(old, upgraded=True)
    old.local.stop_all()
    assert old.levels() == {NEWEST}
