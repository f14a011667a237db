"""Exactly once: repeated, stale and malformed operations."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, command, put

from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import DiskFailed, TooNew, Unavailable
from raftstore.metadata.tables.cluster import remembered
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


MKDIR = command("make_directory", path="/a", owner="ada")


def status(result: commands.Result) -> str:
    return commands.Status.Name(result.status)


def remembered_rows(feeder: Feeder) -> list[tuple[str, int]]:
    database = sqlite3.connect(feeder.path)
    try:
        return list(database.execute("SELECT node, sequence FROM results ORDER BY node, sequence"))
    finally:
        database.close()


def test_it_is_a_state_machine(feeder: Feeder) -> None:
    machine: StateMachine = feeder.catalog
    assert machine.applied_index == feeder.index


def test_a_repeated_operation_returns_its_result_and_changes_nothing(feeder: Feeder) -> None:
    operation = feeder.operation(MKDIR)
    first = feeder.apply(operation)[0]
    assert status(first) == "OK"
    for _ in range(2):
        again = feeder.apply(operation, operation)
        assert again == [first, first]
        feeder.reopen()
    refused = feeder.operation(MKDIR)
    assert [status(r) for r in feeder.apply(refused, refused)] == ["EXISTS", "EXISTS"]
    feeder.one(command("remove_directory", path="/a"))
    assert status(feeder.apply(refused)[0]) == "EXISTS"
    assert status(feeder.apply(operation)[0]) == "OK"
    assert feeder.catalog.listing("/") == []


def test_acknowledged_results_are_forgotten(feeder: Feeder) -> None:
    first = feeder.operation(MKDIR)
    feeder.apply(first)
    feeder.apply(feeder.operation(put("/f", 1), acknowledged=first.id.sequence))
    assert remembered_rows(feeder) == [("n1", feeder.sequence)]
    assert status(feeder.apply(first)[0]) == "STALE"
    feeder.reopen()
    assert status(feeder.apply(first)[0]) == "STALE"
    assert feeder.catalog.lookup("/a").is_directory


def test_operations_may_arrive_out_of_order(feeder: Feeder) -> None:
    early, late = feeder.operation(MKDIR), feeder.operation(put("/f", 1))
    assert [status(r) for r in feeder.apply(late, early, late)] == ["OK", "OK", "OK"]


def test_an_older_watermark_does_not_bring_anything_back(feeder: Feeder) -> None:
    first = feeder.operation(MKDIR)
    feeder.apply(first)
    feeder.apply(feeder.operation(put("/f", 1), acknowledged=first.id.sequence))
    feeder.apply(feeder.operation(put("/g", 1), acknowledged=0))
    assert status(feeder.apply(first)[0]) == "STALE"


def test_a_new_boot_makes_the_earlier_one_stale(feeder: Feeder) -> None:
    old = feeder.operation(MKDIR)
    other = feeder.operation(command("make_directory", path="/b", owner="ada"), node="n2")
    feeder.apply(old, other)
    feeder.boot, feeder.sequence = 2, 0
    assert status(feeder.one(put("/f", 1))) == "OK"
    assert remembered_rows(feeder) == [("n1", 1), ("n2", other.id.sequence)]
    late = feeder.operation(put("/g", 1), boot=1, sequence=1000)
    assert [status(r) for r in feeder.apply(old, late)] == ["STALE", "STALE"]
    feeder.reopen()
    assert [status(r) for r in feeder.apply(old, late, other)] == ["STALE", "STALE", "OK"]
    assert [entry.name for entry in feeder.catalog.listing("/")] == ["a", "b", "f"]


def test_two_boots_in_one_entry(feeder: Feeder) -> None:
    old = feeder.operation(MKDIR, sequence=7)
    new = feeder.operation(put("/f", 1), boot=2, sequence=7)
    other = feeder.operation(put("/g", 1), boot=2, sequence=3)
    feeder.apply(old, new, other)
    rows = remembered_rows(feeder)
    feeder.reopen()
    assert rows == [("n1", 3), ("n1", 7)]
    assert [status(r) for r in feeder.apply(new, other, old)] == ["OK", "OK", "STALE"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"node": ""}, "INVALID"),
        ({"node": "n\n"}, "INVALID"),
        ({"node": "new", "sequence": 0}, "INVALID"),
        ({"sequence": 0}, "INVALID"),
        ({"sequence": 2**63}, "INVALID"),
        ({"boot": 2**63}, "INVALID"),
        ({"boot": 0}, "STALE"),
        ({"sequence": 100, "acknowledged": 100}, "STALE"),
        ({"sequence": 100, "acknowledged": 2**64 - 1}, "STALE"),
    ],
)
def test_malformed_ids_change_nothing(feeder: Feeder, fields: dict[str, object], expected: str) -> None:
    digest = feeder.catalog.digest()
    assert status(feeder.apply(feeder.operation(MKDIR, **fields))[0]) == expected
    assert feeder.catalog.listing("/") == []
    assert status(feeder.one(MKDIR)) == "OK"
    assert feeder.catalog.digest() != digest


MALFORMED = [b"\xff\xff", b"", b"\x0a\x05\x0a\x03\xff\xfe\xfd", b"\xc2\xa9\x07\x00"]


@pytest.mark.parametrize("raw", MALFORMED)
def test_malformed_commands_are_invalid_at_level_1(tmp_path: Path, raw: bytes) -> None:
    with Feeder(tmp_path / "old.db", level=1) as feeder:
        operation = feeder.operation(MKDIR)
        operation.command = raw
        result = feeder.apply(operation)[0]
        assert (status(result), result.index) == ("INVALID", feeder.index)


@pytest.mark.parametrize("raw", MALFORMED)
def test_malformed_commands_stop_the_node_since_level_2(feeder: Feeder, raw: bytes) -> None:
    operation = feeder.operation(MKDIR)
    operation.command = raw
    before = feeder.catalog.digest()
    with pytest.raises(TooNew, match=f"log entry {feeder.index + 1}: "):
        feeder.apply(operation)
    with pytest.raises(Unavailable):
        feeder.one(MKDIR)
    feeder.reopen()
    assert feeder.catalog.digest() == before


def test_an_entry_that_is_no_batch_is_passed_over_at_level_1(tmp_path: Path) -> None:
    with Feeder(tmp_path / "old.db", level=1) as feeder:
        assert feeder.catalog.apply(feeder.index + 1, b"\xff\xff") == []
        assert feeder.catalog.apply(feeder.index + 5, b"") == []
        assert feeder.catalog.applied_index == feeder.index + 5


def test_an_entry_that_is_no_batch_stops_the_node_since_level_2(feeder: Feeder) -> None:
    with pytest.raises(TooNew, match="not a batch of commands"):
        feeder.catalog.apply(feeder.index + 1, b"\xff\xff")


def test_an_entry_applied_before_returns_what_is_remembered(feeder: Feeder) -> None:
    first = feeder.operation(MKDIR)
    results = feeder.apply(first, feeder.operation(put("/f", 1)))
    index, batch = feeder.log[-1]
    digest = feeder.catalog.digest()
    assert [commands.Result.FromString(r) for r in feeder.catalog.apply(index, batch)] == results
    feeder.apply(feeder.operation(put("/g", 1), acknowledged=first.id.sequence))
    again = feeder.catalog.apply(index, batch)
    assert (again[0], commands.Result.FromString(again[1])) == (b"", results[1])
    assert feeder.catalog.digest() != digest


def test_no_result_is_empty(feeder: Feeder) -> None:
    batch = commands.Batch(
        operations=[feeder.operation(command("put_user", user=commands.User(name="u", home="/")))]
    )
    result = feeder.catalog.apply(feeder.index + 1, batch.SerializeToString())[0]
    assert result
    assert commands.Result.FromString(result) == commands.Result(index=feeder.index + 1)


def test_a_proposer_that_never_acknowledges_is_bounded(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_RESULTS", 10)
    operations = [feeder.operation(put(f"/{n}", n)) for n in range(1, 26)]
    feeder.apply(*operations)
    assert 5 <= len(remembered_rows(feeder)) <= 10
    feeder.reopen()
    statuses = [status(result) for result in feeder.apply(*operations)]
    assert statuses[0] == "STALE"
    assert statuses[-1] == "OK"
    assert statuses == sorted(statuses, reverse=True)


def test_a_bug_in_a_command_stops_the_catalog_and_leaves_the_entry_out(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    digest = feeder.catalog.digest()
    batch = commands.Batch(operations=[feeder.operation(put("/f", 1)), feeder.operation(MKDIR)])
    with monkeypatch.context() as patched:
        patched.setitem(feeder.catalog._machine._handlers, "make_directory", broken)
        with pytest.raises(ZeroDivisionError):
            feeder.catalog.apply(feeder.index + 1, batch.SerializeToString())
    with pytest.raises(Unavailable):
        feeder.catalog.apply(feeder.index + 1, batch.SerializeToString())
    feeder.reopen()
    assert feeder.catalog.digest() == digest
    results = feeder.catalog.apply(feeder.index + 1, batch.SerializeToString())
    assert [commands.Result.FromString(result).status for result in results] == [commands.OK, commands.OK]


def test_two_processes_on_one_catalog_are_noticed(feeder: Feeder) -> None:
    with Feeder(feeder.path, stores=False) as other:
        other.sequence = 100
        other.one(put("/f", 1))
        with pytest.raises(DiskFailed, match="two nodes"):
            feeder.one(put("/g", 1))


def test_the_same_log_gives_the_same_state(feeder: Feeder, tmp_path: Path) -> None:
    feeder.make("/a")
    feeder.all(put("/a/f", 1, 2), put("/a/f", 3), command("rename", source="/a", target="/b"), put("/x/y", 1))
    with Feeder(tmp_path / "other" / "catalog.db", stores=False) as other:
        for index, batch in feeder.log:
            assert other.catalog.digest() != feeder.catalog.digest()
            other.catalog.apply(index, batch)
        assert other.catalog.digest() == feeder.catalog.digest()


def test_a_secret_stays_unless_it_is_replaced_by_who_knows_it(feeder: Feeder) -> None:
    def agree(value: bytes, knows: bytes = b"") -> str:
        replaces = hashlib.sha256(knows).digest() if knows else b""
        return feeder.status(command("agree_on_secret", name="keys", value=value, replaces=replaces))

    assert agree(b"none yet", b"something") == "CHANGED"
    assert agree(b"first") == agree(b"second") == "OK"
    assert feeder.catalog.secret("keys") == b"first"
    assert agree(b"third", b"first") == "OK"
    assert agree(b"fourth", b"first") == "CHANGED"
    assert agree(b"", b"third") == "INVALID"
    feeder.reopen()
    assert feeder.catalog.secret("keys") == b"third"


def test_a_start_that_announces_itself_does_not_hide_the_one_before_it(feeder: Feeder) -> None:
    """An older copy of a node's disk may propose something before it asks the others whether it is one."""
    assert feeder.catalog.boot_before("n1", 7) == 1
    assert feeder.catalog.boot_before("n9", 7) == 0
    feeder.boot = 7
    feeder.one(command("make_directory", path="/d"))
    feeder.one(command("make_directory", path="/e"))
    assert feeder.catalog.latest_boot("n1") == 7
    assert feeder.catalog.boot_before("n1", 7) == 1
    assert feeder.catalog.boot_before("n1", 9) == 7
    feeder.reopen()
    assert feeder.catalog.boot_before("n1", 7) == 0  # not known: nobody is held up by that
