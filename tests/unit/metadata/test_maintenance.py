"""Nodes in maintenance: in the log, of every node, until it is ended or they are no members any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, command

from raftstore.consensus.membership.configuration import Configuration
from raftstore.metadata.tables.cluster.maintenance import MAX_GRACE_MS, Maintenance, Rest

THREE = Configuration.of(["n1", "n2", "n3"])


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        configure(made, THREE)
        yield made


def configure(feeder: Feeder, configuration: Configuration) -> None:
    feeder.index += 1
    feeder.catalog.configure(feeder.index, configuration.encode())


def nodes(feeder: Feeder) -> dict[str, Rest]:
    return dict(feeder.catalog.ask(Maintenance, lambda table: table.nodes))


def test_it_is_kept_through_a_restart_and_a_snapshot(feeder: Feeder, tmp_path: Path) -> None:
    assert feeder.status(command("set_maintenance", node="n2", grace_ms=5000, since_ns=7)) == "OK"
    entry = feeder.index
    assert nodes(feeder) == {"n2": Rest(7, 5000, entry)}
    assert feeder.status(command("set_maintenance", node="n2", grace_ms=1, since_ns=99)) == "OK"
    assert nodes(feeder) == {"n2": Rest(7, 5000, entry)}  # as it was
    feeder.reopen()
    assert nodes(feeder) == {"n2": Rest(7, 5000, entry)}
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    with Feeder(tmp_path / "other" / "other.db") as other:
        other.catalog.install_snapshot(tmp_path / "snapshot")
        assert nodes(other) == nodes(feeder)
        assert other.catalog.digest() == feeder.catalog.digest()


def test_it_ends_when_it_is_taken_back_and_that_twice_is_no_mistake(feeder: Feeder) -> None:
    before = feeder.catalog.digest()
    feeder.one(command("set_maintenance", node="n2"))
    assert feeder.catalog.digest() != before
    for _ in range(2):
        assert feeder.status(command("set_maintenance", node="n2", off=True)) == "OK"
    feeder.reopen()
    assert nodes(feeder) == {}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"node": "n4"}, "NOT_FOUND"),
        ({"node": ""}, "NOT_FOUND"),
        ({"node": "n4", "off": True}, "NOT_FOUND"),
        ({"node": "n\n1"}, "INVALID"),
        ({"node": "n1", "grace_ms": MAX_GRACE_MS + 1}, "INVALID"),
        ({"node": "n1", "since_ns": -1}, "INVALID"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(
    feeder: Feeder, fields: dict[str, object], status: str
) -> None:
    assert feeder.status(command("set_maintenance", **fields)) == status
    assert nodes(feeder) == {}
    feeder.reopen()
    assert nodes(feeder) == {}


def test_who_is_no_member_any_more_is_forgotten(feeder: Feeder) -> None:
    for node in ("n2", "n3"):
        feeder.one(command("set_maintenance", node=node))
    configure(feeder, Configuration.of(["n1", "n2"]))
    feeder.one(command("set_maintenance", node="n1"))
    assert set(nodes(feeder)) == {"n1", "n2"}
    feeder.reopen()
    assert set(nodes(feeder)) == {"n1", "n2"}


def test_there_is_none_before_level_3(tmp_path: Path) -> None:
    with Feeder(tmp_path / "old.db", level=2) as old:
        refused = old.catalog.refusal(command("set_maintenance", node="n1").SerializeToString())
        assert refused == "the command set_maintenance needs level 3, in force is 2"
        old.one(command("set_level", level=3))
        assert nodes(old) == {}
        assert old.status(command("set_maintenance", node="n1")) == "OK"
