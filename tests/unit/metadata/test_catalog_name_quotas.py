"""Names count, whatever is in them: directories, empty files, interrupted uploads. From level 2 on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import Feeder, command, partial, put

from raftstore.errors import NotFound
from raftstore.metadata.tables.accounts import quotas
from raftstore.metadata.tables.names import partials
from raftstore.metadata.tables.names.partials import Partials
from raftstore.types import Usage


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    """At level 2, with an account from before: its name is its identity."""
    with Feeder(tmp_path / "catalog" / "catalog.db", level=1) as made:
        account(made)
        assert made.status(command("set_level", level=2)) == "OK"
        yield made


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Feeder]:
    """A cluster that is still at level 1."""
    with Feeder(tmp_path / "old" / "catalog.db", level=1) as made:
        yield made


def account(feeder: Feeder, name: str = "ada", **fields: object) -> None:
    user = {"name": name, "home": "/", "rights": "elradfmwMT", **fields}
    assert feeder.status(command("put_user", user=user)) == "OK"


def mkd(path: str, owner: str = "ada") -> object:
    return command("make_directory", path=path, owner=owner)


def test_directories_and_empty_files_count_with_files(feeder: Feeder) -> None:
    account(feeder, quota_files=4)
    statuses = [feeder.status(mkd(f"/d{number}")) for number in range(3)]
    assert statuses == ["OK"] * 3
    assert feeder.status(put("/empty")) == "OK"
    assert feeder.status(put("/one", 1)) == "QUOTA"
    assert feeder.status(mkd("/d3")) == "QUOTA"
    assert feeder.status(put("/empty", 1)) == "OK", "what takes the place of a file is no further name"
    assert feeder.catalog.usage("ada") == Usage(4, 10)
    assert feeder.catalog.totals() == (1, 10), "pictures are files alone"
    assert feeder.status(command("remove_directory", path="/d0")) == "OK"
    assert feeder.status(put("/one", 1)) == "OK"
    assert feeder.status(command("rename", source="/d1", target="/d2/d1")) == "OK"
    assert feeder.catalog.usage("ada").files == 4
    feeder.reopen()
    assert feeder.catalog.usage("ada") == Usage(4, 20)


def test_a_directory_counts_for_who_made_it_whoever_removes_it(feeder: Feeder) -> None:
    account(feeder, quota_files=1)
    assert feeder.status(mkd("/a")) == "OK"
    assert feeder.status(mkd("/b", owner="bob")) == "OK"
    assert feeder.status(mkd("/c")) == "QUOTA"
    assert feeder.status(command("remove_directory", path="/b")) == "OK"
    assert (feeder.catalog.usage("ada").files, feeder.catalog.usage("bob").files) == (1, 0)


def test_an_account_without_a_quota_has_a_bound_and_the_cluster_itself_none(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "NAMES", 3)
    account(feeder)
    assert [feeder.status(mkd(f"/{number}")) for number in range(4)] == ["OK"] * 3 + ["QUOTA"]
    assert feeder.status(put("/f")) == "QUOTA"
    assert [feeder.status(mkd(f"/s{number}", owner="")) for number in range(5)] == ["OK"] * 5
    account(feeder, quota_files=5)
    assert [feeder.status(put(f"/f{number}")) for number in range(3)] == ["OK", "OK", "QUOTA"]


def test_so_many_interrupted_uploads_as_files(feeder: Feeder) -> None:
    account(feeder, quota_files=2)
    statuses = [feeder.status(partial(f"/{number}", 1)) for number in range(3)]
    assert statuses == ["OK", "OK", "QUOTA"]
    assert feeder.status(partial("/0", 1, 2)) == "OK", "what goes on is no further one"
    assert feeder.status(put("/0", 1)) == "OK"
    assert feeder.status(partial("/3", 1)) == "OK"


def test_the_old_rules_hold_at_level_1_and_raising_it_counts_once(
    old: Feeder, feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "NAMES", 2)
    account(old, quota_files=3)
    account(old, "bob")
    assert [old.status(mkd(f"/{number}")) for number in range(6)] == ["OK"] * 6
    assert [old.status(mkd(f"/b{number}", owner="bob")) for number in range(3)] == ["OK"] * 3
    assert [old.status(partial(f"/p{number}", 1)) for number in range(4)] == ["OK"] * 4
    assert old.status(put("/f", 1)) == "OK"
    assert old.status(command("remove_directory", path="/5")) == "OK"
    assert old.catalog.usage("ada") == Usage(1, 10)
    assert old.status(command("set_level", level=2)) == "OK"
    assert old.catalog.usage("ada") == Usage(6, 10)
    assert old.catalog.usage("bob") == Usage(3, 0)
    assert [old.status(each) for each in (put("/g", 1), mkd("/6"), mkd("/b3", "bob"), partial("/q", 1))] == [
        "QUOTA"
    ] * 4
    assert old.status(put("/f", 1, 2)) == "OK", "what is there already may change"
    assert [old.status(command("remove_directory", path=f"/{number}")) for number in range(5)] == ["OK"] * 5
    assert old.catalog.usage("ada").files == 1
    before = old.catalog.digest()
    old.reopen()
    assert old.catalog.usage("ada").files == 1
    with Feeder(old.path.parent.parent / "again" / "catalog.db", level=None, stores=False) as replayed:
        for index, batch in old.log:
            replayed.catalog.apply(index, batch)
        assert replayed.catalog.digest() == before


def orphaned(feeder: Feeder) -> int:
    return int(feeder.catalog.ask(Partials, lambda table: table.total))


def test_interrupted_uploads_of_a_removed_directory_go_a_few_with_each_command(feeder: Feeder) -> None:
    """To drop ten thousand in one command would hold up every node's loop."""
    account(feeder, quota_bytes=1000)
    feeder.make("/d", "/e")
    assert [feeder.status(partial(f"/d/{number:02}", number)) for number in range(10)] == ["OK"] * 10
    assert feeder.status(partial("/e/stays", 99)) == "OK"
    assert feeder.status(command("remove_directory", path="/d")) == "OK"
    assert orphaned(feeder) == 11
    with pytest.raises(NotFound):
        feeder.catalog.lookup("/d")
    assert feeder.catalog.partial("ada", "/d/00") is None
    assert feeder.catalog.chunk_stores((9).to_bytes(32, "big")) == (1, 2, 3)
    feeder.reopen()
    left = []
    for number in range(4):
        feeder.make(f"/n{number}")
        left.append(orphaned(feeder))
    assert left == [11 - partials.AN_ENTRY, 11 - 2 * partials.AN_ENTRY, 1, 1]
    assert feeder.catalog.partial("ada", "/e/stays") is not None
    assert feeder.catalog.chunk_stores((9).to_bytes(32, "big")) == ()
    with Feeder(feeder.path.parent.parent / "again" / "catalog.db", level=None, stores=False) as replayed:
        for index, batch in feeder.log:
            replayed.catalog.apply(index, batch)
        assert replayed.catalog.digest() == feeder.catalog.digest(), "a restart on the way changes nothing"


def test_large_ones_go_one_by_one(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partials, "BYTES_AN_ENTRY", 15)
    feeder.make("/d")
    for number in range(3):
        assert feeder.status(partial(f"/d/{number}", *range(number * 4, number * 4 + 2))) == "OK"
    assert feeder.status(command("remove_directory", path="/d")) == "OK"
    left = []
    for number in range(4):
        feeder.make(f"/n{number}")
        left.append(orphaned(feeder))
    assert left == [2, 1, 0, 0]


def test_a_restart_between_two_directories_changes_nothing(tmp_path: Path) -> None:
    with (
        Feeder(tmp_path / "one" / "catalog.db") as one,
        Feeder(tmp_path / "two" / "catalog.db", level=None, stores=False) as two,
    ):
        user = {"name": "ada", "home": "/", "rights": "elradfmwMT"}
        assert one.status(command("put_user", user=user)) == "OK"
        one.make("/a", "/b")
        for directory, count in (("a", partials.AN_ENTRY), ("b", 2 * partials.AN_ENTRY)):
            for number in range(count):
                assert one.status(partial(f"/{directory}/{number}", number)) == "OK"
        one.all(command("remove_directory", path="/a"), command("remove_directory", path="/b"))
        for index, batch in one.log:
            two.catalog.apply(index, batch)
        two.reopen()
        for name in "defg":
            one.make(f"/{name}")
            two.catalog.apply(*one.log[-1])
            assert two.catalog.digest() == one.catalog.digest()
