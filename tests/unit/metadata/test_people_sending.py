"""What is put to a person is in that person's inbox, once: decided where the command is applied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from catalogs import Feeder, by, command, digest, put
from people import (
    DAY,
    HOUR,
    advance,
    files,
    inbox,
    opens,
    past,
    person,
    persons,
    retire,
    send,
    sent,
    session,
    states,
)

from raftstore.errors import NotFound
from raftstore.metadata.tables.accounts.accounts import LONGEST_NS
from raftstore.metadata.tables.cluster.advancing import LATEST_NS
from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.people import records, sending
from raftstore.rights import ROLES, Actor
from raftstore.types import Usage
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feeder]:
    """Cluster time is ten days after the commands'. What was done is done again in the end: by the same bounds."""
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, 10 * DAY)
        yield made
        made.check_replay(tmp_path / "replayed" / "catalog.db")


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    return person(feeder, "anna")


@pytest.fixture
def bob(feeder: Feeder) -> Actor:
    return person(feeder, "bob")


def status(feeder: Feeder, actor: Actor, built: commands.Command) -> str:
    return feeder.status(by(built, actor))


def remove(path: str) -> commands.Command:
    return command("remove_file", path=path)


def rename(source: str, target: str, **fields: object) -> commands.Command:
    return command("rename", source=source, target=target, **fields)


def ok(result: commands.Result) -> bool:
    return result.status == commands.OK


def chunks_kept(feeder: Feeder, *seeds: int) -> list[bool]:
    names = [digest(seed) for seed in seeds]
    return [name not in feeder.catalog.unlisted(names, 1) for name in names]


def test_what_is_put_is_in_the_inbox_and_among_what_was_sent(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    result = send(feeder, anna, "bob/a.jpg", 1, 2, mtime_ns=77)
    assert (result.status, result.accepted, result.refused) == (commands.OK, 1, 0)
    assert files(feeder, "/people/@sent/anna") == ["bob/a.jpg"]
    found = feeder.catalog.file("/people/@inbox/bob/anna/a.jpg")
    assert [ref.digest for ref in found.chunks] == [digest(1), digest(2)]
    assert (found.entry.size, found.entry.mtime_ns) == (20, 77)
    assert states(feeder, "anna") == [("bob", "DELIVERED")]


def test_who_pays_is_the_sender_and_no_quota_of_the_recipient_is_touched(feeder: Feeder, anna: Actor) -> None:
    bob = person(feeder, "bob", quota_bytes=1, quota_files=1)
    assert ok(send(feeder, anna, "bob/a.jpg", 1))
    assert bob.owner != anna.owner
    assert feeder.catalog.usage(anna.owner) == Usage(1, 10)
    assert feeder.catalog.usage(bob.owner) == Usage(0, 0)
    assert feeder.catalog.usage(f"{bob.owner}/@inbox") == Usage(2, 10)
    assert feeder.catalog.orphans() == []


def test_a_full_quota_of_the_sender_refuses_and_delivers_nothing(feeder: Feeder, bob: Actor) -> None:
    anna = person(feeder, "anna", quota_bytes=15)
    assert ok(send(feeder, anna, "bob/a.jpg", 1))
    assert send(feeder, anna, "bob/b.jpg", 2).status == commands.QUOTA
    assert inbox(feeder, "bob") == ["anna/a.jpg"]


def test_the_content_stays_as_long_as_either_refers_to_it(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    entry = send(feeder, anna, "bob/a.jpg", 1, 1)
    feeder.one(command("mark_opened", inodes=[inbox_inode(feeder, "bob", "anna/a.jpg")]))
    assert entry.inode
    assert status(feeder, anna, remove(sent(anna, "bob/a.jpg"))) == "OK"
    assert inbox(feeder, "bob") == ["anna/a.jpg"]
    assert chunks_kept(feeder, 1) == [True]
    assert status(feeder, bob, remove("/people/@inbox/bob/anna/a.jpg")) == "OK"
    assert chunks_kept(feeder, 1) == [False]
    # And the other way round.
    send(feeder, anna, "bob/b.jpg", 2)
    assert status(feeder, bob, remove("/people/@inbox/bob/anna/b.jpg")) == "OK"
    assert chunks_kept(feeder, 2) == [True]
    assert status(feeder, anna, remove(sent(anna, "bob/b.jpg"))) == "OK"
    assert chunks_kept(feeder, 2) == [False]


def inbox_inode(feeder: Feeder, name: str, way: str) -> int:
    return feeder.catalog.lookup(f"/people/@inbox/{name}/{way}").inode


def test_counters_of_copies_follow(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a.jpg", 1, 2)
    assert feeder.catalog.store_totals(1) == (2, 20)
    status(feeder, anna, remove(sent(anna, "bob/a.jpg")))
    assert feeder.catalog.store_totals(1) == (0, 0)


# Who takes nothing.


def other(feeder: Feeder, why: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "disabled": {"disabled": True},
        "full": {"inbox_files": 2},  # a directory is one
        "full of bytes": {"inbox_bytes": 9},
        "full of hers": {"sender_bytes": 9},
    }
    if why != "unknown":
        bob = person(feeder, "bob", **fields.get(why, {}))
        if why == "blocking":
            assert status(feeder, bob, command("block", person="bob", name="anna")) == "OK"
        elif why == "no person":
            user = commands.User(name="bob", home="/b", rights="elr")
            assert feeder.status(command("put_user", user=user)) == "OK"
        elif why == "full":
            person(feeder, "carl")
            assert ok(send(feeder, session(feeder, "carl"), "bob/c.jpg", 9))


REASONS = ["unknown", "disabled", "blocking", "no person", "full", "full of bytes", "full of hers"]


@pytest.mark.parametrize("why", REASONS)
def test_all_who_take_nothing_are_alike(feeder: Feeder, anna: Actor, why: str) -> None:
    other(feeder, why)
    if why.startswith("full of"):  # that is found out with the picture
        assert opens(feeder, anna, "bob") == "OK"
        refused = feeder.one(by(put(sent(anna, "bob/a.jpg"), 1), anna))
    else:
        refused = feeder.one(by(command("make_directory", path=sent(anna, "bob")), anna))
    assert (refused.status, refused.detail) == (commands.NOT_FOUND, "bob takes no pictures from you")
    assert status(feeder, anna, put("/people/anna/a.jpg", 1)) == "OK"
    refused = feeder.one(by(command("send_file", path="/people/anna/a.jpg", to="bob"), anna))
    assert (refused.status, refused.detail) == (commands.NOT_FOUND, "bob takes no pictures from you")


def test_who_blocks_later_gets_nothing_more_and_takes_again(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert ok(send(feeder, anna, "bob/a.jpg", 1))
    assert status(feeder, bob, command("block", person="bob", name="anna")) == "OK"
    refused = send(feeder, anna, "bob/b.jpg", 2)
    assert (refused.status, refused.detail) == (commands.NOT_FOUND, "bob takes no pictures from you")
    assert status(feeder, bob, command("block", person="bob", name="anna", off=True)) == "OK"
    assert ok(send(feeder, anna, "bob/b.jpg", 2))


def test_limits_of_an_inbox_are_by_sender_and_in_all(feeder: Feeder, anna: Actor) -> None:
    person(feeder, "bob", sender_files=2, inbox_files=5)  # of which two are directories
    carl = person(feeder, "carl")
    assert [send(feeder, anna, f"bob/{n}", n).status for n in (1, 2, 3)] == [0, 0, commands.NOT_FOUND]
    assert [send(feeder, carl, f"bob/{n}", n).status for n in (1, 2)] == [0, commands.NOT_FOUND]
    feeder.reopen()
    assert send(feeder, anna, "bob/3", 3).status == commands.NOT_FOUND
    assert status(feeder, session(feeder, "bob"), remove("/people/@inbox/bob/anna/1")) == "OK"
    assert ok(send(feeder, anna, "bob/3", 3))


def test_nobody_sends_to_oneself_or_for_another(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert opens(feeder, anna, "anna") == "DENIED"
    assert opens(feeder, anna, "bob") == "OK"
    assert status(feeder, bob, put(sent(anna, "bob/a.jpg"), 1)) == "DENIED"
    assert status(feeder, anna, put(sent(anna, "a.jpg"), 1)) == "DENIED"
    assert feeder.status(put(sent(anna, "bob/a.jpg"), 1, owner="")) == "DENIED"
    assert feeder.status(put("/people/@inbox/bob/a.jpg", 1)) == "DENIED"
    admin = commands.User(name="root", home="/", rights=ROLES["admin"])
    admin.rules.add(path="/people", rights=ROLES["admin"])
    assert feeder.status(command("put_user", user=admin)) == "OK"
    assert status(feeder, session(feeder, "root"), put(sent(anna, "bob/a.jpg"), 1)) == "DENIED"


# Names.


def test_a_name_that_is_taken_gets_a_number(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    for seed in range(1, 8):
        assert ok(send(feeder, anna, "bob/a.jpg", seed))
    assert inbox(feeder, "bob") == [f"anna/a ({n}).jpg" for n in range(2, 8)] + ["anna/a.jpg"]
    assert files(feeder, "/people/@sent/anna") == ["bob/a.jpg"]
    assert [ref.digest for ref in feeder.catalog.file(sent(anna, "bob/a.jpg")).chunks] == [digest(7)]
    assert past(feeder, "anna") == [("bob/a.jpg", "DELIVERED")] * 6


def test_subfolders_travel_along_even_where_a_file_is_in_the_way(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    assert ok(send(feeder, anna, "bob/d", 1))
    feeder.one(command("mark_opened", inodes=[inbox_inode(feeder, "bob", "anna/d")]))
    assert status(feeder, anna, remove(sent(anna, "bob/d"))) == "OK"
    assert status(feeder, anna, command("make_directory", path=sent(anna, "bob/d"))) == "OK"
    assert ok(feeder.one(by(put(sent(anna, "bob/d/a.jpg"), 2), anna)))
    assert inbox(feeder, "bob") == ["anna/d", "anna/d (2)/a.jpg"]


def test_names_too_long_to_be_reached_in_an_inbox_are_refused(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    opens(feeder, anna, "bob")
    way = "bob"
    for _ in range(12):
        way += "/" + "d" * 250
        assert status(feeder, anna, command("make_directory", path=sent(anna, way))) == "OK"
    assert status(feeder, anna, put(sent(anna, f"{way}/a.jpg"), 1)) == "BAD_NAME"


# Again.


def test_the_same_again_within_a_day_is_delivered_once(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    first = send(feeder, anna, "bob/a.jpg", 1, 2)
    again = send(feeder, anna, "bob/a.jpg", 1, 2)
    assert (again.status, again.inode, again.repeated) == (commands.OK, first.inode, True)
    advance(feeder, DAY - HOUR)
    assert send(feeder, anna, "bob/a.jpg", 1, 2).repeated
    assert inbox(feeder, "bob") == ["anna/a.jpg"]
    assert (feeder.catalog.usage(anna.owner), past(feeder, "anna")) == (Usage(1, 20), [])
    advance(feeder, 2 * HOUR)
    assert not send(feeder, anna, "bob/a.jpg", 1, 2).repeated
    assert inbox(feeder, "bob") == ["anna/a (2).jpg", "anna/a.jpg"]


def test_the_same_again_is_known_after_a_block_and_not_after_it_was_recalled(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    assert ok(send(feeder, anna, "bob/a.jpg", 1))
    assert status(feeder, bob, command("block", person="bob", name="anna")) == "OK"
    assert send(feeder, anna, "bob/a.jpg", 1).repeated
    assert status(feeder, anna, remove(sent(anna, "bob/a.jpg"))) == "OK"
    assert send(feeder, anna, "bob/a.jpg", 1).status == commands.NOT_FOUND


def test_other_content_or_another_name_is_another_delivery(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert ok(send(feeder, anna, "bob/a.jpg", 1, 2))
    assert not send(feeder, anna, "bob/a.jpg", 2, 1).repeated
    assert not send(feeder, anna, "bob/b.jpg", 2, 1).repeated
    assert len(inbox(feeder, "bob")) == 3


def again_by(feeder: Feeder, anna: Actor, how: str, to: str, seed: int) -> commands.Result:
    """Put a picture to somebody as `a`: by a put, a copy of a stored one, or a name for writing that is renamed."""
    if how == "send":
        assert status(feeder, anna, put("/people/anna/a", seed)) == "OK"
        return feeder.one(by(command("send_file", path="/people/anna/a", to=to), anna))
    if how == "put":
        return send(feeder, anna, f"{to}/a", seed)
    assert ok(send(feeder, anna, f"{to}/a.part", seed, draft=True))
    return feeder.one(by(rename(sent(anna, f"{to}/a.part"), sent(anna, f"{to}/a")), anna))


HOW = pytest.mark.parametrize("how", ["put", "send", "rename"])


@HOW
def test_the_same_again_is_the_delivery_that_was_made_whatever_was_put_between(
    feeder: Feeder, tmp_path: Path, anna: Actor, bob: Actor, how: str
) -> None:
    repeated = [again_by(feeder, anna, how, "bob", seed).repeated for seed in (1, 2, 3, 1, 2, 1, 1)]
    assert repeated == [False, False, False, True, True, True, True]
    assert inbox(feeder, "bob") == ["anna/a", "anna/a (2)", "anna/a (3)"]
    assert [ref.digest for ref in feeder.catalog.file(sent(anna, "bob/a")).chunks] == [digest(1)]
    assert states(feeder, "anna") == [("bob", "DELIVERED")]
    assert past(feeder, "anna") == [("bob/a", "DELIVERED")] * 2
    assert status(feeder, anna, remove(sent(anna, "bob/a"))) == "OK"
    assert inbox(feeder, "bob") == ["anna/a (2)", "anna/a (3)"], "it can be recalled again"
    feeder.reopen()
    assert again_by(feeder, anna, how, "bob", 2).repeated
    assert not again_by(feeder, anna, how, "bob", 1).repeated, "what was recalled is sent anew"
    assert inbox(feeder, "bob") == ["anna/a", "anna/a (2)", "anna/a (3)"]
    advance(feeder, DAY + HOUR)
    assert not again_by(feeder, anna, how, "bob", 3).repeated
    feeder.check_replay(tmp_path / "replayed.db")


@pytest.mark.parametrize("how", ["opened", "removed", "moved", "copied", "moved and removed"])
def test_the_same_again_is_known_whatever_has_become_of_it(
    feeder: Feeder, anna: Actor, bob: Actor, how: str
) -> None:
    send(feeder, anna, "bob/a", 1)
    send(feeder, anna, "bob/a", 2)
    here = "/people/@inbox/bob/anna/a"
    if how == "opened":
        feeder.one(command("mark_opened", inodes=[feeder.catalog.lookup(here).inode]))
    elif how == "copied":
        assert status(feeder, bob, command("copy_file", source=here, target="/people/bob/a")) == "OK"
    elif how == "removed":
        assert status(feeder, bob, remove(here)) == "OK"
    else:
        assert status(feeder, bob, rename(here, "/people/bob/a")) == "OK"
    if how == "moved and removed":
        assert status(feeder, bob, remove("/people/bob/a")) == "OK"
    came = inbox(feeder, "bob")
    assert send(feeder, anna, "bob/a", 1).repeated
    assert inbox(feeder, "bob") == came
    state = {"opened": "OPENED", "removed": "DELIVERED"}.get(how, "KEPT")
    assert states(feeder, "anna") == [("bob", state)]
    assert status(feeder, anna, remove(sent(anna, "bob/a"))) == "OK"
    assert inbox(feeder, "bob") == came
    ended = "DELIVERED" if how == "removed" else state
    assert sorted(past(feeder, "anna")) == sorted([("bob/a", "DELIVERED"), ("bob/a", ended)])


def test_what_came_back_expires_when_it_was_to(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a", 1, expires_ns=3 * HOUR)
    send(feeder, anna, "bob/a", 2)
    advance(feeder, HOUR)
    assert send(feeder, anna, "bob/a", 1).repeated
    advance(feeder, 3 * HOUR)
    assert inbox(feeder, "bob") == ["anna/a (2)"]
    assert files(feeder, sent(anna, "bob")) == []
    assert send(feeder, anna, "bob/a", 2).repeated
    assert not send(feeder, anna, "bob/a", 1).repeated


def test_what_came_back_goes_to_who_has_it_not(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    persons(feeder, "carl", "dora")
    carl = session(feeder, "carl")
    team(feeder, "anna", "bob", "carl")
    status(feeder, carl, command("block", person="carl", name="anna"))
    send(feeder, anna, "team/a", 1)
    send(feeder, anna, "team/a", 2)
    status(feeder, carl, command("block", person="carl", name="anna", off=True))
    team(feeder, "anna", "bob", "carl", "dora")
    done = send(feeder, anna, "team/a", 1)
    assert (done.accepted, done.refused, done.repeated) == (2, 0, True)
    assert [inbox(feeder, name) for name in ("bob", "carl", "dora")] == [
        ["anna/a", "anna/a (2)"],
        ["anna/a"],
        ["anna/a"],
    ]


def test_what_gave_way_is_known_within_bounds_and_as_long_as_its_sender_is(
    feeder: Feeder, anna: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_REPLACED", 2)
    for seed in (1, 2, 3, 4):
        send(feeder, anna, "bob/a", seed)
    assert tables(feeder, "replaced") == [2]
    assert not send(feeder, anna, "bob/a", 1).repeated
    assert send(feeder, anna, "bob/a", 3).repeated
    feeder.one(command("remove_user", name="anna"))
    while not feeder.one(command("purge_person", identity=anna.owner, limit=64)).finished:
        pass
    assert tables(feeder, "replaced") == [0]


def test_what_gave_way_and_of_which_a_part_is_forgotten_does_not_come_back(
    feeder: Feeder, anna: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brought back from what is left, the inboxes held entries of which no record knew: a later send stopped nodes."""
    monkeypatch.setattr(records, "MAX_KEPT", 4)
    person(feeder, "carl")
    person(feeder, "dora")
    team(feeder, "bob", "carl", "dora", "anna")
    for seed in (1, 2):
        assert ok(send(feeder, anna, "team/a", seed))
    for seed in (3, 4):
        assert ok(send(feeder, anna, "carl/b", seed))
        assert status(feeder, anna, remove(sent(anna, "carl/b"))) == "OK"
    assert tables(feeder, "replaced") == [0]
    again = send(feeder, anna, "team/a", 1)
    assert (again.repeated, again.accepted) == (False, 3)
    for name in inbox(feeder, "bob"):
        assert status(feeder, bob, remove(f"/people/@inbox/bob/{name}")) == "OK"
    assert feeder.catalog.listing("/people/@inbox/bob") == []
    assert feeder.catalog.usage(f"{bob.owner}/@inbox") == Usage(0, 0)
    assert ok(send(feeder, anna, "bob/c", 5))
    assert inbox(feeder, "bob") == ["anna/c"]


def team(feeder: Feeder, *members: str) -> None:
    assert feeder.status(command("put_group", group=commands.Group(name="team", members=members))) == "OK"


@HOW
def test_a_repeat_reaches_those_of_a_group_who_have_it_not(
    feeder: Feeder, anna: Actor, bob: Actor, how: str
) -> None:
    carl = person(feeder, "carl")
    person(feeder, "dora")
    team(feeder, "anna", "bob", "carl")
    status(feeder, carl, command("block", person="carl", name="anna"))
    assert status(feeder, anna, put("/people/anna/a", 1)) == "OK"

    def again() -> commands.Result:
        return again_by(feeder, anna, how, "team", 1)

    first = again()
    assert (first.accepted, first.refused, first.repeated) == (1, 1, False)
    status(feeder, carl, command("block", person="carl", name="anna", off=True))
    status(feeder, bob, remove("/people/@inbox/bob/anna/a"))
    person(feeder, "nobody")
    team(feeder, "anna", "bob", "carl", "dora", "nobody")
    retire(feeder, "nobody")
    second = again()
    assert (second.accepted, second.refused, second.repeated) == (2, 1, True)
    assert [inbox(feeder, name) for name in ("bob", "carl", "dora")] == [[], ["anna/a"], ["anna/a"]]
    standing = [("bob", "DELIVERED"), ("carl", "DELIVERED"), ("dora", "DELIVERED"), ("nobody", "REFUSED")]
    assert states(feeder, "anna") == standing
    third = again()
    assert (third.accepted, third.refused, third.repeated) == (0, 0, True)
    assert status(feeder, anna, remove(sent(anna, "team/a"))) == "OK"
    assert inbox(feeder, "carl") == []
    assert chunks_kept(feeder, 1) == [True] and tables(feeder, "sent", "deliveries") == [0, 0]


def test_a_repeat_goes_to_no_more_than_a_group_has(
    feeder: Feeder, anna: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    person(feeder, "carl")
    team(feeder, "anna", "bob")
    assert ok(send(feeder, anna, "team/a", 1))
    team(feeder, "anna", "carl")
    monkeypatch.setattr(sending, "MAX_MEMBERS", 1)
    assert send(feeder, anna, "team/a", 1).status == commands.QUOTA
    assert (inbox(feeder, "carl"), states(feeder, "anna")) == ([], [("bob", "DELIVERED")])


# Directories in an inbox.


def under(feeder: Feeder, actor: Actor, *ways: str) -> None:
    for way in ways:
        assert status(feeder, actor, command("make_directory", path=sent(actor, way))) == "OK"


@pytest.mark.parametrize("how", ["recalled", "deleted", "expired", "kept"])
def test_a_directory_in_an_inbox_goes_with_the_last_file_in_it(
    feeder: Feeder, anna: Actor, bob: Actor, how: str
) -> None:
    under(feeder, anna, "bob", "bob/d", "bob/d/e")
    for way in ("bob/d/e/a", "bob/d/b"):
        assert ok(feeder.one(by(put(sent(anna, way), 1, expires_ns=HOUR), anna)))
    assert feeder.catalog.usage(f"{bob.owner}/@inbox") == Usage(5, 20)
    for way, left in (("d/e/a", ["anna/d/b"]), ("d/b", [])):
        if how == "recalled":
            assert status(feeder, anna, remove(sent(anna, f"bob/{way}"))) == "OK"
        elif how == "deleted":
            assert status(feeder, bob, remove(f"/people/@inbox/bob/anna/{way}")) == "OK"
        elif how == "kept":
            kept = rename(f"/people/@inbox/bob/anna/{way}", f"/people/bob/{way[-1]}")
            assert status(feeder, bob, kept) == "OK"
        if how != "expired":
            assert inbox(feeder, "bob") == left
    advance(feeder, 2 * HOUR)
    assert feeder.catalog.listing("/people/@inbox/bob") == []
    assert feeder.catalog.usage(f"{bob.owner}/@inbox") == Usage(0, 0)
    assert tables(feeder, "inboxes") == [0]
    assert ok(send(feeder, anna, "bob/again", 2))
    assert inbox(feeder, "bob") == ["anna/again"]


def test_directories_count_to_what_one_sender_may_have_there(feeder: Feeder, anna: Actor) -> None:
    bob = person(feeder, "bob", sender_files=3)
    carl = person(feeder, "carl")
    under(feeder, anna, "bob", "bob/1", "bob/1/2", "bob/1/2/3")
    assert status(feeder, anna, put(sent(anna, "bob/1/2/3/a"), 1)) == "NOT_FOUND"
    assert status(feeder, anna, put(sent(anna, "bob/1/2/a"), 1)) == "OK"
    assert status(feeder, anna, put(sent(anna, "bob/1/b"), 1)) == "NOT_FOUND"
    assert ok(send(feeder, carl, "bob/a", 2))
    assert status(feeder, bob, remove("/people/@inbox/bob/anna/1/2/a")) == "OK"
    assert status(feeder, anna, put(sent(anna, "bob/1/b"), 1)) == "OK"
    assert inbox(feeder, "bob") == ["anna/1/b", "carl/a"]


# Drafts.


@pytest.mark.parametrize("seeds", [(), (1,)])
def test_a_draft_waits_and_is_delivered_when_it_is_filled(
    feeder: Feeder, anna: Actor, bob: Actor, seeds: tuple[int, ...]
) -> None:
    draft = send(feeder, anna, "bob/a.jpg", *seeds, draft=True)
    assert (draft.status, draft.accepted) == (commands.OK, 0)
    assert (inbox(feeder, "bob"), states(feeder, "anna")) == ([], [])
    assert feeder.catalog.usage(anna.owner) == Usage(1, 10 * len(seeds))
    assert send(feeder, anna, "bob/a.jpg", 2).accepted == 1
    assert inbox(feeder, "bob") == ["anna/a.jpg"]
    assert past(feeder, "anna") == []


def test_a_draft_that_is_renamed_is_delivered_once(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    for _ in range(2):
        assert ok(send(feeder, anna, "bob/a.jpg.part", 1, 2, draft=True))
        done = rename(sent(anna, "bob/a.jpg.part"), sent(anna, "bob/a.jpg"))
        assert status(feeder, anna, done) == "OK"
        assert (inbox(feeder, "bob"), states(feeder, "anna")) == (["anna/a.jpg"], [("bob", "DELIVERED")])
        assert files(feeder, "/people/@sent/anna") == ["bob/a.jpg"]
    assert feeder.catalog.usage(anna.owner) == Usage(1, 20)


def test_a_draft_under_another_draft_s_name_waits(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a.part", 1, draft=True)
    assert status(feeder, anna, rename(sent(anna, "bob/a.part"), sent(anna, "bob/b.part"), draft=True)) == "OK"
    send(feeder, anna, "bob/empty")
    assert status(feeder, anna, rename(sent(anna, "bob/empty"), sent(anna, "bob/a"))) == "OK"
    assert inbox(feeder, "bob") == []


def test_an_empty_file_over_what_was_delivered_begins_a_repetition(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    assert ok(send(feeder, anna, "bob/a.jpg"))  # as Finder does
    assert send(feeder, anna, "bob/a.jpg", 1).accepted == 1
    assert send(feeder, anna, "bob/a.jpg").repeated
    assert send(feeder, anna, "bob/a.jpg", 1).repeated
    assert inbox(feeder, "bob") == ["anna/a.jpg"]


def test_a_draft_goes_a_day_after_its_last_change(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a.part", 1, draft=True)
    advance(feeder, DAY - HOUR)
    send(feeder, anna, "bob/a.part", 1, 2, draft=True)
    advance(feeder, DAY - HOUR)
    assert files(feeder, "/people/@sent/anna") == ["bob/a.part"]
    advance(feeder, 2 * HOUR)
    assert (files(feeder, "/people/@sent/anna"), chunks_kept(feeder, 1, 2)) == ([], [False, False])
    assert feeder.catalog.usage(anna.owner) == Usage(0, 0)


def test_a_handle_s_draft_that_got_its_final_name_meanwhile_is_delivered(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    draft = send(feeder, anna, "bob/a.part", 1, draft=True)
    through = commands.Handle(inode=draft.inode, version=draft.index)
    assert status(feeder, anna, rename(sent(anna, "bob/a.part"), sent(anna, "bob/b.part"), draft=True)) == "OK"
    done = feeder.one(by(put(sent(anna, "bob/a.part"), 2, draft=True, handle=through), anna))
    assert (done.status, done.accepted) == (commands.OK, 1)
    assert inbox(feeder, "bob") == ["anna/b.part"]


def test_what_its_writer_has_still_open_waits_under_whatever_name(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    half = send(feeder, anna, "bob/a.jpg", 1, unfinished=True)
    assert (half.status, half.accepted, inbox(feeder, "bob")) == (commands.OK, 0, [])
    through = commands.Handle(inode=half.inode, version=half.index)
    assert status(feeder, anna, rename(sent(anna, "bob/a.jpg"), sent(anna, "bob/b.part"), draft=True)) == "OK"
    more = put(sent(anna, "bob/a.jpg"), 1, 2, handle=through, unfinished=True)
    again = feeder.one(by(more, anna))
    assert (again.status, again.accepted, inbox(feeder, "bob")) == (commands.OK, 0, [])
    through = commands.Handle(inode=again.inode, version=again.index)
    assert feeder.one(by(put(sent(anna, "bob/a.jpg"), 1, 2, handle=through), anna)).accepted == 1
    assert inbox(feeder, "bob") == ["anna/b.part"]
    assert feeder.catalog.file("/people/@inbox/bob/anna/b.part").entry.size == 20


def test_a_handle_delivers_what_it_was_opened_on(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    opens(feeder, anna, "bob")
    directory = feeder.catalog.lookup(sent(anna, "bob")).inode
    new = commands.Handle(new=True, directory=directory, name="a.jpg")
    first = feeder.one(by(put(sent(anna, "bob/a.jpg"), handle=new), anna))
    assert first.accepted == 0
    through = commands.Handle(inode=first.inode, version=first.index)
    second = feeder.one(by(put(sent(anna, "bob/a.jpg"), 1, handle=through), anna))
    assert second.accepted == 1
    through = commands.Handle(inode=second.inode, version=second.index)
    again = feeder.one(by(put(sent(anna, "bob/a.jpg"), 1, handle=through), anna))
    assert again.repeated
    through = commands.Handle(inode=again.inode, version=again.index)
    assert feeder.one(by(put(sent(anna, "bob/a.jpg"), 2, handle=through), anna)).accepted == 1
    assert inbox(feeder, "bob") == ["anna/a (2).jpg", "anna/a.jpg"]


# Recalled, opened, kept.


def test_what_nobody_has_opened_is_recalled(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a.jpg", 1)
    assert status(feeder, anna, remove(sent(anna, "bob/a.jpg"))) == "OK"
    assert (inbox(feeder, "bob"), past(feeder, "anna")) == ([], [("bob/a.jpg", "RECALLED")])
    assert chunks_kept(feeder, 1) == [False]


def test_recalled_or_opened_is_as_the_log_says(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    for name in ("a", "b"):
        send(feeder, anna, f"bob/{name}", 1)
    first, second = (inbox_inode(feeder, "bob", f"anna/{name}") for name in ("a", "b"))
    feeder.all(
        command("mark_opened", inodes=[first, 10**12, 2**64 - 1]),
        by(remove(sent(anna, "bob/a")), anna),
        by(remove(sent(anna, "bob/b")), anna),
        command("mark_opened", inodes=[second]),
    )
    assert inbox(feeder, "bob") == ["anna/a"]
    assert past(feeder, "anna") == [("bob/a", "OPENED"), ("bob/b", "RECALLED")]


def test_what_is_moved_out_of_the_inbox_is_kept_and_the_recipient_s(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    for name in ("a", "b"):
        send(feeder, anna, f"bob/{name}", 1, expires_ns=HOUR)
    assert status(feeder, bob, rename("/people/@inbox/bob/anna/a", "/people/bob/mine")) == "OK"
    assert status(feeder, bob, rename("/people/@inbox/bob/anna/b", "/people/@shared/ours")) == "OK"
    assert feeder.catalog.lookup("/people/bob/mine").owner == bob.owner
    assert feeder.catalog.usage(bob.owner) == Usage(2, 20)
    assert states(feeder, "anna") == [("bob", "KEPT")] * 2
    assert status(feeder, anna, remove(sent(anna, "bob/a"))) == "OK"
    advance(feeder, DAY)
    assert [files(feeder, "/people/bob"), files(feeder, "/people/@shared")] == [["mine"], ["ours"]]
    assert past(feeder, "anna") == [("bob/a", "KEPT"), ("bob/b", "KEPT")]
    assert chunks_kept(feeder, 1) == [True]
    assert status(feeder, bob, remove("/people/bob/mine")) == "OK"


def test_to_keep_needs_room_of_one_s_own(feeder: Feeder, anna: Actor) -> None:
    bob = person(feeder, "bob", quota_bytes=15)
    send(feeder, anna, "bob/a", 1, 2)
    assert status(feeder, bob, rename("/people/@inbox/bob/anna/a", "/people/bob/a")) == "QUOTA"
    assert inbox(feeder, "bob") == ["anna/a"]


def test_to_keep_takes_the_place_of_what_is_there(feeder: Feeder, anna: Actor) -> None:
    bob = person(feeder, "bob", quota_bytes=15)
    assert status(feeder, bob, put("/people/bob/a", 5)) == "OK"
    send(feeder, anna, "bob/a", 1)
    assert status(feeder, bob, rename("/people/@inbox/bob/anna/a", "/people/bob/a")) == "OK"
    assert feeder.catalog.usage(bob.owner) == Usage(1, 10)
    assert chunks_kept(feeder, 1, 5) == [True, False]


def test_the_sender_is_not_to_know_what_was_deleted_unread(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/a", 1)
    assert status(feeder, bob, remove("/people/@inbox/bob/anna/a")) == "OK"
    assert states(feeder, "anna") == [("bob", "DELIVERED")]
    assert status(feeder, anna, remove(sent(anna, "bob/a"))) == "OK"
    assert past(feeder, "anna") == [("bob/a", "DELIVERED")]


REFUSED_RENAMES = [
    ("/people/@inbox/bob/anna/a", "/people/@inbox/bob/anna/b"),
    ("/people/@inbox/bob/anna/a", "/people/@sent/bob/anna/b"),
    ("/people/@inbox/bob/anna/a", "/people/@trash/bob/b"),
    ("/people/@inbox/bob/anna", "/people/bob/anna"),
    ("/people/@inbox/bob", "/people/bob/inbox"),
    ("/people/@sent/bob/anna/s", "/people/bob/s"),
    ("/people/@sent/bob/anna/s", "/people/@sent/bob/carl/s"),
    ("/people/@sent/bob/anna/s", "/people/@sent/bob/anna/t"),
    ("/people/@sent/bob/anna", "/people/@sent/bob/carl"),
    ("/people/bob/h", "/people/@sent/bob/anna/h"),
    ("/people/bob/h", "/people/@inbox/bob/h"),
    ("/people/bob/h", "/people/@trash/bob/h"),
]


@pytest.mark.parametrize(("source", "target"), REFUSED_RENAMES)
def test_nothing_is_moved_where_it_would_mean_something_else(
    feeder: Feeder, anna: Actor, bob: Actor, source: str, target: str
) -> None:
    person(feeder, "carl")
    send(feeder, anna, "bob/a", 1)
    send(feeder, bob, "anna/s", 2)
    opens(feeder, bob, "carl")
    assert status(feeder, bob, put("/people/bob/h", 3)) == "OK"
    before = feeder.catalog.digest()
    assert status(feeder, bob, rename(source, target)) == "DENIED"
    assert before != feeder.catalog.digest()  # the result is remembered
    assert feeder.catalog.lookup(source).inode
    with pytest.raises(NotFound):
        feeder.catalog.lookup(target) if "carl" not in target.split("/")[-1] else feeder.catalog.lookup("/none")


# Groups.


def test_a_group_gets_it_at_once_and_who_does_not_take_it_stands_in_the_record(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    carl = person(feeder, "carl")
    person(feeder, "nobody")
    members = ["anna", "bob", "carl", "nobody"]
    group = commands.Group(name="family", members=members)
    assert status(feeder, anna, command("put_group", group=group, create=True)) == "OK"
    retire(feeder, "nobody")
    status(feeder, carl, command("block", person="carl", name="anna"))
    done = send(feeder, anna, "family/a.jpg", 1)
    assert (done.accepted, done.refused) == (1, 2)
    assert (inbox(feeder, "bob"), inbox(feeder, "carl"), inbox(feeder, "anna")) == (["anna/a.jpg"], [], [])
    assert states(feeder, "anna") == [("bob", "DELIVERED"), ("carl", "REFUSED"), ("nobody", "REFUSED")]
    assert send(feeder, anna, "family/a.jpg", 1).repeated
    assert send(feeder, bob, "family/b.jpg", 2).accepted == 2
    assert inbox(feeder, "carl") == ["bob/b.jpg"]
    assert status(feeder, anna, remove(sent(anna, "family/a.jpg"))) == "OK"
    assert inbox(feeder, "bob") == []
    assert [state for _, state in past(feeder, "anna")] == ["RECALLED", "REFUSED", "REFUSED"]


def test_who_is_not_in_a_group_cannot_send_to_it(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert feeder.status(command("put_group", group=commands.Group(name="staff", members=["bob"]))) == "OK"
    refused = feeder.one(by(command("make_directory", path=sent(anna, "staff")), anna))
    assert refused.detail == "staff takes no pictures from you"


# Expiry.


def test_what_expires_is_gone_everywhere_but_where_it_was_kept(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    carl = person(feeder, "carl")
    group = commands.Group(name="both", members=["anna", "bob", "carl"])
    assert feeder.status(command("put_group", group=group)) == "OK"
    send(feeder, anna, "both/a", 1, expires_ns=2 * HOUR)
    send(feeder, anna, "both/b", 2)
    assert status(feeder, carl, rename("/people/@inbox/carl/anna/a", "/people/carl/a")) == "OK"
    advance(feeder, HOUR)
    assert inbox(feeder, "bob") == ["anna/a", "anna/b"]
    advance(feeder, HOUR)
    assert (inbox(feeder, "bob"), files(feeder, "/people/carl")) == (["anna/b"], ["a"])
    assert files(feeder, "/people/@sent/anna") == ["both/b"]
    assert past(feeder, "anna") == [("both/a", "EXPIRED"), ("both/a", "KEPT")]


def test_an_account_s_own_expiry_and_what_was_cleared_by_the_sender(feeder: Feeder, bob: Actor) -> None:
    anna = person(feeder, "anna", expires_ns=HOUR)
    send(feeder, anna, "bob/a", 1)
    feeder.one(command("mark_opened", inodes=[inbox_inode(feeder, "bob", "anna/a")]))
    assert status(feeder, anna, remove(sent(anna, "bob/a"))) == "OK"
    assert inbox(feeder, "bob") == ["anna/a"]
    advance(feeder, 2 * HOUR)
    assert inbox(feeder, "bob") == []
    assert past(feeder, "anna") == [("bob/a", "EXPIRED")]
    assert tables(feeder, "sent", "deliveries") == [0, 0]


def tables(feeder: Feeder, *names: str) -> list[int]:
    return [feeder.catalog._database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names]


@pytest.mark.parametrize("limit", [1, 2, 256])
def test_much_expires_a_few_at_a_time_and_the_clock_waits(
    feeder: Feeder, anna: Actor, bob: Actor, limit: int
) -> None:
    carl = person(feeder, "carl")
    assert carl.owner
    group = commands.Group(name="both", members=["anna", "bob", "carl"])
    assert feeder.status(command("put_group", group=group)) == "OK"
    for seed in range(1, 4):
        send(feeder, anna, f"both/{seed}", seed, expires_ns=HOUR)
    advance(feeder, 2 * HOUR, limit)
    assert (inbox(feeder, "bob"), inbox(feeder, "carl"), files(feeder, "/people/@sent/anna")) == ([], [], [])
    assert tables(feeder, "sent", "deliveries", "inboxes", "history") == [0, 0, 0, 6]


def test_what_was_sent_while_the_clock_stood_still_does_not_expire_early(
    feeder: Feeder, anna: Actor, bob: Actor
) -> None:
    send(feeder, anna, "bob/a", 1, expires_ns=HOUR)
    send(feeder, anna, "bob/b.part", 2, draft=True)
    now = feeder.one(command("advance_clock", time_ns=1, limit=1))
    assert now.finished
    jumped = feeder.catalog.ask(Clock, lambda clock: clock)
    feeder.one(command("advance_clock", time_ns=jumped.now_ns + 9 * DAY, limit=256))
    assert (inbox(feeder, "bob"), files(feeder, "/people/@sent/anna")) == (["anna/a"], ["bob/a", "bob/b.part"])
    advance(feeder, DAY + HOUR)
    assert (inbox(feeder, "bob"), files(feeder, "/people/@sent/anna")) == ([], [])


def test_ended_records_are_kept_for_a_while_and_not_more_than_so_many(
    feeder: Feeder, anna: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_KEPT", 3)
    for seed in range(1, 6):
        send(feeder, anna, f"bob/{seed}", seed)
        assert status(feeder, anna, remove(sent(anna, f"bob/{seed}"))) == "OK"
    assert [path for path, _ in past(feeder, "anna")] == ["bob/3", "bob/4", "bob/5"]
    advance(feeder, 29 * DAY)
    assert len(past(feeder, "anna")) == 3
    advance(feeder, 2 * DAY)
    assert past(feeder, "anna") == []
    assert feeder.catalog._database.execute("SELECT sum(history) FROM persons").fetchone()[0] == 0


@pytest.mark.parametrize("lasts", [-1, LONGEST_NS + 1])
def test_a_time_that_is_none_is_refused(feeder: Feeder, anna: Actor, bob: Actor, lasts: int) -> None:
    assert send(feeder, anna, "bob/a", 1, expires_ns=lasts).status == commands.INVALID


# What is there already.


def test_a_stored_file_is_sent_without_a_byte(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert status(feeder, anna, put("/people/anna/a.jpg", 1, 2, mtime_ns=5)) == "OK"
    done = feeder.one(by(command("send_file", path="/people/anna/a.jpg", to="bob"), anna))
    assert (done.status, done.accepted) == (commands.OK, 1)
    assert feeder.one(by(command("send_file", path="/people/anna/a.jpg", to="bob"), anna)).repeated
    found = feeder.catalog.file("/people/@inbox/bob/anna/a.jpg")
    assert ([ref.digest for ref in found.chunks], found.entry.mtime_ns) == ([digest(1), digest(2)], 5)
    assert files(feeder, "/people/@sent/anna") == ["bob/a.jpg"]
    assert feeder.catalog.usage(anna.owner) == Usage(2, 40)
    assert status(feeder, anna, remove("/people/anna/a.jpg")) == "OK"
    assert chunks_kept(feeder, 1) == [True]


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        ("/people/anna/none", "bob", "NOT_FOUND"),
        ("/people/anna/d", "bob", "IS_A_DIRECTORY"),
        ("/people/anna/empty", "bob", "DENIED"),
        ("/people/anna/a", "carl", "NOT_FOUND"),
        ("/people/anna/a", "anna", "DENIED"),
        ("/people/anna/a", "", "BAD_NAME"),
        ("/people/anna/a", "bob/d", "NOT_FOUND"),
        ("/people/anna/a", "x" * 300, "BAD_NAME"),
        ("/people/bob/b", "anna", "DENIED"),
    ],
)
def test_what_cannot_be_sent(
    feeder: Feeder, anna: Actor, bob: Actor, path: str, to: str, expected: str
) -> None:
    feeder.all(
        by(command("make_directory", path="/people/anna/d"), anna),
        by(put("/people/anna/empty"), anna),
        by(put("/people/anna/a", 1), anna),
        by(put("/people/bob/b", 2), bob),
    )
    assert status(feeder, anna, command("send_file", path=path, to=to)) == expected
    assert files(feeder, "/people/@sent/anna") == []


def test_no_time_is_too_far_to_be_counted(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    """A sum that does not fit would stop every node."""
    user = {"name": "zoe", "home": "/people/zoe", "rights": "elr", "person": True}
    for lasts in (LONGEST_NS + 1, 2**63 - 1, -1):
        assert feeder.status(command("put_user", user=commands.User(**user, expires_ns=lasts))) == "INVALID"
    for time_ns in (LATEST_NS + 1, 2**63 - 1, 0):
        assert feeder.status(command("advance_clock", time_ns=time_ns, limit=1)) == "INVALID"
    assert feeder.status(command("advance_clock", time_ns=LATEST_NS, limit=1)) == "OK"
    send(feeder, anna, "bob/late", 1, expires_ns=LONGEST_NS)
    assert inbox(feeder, "bob") == ["anna/late"]
