"""What was sent meets what is thrown away: one content of many files, kept ones in the trash, one clock for both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from catalogs import Feeder, by, chunk, command, digest, put
from people import DAY, HOUR, SECOND, advance, files, inbox, past, person, send, sent, session, states

from raftstore.metadata.tables.cluster.clock import Clock
from raftstore.metadata.tables.contents import longcontents
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.contents.staging import Staging
from raftstore.metadata.tables.names.trash import Trash
from raftstore.rights import Action, Actor
from raftstore.types import Wanted
from raftstore.wire import commands_pb2 as commands

BOBS = "/people/@trash/bob"
HERE = "/people/@inbox/bob/anna/x.jpg"


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
    return person(feeder, "bob", trash_ns=30 * DAY)


def status(feeder: Feeder, actor: Actor, built: commands.Command) -> str:
    return feeder.status(by(built, actor))


def remove(path: str) -> commands.Command:
    return command("remove_file", path=path)


def rename(source: str, target: str, **fields: object) -> commands.Command:
    return command("rename", source=source, target=target, **fields)


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


def rows(feeder: Feeder, table: str) -> int:
    database = sqlite3.connect(feeder.path)
    try:
        found: tuple[int] = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    finally:
        database.close()
    return found[0]


def trashed(feeder: Feeder, owner: Actor) -> list[str]:
    assert owner.user is not None
    identity = owner.user.owner
    return [entry.path for entry, _ in feeder.catalog.ask(Trash, lambda trash: trash.of(identity))]


def staged(feeder: Feeder, *seeds: int, owner: str = "") -> int:
    """Stage a content of these chunks."""
    number = 0
    for offset in range(0, len(seeds), 2):
        number = feeder.one(
            command(
                "stage_content",
                node="n2",
                boot=1,
                content=number,
                offset=offset,
                owner=owner,
                chunks=[chunk(seed) for seed in seeds[offset : offset + 2]],
            )
        ).inode
    return number


def send_staged(feeder: Feeder, actor: Actor, way: str, *seeds: int, **fields: object) -> commands.Result:
    number = staged(feeder, *seeds)
    built = command("put_file", path=sent(actor, way), size=10 * len(seeds), content=number, quorum=0, **fields)
    return feeder.one(by(built, actor))


def opens(feeder: Feeder, actor: Actor, to: str) -> None:
    assert status(feeder, actor, command("make_directory", path=sent(actor, to))) == "OK"


def group(feeder: Feeder, name: str, *members: str) -> None:
    built = commands.Group(name=name, members=members)
    assert feeder.status(command("put_group", group=built, create=True)) == "OK"


def forget_all(feeder: Feeder) -> None:
    while feeder.catalog.leftovers:
        assert feeder.status(command("forget_contents", limit=2)) == "OK"


# The trash of what was sent, and restoring.


def test_what_was_kept_goes_to_the_trash_of_who_keeps_it(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/x.jpg", 1)
    assert status(feeder, bob, rename(HERE, "/people/bob/x.jpg")) == "OK"
    assert status(feeder, bob, remove("/people/bob/x.jpg")) == "OK"
    assert files(feeder, BOBS) == ["x.jpg"] and trashed(feeder, bob) == ["/people/bob/x.jpg"]
    assert content(feeder, f"{BOBS}/x.jpg") == [1] and content(feeder, sent(anna, "bob/x.jpg")) == [1]
    assert status(feeder, anna, remove(sent(anna, "bob/x.jpg"))) == "OK"
    assert feeder.catalog.unlisted([digest(1)], 1) == [], "only the trash has it"
    assert status(feeder, bob, rename(f"{BOBS}/x.jpg", "/people/bob/again.jpg")) == "OK"
    assert content(feeder, "/people/bob/again.jpg") == [1] and trashed(feeder, bob) == []
    assert references(feeder) == {1: (1, 1)}


def test_what_is_sent_or_came_is_deleted_for_good(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/x.jpg", 1)
    assert status(feeder, bob, remove(HERE)) == "OK"
    assert status(feeder, anna, remove(sent(anna, "bob/x.jpg"))) == "OK"
    assert trashed(feeder, anna) == trashed(feeder, bob) == [] and references(feeder) == {}


def test_to_delete_in_the_trash_is_for_good(feeder: Feeder, bob: Actor) -> None:
    assert feeder.status(by(put("/people/bob/x.jpg", 1), bob)) == "OK"
    assert status(feeder, bob, remove("/people/bob/x.jpg")) == "OK"
    assert status(feeder, bob, remove(f"{BOBS}/x.jpg")) == "OK"
    assert (
        trashed(feeder, bob) == [] and references(feeder) == {} and feeder.catalog.usage(owner(bob)).bytes == 0
    )
    advance(feeder, 40 * DAY)  # nothing of it is left to expire


def owner(actor: Actor) -> str:
    assert actor.user is not None
    return actor.user.owner


def test_nothing_is_restored_over_a_file_nor_renamed_within_the_trash(feeder: Feeder, bob: Actor) -> None:
    for seed in (1, 2):
        assert feeder.status(by(put("/people/bob/x.jpg", seed), bob)) == "OK"
    assert files(feeder, BOBS) == ["x.jpg"], "the version that was replaced"
    assert status(feeder, bob, rename(f"{BOBS}/x.jpg", "/people/bob/x.jpg")) == "EXISTS"
    assert status(feeder, bob, rename(f"{BOBS}/x.jpg", f"{BOBS}/y.jpg")) == "DENIED"
    assert status(feeder, bob, rename("/people/bob/x.jpg", f"{BOBS}/y.jpg")) == "DENIED"
    assert status(feeder, bob, rename(f"{BOBS}/x.jpg", "/people/@sent/bob/x.jpg")) == "DENIED"
    assert content(feeder, "/people/bob/x.jpg") == [2] and content(feeder, f"{BOBS}/x.jpg") == [1]
    assert status(feeder, bob, rename(f"{BOBS}/x.jpg", "/people/bob/old.jpg")) == "OK"
    assert content(feeder, "/people/bob/old.jpg") == [1] and files(feeder, BOBS) == []


def test_nobody_passes_anothers_trash(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert feeder.status(by(put("/people/bob/x.jpg", 1), bob)) == "OK"
    assert status(feeder, bob, remove("/people/bob/x.jpg")) == "OK"
    assert status(feeder, anna, remove(f"{BOBS}/x.jpg")) == "DENIED"
    assert status(feeder, anna, rename(f"{BOBS}/x.jpg", "/people/anna/x.jpg")) == "DENIED"
    assert status(feeder, anna, command("send_file", path=f"{BOBS}/x.jpg", to="bob")) == "DENIED"
    assert trashed(feeder, bob) == ["/people/bob/x.jpg"]


def test_what_is_kept_over_a_file_puts_that_to_the_trash(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/x.jpg", 1)
    assert feeder.status(by(put("/people/bob/x.jpg", 2), bob)) == "OK"
    assert status(feeder, bob, rename(HERE, "/people/bob/x.jpg")) == "OK"
    assert content(feeder, "/people/bob/x.jpg") == [1] and content(feeder, f"{BOBS}/x.jpg") == [2]
    assert feeder.catalog.usage(owner(bob)).bytes == 20
    assert states(feeder, "anna") == [("bob", "KEPT")]


def test_who_keeps_something_has_the_oldest_of_the_trash_give_way(feeder: Feeder, anna: Actor) -> None:
    bob = person(feeder, "bob", trash_ns=30 * DAY, quota_bytes=30)
    send(feeder, anna, "bob/x.jpg", 1)
    for name, seed in (("a", 2), ("b", 3), ("c", 4)):
        assert feeder.status(by(put(f"/people/bob/{name}", seed), bob)) == "OK"
    assert [status(feeder, bob, remove(f"/people/bob/{name}")) for name in "ab"] == ["OK", "OK"]
    assert status(feeder, bob, rename(HERE, "/people/bob/x.jpg")) == "OK"
    assert trashed(feeder, bob) == ["/people/bob/b"] and feeder.catalog.usage(owner(bob)).bytes == 30


def test_a_full_quota_of_the_sender_empties_its_trash_too(feeder: Feeder, bob: Actor) -> None:
    anna = person(feeder, "anna", trash_ns=30 * DAY, quota_bytes=20)
    for name, seed in (("a", 2), ("b", 3)):
        assert feeder.status(by(put(f"/people/anna/{name}", seed), anna)) == "OK"
    assert send(feeder, anna, "bob/x.jpg", 1).status == commands.QUOTA
    assert status(feeder, anna, remove("/people/anna/a")) == "OK"
    assert send(feeder, anna, "bob/x.jpg", 1).status == commands.OK
    assert trashed(feeder, anna) == [] and inbox(feeder, "bob") == ["anna/x.jpg"]


def test_what_is_thrown_away_to_send_it_is_sent(feeder: Feeder, bob: Actor) -> None:
    """What is sent from the trash may be the very thing that gives way to it."""
    anna = person(feeder, "anna", trash_ns=30 * DAY, quota_bytes=10)
    assert feeder.status(by(put("/people/anna/x.jpg", 1), anna)) == "OK"
    assert status(feeder, anna, remove("/people/anna/x.jpg")) == "OK"
    assert status(feeder, anna, command("send_file", path="/people/@trash/anna/x.jpg", to="bob")) == "OK"
    assert trashed(feeder, anna) == [] and content(feeder, HERE) == [1]
    assert content(feeder, sent(anna, "bob/x.jpg")) == [1] and references(feeder) == {1: (1, 2)}


def test_retention_counts_what_is_kept_and_restored_in_shared(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    assert feeder.status(command("put_retention", path="/people/@shared", max_files=1)) == "OK"
    send(feeder, anna, "bob/x.jpg", 1)
    assert status(feeder, bob, rename(HERE, "/people/@shared/x.jpg")) == "OK"
    assert feeder.status(by(put("/people/@shared/y.jpg", 2), bob)) == "OK"
    assert files(feeder, "/people/@shared") == ["y.jpg"], "the oldest has gone, past the trash"
    assert trashed(feeder, bob) == []
    assert content(feeder, sent(anna, "bob/x.jpg")) == [1]


def test_a_new_person_does_not_get_what_an_earlier_account_threw_away(feeder: Feeder) -> None:
    user = commands.User(name="carl", home="/carl", rights="elradfmwMT", trash_ns=30 * DAY)
    assert feeder.status(command("put_user", user=user)) == "OK"
    carl = Actor.session(feeder.catalog.user("carl"))  # type: ignore[arg-type]
    assert status(feeder, carl, command("make_directory", path="/carl", home=True)) == "OK"
    assert feeder.status(by(put("/carl/x", 1), carl)) == "OK"
    assert status(feeder, carl, remove("/carl/x")) == "OK"
    assert feeder.status(command("remove_user", name="carl")) == "OK"
    other = commands.User(name="carl", password_hash="x", home="/people/carl", person=True)
    assert feeder.status(command("put_user", user=other)) == "EXISTS"
    emptied = feeder.one(command("empty_trash", owner=owner(carl), limit=10))
    assert emptied.removed == 1
    assert feeder.status(command("put_user", user=other)) == "OK"


def test_purging_forgets_retention_and_trash(feeder: Feeder, bob: Actor) -> None:
    feeder.make("/cams")
    assert feeder.status(command("put_retention", path="/cams", max_files=9)) == "OK"
    assert feeder.status(put("/cams/x", 1)) == "OK"
    assert feeder.status(rename("/cams", "/people/bob/cams")) == "OK"
    assert feeder.status(by(put("/people/bob/y", 2), bob)) == "OK"
    assert status(feeder, bob, remove("/people/bob/y")) == "OK"
    assert feeder.status(command("remove_user", name="bob")) == "OK"
    assert feeder.one(command("purge_person", identity=owner(bob), limit=64)).finished
    assert references(feeder) == {} and rows(feeder, "trash") == rows(feeder, "retained") == 0


# One content of many files.


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("seeds", [(1,), (1, 2), (1, 2, 3, 1)], ids=["one", "short", "long"])
def test_a_content_stays_until_the_last_who_has_it_lets_go(
    feeder: Feeder, anna: Actor, bob: Actor, seeds: tuple[int, ...], order: tuple[int, int, int]
) -> None:
    carl = person(feeder, "carl")
    group(feeder, "all", "anna", "bob", "carl")
    opens(feeder, anna, "all")
    result = send_staged(feeder, anna, "all/x.jpg", *seeds)
    assert (result.status, result.accepted) == (commands.OK, 2)
    assert rows(feeder, "contents") == len(seeds)
    where = [(anna, sent(anna, "all/x.jpg")), (bob, HERE), (carl, "/people/@inbox/carl/anna/x.jpg")]
    # Nobody recalls what was read.
    inodes = [feeder.catalog.lookup(path).inode for _, path in where[1:]]
    assert feeder.status(command("mark_opened", inodes=inodes)) == "OK"
    left = [0, 1, 2]
    for each in order:
        for other in left:
            assert content(feeder, where[other][1]) == list(seeds)
        assert references(feeder)[1] == (seeds.count(1), len(left)), "each is a file that begins with it"
        feeder.reopen()
        assert status(feeder, where[each][0], remove(where[each][1])) == "OK"
        left.remove(each)
        forget_all(feeder)
        assert (feeder.catalog.unlisted([digest(1)], 1) == []) is bool(left)
    assert references(feeder) == {} and rows(feeder, "contents") == rows(feeder, "content_of") == 0


def test_a_group_gets_a_long_file_by_a_row_each(feeder: Feeder, anna: Actor) -> None:
    members = [f"p{number}" for number in range(20)]
    for name in members:
        person(feeder, name)
    group(feeder, "all", "anna", *members)
    opens(feeder, anna, "all")
    assert send_staged(feeder, anna, "all/x.jpg", *range(1, 41)).accepted == 20
    assert rows(feeder, "contents") == 40 and rows(feeder, "content_of") == 21
    assert status(feeder, anna, remove(sent(anna, "all/x.jpg"))) == "OK", "recalled from all"
    assert rows(feeder, "content_of") == 0 and feeder.catalog.leftovers == 1
    forget_all(feeder)
    assert references(feeder) == {}


def test_a_long_draft_is_delivered_by_its_name(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    opens(feeder, anna, "bob")
    assert send_staged(feeder, anna, "bob/x.jpg.part", 1, 2, 3, draft=True).status == commands.OK
    assert inbox(feeder, "bob") == []
    final = sent(anna, "bob/x.jpg")
    assert status(feeder, anna, rename(sent(anna, "bob/x.jpg.part"), final)) == "OK"
    assert content(feeder, HERE) == content(feeder, final) == [1, 2, 3]
    assert rows(feeder, "contents") == 3
    # Again, by who does not know that it has arrived: as a draft, and at once.
    assert send_staged(feeder, anna, "bob/x.jpg.part", 1, 2, 3, draft=True).status == commands.OK
    assert feeder.one(by(rename(sent(anna, "bob/x.jpg.part"), final), anna)).repeated
    assert send_staged(feeder, anna, "bob/x.jpg", 1, 2, 3).repeated
    assert feeder.catalog.ask(Staging, lambda staging: staging.all()) == []
    assert inbox(feeder, "bob") == ["anna/x.jpg"]
    # One chunk is another.
    assert not send_staged(feeder, anna, "bob/x.jpg", 1, 2, 4).repeated
    assert inbox(feeder, "bob") == ["anna/x (2).jpg", "anna/x.jpg"]
    assert content(feeder, "/people/@inbox/bob/anna/x (2).jpg") == [1, 2, 4] and content(feeder, HERE) == [
        1,
        2,
        3,
    ]


def test_what_is_refused_leaves_what_was_staged(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    opens(feeder, anna, "bob")
    assert feeder.status(by(command("block", person="bob", name="anna"), bob)) == "OK"
    number = staged(feeder, 1, 2, 3)
    built = command("put_file", path=sent(anna, "bob/x.jpg"), size=30, content=number)
    assert status(feeder, anna, built) == "NOT_FOUND"
    assert feeder.status(command("unstage_content", node="n2", boot=1, content=number)) == "OK"
    forget_all(feeder)
    assert references(feeder) == {}


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)], ids=["short", "long"])
def test_a_file_that_was_sent_on_is_replaced_where_it_is(
    feeder: Feeder, anna: Actor, bob: Actor, seeds: tuple[int, ...]
) -> None:
    number = staged(feeder, *seeds)
    home = "/people/anna/x.jpg"
    built = command("put_file", path=home, size=10 * len(seeds), content=number)
    assert status(feeder, anna, built) == "OK"
    assert status(feeder, anna, command("send_file", path=home, to="bob")) == "OK"
    inode = feeder.catalog.lookup(home).inode
    assert rows(feeder, "contents") == len(seeds)
    assert feeder.status(by(put(home, 7, 8), anna)) == "OK"
    assert feeder.catalog.lookup(home).inode == inode and content(feeder, home) == [7, 8]
    assert content(feeder, HERE) == content(feeder, "/people/@trash/anna/x.jpg") == list(seeds)
    assert feeder.status(by(command("send_file", path=HERE, to="anna"), bob)) == "OK", "sent on"
    there = "/people/@inbox/anna/bob/x.jpg"
    for actor, path in (
        (bob, HERE),
        (anna, sent(anna, "bob/x.jpg")),
        (bob, sent(bob, "anna/x.jpg")),
        (anna, "/people/@trash/anna/x.jpg"),
    ):
        assert feeder.status(command("mark_opened", inodes=[feeder.catalog.lookup(there).inode])) == "OK"
        assert status(feeder, actor, remove(path)) == "OK"
        assert content(feeder, there) == list(seeds)
    feeder.reopen()
    assert content(feeder, home) == [7, 8]
    assert status(feeder, anna, remove(there)) == "OK"
    forget_all(feeder)
    assert references(feeder) == {7: (1, 1), 8: (1, 0)}


def test_more_copies_are_made_of_what_their_owner_wants_more_of(feeder: Feeder, anna: Actor) -> None:
    person(feeder, "bob", replicas=3)
    send(feeder, anna, "bob/x.jpg", 1)
    wanted = feeder.catalog.ask(Contents, lambda contents: contents.copies(digest(1), Wanted(2, 5))[0])
    assert wanted == 3


# Time.


def test_deliveries_and_trash_expire_at_one_log_entry(feeder: Feeder, anna: Actor, bob: Actor) -> None:
    send(feeder, anna, "bob/x.jpg", 1, expires_ns=30 * DAY)
    send(feeder, anna, "bob/kept.jpg", 2, expires_ns=30 * DAY)
    assert status(feeder, bob, rename("/people/@inbox/bob/anna/kept.jpg", "/people/bob/kept.jpg")) == "OK"
    assert feeder.status(by(put("/people/bob/y.jpg", 3), bob)) == "OK"
    assert status(feeder, bob, remove("/people/bob/y.jpg")) == "OK"
    now = feeder.catalog.ask(Clock, lambda clock: clock.now_ns)
    advance(feeder, 29 * DAY)
    assert inbox(feeder, "bob") == ["anna/x.jpg"] and trashed(feeder, bob) == ["/people/bob/y.jpg"]
    assert feeder.one(command("advance_clock", time_ns=now + 30 * DAY + HOUR, limit=256)).finished
    assert inbox(feeder, "bob") == [] == trashed(feeder, bob)
    assert files(feeder, "/people/@sent/anna/bob") == []
    assert content(feeder, "/people/bob/kept.jpg") == [2] and references(feeder) == {2: (1, 1)}
    assert past(feeder, "anna") == [("bob/kept.jpg", "KEPT"), ("bob/x.jpg", "EXPIRED")]


def test_a_few_things_go_with_one_command_and_the_clock_waits_for_the_rest(feeder: Feeder, anna: Actor) -> None:
    bob = person(feeder, "bob", trash_ns=30 * DAY)
    person(feeder, "carl")
    group(feeder, "all", "anna", "bob", "carl")
    send(feeder, anna, "all/x.jpg", 1, expires_ns=DAY)
    assert feeder.status(by(put("/people/bob/y.jpg", 3), bob)) == "OK"
    assert status(feeder, bob, remove("/people/bob/y.jpg")) == "OK"
    until = feeder.catalog.ask(Clock, lambda clock: clock.now_ns) + 60 * DAY
    advance(feeder, SECOND)
    counts = []
    while True:
        result = feeder.one(command("advance_clock", time_ns=until, limit=1))
        assert result.removed <= 3  # with a record go its recipients
        counts.append(len(inbox(feeder, "bob") + inbox(feeder, "carl")) + len(trashed(feeder, bob)))
        if result.finished:
            break
    assert counts == sorted(counts, reverse=True) and counts[-1] == 0 and len(set(counts)) > 2
    assert references(feeder) == {} and feeder.catalog.ask(Clock, lambda clock: clock.now_ns) == until


def test_who_takes_a_name_gets_no_trash_while_an_earlier_one_has_something_there(feeder: Feeder) -> None:
    def putting(trash_ns: int) -> str:
        user = commands.User(name="carl", home="/", rights="elradfmwMT", trash_ns=trash_ns)
        return feeder.status(command("put_user", user=user))

    assert putting(DAY) == "OK"
    carl = session(feeder, "carl")
    assert feeder.status(by(put("/secret.jpg", 1), carl)) == "OK"
    assert feeder.status(by(command("remove_file", path="/secret.jpg"), carl)) == "OK"
    way = "/people/@trash/carl/secret.jpg"
    assert carl.rights(feeder.catalog.rights, feeder.catalog.level).may(Action.READ, way)
    assert feeder.status(command("remove_user", name="carl")) == "OK"
    assert putting(DAY) == "EXISTS"
    assert putting(0) == "OK" and putting(DAY) == "EXISTS"
    assert not session(feeder, "carl").rights(feeder.catalog.rights, feeder.catalog.level).may(Action.READ, way)
    assert feeder.status(command("remove_file", path=way)) == "OK"
    assert putting(DAY) == "OK"
    assert session(feeder, "carl").rights(feeder.catalog.rights, feeder.catalog.level).may(Action.READ, way)
    for others in (
        "/people",
        "/people/@trash",
        "/people/@trash/bob/x",
        "/people/@inbox/carl/x",
        "/people/carl/x",
    ):
        assert (
            not session(feeder, "carl")
            .rights(feeder.catalog.rights, feeder.catalog.level)
            .may(Action.READ, others)
        )
