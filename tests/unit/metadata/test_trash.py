"""What is removed or replaced is kept in its owner's trash: how it comes there, comes back, and goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, by, command, digest, put

from raftstore.metadata.tables.cluster.clock import STEP, Clock
from raftstore.metadata.tables.contents.contents import Contents
from raftstore.metadata.tables.names.trash import MAX_DISPLACED, Trash, Trashed
from raftstore.rights import Actor
from raftstore.wire import commands_pb2 as commands

SECOND = 10**9
DAY = 86_400 * SECOND
ADAS = "/people/@trash/ada"


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, NOW)
        account(made, "ada", trash_ns=30 * DAY)
        yield made


def advance(feeder: Feeder, until: int, limit: int = 256) -> commands.Result:
    result = feeder.one(command("advance_clock", time_ns=until, limit=limit))
    assert result.status == commands.OK
    return result


def tick(feeder: Feeder) -> None:
    """Let time pass as it does while somebody leads, so that what comes then is no standstill for what was before."""
    for _ in range(2):
        advance(feeder, now(feeder) + STEP)


def now(feeder: Feeder) -> int:
    return feeder.catalog.ask(Clock, lambda clock: clock.now_ns)


def account(feeder: Feeder, name: str, **fields: object) -> None:
    user = {"name": name, "home": "/", "rights": "elradfmwMT", **fields}
    assert feeder.status(command("put_user", user=commands.User(**user))) == "OK"  # type: ignore[arg-type]


def by_user(feeder: Feeder, built: commands.Command, name: str = "ada") -> commands.Result:
    user = feeder.catalog.user(name)
    assert user is not None
    return feeder.one(by(built, Actor.session(user)))


def status(feeder: Feeder, built: commands.Command, name: str = "ada") -> str:
    return commands.Status.Name(by_user(feeder, built, name).status)


def trash(feeder: Feeder, name: str = "ada") -> list[Trashed]:
    user = feeder.catalog.user(name)
    assert user is not None
    return [each for each, _ in feeder.catalog.ask(Trash, lambda table: table.of(user.owner))]


def content(feeder: Feeder, path: str) -> list[bytes]:
    return [ref.digest for ref in feeder.catalog.file(path).chunks]


def names(feeder: Feeder, directory: str = ADAS) -> list[str]:
    return [entry.name for entry in feeder.catalog.listing(directory)]


def usage(feeder: Feeder, name: str = "ada") -> tuple[int, int]:
    user = feeder.catalog.user(name)
    assert user is not None
    return feeder.catalog.usage(user.owner)


REMOVE = command("remove_file", path="/a.jpg")


def removed(feeder: Feeder, *seeds: int, path: str = "/a.jpg") -> Trashed:
    assert status(feeder, put(path, *(seeds or (1,)))) == "OK"
    assert status(feeder, command("remove_file", path=path)) == "OK"
    return trash(feeder)[-1]


# What comes into it.


def test_a_removed_file_is_kept_with_its_content_and_still_counts(feeder: Feeder) -> None:
    by_user(feeder, put("/a.jpg", 1, 2))
    before = usage(feeder), feeder.catalog.totals(), feeder.catalog.store_totals(1)
    version = feeder.catalog.lookup("/a.jpg")
    by_user(feeder, REMOVE)
    assert names(feeder, "/") == ["people"]
    assert content(feeder, f"{ADAS}/a.jpg") == [digest(1), digest(2)]
    assert (usage(feeder), feeder.catalog.totals(), feeder.catalog.store_totals(1)) == before
    (kept,) = trash(feeder)
    assert kept.path == "/a.jpg"
    assert kept.expires_ns - kept.stamp_ns == 30 * DAY
    entry = feeder.catalog.lookup(f"{ADAS}/a.jpg")
    assert (entry.size, entry.mtime_ns, entry.owner) == (20, version.mtime_ns, version.owner)
    assert entry.inode == kept.inode != version.inode, (
        "what is open by a handle is not published into the trash"
    )


def test_a_replaced_version_is_kept_beside_the_new_one(feeder: Feeder) -> None:
    by_user(feeder, put("/a.jpg", 1))
    inode = feeder.catalog.lookup("/a.jpg").inode
    by_user(feeder, put("/a.jpg", 2, 3))
    assert content(feeder, "/a.jpg") == [digest(2), digest(3)]
    assert feeder.catalog.lookup("/a.jpg").inode == inode
    assert content(feeder, f"{ADAS}/a.jpg") == [digest(1)]
    assert usage(feeder) == (2, 30)


def test_what_a_rename_replaces_is_kept(feeder: Feeder) -> None:
    by_user(feeder, put("/a.jpg", 1))
    by_user(feeder, put("/new", 2))
    by_user(feeder, command("rename", source="/new", target="/a.jpg"))
    assert content(feeder, f"{ADAS}/a.jpg") == [digest(1)]
    assert content(feeder, "/a.jpg") == [digest(2)]


def test_it_is_the_owners_of_the_version_whoever_removes_it(feeder: Feeder) -> None:
    account(feeder, "bob")
    by_user(feeder, put("/a.jpg", 1))
    by_user(feeder, put("/b.jpg", 2), "bob")
    by_user(feeder, put("/a.jpg", 3), "bob")
    by_user(feeder, command("remove_file", path="/b.jpg"))
    assert [each.path for each in trash(feeder)] == ["/a.jpg"]
    assert not trash(feeder, "bob"), "bob has no trash"
    assert usage(feeder) == (1, 10)
    assert usage(feeder, "bob") == (1, 10)


def test_same_names_get_numbers_and_many_of_them_few_looks(feeder: Feeder) -> None:
    for seed in range(1, 40):
        removed(feeder, seed)
    assert set(names(feeder)) == {"a.jpg", *(f"a ({number}).jpg" for number in range(2, 40))}
    feeder.one(command("remove_file", path=f"{ADAS}/a (3).jpg"))
    removed(feeder, 77)
    assert len(names(feeder)) == 39, "whichever number is free"


@pytest.mark.parametrize("level", [2, 3])
def test_nothing_is_kept_of_who_has_no_trash_nor_of_empty_files(tmp_path: Path, level: int) -> None:
    with Feeder(tmp_path / "other" / "catalog.db", level=level) as feeder:
        account(feeder, "ada", **({"trash_ns": 0} if level == 2 else {"trash_ns": DAY}))
        by_user(feeder, put("/a.jpg", *(() if level == 3 else (1,))))
        by_user(feeder, put("/a.jpg", *(() if level == 3 else (2,))))
        by_user(feeder, REMOVE)
        assert names(feeder, "/") == []
        assert usage(feeder) == (0, 0)
    with Feeder(tmp_path / "system" / "catalog.db") as feeder:
        feeder.one(put("/a.jpg", 1))
        feeder.one(REMOVE)
        assert names(feeder, "/") == [], "nobody's account: nobody's trash"


def test_what_is_removed_in_the_trash_is_gone_for_good(feeder: Feeder) -> None:
    kept = removed(feeder)
    feeder.one(command("remove_file", path=f"{ADAS}/a.jpg"))
    assert trash(feeder) == []
    assert names(feeder) == []
    assert usage(feeder) == (0, 0)
    assert feeder.catalog.unlisted([digest(1)], 1) == [digest(1)], "its chunk may be collected"
    assert advance(feeder, kept.expires_ns + DAY).removed == 0


def test_an_open_handle_of_what_was_removed_publishes_nowhere(feeder: Feeder) -> None:
    by_user(feeder, put("/a.jpg", 1))
    opened = feeder.catalog.lookup("/a.jpg")
    by_user(feeder, REMOVE)
    handle = commands.Handle(inode=opened.inode, version=opened.version)
    result = feeder.one(put("/a.jpg", 2, handle=handle))
    assert (result.status, result.inode) == (commands.OK, 0)
    assert content(feeder, f"{ADAS}/a.jpg") == [digest(1)]


def test_a_replaced_version_through_a_handle_is_kept(feeder: Feeder) -> None:
    by_user(feeder, put("/a.jpg", 1))
    opened = feeder.catalog.lookup("/a.jpg")
    handle = commands.Handle(inode=opened.inode, version=opened.version)
    assert by_user(feeder, put("/was", 2, handle=handle)).inode == opened.inode
    assert [each.path for each in trash(feeder)] == ["/a.jpg"], "where it is, not by what it was opened"
    assert content(feeder, "/a.jpg") == [digest(2)]


# How it goes.


def test_it_expires_when_its_time_is_over_and_not_before(feeder: Feeder) -> None:
    kept = removed(feeder)
    tick(feeder)
    assert advance(feeder, kept.expires_ns - 1).removed == 0
    assert names(feeder) == ["a.jpg"]
    assert advance(feeder, kept.expires_ns).removed == 1
    assert (names(feeder), trash(feeder), usage(feeder)) == ([], [], (0, 0))
    assert feeder.catalog.totals() == (0, 0)


def test_nothing_visible_is_past_the_clock_and_each_command_is_bounded(feeder: Feeder) -> None:
    for seed in range(1, 11):
        removed(feeder, seed)
    tick(feeder)
    until = NOW + 40 * DAY
    for left in (6, 2, 0):
        result = advance(feeder, until, limit=4)
        assert len(names(feeder)) == left
        assert result.finished == (left == 0)
        assert all(each.expires_ns > now(feeder) for each in trash(feeder))
        assert trash(feeder) == sorted(trash(feeder), key=lambda each: each.expires_ns), "the oldest went first"
    assert now(feeder) == until


def test_large_files_go_one_by_one(feeder: Feeder) -> None:
    gigabyte = 1 << 30
    for seed in (1, 2, 3, 4, 5):
        feeder.one(put("/a.jpg", seed, length=gigabyte, owner=feeder.catalog.user("ada").owner))  # type: ignore[union-attr]
        by_user(feeder, REMOVE)
    tick(feeder)
    assert [advance(feeder, NOW + 40 * DAY).removed for _ in range(3)] == [2, 2, 1]


def test_what_was_removed_while_time_stood_still_is_counted_from_its_end(feeder: Feeder) -> None:
    """Else a jump of the clock would take what was removed a moment before."""
    removed(feeder, 1)
    tick(feeder)
    during = removed(feeder, 2)
    end = NOW + 100 * DAY
    assert advance(feeder, end).removed == 2, "one was put off"
    (left,) = trash(feeder)
    assert (left.inode, left.stamp_ns, left.expires_ns) == (during.inode, end, end + 30 * DAY)
    feeder.reopen()
    tick(feeder)
    advance(feeder, end + 30 * DAY - 1)
    assert len(trash(feeder)) == 1
    advance(feeder, end + 30 * DAY)
    assert not trash(feeder)


def test_time_that_was_never_told_is_a_standstill(tmp_path: Path) -> None:
    with Feeder(tmp_path / "untold" / "catalog.db") as feeder:
        account(feeder, "ada", trash_ns=DAY)
        assert removed(feeder, 1).stamp_ns == STEP, "as far ahead of nothing as it may be"
        advance(feeder, NOW)
        assert [each.expires_ns for each in trash(feeder)] == [NOW + DAY]


def test_a_standstill_that_takes_many_commands_to_catch_up_counts_as_one(feeder: Feeder) -> None:
    for seed in range(1, 9):
        removed(feeder, seed)
    tick(feeder)
    removed(feeder, 100)
    first, end = NOW + 31 * DAY, NOW + 60 * DAY
    for until, limit in ((first, 3), (first, 3), (end, 1), (end, 1), (end, 1)):
        advance(feeder, until, limit=limit)
        removed(feeder, 100 + feeder.index)
    feeder.reopen()
    while not advance(feeder, end, limit=2).finished:
        pass
    tick(feeder)
    tick(feeder)
    assert len(trash(feeder)) == 6, "by their stamps they were due by now"
    assert {each.expires_ns for each in trash(feeder)} == {end + 30 * DAY}


def test_a_wrong_clock_of_the_node_that_removes_makes_no_difference_beyond_a_step(feeder: Feeder) -> None:
    for wrong in (10 * DAY, -10 * DAY):
        by_user(feeder, put("/a.jpg", 1))
        user = feeder.catalog.user("ada")
        assert user is not None
        operation = feeder.operation(by(REMOVE, Actor.session(user)))
        operation.time_ns += wrong
        feeder.apply(operation)
        assert now(feeder) <= trash(feeder)[-1].stamp_ns <= now(feeder) + STEP


def test_emptying_takes_the_oldest_up_to_what_was_seen(feeder: Feeder) -> None:
    kept = [removed(feeder, seed) for seed in range(1, 6)]
    owner = kept[0].owner
    result = by_user(feeder, command("empty_trash", owner=owner, upto=kept[3].inode, limit=3))
    assert (result.removed, result.finished) == (3, False)
    assert trash(feeder) == kept[3:]
    result = by_user(feeder, command("empty_trash", owner=owner, upto=kept[3].inode, limit=3))
    assert (result.removed, result.finished) == (1, True)
    assert trash(feeder) == kept[4:], "what came later stays"
    account(feeder, "bob")
    assert status(feeder, command("empty_trash", owner=owner, limit=3), "bob") == "DENIED"
    assert feeder.status(command("empty_trash", owner=owner, limit=0)) == "INVALID"
    assert feeder.status(command("empty_trash", owner="", limit=3)) == "INVALID"


# Room in the quota.


def test_a_full_quota_takes_the_oldest_first_and_no_more_than_it_needs(feeder: Feeder) -> None:
    account(feeder, "ada", trash_ns=30 * DAY, quota_bytes=100)
    kept = [removed(feeder, seed) for seed in range(1, 10)]
    assert status(feeder, put("/b", 20)) == "OK"
    assert trash(feeder) == kept
    assert status(feeder, put("/c", 21, 22)) == "OK"
    assert trash(feeder) == kept[2:]
    assert usage(feeder) == (9, 100)


def test_a_full_quota_of_files_takes_the_oldest_also_for_a_directory(feeder: Feeder) -> None:
    account(feeder, "ada", trash_ns=30 * DAY, quota_files=3)
    kept = [removed(feeder, seed) for seed in range(1, 4)]
    assert status(feeder, put("/b", 20)) == "OK"
    assert trash(feeder) == kept[1:]
    assert status(feeder, command("make_directory", path="/d")) == "OK"
    assert trash(feeder) == kept[2:]
    assert usage(feeder)[0] == 3


def test_at_most_so_many_give_way_to_one_command_else_nothing_happens(feeder: Feeder) -> None:
    kept = [removed(feeder, seed) for seed in range(1, MAX_DISPLACED + 3)]
    account(feeder, "ada", trash_ns=30 * DAY, quota_bytes=10 * len(kept))
    assert status(feeder, put("/large", *range(200, 200 + MAX_DISPLACED + 1))) == "QUOTA"
    assert trash(feeder) == kept
    assert status(feeder, put("/fits", *range(200, 200 + MAX_DISPLACED))) == "OK"
    assert trash(feeder) == kept[MAX_DISPLACED:]


def test_where_there_is_no_room_for_both_the_replaced_version_is_not_kept(feeder: Feeder) -> None:
    account(feeder, "ada", trash_ns=30 * DAY, quota_bytes=50)
    by_user(feeder, put("/a.jpg", 1, 2, 3))
    assert status(feeder, put("/a.jpg", 4, 5, 6)) == "OK"
    assert trash(feeder) == []
    assert usage(feeder) == (1, 30)
    assert status(feeder, put("/a.jpg", 4, 5)) == "OK"
    assert len(trash(feeder)) == 1, "both fit"


def test_anothers_version_is_kept_whatever_the_own_quota(feeder: Feeder) -> None:
    account(feeder, "bob", quota_bytes=20)
    by_user(feeder, put("/a.jpg", 1, 2, 3))
    assert status(feeder, put("/a.jpg", 4, 5), "bob") == "OK"
    assert [each.path for each in trash(feeder)] == ["/a.jpg"]
    assert status(feeder, put("/b", 6), "bob") == "QUOTA", "ada's trash is no room of bob's"


# How it comes back.


def restore(inode: int, to: str = "/a.jpg", **fields: object) -> commands.Command:
    return command("restore_trash", inode=inode, to=to, **fields)


def test_it_is_restored_in_place_and_counts_as_before(feeder: Feeder) -> None:
    kept = removed(feeder, 1, 2)
    assert status(feeder, restore(kept.inode)) == "OK"
    assert content(feeder, "/a.jpg") == [digest(1), digest(2)]
    assert (trash(feeder), names(feeder), usage(feeder)) == ([], [], (1, 20))
    tick(feeder)
    advance(feeder, kept.expires_ns + DAY)
    assert content(feeder, "/a.jpg") == [digest(1), digest(2)], "it expires no more"
    assert status(feeder, restore(kept.inode)) == "NOT_FOUND"


def test_it_is_never_restored_over_something_newer_unless_that_is_asked_for(feeder: Feeder) -> None:
    kept = removed(feeder, 1)
    by_user(feeder, put("/a.jpg", 2))
    assert status(feeder, restore(kept.inode)) == "EXISTS"
    assert status(feeder, command("rename", source=f"{ADAS}/a.jpg", target="/a.jpg")) != "OK"
    assert feeder.status(command("rename", source=f"{ADAS}/a.jpg", target="/a.jpg")) == "EXISTS"
    assert content(feeder, "/a.jpg") == [digest(2)]
    assert trash(feeder) == [kept]
    assert status(feeder, restore(kept.inode, beside=True)) == "OK"
    assert content(feeder, "/a.jpg") == [digest(2)]
    assert content(feeder, "/a (2).jpg") == [digest(1)]


def test_what_gives_way_to_a_restored_one_is_kept_itself(feeder: Feeder) -> None:
    kept = removed(feeder, 1)
    by_user(feeder, put("/a.jpg", 2))
    assert status(feeder, restore(kept.inode, replace=True)) == "OK"
    assert content(feeder, "/a.jpg") == [digest(1)]
    assert [each.path for each in trash(feeder)] == ["/a.jpg"]
    assert content(feeder, f"{ADAS}/{names(feeder)[0]}") == [digest(2)]
    assert status(feeder, restore(trash(feeder)[0].inode, beside=True, replace=True)) == "INVALID"


def test_to_take_it_out_by_renaming_restores_it(feeder: Feeder) -> None:
    kept = removed(feeder, 1)
    assert feeder.status(command("rename", source=f"{ADAS}/a.jpg", target="/back")) == "OK"
    assert trash(feeder) == []
    tick(feeder)
    advance(feeder, kept.expires_ns + DAY)
    assert content(feeder, "/back") == [digest(1)]


def test_missing_directories_are_made_where_the_account_may(feeder: Feeder) -> None:
    feeder.make("/d")
    kept = removed(feeder, 1, path="/d/a.jpg")
    feeder.one(command("remove_directory", path="/d"))
    account(feeder, "ada", trash_ns=30 * DAY, rights="elradfwT")
    assert status(feeder, restore(kept.inode, "/d/e/a.jpg")) == "DENIED"
    assert names(feeder, "/") == ["people"]
    account(feeder, "ada", trash_ns=30 * DAY, quota_files=2)
    assert status(feeder, restore(kept.inode, "/d/e/a.jpg")) == "QUOTA"
    account(feeder, "ada", trash_ns=30 * DAY, quota_files=3)
    assert status(feeder, restore(kept.inode, "/d/e/a.jpg")) == "OK"
    assert content(feeder, "/d/e/a.jpg") == [digest(1)]
    assert usage(feeder) == (3, 10)


def test_nobody_restores_anothers_nor_to_where_it_may_not_write(feeder: Feeder) -> None:
    account(feeder, "bob", trash_ns=DAY)
    kept = removed(feeder, 1)
    assert status(feeder, restore(kept.inode), "bob") == "NOT_FOUND"
    assert status(feeder, restore(kept.inode + 1000)) == "NOT_FOUND"
    account(feeder, "ada", trash_ns=30 * DAY, home="/own")
    assert status(feeder, restore(kept.inode, "/a.jpg")) == "DENIED"
    assert feeder.status(restore(kept.inode, f"{ADAS}/b.jpg")) == "INVALID"
    assert feeder.status(restore(kept.inode, "/")) == "IS_A_DIRECTORY"
    assert feeder.status(restore(kept.inode, "/a//b")) == "BAD_NAME"
    by_file = feeder.one(put("/file", 9))
    assert feeder.status(restore(kept.inode, "/file/x")) == "NOT_A_DIRECTORY"
    assert feeder.status(restore(by_file.inode, "/y")) == "NOT_FOUND", "only from the trash"
    assert feeder.status(restore(kept.inode, "/back")) == "OK", "the system may"


def test_it_is_not_restored_to_a_name_that_is_reserved(feeder: Feeder) -> None:
    kept = removed(feeder, 1)
    feeder.one(command("reserve_name", path="/a.jpg", node="n1", boot=1))
    assert status(feeder, restore(kept.inode)) == "EXISTS"
    assert status(feeder, restore(kept.inode, beside=True)) == "OK"
    assert names(feeder, "/") == ["a (2).jpg", "people"]


def test_it_is_not_restored_to_where_the_places_of_persons_are(feeder: Feeder) -> None:
    kept = removed(feeder, 1)
    for path in ("/people/zoe", "/people/zoe/a.jpg", "/people/@inbox/zoe", "/people/@zoe/a.jpg"):
        assert feeder.status(command("restore_trash", inode=kept.inode, to=path)) in ("INVALID", "NOT_FOUND"), (
            path
        )
    assert [entry.name for entry in feeder.catalog.listing("/people")] == ["@trash"]


def test_what_is_left_of_an_account_follows_who_adopts_it(feeder: Feeder) -> None:
    kept = removed(feeder, 1)
    account(feeder, "bob")
    feeder.one(command("remove_user", name="ada"))
    assert feeder.one(command("adopt_owner", owner=kept.owner, name="bob", limit=100)).finished
    assert [each.path for each in trash(feeder, "bob")] == ["/a.jpg"]
    assert usage(feeder, "bob") == (1, 10)
    assert status(feeder, restore(kept.inode), "bob") == "OK"


def test_it_survives_a_restart_and_a_replay(feeder: Feeder, tmp_path: Path) -> None:
    kept = removed(feeder, 1)
    feeder.reopen()
    assert trash(feeder) == [kept]
    with Feeder(tmp_path / "again" / "catalog.db", stores=False, level=None) as replayed:
        for index, batch in feeder.log:
            replayed.catalog.apply(index, batch)
        assert replayed.catalog.digest() == feeder.catalog.digest()
    tick(feeder)
    assert feeder.catalog.ask(Contents, lambda contents: len(contents.chunks(kept.inode))) == 1
    assert advance(feeder, kept.expires_ns).removed == 1
