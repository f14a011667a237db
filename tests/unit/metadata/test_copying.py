"""Copies of files: the same content once more, with the rights, quotas and places of an upload."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, by, chunk, command, put
from people import DAY, advance, files, inbox, opens, past, person, send, sent, states

from raftstore.metadata.levels import refusal
from raftstore.metadata.tables.contents import longcontents
from raftstore.rights import Actor
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    """More than two chunks are many. What was done is done again in the end."""
    monkeypatch.setattr(longcontents, "SLICE", 2)
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, 10 * DAY)
        yield made
        made.reopen()
        made.check_replay(tmp_path / "replayed" / "catalog.db")


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    return person(feeder, "anna", trash_ns=30 * DAY)


@pytest.fixture
def bob(feeder: Feeder) -> Actor:
    return person(feeder, "bob")


def copy(source: str, target: str, **fields: object) -> commands.Command:
    return command("copy_file", source=source, target=target, **fields)


def content(feeder: Feeder, path: str) -> list[int]:
    return [int.from_bytes(ref.digest, "big") for ref in feeder.catalog.file(path).chunks]


def references(feeder: Feeder) -> dict[int, tuple[int, int]]:
    """Return by seed how often each chunk is referred to, and how many files begin with it."""
    database = sqlite3.connect(feeder.path)
    try:
        rows = database.execute("SELECT digest, refs, heads FROM chunks").fetchall()
    finally:
        database.close()
    return {int.from_bytes(name, "big"): (refs, heads) for name, refs, heads in rows}


def put_long(feeder: Feeder, actor: Actor, path: str, *seeds: int) -> None:
    """Put a file of more chunks than one command touches."""
    number = 0
    for offset in range(0, len(seeds), 2):
        chunks = [chunk(seed) for seed in seeds[offset : offset + 2]]
        stage = command(
            "stage_content", node="n2", boot=1, content=number, offset=offset, owner="", chunks=chunks
        )
        number = feeder.one(stage).inode
    built = command("put_file", path=path, size=10 * len(seeds), content=number, quorum=0)
    assert status(feeder, actor, built) == "OK"


def status(feeder: Feeder, actor: Actor, built: commands.Command) -> str:
    return feeder.status(by(built, actor))


HOME = "/people/anna"
A, B = f"{HOME}/a.jpg", f"{HOME}/b.jpg"


def test_a_copy_is_a_file_of_its_own_with_the_same_chunks(feeder: Feeder, anna: Actor) -> None:
    feeder.one(by(put(A, 1, 2, mtime_ns=5), anna))
    done = feeder.one(by(copy(A, B), anna))
    assert done.inode not in (0, feeder.catalog.lookup(A).inode)
    assert content(feeder, B) == [1, 2]
    assert references(feeder) == {1: (1, 2), 2: (1, 0)}, "one content, two files"
    copied = feeder.catalog.lookup(B)
    assert copied.mtime_ns not in (0, 5), "a copy is new, as at ProFTPD's CPTO and OpenSSH's cp"
    assert (copied.size, copied.owner, copied.version) == (20, anna.owner, feeder.index)
    assert feeder.catalog.usage(anna.owner).bytes == 40
    assert status(feeder, anna, command("remove_file", path=A)) == "OK"
    assert status(feeder, anna, command("empty_trash", owner=anna.owner, limit=10)) == "OK"
    assert content(feeder, B) == [1, 2]
    assert references(feeder) == {1: (1, 1), 2: (1, 0)}


def test_what_is_replaced_goes_to_the_trash(feeder: Feeder, anna: Actor) -> None:
    feeder.one(by(put(A, 1), anna))
    before = feeder.one(by(put(B, 2), anna)).inode
    assert feeder.one(by(copy(A, B, mtime_ns=7), anna)).inode == before, "as an upload: the inode stays"
    assert content(feeder, B) == [1] and feeder.catalog.lookup(B).mtime_ns == 7
    assert files(feeder, "/people/@trash/anna") == ["b.jpg"]
    assert content(feeder, "/people/@trash/anna/b.jpg") == [2]


def test_a_copy_back_over_what_it_was_made_from(feeder: Feeder, anna: Actor) -> None:
    feeder.one(by(put(A, 1), anna))
    feeder.one(by(copy(A, B), anna))
    feeder.one(by(put(A, 2), anna))
    assert status(feeder, anna, copy(B, A)) == "OK"
    assert (content(feeder, A), content(feeder, B)) == ([1], [1])
    assert status(feeder, anna, copy(B, A)) == "OK", "and once more, over the same content"
    assert (content(feeder, A), content(feeder, B)) == ([1], [1])


def test_a_long_content_is_not_gone_through(feeder: Feeder, anna: Actor) -> None:
    put_long(feeder, anna, A, 1, 2, 3, 4, 5)
    assert status(feeder, anna, copy(A, B)) == "OK"
    assert content(feeder, B) == [1, 2, 3, 4, 5]
    assert references(feeder)[1] == (1, 2)
    feeder.one(by(put(A, 6), anna))
    feeder.one(by(put(B, 7), anna))
    for _ in range(2):
        assert status(feeder, anna, command("empty_trash", owner=anna.owner, limit=10)) == "OK"
    for _ in range(3):
        assert feeder.status(command("forget_contents", limit=2)) == "OK"
    assert references(feeder) == {6: (1, 1), 7: (1, 1)}


def test_an_empty_file_is_copied_too(feeder: Feeder, anna: Actor) -> None:
    feeder.one(by(put(A), anna))
    feeder.one(by(put(B, 1), anna))
    assert status(feeder, anna, copy(A, B)) == "OK"
    assert (content(feeder, B), feeder.catalog.lookup(B).size) == ([], 0)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (A, A, "DENIED"),
        (HOME, B, "IS_A_DIRECTORY"),
        (A, HOME, "IS_A_DIRECTORY"),
        (f"{HOME}/none", B, "NOT_FOUND"),
        (A, f"{HOME}/none/b.jpg", "NO_PARENT"),
        (A, f"{A}/b.jpg", "NOT_A_DIRECTORY"),
        (A, "/people/bob/b.jpg", "DENIED"),
        ("/people/bob/b.jpg", B, "DENIED"),
        ("/people/@inbox/bob/anna/b.jpg", B, "DENIED"),
        (A, "/people/@inbox/anna/bob/b.jpg", "DENIED"),
        (A, "/people/@inbox/bob/anna/b.jpg", "DENIED"),
        (A, "/people/@trash/anna/b.jpg", "DENIED"),
        (A, "/people/@sent/bob/anna/b.jpg", "DENIED"),
        (A, "/people/@sent/anna/b.jpg", "DENIED"),
    ],
)
def test_what_is_not_copied(
    feeder: Feeder, anna: Actor, bob: Actor, source: str, target: str, expected: str
) -> None:
    feeder.one(by(put(A, 1), anna))
    feeder.one(by(put("/people/bob/b.jpg", 2), bob))
    send(feeder, bob, "anna/x.jpg", 3)
    assert status(feeder, anna, copy(source, target)) == expected


def test_an_exclusive_copy_and_a_reserved_name(feeder: Feeder, anna: Actor) -> None:
    feeder.one(by(put(A, 1), anna))
    feeder.one(by(command("reserve_name", path=f"{HOME}/new.jpg", node="n2", boot=1), anna))
    assert status(feeder, anna, copy(A, f"{HOME}/new.jpg")) == "EXISTS"
    feeder.one(by(put(B, 2), anna))
    assert status(feeder, anna, copy(A, B, exclusive=True)) == "EXISTS"
    assert content(feeder, B) == [2]


def test_the_quota_counts_copies_and_old_trash_gives_way(feeder: Feeder, anna: Actor) -> None:
    person(feeder, "anna", trash_ns=30 * DAY, quota_bytes=30)
    feeder.one(by(put(A, 1), anna))
    feeder.one(by(put(B, 2), anna))
    assert status(feeder, anna, command("remove_file", path=B)) == "OK"
    assert status(feeder, anna, copy("/people/@trash/anna/b.jpg", f"{HOME}/c.jpg")) == "OK"
    assert status(feeder, anna, copy("/people/@trash/anna/b.jpg", f"{HOME}/d.jpg")) == "OK", (
        "it gives way to its copy"
    )
    assert (content(feeder, f"{HOME}/d.jpg"), files(feeder, "/people/@trash/anna")) == ([2], [])
    assert status(feeder, anna, copy(A, f"{HOME}/e.jpg")) == "QUOTA"
    assert references(feeder) == {1: (1, 1), 2: (1, 2)}


def test_a_copy_to_somebody_is_a_delivery(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    feeder.one(by(put(A, 1), anna))
    assert opens(feeder, anna, "bob") == "OK"
    done = feeder.one(by(copy(A, sent(anna, "bob/a.jpg")), anna))
    assert (done.accepted, inbox(feeder, "bob")) == (1, ["anna/a.jpg"])
    assert references(feeder) == {1: (1, 3)}
    assert feeder.one(by(copy(A, sent(anna, "bob/a.jpg")), anna)).repeated
    assert feeder.one(by(put(sent(anna, "bob/a.jpg"), 1), anna)).repeated, "whoever puts it again"
    feeder.one(by(put(A, 2), anna))
    assert feeder.one(by(copy(A, sent(anna, "bob/a.jpg")), anna)).accepted == 1
    assert inbox(feeder, "bob") == ["anna/a (2).jpg", "anna/a.jpg"]
    assert status(feeder, anna, copy(A, sent(anna, "bob/a.part"), draft=True)) == "OK"
    assert len(inbox(feeder, "bob")) == 2, "a draft's name"


def test_a_long_content_is_delivered_by_a_copy(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    put_long(feeder, anna, A, 1, 2, 3)
    opens(feeder, anna, "bob")
    assert status(feeder, anna, copy(A, sent(anna, "bob/a.jpg"))) == "OK"
    assert content(feeder, "/people/@inbox/bob/anna/a.jpg") == [1, 2, 3]
    assert feeder.one(by(copy(A, sent(anna, "bob/a.jpg")), anna)).repeated


def test_who_copies_out_of_the_inbox_keeps_it(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/x.jpg", 1, expires_ns=DAY)
    send(feeder, anna, "bob/y.jpg", 2, expires_ns=DAY)
    here = "/people/@inbox/bob/anna/x.jpg"
    assert status(feeder, bob, copy(here, "/people/bob/x.jpg")) == "OK"
    assert states(feeder, "anna") == [("bob", "DELIVERED"), ("bob", "KEPT")]
    assert status(feeder, anna, command("remove_file", path=sent(anna, "bob/x.jpg"))) == "OK"
    assert past(feeder, "anna") == [("bob/x.jpg", "KEPT")]
    assert inbox(feeder, "bob") == ["anna/x.jpg", "anna/y.jpg"], "it is not recalled"
    advance(feeder, 2 * DAY)
    assert inbox(feeder, "bob") == []
    assert past(feeder, "anna") == [("bob/x.jpg", "KEPT"), ("bob/y.jpg", "EXPIRED")]
    assert content(feeder, "/people/bob/x.jpg") == [1]
    assert feeder.catalog.usage(f"{bob.owner}/@inbox").files == 0


def test_who_publishes_a_copy_of_what_came_has_kept_it(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    """SFTP's copy-data: the chunks come with the command, which says of what they are."""
    carl = person(feeder, "carl")
    for name in ("x", "y", "z", "u"):
        send(feeder, anna, f"bob/{name}", 1)
    x, y, z = (feeder.catalog.lookup(f"/people/@inbox/bob/anna/{name}").inode for name in "xyz")
    assert status(feeder, bob, put("/people/bob/x", 1, kept=x)) == "OK"
    opens(feeder, bob, "carl")
    assert status(feeder, bob, put(sent(bob, "carl/y"), 1, kept=y)) == "OK"
    assert status(feeder, carl, put("/people/carl/z", 1, kept=z)) == "OK"
    for number in (0, 10**9, 2**63, 2**64 - 1, feeder.catalog.lookup("/people/bob/x").inode):
        assert status(feeder, bob, put("/people/bob/u", 1, kept=number)) == "OK"
    feeder.one(by(put("/people/bob/gone", 1, kept=y, handle=commands.Handle(inode=10**9)), bob))
    assert states(feeder, "anna") == [("bob", "DELIVERED")] * 3 + [("bob", "KEPT")]
    assert status(feeder, anna, command("remove_file", path=sent(anna, "bob/x"))) == "OK"
    assert past(feeder, "anna") == [("bob/x", "KEPT")]


def test_what_was_copied_can_be_deleted_or_moved_out(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    for name in ("x.jpg", "y.jpg"):
        send(feeder, anna, f"bob/{name}", 1)
        here = f"/people/@inbox/bob/anna/{name}"
        assert status(feeder, bob, copy(here, f"/people/bob/{name}")) == "OK"
    assert status(feeder, bob, command("remove_file", path="/people/@inbox/bob/anna/x.jpg")) == "OK"
    moved = command("rename", source="/people/@inbox/bob/anna/y.jpg", target="/people/bob/again.jpg")
    assert status(feeder, bob, moved) == "OK"
    assert states(feeder, "anna") == [("bob", "KEPT"), ("bob", "KEPT")]
    assert feeder.catalog.usage(f"{bob.owner}/@inbox").files == 0


def test_what_is_kept_by_a_copy_needs_room_in_the_quota(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    person(feeder, "bob", quota_bytes=5)
    send(feeder, anna, "bob/x.jpg", 1)
    assert status(feeder, bob, copy("/people/@inbox/bob/anna/x.jpg", "/people/bob/x.jpg")) == "QUOTA"
    assert states(feeder, "anna") == [("bob", "DELIVERED")]


def test_what_came_and_is_sent_on_is_not_kept(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    person(feeder, "carl")
    assert opens(feeder, anna, "bob") == "OK"
    put_long(feeder, anna, sent(anna, "bob/x.jpg"), 1, 2, 3)
    opens(feeder, bob, "carl")
    assert status(feeder, bob, copy("/people/@inbox/bob/anna/x.jpg", sent(bob, "carl/x.jpg"))) == "OK"
    assert states(feeder, "anna") == [("bob", "DELIVERED")]
    assert inbox(feeder, "carl") == ["bob/x.jpg"]


def test_an_operator_who_looks_keeps_nothing(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    rule = commands.Rule(path="/people/@inbox/bob", rights="elr")
    user = commands.User(name="op", password_hash="x", home="/", rights="elradfmwMTA", rules=[rule])
    assert feeder.status(command("put_user", user=user)) == "OK"
    send(feeder, anna, "bob/x.jpg", 1)
    found = feeder.catalog.user("op")
    assert found is not None
    assert status(feeder, Actor.session(found), copy("/people/@inbox/bob/anna/x.jpg", "/seen.jpg")) == "OK"
    assert states(feeder, "anna") == [("bob", "DELIVERED")]


def test_before_level_3_there_are_no_copies(tmp_path: Path) -> None:
    assert refusal(by(copy("/a", "/b"), Actor.system("test")).SerializeToString(), 2) is not None
