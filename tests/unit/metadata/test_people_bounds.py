"""What one command of persons does is bounded, and linear in what it is about: counted in SQLite's own steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, by, command, put
from people import DAY, HOUR, advance, inbox, opens, past, person, send, sent, session, states

from raftstore.rights import Actor
from raftstore.types import Usage
from raftstore.wire import commands_pb2 as commands

STEPS = 100


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, DAY)
        yield made


@pytest.fixture
def anna(feeder: Feeder) -> Actor:
    return person(feeder, "anna")


def group(feeder: Feeder, name: str, count: int) -> None:
    """Make a group of anna and so many others, and the directory to send to it."""
    members = ["anna", *(f"p{number}" for number in range(count))]
    for member in members[1:]:
        if feeder.catalog.user(member) is None:
            person(feeder, member)
    made = command("put_group", group=commands.Group(name=name, members=members))
    assert feeder.status(made) == "OK"
    opens(feeder, session(feeder, "anna"), name)


def steps(feeder: Feeder, *built: commands.Command) -> int:
    """Apply commands, one an entry; return the most steps that one took, in hundreds."""
    database, most = feeder.catalog._database, 0
    for each in built:
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        database.set_progress_handler(count, STEPS)
        assert feeder.status(each) == "OK"
        database.set_progress_handler(None, 0)
        most = max(most, counted)
    return most


def test_a_group_s_send_repeat_recall_and_expiry_grow_with_the_group_and_no_faster(
    feeder: Feeder, anna: Actor
) -> None:
    taken: dict[str, list[int]] = {}
    for count in (40, 160):
        name = f"of{count}"
        group(feeder, name, count)
        picture, lost = put(sent(anna, f"{name}/a"), count), put(sent(anna, f"{name}/b"), count + 1)
        steps(feeder, by(put(sent(anna, f"{name}/first"), 1), anna))
        each = {
            "send": [by(picture, anna)],
            "repeat": [by(picture, anna)],
            "recall": [by(command("remove_file", path=sent(anna, f"{name}/a")), anna)],
            "again": [by(lost, anna)],
        }
        for what, built in each.items():
            taken.setdefault(what, []).append(steps(feeder, *built))
        inboxes = [feeder.catalog.lookup(f"/people/@inbox/p{number}/anna/b").inode for number in range(count)]
        steps(feeder, command("mark_opened", inodes=inboxes))
        taken.setdefault("cleared", []).append(
            steps(feeder, by(command("remove_file", path=sent(anna, f"{name}/b")), anna))
        )
    for what, (few, many) in taken.items():
        assert many <= 8 * few + 20, f"{what}: {few} steps of 40, {many} of 160"


def test_what_was_cleared_by_its_sender_leaves_inboxes_by_itself(feeder: Feeder, anna: Actor) -> None:
    group(feeder, "team", 160)
    assert send(feeder, anna, "team/a", 1).accepted == 160
    where = [f"/people/@inbox/p{number}/anna/a" for number in range(160)]
    feeder.one(command("mark_opened", inodes=[feeder.catalog.lookup(path).inode for path in where]))
    feeder.one(by(command("remove_file", path=sent(anna, "team/a")), anna))
    first, last = (
        steps(feeder, by(command("remove_file", path=path), session(feeder, path.split("/")[3])))
        for path in (where[0], where[-1])
    )
    assert abs(first - last) <= 5


def test_a_purge_clears_a_sender_s_own_records_some_rows_a_command(feeder: Feeder, anna: Actor) -> None:
    group(feeder, "team", 30)
    for number in range(8):
        assert send(feeder, anna, f"team/{number}", number + 1).accepted == 30
    feeder.one(command("remove_user", name="anna"))
    rounds, removed = 0, []
    while True:
        done = feeder.one(command("purge_person", identity=anna.owner, limit=64))
        removed.append(done.removed)
        rounds += 1
        if done.finished:
            break
    assert max(removed) <= 64 and rounds >= 4
    assert len(inbox(feeder, "p0")) == 8
    assert feeder.catalog.usage(anna.owner) == Usage(0, 0)
    # What has come is its recipients'; the last of it takes along what was noted.
    for number in range(30):
        reader = session(feeder, f"p{number}")
        for each in range(8):
            path = f"/people/@inbox/p{number}/anna/{each}"
            assert feeder.status(by(command("remove_file", path=path), reader)) == "OK"
    assert _rows(feeder, "sent", "deliveries", "inboxes", "content_of") == [0, 0, 0, 0]


def test_a_purge_takes_no_more_than_some_chunks_a_command(feeder: Feeder, anna: Actor) -> None:
    for number in range(8):
        built = put(f"/people/anna/{number}", number + 1, length=200 << 20)
        assert feeder.status(by(built, anna)) == "OK"
    feeder.one(command("remove_user", name="anna"))
    done = feeder.one(command("purge_person", identity=anna.owner, limit=64))
    assert (done.removed, done.finished) == (2, False)


def test_a_record_expires_within_the_limit_of_each_command(feeder: Feeder, anna: Actor) -> None:
    group(feeder, "team", 50)
    send(feeder, anna, "team/a", 1, expires_ns=HOUR)
    send(feeder, anna, "team/b", 2, expires_ns=HOUR)
    advance(feeder, 2 * HOUR, limit=16)
    assert inbox(feeder, "p7") == []
    assert past(feeder, "anna") == [("team/a", "EXPIRED")] * 50 + [("team/b", "EXPIRED")] * 50
    assert _rows(feeder, "sent", "deliveries", "inboxes") == [0, 0, 0]


def test_a_person_goes_in_as_many_steps_whatever_its_inbox_has(feeder: Feeder, anna: Actor) -> None:
    for name, count in (("empty", 0), ("full", 200)):
        person(feeder, name)
        for number in range(count):
            send(feeder, anna, f"{name}/{number}", number + 1)
    few, many = (steps(feeder, command("remove_user", name=name)) for name in ("empty", "full"))
    assert many <= few + 5
    assert states(feeder, "anna") == [("full", "BOUNCED")] * 200


def test_long_files_that_give_way_go_in_slices(feeder: Feeder, tmp_path: Path) -> None:
    bob = person(feeder, "bob", trash_ns=30 * DAY, quota_files=64)
    for number in range(64):
        chunks = range(100 * number + 1, 100 * number + 101)
        assert feeder.status(by(put(f"/people/bob/{number}", *chunks), bob)) == "OK"
        assert feeder.status(by(command("remove_file", path=f"/people/bob/{number}"), bob)) == "OK"
    person(feeder, "bob", trash_ns=30 * DAY, quota_files=64, quota_bytes=64 * 1000)
    whole = 64 * 1000
    taken = steps(feeder, by(put("/people/bob/new", 10**6, length=whole), bob))
    assert taken < 1_000, "hundreds of steps: all chunks of 64 files are 6,400 rows, each some dozens"
    assert feeder.catalog.usage(bob.owner) == Usage(1, whole)


def _rows(feeder: Feeder, *names: str) -> list[int]:
    return [feeder.catalog._database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names]
