"""Users, stores, replicas, and what status and repair ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import STORES, Feeder, chunk, command, digest, partial, put

from raftstore.metadata import reports
from raftstore.types import ChunkRef, StoreInfo, User, Wanted
from raftstore.wire import commands_pb2 as commands


@pytest.fixture
def feeder(tmp_path: Path) -> Iterator[Feeder]:
    with Feeder(tmp_path / "catalog.db") as made:
        yield made


@pytest.fixture
def level_1(tmp_path: Path) -> Iterator[Feeder]:
    """With owners that are names."""
    with Feeder(tmp_path / "catalog.db", level=1) as made:
        yield made


def put_user(
    name: str = "ada", *, create: bool = False, update: bool = False, **fields: object
) -> commands.Command:
    values: dict[str, object] = {"password_hash": "$argon2id$", "home": "/", "rights": "elr", **fields}
    return command("put_user", user=commands.User(name=name, **values), create=create, update=update)  # type: ignore[arg-type]


def change(
    *, added: tuple[tuple[int, int], ...] = (), removed: tuple[tuple[int, int], ...] = ()
) -> commands.Command:
    return command(
        "change_replicas",
        added=[commands.ReplicaChange(digest=digest(seed), store=store) for seed, store in added],
        removed=[commands.ReplicaChange(digest=digest(seed), store=store) for seed, store in removed],
    )


def test_users(feeder: Feeder) -> None:
    assert feeder.catalog.user("ada") is None
    assert feeder.status(put_user(update=True)) == "NOT_FOUND"
    assert (
        feeder.status(put_user(create=True, quota_bytes=5, disabled=True, home="/ada/in", revision=99)) == "OK"
    )
    made = feeder.index
    kept = {"identity": f"ada/{made}", "sessions_since": made}
    ada = User("ada", "$argon2id$", "/ada/in", "elr", 5, True, made, **kept)
    assert feeder.catalog.user("ada") == ada
    assert feeder.status(put_user(create=True)) == "EXISTS"
    assert feeder.catalog.user("ada") == ada
    assert feeder.status(put_user(update=True, rights="")) == "OK"
    assert feeder.catalog.user("ada") == User(
        "ada", "$argon2id$", "/", "", 0, False, feeder.index, **(kept | {"sessions_since": feeder.index})
    )
    assert feeder.status(put_user("Bob")) == "OK"
    assert [user.name for user in feeder.catalog.users()] == ["Bob", "ada"]
    assert feeder.status(command("remove_user", name="ada")) == "OK"
    assert feeder.status(command("remove_user", name="ada")) == "NOT_FOUND"
    assert [user.name for user in feeder.catalog.users()] == ["Bob"]
    assert feeder.catalog.user("\udcff") is None
    assert feeder.catalog.usage("\udcff").bytes == 0


def test_an_update_of_another_revision_is_refused(feeder: Feeder) -> None:
    feeder.one(put_user(create=True, disabled=False))
    seen = feeder.index
    assert feeder.status(put_user(update=True, revision=seen, disabled=True)) == "OK"
    assert feeder.status(put_user(update=True, revision=seen, quota_bytes=5)) == "CHANGED"
    ada = feeder.catalog.user("ada")
    assert ada is not None
    assert (ada.disabled, ada.quota_bytes) == (True, 0)
    assert feeder.status(put_user(update=True, revision=ada.revision, disabled=True, quota_bytes=5)) == "OK"
    assert feeder.status(put_user(update=True, quota_bytes=6)) == "OK"


@pytest.mark.parametrize(
    ("built", "status"),
    [
        (put_user(""), "BAD_NAME"),
        (put_user("a/b"), "BAD_NAME"),
        (put_user("a\nb"), "BAD_NAME"),
        (put_user(home=""), "INVALID"),
        (put_user(home="ada"), "INVALID"),
        (put_user(home="/ada/"), "INVALID"),
        (put_user(home="/a/../b"), "INVALID"),
        (put_user(rights="elx"), "INVALID"),
        (put_user(rights="ee"), "INVALID"),
        (put_user(quota_bytes=2**63), "INVALID"),
        (put_user(password_hash="x" * 1025), "INVALID"),
        (put_user(create=True, update=True), "INVALID"),
        (command("put_user"), "BAD_NAME"),
    ],
)
def test_users_refused(feeder: Feeder, built: commands.Command, status: str) -> None:
    assert feeder.status(built) == status
    assert feeder.catalog.users() == []


def register(feeder: Feeder, node: str, identity: bytes, zone: str = "") -> commands.Result:
    return feeder.one(command("register_store", node=node, identity=identity, zone=zone))


def test_a_store_has_the_zone_that_was_told_last(feeder: Feeder) -> None:
    assert register(feeder, "n2", STORES[2], "cellar").store == 2
    assert register(feeder, "n3", STORES[3], "attic").store == 3
    assert register(feeder, "n3", STORES[3], "roof").store == 3
    feeder.reopen()
    assert [store.zone for store in feeder.catalog.stores()] == ["", "cellar", "roof"]


def test_stores_keep_their_number_and_a_new_disk_gets_another(feeder: Feeder) -> None:
    assert [(store.number, store.node) for store in feeder.catalog.stores()] == [
        (1, "n1"),
        (2, "n2"),
        (3, "n3"),
    ]
    assert register(feeder, "n2", STORES[2]).store == 2
    assert register(feeder, "n2", b"x" * 16).store == 4
    stores = {store.number: store for store in feeder.catalog.stores()}
    assert stores[2] == StoreInfo(2, "n2", STORES[2], False)
    assert stores[4] == StoreInfo(4, "n2", b"x" * 16, True)
    assert feeder.status(command("register_store", node="n2", identity=STORES[2])) == "SUPERSEDED"
    feeder.reopen()
    assert [store.number for store in feeder.catalog.stores() if store.current] == [1, 3, 4]
    assert feeder.catalog.superseded("n2", STORES[2])
    assert not feeder.catalog.superseded("n2", b"x" * 16)
    assert not feeder.catalog.superseded("n2", b"y" * 16)
    assert not feeder.catalog.superseded("n1", STORES[1])


def test_a_version_needs_a_quorum_of_stores_that_are_current(feeder: Feeder) -> None:
    assert feeder.status(put("/whole", 1, chunks=[chunk(1, 10, (1, 2))], quorum=2)) == "OK"
    register(feeder, "n2", b"x" * 16)
    assert feeder.status(put("/torn", 2, chunks=[chunk(2, 10, (1, 2))], quorum=2)) == "CHANGED"
    assert feeder.status(put("/whole", 1, chunks=[chunk(1, 10, (1, 2))], quorum=2)) == "CHANGED"
    assert feeder.status(put("/torn", 2, chunks=[chunk(2, 10, (1, 4))], quorum=2)) == "OK"
    # What the catalog knows of a chunk counts, too.
    assert feeder.status(put("/again", 2, chunks=[chunk(2, 10, (1,))], quorum=2)) == "OK"


@pytest.mark.parametrize(
    ("node", "identity"), [("", b"x" * 16), ("n4", b"x" * 15), ("n4", STORES[1]), ("n\n", b"x" * 16)]
)
def test_stores_refused(feeder: Feeder, node: str, identity: bytes) -> None:
    assert register(feeder, node, identity).status == commands.INVALID
    assert len(feeder.catalog.stores()) == 3


def test_replicas_come_and_go(feeder: Feeder) -> None:
    feeder.one(put("/f", 1, chunks=[chunk(1, 10, (2, 2, 1))]))
    assert feeder.catalog.chunk_stores(digest(1)) == (1, 2)
    assert feeder.catalog.chunk_stores(digest(9)) == ()
    assert feeder.status(change(added=((1, 3), (1, 3), (9, 1)))) == "OK"
    assert feeder.catalog.chunk_stores(digest(1)) == (1, 2, 3)
    assert feeder.status(change(removed=((1, 1), (1, 1), (9, 1)))) == "OK"
    assert feeder.catalog.chunk_stores(digest(1)) == (2, 3)
    assert feeder.status(change(added=((1, 1),), removed=((1, 1),))) == "OK"
    assert feeder.catalog.chunk_stores(digest(1)) == (2, 3)
    feeder.one(put("/g", 1, chunks=[chunk(1, 10, (1,))]))
    assert feeder.catalog.file("/f").chunks == (ChunkRef(digest(1), 10, (1, 2, 3)),)


def test_changes_of_replicas_refused_as_a_whole(feeder: Feeder) -> None:
    feeder.one(put("/f", 1))
    assert feeder.status(change(removed=((1, 1), (1, 4)))) == "INVALID"
    bad = commands.ReplicaChange(digest=b"short", store=1)
    assert (
        feeder.status(
            command("change_replicas", removed=[*change(removed=((1, 1),)).change_replicas.removed, bad])
        )
        == "INVALID"
    )
    assert feeder.catalog.chunk_stores(digest(1)) == (1, 2, 3)


def test_what_lies_on_a_store(feeder: Feeder) -> None:
    feeder.all(
        put("/f", 1, 2, chunks=[chunk(1, 10, (1, 2)), chunk(2, 10, (2, 3))]),
        put("/g", 1, chunks=[chunk(1, 10, (1,))]),
        partial("/h", 4),
    )
    assert [feeder.catalog.store_totals(store) for store in (1, 2, 3, 4)] == [(2, 20), (2, 30), (0, 20), (0, 0)]
    feeder.one(change(added=((1, 3),), removed=((1, 2),)))
    assert [feeder.catalog.store_totals(store) for store in (1, 2, 3)] == [(2, 20), (0, 20), (2, 30)]
    feeder.all(command("remove_file", path="/f"), command("drop_partial", path="/h", owner="ada"))
    assert [feeder.catalog.store_totals(store) for store in (1, 2, 3)] == [(1, 10), (0, 0), (1, 10)]
    feeder.reopen()
    assert feeder.catalog.store_totals(3) == (1, 10)


def test_nothing_is_short_when_all_is_well(feeder: Feeder) -> None:
    feeder.all(put("/f", 1, 2), put("/empty"), partial("/g", 3))
    assert feeder.catalog.short_files(Wanted(3), [1, 2, 3], 10) == (0, [])
    assert feeder.catalog.short_chunks(Wanted(3), [1, 2, 3], 10) == []


def test_short_files_and_chunks(feeder: Feeder) -> None:
    feeder.make("/a", "/a/b")
    feeder.all(
        put("/a/b/whole", 1),
        put("/a/tail", 2, chunks=[chunk(1), chunk(2, 10, (1, 2)), chunk(2, 10, (1, 2))], size=30),
        put("/z", 3, chunks=[chunk(3, 10, (3,))]),
        put("/y", 3),
        put("/gone", 4, chunks=[chunk(4, 10, (1,))]),
        partial("/p", 5),
        change(removed=((3, 1), (3, 2), (5, 1))),
        command("remove_file", path="/gone"),
    )
    catalog = feeder.catalog
    assert catalog.short_files(Wanted(3), [1, 2, 3], 10) == (3, ["/a/tail", "/y", "/z"])
    count, paths = catalog.short_files(Wanted(3), [1, 2, 3], 2)
    assert (count, len(paths)) == (3, 2)
    assert catalog.short_files(Wanted(3), [1, 2, 3], 0) == (3, [])
    assert catalog.short_files(Wanted(1), [1, 2], 10) == (2, ["/y", "/z"])
    assert catalog.short_files(Wanted(4), [1, 2, 3], 10)[0] == 4
    short = catalog.short_chunks(Wanted(3), [1, 2, 3], 10)
    assert [ref.digest for ref in short] == [digest(3), digest(2), digest(5)]
    assert short[0].stores == (3,)
    assert [ref.digest for ref in catalog.short_chunks(Wanted(3), [1, 2, 3], 1)] == [digest(3)]
    # With store 3 lost nobody can repair chunk 3: it must not stand in the way of the others.
    assert catalog.short_chunks(Wanted(3), [1, 2], 10)[-1].digest == digest(3)


def test_many_short_files_are_counted_by_their_first_chunk(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "EXACT", 5)
    feeder.all(*(put(f"/{n:02}", 2 * n, 2 * n + 1) for n in range(20)))
    assert feeder.catalog.short_files(Wanted(3), [1, 2], 3) == (20, ["/00", "/01", "/02"])
    feeder.all(*(put(f"/same{n:02}", 100, chunks=[chunk(100, 10, (1,))]) for n in range(20)))
    assert feeder.catalog.short_files(Wanted(2), [1, 2], 3)[0] == 20


def test_what_a_store_should_have(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PAGE", 2)
    for seed in range(5):
        feeder.one(command("put_file", path=f"/{seed}", size=10, chunks=[chunk(seed, stores=(1, 2))]))
    feeder.all(
        command("put_file", path="/both", size=20, chunks=[chunk(7, stores=(2, 3)), chunk(0, stores=(1,))]),
        command("put_file", path="/gone", size=10, chunks=[chunk(8, stores=(2,))]),
        command("remove_file", path="/gone"),
    )
    reported = list(feeder.catalog.chunks_on(2))
    assert max(map(len, reported)) == 2
    assert sorted(one for page in reported for one in page) == sorted(map(digest, (0, 1, 2, 3, 4, 7)))
    assert list(feeder.catalog.chunks_on(3)) == [[digest(7)]]
    assert list(feeder.catalog.chunks_on(9)) == []


def account(feeder: Feeder, name: str, replicas: int) -> None:
    user = commands.User(name=name, home="/", replicas=replicas)
    assert feeder.status(command("put_user", user=user)) == "OK"


def shortage(feeder: Feeder, wanted: Wanted, live: list[int]) -> dict[bytes, int]:
    return {ref.digest: ref.copies for ref in feeder.catalog.short_chunks(wanted, live, 100)}


def test_an_owner_has_as_many_copies_as_the_account_asks_for(level_1: Feeder) -> None:
    account(level_1, "one", 1)
    account(level_1, "five", 5)
    level_1.all(
        put("/plain", 1, chunks=[chunk(1, 10, (1, 2))]),
        put("/one", 2, chunks=[chunk(2, 10, (1,))], owner="one"),
        put("/five", 3, chunks=[chunk(3, 10, (1, 2, 3))], owner="five"),
    )
    assert shortage(level_1, Wanted(3, 3), [1, 2, 3]) == {digest(1): 3}
    assert shortage(level_1, Wanted(3, 5), [1, 2, 3]) == {digest(1): 3, digest(3): 5}
    assert shortage(level_1, Wanted(2, 5), [2, 3]) == {digest(1): 2, digest(2): 1, digest(3): 5}
    level_1.reopen()
    assert shortage(level_1, Wanted(3, 5), [1, 2, 3]) == {digest(1): 3, digest(3): 5}
    assert level_1.catalog.short_count(Wanted(3, 5), [1, 2, 3]) == 2


def test_the_same_picture_of_two_owners_has_what_the_more_demanding_one_wants(level_1: Feeder) -> None:
    account(level_1, "one", 1)
    account(level_1, "two", 2)
    both = [chunk(1, 10, (1,))]
    level_1.all(put("/a", 1, chunks=both, owner="one"))
    assert shortage(level_1, Wanted(3, 3), [1, 2, 3]) == {}
    level_1.all(put("/b", 1, chunks=both, owner="two"))
    assert shortage(level_1, Wanted(3, 3), [1, 2, 3]) == {digest(1): 2}
    level_1.all(put("/c", 1, chunks=both))
    assert shortage(level_1, Wanted(3, 3), [1, 2, 3]) == {digest(1): 3}
    # A copy that comes or goes changes nothing of that.
    added = commands.ReplicaChange(digest=digest(1), store=2)
    assert level_1.status(command("change_replicas", added=[added])) == "OK"
    assert shortage(level_1, Wanted(3, 3), [1, 2, 3]) == {digest(1): 3}
    # Nobody refers to it any more: whoever does next begins anew.
    level_1.all(*(command("remove_file", path=path) for path in ("/a", "/b", "/c")))
    level_1.all(put("/a", 1, chunks=both, owner="one"))
    assert shortage(level_1, Wanted(3, 3), [1, 2, 3]) == {}


def test_more_copies_than_an_account_may_ask_for(feeder: Feeder) -> None:
    user = commands.User(name="many", home="/", replicas=6)
    assert feeder.status(command("put_user", user=user)) == "INVALID"
