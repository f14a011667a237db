"""Names that are taken at OPEN: who meets them, how they end, and files published by what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalogs import Feeder, by, chunk, command

from raftstore.metadata.tables.names.namespace import Place
from raftstore.metadata.tables.names.reservations import MAX_OF_OWNER, Reservation
from raftstore.rights import Actor
from raftstore.store.transfers.reservations import Silence
from raftstore.wire import commands_pb2 as commands

CHUNKS = [chunk(1, 10, (1,))]


def reserve(path: str, *, node: str = "n1", boot: int = 1) -> commands.Command:
    return command("reserve_name", path=path, node=node, boot=boot)


def put(path: str, *, owner: str = "ada", **handle: object) -> commands.Command:
    fields = {"handle": commands.Handle(**handle)} if handle else {}
    return command("put_file", path=path, owner=owner, size=10, chunks=CHUNKS, **fields)


def status(feeder: Feeder, each: commands.Command) -> str:
    return commands.Status.Name(feeder.one(each).status)


@pytest.fixture
def feeder(tmp_path: Path):
    with Feeder(tmp_path / "catalog.db") as running:
        running.all(command("make_directory", path="/d", owner="ada"), put("/there"))
        yield running


def test_everybody_else_meets_a_name_that_is_taken(feeder: Feeder) -> None:
    taken = feeder.one(reserve("/d/lock"))
    assert taken.status == commands.OK and taken.reservation
    assert status(feeder, reserve("/d/lock", node="n2")) == "EXISTS"
    assert status(feeder, put("/d/lock")) == "EXISTS"
    assert status(feeder, command("make_directory", path="/d/lock", owner="bob")) == "EXISTS"
    assert status(feeder, command("rename", source="/there", target="/d/lock")) == "EXISTS"
    assert status(feeder, command("remove_directory", path="/d")) == "NOT_EMPTY"
    assert status(feeder, command("remove_file", path="/d/lock")) == "NOT_FOUND"
    assert feeder.catalog.listing("/d") == []
    new = {"new": True, "directory": taken.inode, "name": "lock"}
    assert status(feeder, put("/d/lock", **new)) == "EXISTS"
    assert status(feeder, put("/d/lock", reservation=taken.reservation + 1, **new)) == "CHANGED"
    assert status(feeder, command("rename", source="/d", target="/e")) == "OK"
    assert status(feeder, put("/d/lock", reservation=taken.reservation, **new)) == "OK"
    assert [entry.name for entry in feeder.catalog.listing("/e")] == ["lock"]
    assert feeder.catalog.reservations() == []
    assert status(feeder, reserve("/e/lock")) == "EXISTS"
    assert status(feeder, reserve("/no/lock")) == "NO_PARENT"


@pytest.mark.parametrize("how", ["release", "all", "boot", "members"])
def test_how_reservations_end(feeder: Feeder, how: str) -> None:
    taken = feeder.one(reserve("/lock", node="n2"))
    kept = feeder.one(reserve("/kept", node="n1"))
    if how == "release":
        feeder.all(command("release_name", node="n2", boot=1, reservation=taken.reservation))
    elif how == "all":
        late = command("release_name", node="n2", boot=1, renewed=taken.index)
        feeder.all(command("renew_names", node="n2", boot=1))
        assert status(feeder, late) == "CHANGED", "it was heard of since"
        renewed = max(held.renewed for held in feeder.catalog.reservations() if held.node == "n2")
        feeder.all(command("release_name", node="n2", boot=1, renewed=renewed))
    elif how == "boot":
        operation = feeder.operation(reserve("/later", node="n2", boot=2))
        operation.id.node, operation.id.boot, operation.id.sequence = "n2", 2, 1
        (later,) = feeder.apply(operation)
        assert later.status == commands.OK
        feeder.all(command("release_name", node="n2", boot=2, reservation=later.reservation))
    else:
        configuration = raft_configuration("n1", "n3")
        feeder.index += 1
        feeder.catalog.configure(feeder.index, configuration)
    left = feeder.catalog.reservations()
    assert [held.number for held in left] == [kept.reservation]
    new = {"new": True, "directory": 1, "name": "lock", "reservation": taken.reservation}
    assert status(feeder, put("/lock", **new)) == "CHANGED", "a close after the loss publishes nothing"
    assert status(feeder, put("/lock")) == "OK"


def raft_configuration(*names: str) -> bytes:
    from raftstore.wire import raft_pb2

    members = [raft_pb2.Member(name=name) for name in names]
    return raft_pb2.Configuration(members=members).SerializeToString()


def test_reservations_outlive_a_restart_and_a_snapshot(feeder: Feeder, tmp_path: Path) -> None:
    feeder.all(reserve("/lock"), reserve("/d/lock", node="n2"))
    before = feeder.catalog.reservations()
    feeder.reopen()
    assert feeder.catalog.reservations() == before and len(before) == 2
    feeder.catalog.write_snapshot(tmp_path / "snapshot")
    with Feeder(tmp_path / "other" / "catalog.db", stores=False, level=None) as other:
        other.catalog.install_snapshot(tmp_path / "snapshot")
        assert other.catalog.reservations() == before


def test_an_owner_has_a_bounded_number_and_needs_the_right_to_store(feeder: Feeder) -> None:
    table = (("ada", "w"), ("bob", "wl"), ("eve", "l"))
    users = [commands.User(name=name, password_hash="x", home="/", rights=rights) for name, rights in table]
    feeder.all(*(command("put_user", user=user, create=True) for user in users))
    ada, bob, eve = (Actor.session(feeder.catalog.user(name)) for name in ("ada", "bob", "eve"))
    feeder.all(*(by(reserve(f"/lock{number}"), ada) for number in range(MAX_OF_OWNER)))
    assert status(feeder, by(reserve("/more"), ada)) == "QUOTA"
    assert status(feeder, by(reserve("/more"), bob)) == "OK"
    assert status(feeder, by(reserve("/other"), eve)) == "DENIED"
    assert {held.owner for held in feeder.catalog.reservations()} == {ada.owner, bob.owner}


def test_what_is_open_is_published_where_it_is_by_now(feeder: Feeder) -> None:
    opened = feeder.catalog.lookup("/there")
    handle = {"inode": opened.inode, "version": opened.version}
    feeder.all(command("rename", source="/there", target="/d/moved"), put("/there", owner="bob"))
    done = feeder.one(put("/there", **handle))
    assert (done.status, done.inode) == (commands.OK, opened.inode)
    assert feeder.catalog.lookup("/d/moved").version == done.index
    assert feeder.catalog.lookup("/there").owner == "bob"
    assert status(feeder, put("/there", **handle)) == "CHANGED", "another version is there"
    feeder.all(command("remove_file", path="/d/moved"))
    before = feeder.catalog.totals(), feeder.catalog.usage("ada")
    gone = feeder.one(put("/there", **handle))
    assert (gone.status, gone.inode) == (commands.OK, 0), "published nowhere"
    assert (feeder.catalog.totals(), feeder.catalog.usage("ada")) == before


def test_a_new_file_goes_to_its_directory_and_replaces_nothing_unseen(feeder: Feeder) -> None:
    directory = feeder.catalog.lookup("/d").inode
    new = {"new": True, "directory": directory, "name": "new"}
    feeder.all(command("rename", source="/d", target="/e"))
    done = feeder.one(put("/d/new", **new))
    assert done.status == commands.OK and feeder.catalog.lookup("/e/new").inode == done.inode
    assert status(feeder, put("/d/new", **new)) == "CHANGED", "somebody else has made it"
    found = feeder.catalog.lookup("/e/new")
    over = feeder.one(put("/d/new", inode=found.inode, version=found.version, **new))
    assert over.status == commands.OK and over.inode != found.inode, "another file took its place"
    assert status(feeder, put("/e/new", inode=found.inode, version=found.version)) == "OK"
    assert feeder.catalog.lookup("/e/new").inode == over.inode
    assert status(feeder, put("/d/a", new=True, directory=directory, name="a/b")) == "BAD_NAME"
    feeder.all(command("remove_file", path="/e/new"), command("remove_directory", path="/e"))
    assert status(feeder, put("/d/new", **new)) == "NO_PARENT"


def test_no_path_becomes_too_long_by_a_new_file_whose_directory_has_moved(feeder: Feeder) -> None:
    directory = feeder.catalog.lookup("/d").inode
    deep = ""
    while len(deep) < 3800:
        deep += "/" + "x" * 250
        feeder.make(deep)
    feeder.all(command("rename", source="/d", target=f"{deep}/d"))
    new = {"new": True, "directory": directory}
    assert status(feeder, put("/d/" + "y" * 255, name="y" * 255, **new)) == "BAD_NAME"
    assert status(feeder, put("/d/y", name="y", **new)) == "OK"


def test_silence_is_judged_by_the_clock_of_who_judges() -> None:
    def held(node: str, renewed: int) -> Reservation:
        return Reservation(Place(1, node), renewed, "ada", node, 1, renewed)

    silence = Silence(100.0)
    assert silence.over([held("n1", 5), held("n2", 6)], 0.0) == []
    assert silence.over([held("n1", 5), held("n2", 9)], 99.0) == []
    assert [
        (one.node, one.boot, one.renewed) for one in silence.over([held("n1", 5), held("n2", 9)], 101.0)
    ] == [("n1", 1, 5)]
    assert silence.over([held("n2", 12)], 300.0) == [], "it was heard of before that"
