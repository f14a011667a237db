"""What a command weighs before it is proposed is what it touches when it is applied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, by, command, put
from people import DAY, advance, opens, person, send, sent

from raftstore.metadata.registry import COMMANDS
from raftstore.metadata.weighing import WHOLE
from raftstore.rights import Actor
from raftstore.wire import commands_pb2 as commands

MEMBERS = 40
MIB = 1 << 20


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, DAY)
        yield made


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    """Return a person who is in a group with MEMBERS others, and may send to it."""
    anna = person(feeder, "anna")
    others = [f"p{number}" for number in range(MEMBERS)]
    for name in others:
        person(feeder, name)
    group = commands.Group(name="team", members=["anna", *others])
    assert feeder.status(command("put_group", group=group)) == "OK"
    opens(feeder, anna, "team")
    opens(feeder, anna, "p0")
    return anna


def weight(feeder: Feeder, built: commands.Command) -> int:
    """Return what a command weighs now."""
    return feeder.catalog.weight(built.SerializeToString())


def test_what_is_put_to_a_group_weighs_its_members_and_to_a_person_one(feeder: Feeder, anna: Actor) -> None:
    for way, expected in (("team/x", MEMBERS + 1), ("p0/x", 1), ("nobody/x", 1)):
        path = sent(anna, way)
        assert weight(feeder, by(put(path, 1), anna)) == expected + 1
        assert weight(feeder, command("copy_file", source="/a", target=path)) == expected
        assert weight(feeder, command("rename", source=sent(anna, "team/.x"), target=path)) == expected
    assert weight(feeder, command("send_file", path="/a", to="team")) == MEMBERS + 1


def test_a_draft_weighs_no_members(feeder: Feeder, anna: Actor) -> None:
    path = sent(anna, "team/.x")
    assert weight(feeder, put(path, 1, draft=True)) == 1
    assert weight(feeder, put(path, 1, unfinished=True)) == 1
    assert weight(feeder, put(path)) == 0
    assert weight(feeder, command("rename", source=path, target=sent(anna, "team/.y"), draft=True)) == 0


def test_a_recall_weighs_all_to_whom_it_went_and_the_same_for_what_is_replaced(
    feeder: Feeder, anna: Actor
) -> None:
    assert send(feeder, anna, "team/x", 1).accepted == MEMBERS
    path = sent(anna, "team/x")
    assert weight(feeder, command("remove_file", path=path)) == MEMBERS + 1
    assert weight(feeder, by(put(path, 2), anna)) == 1 + (MEMBERS + 1) + (MEMBERS + 1)


def test_chunks_weigh_that_come_or_go_at_once(feeder: Feeder) -> None:
    new = put("/a", *range(50), length=MIB)
    assert weight(feeder, new) == 50
    assert feeder.status(new) == "OK"
    assert weight(feeder, command("remove_file", path="/a")) == 50
    assert weight(feeder, put("/a", 1)) == 1 + 50
    assert weight(feeder, command("rename", source="/b", target="/a")) == 50


def test_what_is_not_there_weighs_nothing(feeder: Feeder) -> None:
    feeder.one(command("make_directory", path="/d"))
    for path in (
        "/none",
        "/d",
        "/",
        "/d/none/x",
        "bad",
        "/a\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    ):
        assert weight(feeder, command("remove_file", path=path)) == 0


def test_before_level_3_nobody_is_asked_about(tmp_path: Path) -> None:
    with Feeder(tmp_path / "old.db", level=2) as old:
        assert weight(old, put("/people/@sent/anna/team/x", 1)) == 2
        assert weight(old, command("remove_file", path="/people/@sent/anna/team/x")) == 0


def test_what_takes_a_slice_of_a_larger_work_weighs_as_much_as_an_entry_may(feeder: Feeder) -> None:
    assert weight(feeder, command("advance_clock", time_ns=1, limit=256)) == WHOLE
    assert weight(feeder, command("purge_person", identity="x", limit=64)) == WHOLE


def test_all_that_is_weighed_is_a_command(feeder: Feeder) -> None:
    assert set(feeder.catalog._machine.weighing.kinds) < set(COMMANDS)
