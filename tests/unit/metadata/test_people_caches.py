"""Caches of what persons have of each other are no part of the state: nothing that is applied depends on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, by, command, put
from people import inbox, person, persons, send, session

from raftstore.metadata.tables.people import inboxes
from raftstore.metadata.tables.people.sending import MAX_MADE
from raftstore.rights import ROLES
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    monkeypatch.setattr(inboxes, "MAX_KNOWN", 4)
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


def group(name: str, *members: str) -> commands.Command:
    return command("put_group", group=commands.Group(name=name, members=members))


def test_something_goes_from_an_inbox_whose_pair_is_not_at_hand(feeder: Feeder) -> None:
    others = [person(feeder, f"p{number}") for number in range(4)]
    bob, eve = person(feeder, "bob"), person(feeder, "eve")
    send(feeder, eve, "bob/a", 1)
    feeder.reopen()
    for other in others:
        send(feeder, other, "bob/x", 2)
    assert feeder.status(by(command("remove_file", path="/people/@inbox/bob/eve/a"), bob)) == "OK"
    assert "eve/a" not in inbox(feeder, "bob")


def test_a_group_of_which_one_is_at_hand(feeder: Feeder) -> None:
    others = [person(feeder, f"p{number}") for number in range(4)]
    eve = person(feeder, "eve")
    assert feeder.status(group("g", "p0", "p1", "p2", "p3", "eve")) == "OK"
    send(feeder, eve, "g/a", 1)
    feeder.reopen()
    send(feeder, eve, "p0/a", 1)
    send(feeder, others[0], "p1/a", 1)
    send(feeder, eve, "g/b", 2)
    assert all("eve/b" in inbox(feeder, f"p{number}") for number in range(4))


def test_a_catalog_goes_on_from_a_snapshot_as_the_one_that_it_is_of(feeder: Feeder, tmp_path: Path) -> None:
    """What another state has left in memory decides nothing."""

    def prepare(made: Feeder, *members: str) -> None:
        persons(made, "anna", "bob", "carl", "dora")
        assert made.status(group("g", *members)) == "OK"
        assert send(made, session(made, "anna"), "g/a", 1).status == commands.OK

    prepare(feeder, "anna", "bob", "carl")
    bob = session(feeder, "bob")
    feeder.all(
        by(command("block", person="carl", name="anna"), session(feeder, "carl")),
        command("mark_opened", inodes=[feeder.catalog.lookup("/people/@inbox/bob/anna/a").inode]),
        by(put("/people/@sent/anna/g/.draft", 5, draft=True), session(feeder, "anna")),
    )
    with Feeder(tmp_path / "other" / "catalog.db") as other:
        other.index += 5
        prepare(other, "anna", "dora")
        other.all(by(command("block", person="bob", name="anna"), session(other, "bob")))
        other.one(by(put("/people/@sent/anna/g/b", 9), session(other, "anna")))
        index = feeder.catalog.write_snapshot(tmp_path / "snapshot")
        assert other.catalog.install_snapshot(tmp_path / "snapshot") == index
        assert other.catalog.digest() == feeder.catalog.digest()
        before = len(feeder.log)
        anna = session(feeder, "anna")
        assert feeder.one(by(put("/people/@sent/anna/g/a", 1), anna)).repeated
        assert send(feeder, anna, "g/b", 2).accepted == 1
        assert feeder.status(by(command("remove_file", path="/people/@sent/anna/g/a"), anna)) == "OK"
        move = command("rename", source="/people/@inbox/bob/anna/a", target="/people/bob/a")
        assert feeder.status(by(move, bob)) == "OK"
        finished = command("rename", source="/people/@sent/anna/g/.draft", target="/people/@sent/anna/g/done")
        assert feeder.one(by(finished, anna)).status == commands.OK
        for later, batch in feeder.log[before:]:
            other.catalog.apply(later, batch)
        assert inbox(other, "bob") == inbox(feeder, "bob") == ["anna/b", "anna/done"]
        assert other.catalog.digest() == feeder.catalog.digest()


def test_many_sends_in_one_entry(feeder: Feeder) -> None:
    for number in range(6):
        person(feeder, f"p{number}")
    senders = [session(feeder, f"p{number}") for number in range(6)]
    assert feeder.status(group("g", *(f"p{number}" for number in range(6)))) == "OK"
    for number, sender in enumerate(senders):
        directory = command("make_directory", path=f"/people/@sent/p{number}/g")
        assert feeder.status(by(directory, sender)) == "OK"
    done = feeder.all(*(by(put(f"/people/@sent/p{n}/g/x", n), sender) for n, sender in enumerate(senders)))
    assert [each.accepted for each in done] == [5] * 6


def test_rights_are_those_of_the_level_as_soon_as_it_is_raised(tmp_path: Path) -> None:
    for reopened in (False, True):
        with Feeder(tmp_path / str(reopened) / "catalog.db", level=2) as feeder:
            user = commands.User(name="bob", home="/", rights=ROLES["member"])
            assert feeder.status(command("put_user", user=user)) == "OK"
            bob = session(feeder, "bob")
            assert feeder.status(by(put("/x", 1), bob)) == "OK"
            assert feeder.status(command("set_level", level=3)) == "OK"
            if reopened:
                feeder.reopen()
            wanted = command("reserve_name", path="/people", node="n1", boot=1)
            assert feeder.status(by(wanted, bob)) == "DENIED"


def test_cluster_time_may_move_twice_in_one_entry(feeder: Feeder) -> None:
    second = 10**9
    moves = [command("advance_clock", time_ns=NOW + step * 60 * second, limit=1) for step in (1, 2, 3)]
    assert [each.status for each in feeder.all(*moves)] == [commands.OK] * 3


def test_directories_that_travel_along_are_bounded_by_how_many_get_them(feeder: Feeder) -> None:
    members = 31
    for number in range(members):
        person(feeder, f"p{number}")
    sender = session(feeder, "p0")
    assert feeder.status(group("g", *(f"p{number}" for number in range(members)))) == "OK"
    path = "/people/@sent/p0/g"
    assert feeder.status(by(command("make_directory", path=path), sender)) == "OK"
    for depth in range(1, MAX_MADE // (members - 1) + 2):
        path += "/d"
        assert feeder.status(by(command("make_directory", path=path), sender)) == "OK"
        if depth in (1, MAX_MADE // (members - 1), MAX_MADE // (members - 1) + 1):
            fits = depth * (members - 1) <= MAX_MADE
            assert feeder.status(by(put(f"{path}/f", depth), sender)) == ("OK" if fits else "INVALID")
