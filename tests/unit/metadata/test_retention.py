"""Directories that keep what is put there for a time, or so much of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from catalogs import NOW, Feeder, by, command, digest, put

from raftstore.cluster.retaining import RetentionWork, Step, plan
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.cluster.moments import Moments, thinned
from raftstore.metadata.tables.names.retention import MAX_AT_ONCE, Retention, Rule
from raftstore.rights import Actor
from raftstore.wire import commands_pb2 as commands

SECOND = 10**9
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        advance(made, NOW)
        made.make("/cams", "/cams/a", "/other")
        yield made


def advance(feeder: Feeder, until: int) -> None:
    assert feeder.one(command("advance_clock", time_ns=until, limit=256)).finished


def retain(feeder: Feeder, path: str = "/cams", **bounds: int) -> int:
    result = feeder.one(command("put_retention", path=path, **bounds))
    assert result.status == commands.OK, result.detail
    return result.inode


def rule(feeder: Feeder, directory: int) -> Rule:
    return next(
        each
        for each in feeder.catalog.ask(Retention, lambda table: table.rules())
        if each.directory == directory
    )


class Leader:
    """The leader's part over a real catalog; proposals are applied at once."""

    def __init__(self, feeder: Feeder) -> None:
        self.proposed: list[commands.Retain] = []
        self.between: list[commands.Command] = []
        self.feeder = feeder
        self.work = RetentionWork(catalog=feeder.catalog, leads=lambda: True, propose=self.propose)

    async def propose(self, built: commands.Command) -> commands.Result:
        if built.retain.settled:
            for each in self.between:
                self.feeder.one(each)
            self.between = []
        self.proposed.append(built.retain)
        return accepted(self.feeder.one(built).SerializeToString())

    def settle(self) -> None:
        for _ in range(1000):
            if not asyncio.run(self.work.look()):
                return
        raise AssertionError("it never ends")


def names(feeder: Feeder, directory: str = "/cams") -> list[str]:
    return [entry.name for entry in feeder.catalog.listing(directory) if not entry.is_directory]


def sums(feeder: Feeder, directory: int) -> tuple[int, int]:
    found = rule(feeder, directory)
    return found.files, found.bytes


# Most files and bytes.


def test_a_full_directory_loses_its_oldest_never_its_newest(feeder: Feeder) -> None:
    directory = retain(feeder, max_files=3)
    assert rule(feeder, directory).settled is False
    Leader(feeder).settle()
    for number in range(1, 7):
        assert feeder.status(put(f"/cams/{number}", number)) == "OK"
        assert str(number) in names(feeder)
    assert names(feeder) == ["4", "5", "6"]
    assert sums(feeder, directory) == (3, 30)
    assert feeder.catalog.totals() == (3, 30)
    assert feeder.catalog.unlisted([digest(1)], 1) == [digest(1)]


def test_so_does_one_of_too_many_bytes_though_the_newest_alone_is_too_large(feeder: Feeder) -> None:
    directory = retain(feeder, max_bytes=50)
    Leader(feeder).settle()
    for number in range(1, 6):
        feeder.one(put(f"/cams/a/{number}", number))
    feeder.one(put("/cams/6", 60, 61))
    assert (names(feeder, "/cams/a"), names(feeder)) == (["3", "4", "5"], ["6"])
    assert feeder.status(put("/cams/large", *range(100, 110))) == "OK"
    assert names(feeder, "/cams/a") + names(feeder) == ["large"]
    Leader(feeder).settle()
    assert sums(feeder, directory)[0] in (0, 1)


def test_the_age_is_that_of_the_content_not_of_the_name(feeder: Feeder) -> None:
    retain(feeder, max_files=2)
    Leader(feeder).settle()
    feeder.one(put("/cams/1", 1))
    feeder.one(put("/cams/2", 2))
    feeder.one(put("/cams/1", 3))
    feeder.one(command("rename", source="/cams/2", target="/cams/9"))
    feeder.one(put("/cams/3", 4))
    assert names(feeder) == ["1", "3"]


def test_an_upload_removes_a_bounded_number_and_the_leader_the_rest(feeder: Feeder) -> None:
    for number in range(200):
        feeder.one(put(f"/cams/{number:03}", number + 1))
    retain(feeder, max_files=10)
    leader = Leader(feeder)
    feeder.one(put("/cams/more", 999))
    assert len(names(feeder)) == 201, "not before all that is there was looked at"
    leader.settle()
    assert names(feeder) == [*(f"{number:03}" for number in range(191, 200)), "more"]
    assert max(each.limit for each in leader.proposed) == 64
    retain(feeder, max_files=500)
    for number in range(200):
        feeder.one(put(f"/cams/{number:03}", number + 1))
    retain(feeder, max_files=5)
    feeder.one(put("/cams/new", 1000))
    assert len(names(feeder)) == 202 - MAX_AT_ONCE
    assert "new" in names(feeder)


def test_it_goes_past_the_trash_and_off_its_owners_usage(feeder: Feeder) -> None:
    user = commands.User(name="ada", home="/", rights="elradfmwMT", trash_ns=DAY)
    feeder.one(command("put_user", user=user))
    account = feeder.catalog.user("ada")
    assert account is not None
    retain(feeder, max_files=1)
    Leader(feeder).settle()
    feeder.one(by(put("/cams/1", 1), Actor.session(account)))
    feeder.one(by(put("/cams/2", 2), Actor.session(account)))
    assert names(feeder) == ["2"]
    assert [entry.name for entry in feeder.catalog.listing("/")] == ["cams", "other"], "no trash was made"
    assert feeder.catalog.usage(account.owner) == (1, 10)


# Age.


def test_what_is_too_old_goes_and_nothing_before(feeder: Feeder) -> None:
    retain(feeder, age_ns=DAY)
    leader = Leader(feeder)
    feeder.one(put("/cams/old", 1))
    for minute in range(1, 31):
        advance(feeder, NOW + minute * MINUTE)
    feeder.one(put("/cams/young", 2))
    advance(feeder, NOW + 31 * MINUTE)
    leader.settle()
    advance(feeder, NOW + DAY)
    leader.settle()
    assert names(feeder) == ["old", "young"]
    advance(feeder, NOW + DAY + 20 * MINUTE)  # old moments lie up to a part in 128 apart
    leader.settle()
    assert names(feeder) == ["young"]
    advance(feeder, NOW + 2 * DAY)
    leader.settle()
    assert names(feeder) == []


def test_the_age_counts_from_before_the_rule(feeder: Feeder) -> None:
    feeder.one(put("/cams/old", 1))
    advance(feeder, NOW + MINUTE)
    advance(feeder, NOW + 3 * DAY)
    feeder.one(put("/cams/young", 2))
    retain(feeder, age_ns=2 * DAY)
    Leader(feeder).settle()
    assert names(feeder) == ["young"]


def test_a_standstill_makes_nothing_older(feeder: Feeder) -> None:
    retain(feeder, age_ns=DAY)
    leader = Leader(feeder)
    feeder.one(put("/cams/a1", 1))
    advance(feeder, NOW + 100 * DAY)
    leader.settle()
    assert names(feeder) == ["a1"], "it may have come a moment ago"
    advance(feeder, NOW + 101 * DAY)
    leader.settle()
    assert names(feeder) == []


def test_moments_are_few_and_never_say_that_something_is_older_than_it_is(feeder: Feeder) -> None:
    times = {}
    now = NOW
    for step in range(3000):
        now += MINUTE
        times[feeder.index + 1] = now
        advance(feeder, now)
        if step == 2000:
            feeder.reopen()
    assert feeder.catalog.ask(Moments, len) < 1000
    for age in (MINUTE, 10 * MINUTE, 600 * MINUTE, 2900 * MINUTE):
        entry = feeder.catalog.ask(Moments, lambda moments, age=age: moments.before(now - age))  # type: ignore[misc]
        assert times[entry] <= now - age
        assert times[entry] >= now - age - max(MINUTE, age // 50), "and not much older than that"


def test_thinning_keeps_the_ends_and_close_neighbours_of_late() -> None:
    assert thinned([0, 1, 2], 2) == []
    times = list(range(0, 2000))
    gone = thinned(times, 2000)
    left = [each for each in times if each not in set(gone)]
    assert (left[0], left[-1]) == (0, 1999)
    assert len(left) < len(times)
    assert all(later - earlier <= max(1, (2000 - later) / 128 + 1) for earlier, later in pairwise(left))


# What the leader decides, and what has come since.


def test_what_has_come_since_the_decision_stays(feeder: Feeder) -> None:
    directory = retain(feeder, max_files=1)
    leader = Leader(feeder)
    leader.settle()
    feeder.one(put("/cams/1", 1))
    decided = feeder.index
    retain(feeder, max_files=5)
    for number in (2, 3, 4):
        feeder.one(put(f"/cams/{number}", number))
    retain(feeder, max_files=1)
    command_ = command(
        "retain", directory=directory, revision=rule(feeder, directory).revision, decided=decided, limit=64
    )
    assert feeder.one(command_).removed == 1
    assert names(feeder) == ["2", "3", "4"]


def test_a_decision_by_another_rule_does_nothing(feeder: Feeder) -> None:
    directory = retain(feeder, max_files=1)
    Leader(feeder).settle()
    revision = rule(feeder, directory).revision
    feeder.one(put("/cams/1", 1))
    retain(feeder, max_files=9)
    stale = command("retain", directory=directory, revision=revision, decided=feeder.index, limit=64)
    assert feeder.status(stale) == "CHANGED"
    assert feeder.status(command("retain", directory=12345, revision=revision, limit=1)) == "CHANGED"


def test_plan_scans_before_it_removes() -> None:
    settled = Rule(1, DAY, 0, 0, 5, 5, True)
    unsettled = Rule(2, DAY, 0, 0, 5, 5, False)
    removed = Rule(3, 0, 0, 0, 5, 5, False)
    assert plan([settled, unsettled, removed], {1, 3}) == [
        (settled, Step.REMOVE),
        (unsettled, Step.SCAN),
        (removed, Step.REMOVE),
    ]
    assert plan([settled], ()) == []


# Directories that come and go.


def test_a_directory_that_was_moved_in_is_looked_through_first(feeder: Feeder) -> None:
    directory = retain(feeder, max_files=2)
    leader = Leader(feeder)
    leader.settle()
    for number in range(1, 4):
        feeder.one(put(f"/other/{number}", number))
    feeder.one(command("rename", source="/other", target="/cams/other"))
    feeder.one(put("/cams/4", 4))
    assert names(feeder, "/cams/other") == ["1", "2", "3"], "not yet"
    leader.settle()
    assert (names(feeder, "/cams/other"), names(feeder)) == (["3"], ["4"])
    assert sums(feeder, directory) == (2, 20)


def test_a_directory_that_was_moved_out_is_no_reason_to_remove(feeder: Feeder) -> None:
    directory = retain(feeder, max_files=4)
    leader = Leader(feeder)
    leader.settle()
    feeder.one(put("/cams/1", 1))
    for number in (2, 3, 4):
        feeder.one(put(f"/cams/a/{number}", number))
    feeder.one(command("rename", source="/cams/a", target="/a"))
    feeder.one(put("/cams/5", 5))
    assert names(feeder) == ["1", "5"], "though five have been put"
    leader.settle()
    assert (names(feeder), names(feeder, "/a")) == (["1", "5"], ["2", "3", "4"])
    assert sums(feeder, directory) == (2, 20)


def test_a_move_during_a_scan_begins_it_again(feeder: Feeder) -> None:
    for number in range(1, 4):
        feeder.one(put(f"/other/{number}", number))
        feeder.one(put(f"/cams/{number}", 10 + number))
    directory = retain(feeder, max_files=100)
    leader = Leader(feeder)
    leader.between = [command("rename", source="/other", target="/cams/z")]
    leader.settle()
    assert rule(feeder, directory).settled
    assert sums(feeder, directory) == (6, 60)
    assert len([each for each in leader.proposed if each.settled]) == 2


def test_the_nearest_rule_counts(feeder: Feeder) -> None:
    outer, inner = retain(feeder, max_files=2), retain(feeder, "/cams/a", max_files=1)
    leader = Leader(feeder)
    leader.settle()
    for number in range(1, 5):
        feeder.one(put(f"/cams/{number}", number))
        feeder.one(put(f"/cams/a/{number}", 10 + number))
    assert (names(feeder), names(feeder, "/cams/a")) == (["3", "4"], ["4"])
    assert feeder.status(command("remove_retention", path="/cams/a")) == "OK"
    leader.settle()
    assert (names(feeder), names(feeder, "/cams/a")) == (["4"], ["4"])
    assert [each.directory for each in feeder.catalog.ask(Retention, lambda table: table.rules())] == [outer]
    assert retain(feeder, "/cams/a", max_files=5) == inner
    leader.settle()
    assert (sums(feeder, outer), sums(feeder, inner)) == ((1, 10), (1, 10))


def test_a_file_that_is_moved_out_is_kept(feeder: Feeder) -> None:
    retain(feeder, max_files=1)
    Leader(feeder).settle()
    feeder.one(put("/cams/1", 1))
    feeder.one(command("rename", source="/cams/1", target="/other/1"))
    feeder.one(put("/cams/2", 2))
    feeder.one(put("/cams/3", 3))
    assert (names(feeder), names(feeder, "/other")) == (["3"], ["1"])


def test_a_rule_that_is_removed_lets_everything_stay(feeder: Feeder) -> None:
    retain(feeder, max_files=100)
    leader = Leader(feeder)
    leader.settle()
    for number in range(100):
        feeder.one(put(f"/cams/{number}", number + 1))
    feeder.one(command("remove_retention", path="/cams"))
    assert feeder.status(command("remove_retention", path="/cams")) == "NOT_FOUND"
    leader.settle()
    assert len(names(feeder)) == 100
    assert feeder.catalog.ask(Retention, lambda table: table.rules()) == []


def test_a_removed_directory_takes_its_rule_along(feeder: Feeder) -> None:
    retain(feeder, "/other", max_files=1)
    feeder.one(command("remove_directory", path="/other"))
    leader = Leader(feeder)
    leader.settle()
    assert feeder.catalog.ask(Retention, lambda table: table.rules()) == []


def test_a_rule_goes_with_its_directory(feeder: Feeder) -> None:
    retain(feeder, max_files=1)
    Leader(feeder).settle()
    feeder.one(command("rename", source="/cams", target="/other/cams"))
    feeder.one(put("/other/cams/1", 1))
    feeder.one(put("/other/cams/2", 2))
    feeder.one(put("/other/1", 3))
    assert (names(feeder, "/other/cams"), names(feeder, "/other")) == (["2"], ["1"])


def test_who_may_set_it_and_on_what(feeder: Feeder) -> None:
    for name, rights in (("ada", "elradfmwMT"), ("root", "elradfmwMTA")):
        feeder.one(command("put_user", user=commands.User(name=name, home="/", rights=rights)))
    ada, root = feeder.catalog.user("ada"), feeder.catalog.user("root")
    assert ada is not None and root is not None
    asked = command("put_retention", path="/cams", max_files=1)
    assert feeder.status(by(asked, Actor.session(ada))) == "DENIED"
    assert feeder.status(by(asked, Actor.session(root))) == "OK"
    feeder.one(put("/file", 1))
    for path, status in (
        ("/", "INVALID"),
        ("/people", "INVALID"),
        ("/none", "NOT_FOUND"),
        ("/file", "NOT_A_DIRECTORY"),
    ):
        assert feeder.status(command("put_retention", path=path, max_files=1)) == status
    assert feeder.status(command("put_retention", path="/cams")) == "INVALID"


def test_it_survives_a_restart_and_a_replay(feeder: Feeder, tmp_path: Path) -> None:
    directory = retain(feeder, max_files=3)
    leader = Leader(feeder)
    leader.settle()
    for number in range(1, 6):
        feeder.one(put(f"/cams/{number}", number))
    feeder.reopen()
    feeder.one(put("/cams/6", 6))
    assert (names(feeder), sums(feeder, directory)) == (["4", "5", "6"], (3, 30))
    with Feeder(tmp_path / "again" / "catalog.db", stores=False, level=None) as replayed:
        for index, batch in feeder.log:
            replayed.catalog.apply(index, batch)
        assert replayed.catalog.digest() == feeder.catalog.digest()
