"""Trash and retention as front-ends and operators ask for them, over a real catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from catalogs import NOW, Feeder, command, put

from raftstore.cluster import retention
from raftstore.cluster.retaining import RetentionWork
from raftstore.cluster.retention import Bounds, RetentionCalls, RetentionRule, beyond
from raftstore.cluster.trash import EMPTIED, TrashCalls, TrashEntry, reclaimable
from raftstore.errors import AlreadyExists, Denied, Invalid, NotADirectory, NotFound, StoreError
from raftstore.metadata.results import accepted
from raftstore.metadata.tables.names.trash import MAX_DISPLACED
from raftstore.rights import Actor
from raftstore.store.names import Names
from raftstore.types import User
from raftstore.wire import commands_pb2 as commands

DAY = 86_400 * 10**9
OPERATOR = Actor.system("an operator asks")


class Store:
    """What of a store these calls need; proposals are applied at once."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.names = Names(feeder.catalog, self.barrier, self.propose)
        self.trash = TrashCalls(feeder.catalog, self.barrier, self.names.change)
        self.retention = RetentionCalls(feeder.catalog, self.barrier, self.names.change)

    async def barrier(self) -> None:
        """All is applied."""

    async def propose(self, built: commands.Command) -> commands.Result:
        return accepted(self.feeder.one(built).SerializeToString())

    def account(self, name: str, **fields: object) -> Actor:
        user = commands.User(**{"name": name, "home": "/", "rights": "elradfmwMT", "trash_ns": DAY, **fields})  # type: ignore[arg-type]
        assert self.feeder.status(command("put_user", user=user)) == "OK"
        found = self.feeder.catalog.user(name)
        assert found is not None
        return Actor.session(found)

    def remove(self, actor: Actor, path: str, *seeds: int) -> None:
        async def both() -> None:
            await self.names.change(actor, put(path, *(seeds or (1,))))
            await self.names.remove(actor, path)

        asyncio.run(both())

    def entries(self, actor: Actor, of: str = "") -> list[TrashEntry]:
        async def collect() -> list[TrashEntry]:
            return [entry async for page in self.trash.entries(actor, of=of) for entry in page]

        return asyncio.run(collect())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Feeder(tmp_path / "catalog.db") as feeder:
        feeder.one(command("advance_clock", time_ns=NOW, limit=1))
        yield Store(feeder)


def test_an_account_sees_and_restores_its_own(store: Store) -> None:
    ada, bob = store.account("ada"), store.account("bob")
    store.feeder.make("/d")
    store.remove(ada, "/d/a.jpg", 1, 2)
    store.remove(ada, "/d/b.jpg")
    first, second = store.entries(ada)
    assert (first.name, first.path, first.size, second.path) == ("a.jpg", "/d/a.jpg", 20, "/d/b.jpg")
    assert first.expires_ns - first.removed_ns == DAY
    assert store.entries(bob) == []
    with pytest.raises(NotFound):
        asyncio.run(store.trash.restore(bob, "a.jpg"))
    assert asyncio.run(store.trash.restore(ada, "a.jpg")) == "/d/a.jpg"
    assert [entry.name for entry in store.entries(ada)] == ["b.jpg"]


def test_in_place_beside_and_over(store: Store) -> None:
    ada = store.account("ada")
    store.remove(ada, "/a.jpg", 1)
    asyncio.run(store.names.change(ada, put("/a.jpg", 2)))
    with pytest.raises(AlreadyExists):
        asyncio.run(store.trash.restore(ada, "a.jpg"))
    assert asyncio.run(store.trash.restore(ada, "a.jpg", beside=True)) == "/a (2).jpg"
    store.remove(ada, "/b.jpg", 3)
    assert asyncio.run(store.trash.restore(ada, "b.jpg", to="/new/place", replace=True)) == "/new/place"
    with pytest.raises(NotFound):
        asyncio.run(store.trash.restore(ada, "none"))


def test_an_operator_does_it_for_an_account(store: Store) -> None:
    ada = store.account("ada")
    store.remove(ada, "/a.jpg")
    assert [entry.name for entry in store.entries(OPERATOR, "ada")] == ["a.jpg"]
    assert asyncio.run(store.trash.restore(OPERATOR, "a.jpg", of="ada")) == "/a.jpg"
    with pytest.raises(NotFound):
        store.entries(OPERATOR, "nobody")
    with pytest.raises(Denied):
        store.entries(Actor.session(User("gone", "")))


def test_emptying_takes_all_of_it_in_bounded_commands(store: Store) -> None:
    ada = store.account("ada")
    for seed in range(1, EMPTIED + 5):
        store.remove(ada, f"/{seed}", seed)
    before = store.feeder.index
    assert asyncio.run(store.trash.empty(ada)) == EMPTIED + 4
    assert store.feeder.index == before + 2
    assert store.entries(ada) == []
    assert asyncio.run(store.trash.empty(ada)) == 0
    assert store.feeder.index == before + 2, "nothing is written for nothing"


def test_what_a_quota_can_win_back_is_bounded_too(store: Store) -> None:
    ada = store.account("ada")
    assert reclaimable(store.feeder.catalog, ada.owner) == (0, 0)
    for seed in range(1, MAX_DISPLACED + 3):
        store.remove(ada, f"/{seed}", seed)
    assert reclaimable(store.feeder.catalog, ada.owner) == (MAX_DISPLACED, 10 * MAX_DISPLACED)


def test_before_the_upgrade_it_says_so(tmp_path: Path) -> None:
    with Feeder(tmp_path / "earlier" / "catalog.db", level=2) as feeder:
        store = Store(feeder)
        ada = store.account("ada", trash_ns=0)
        assert reclaimable(feeder.catalog, ada.owner) == (0, 0)
        for asked in (
            store.trash.restore(ada, "a"),
            store.trash.empty(ada),
            store.retention.set(OPERATOR, "/", Bounds(files=1)),
            store.retention.remove(OPERATOR, "/"),
            store.retention.rules(),
            store.retention.preview("/", Bounds(files=1)),
        ):
            with pytest.raises(Invalid, match="upgrade"):
                asyncio.run(asked)


# Retention.


def settle(store: Store) -> None:
    work = RetentionWork(catalog=store.feeder.catalog, leads=lambda: True, propose=store.propose)

    async def all_of_it() -> None:
        while await work.look():
            pass

    asyncio.run(all_of_it())


def test_rules_are_set_listed_and_removed(store: Store) -> None:
    store.feeder.make("/cams", "/other")
    bounds = Bounds(age_ns=30 * DAY, bytes=1000, files=5)
    asyncio.run(store.retention.set(OPERATOR, "/other", bounds))
    asyncio.run(store.retention.set(OPERATOR, "/cams", Bounds(files=2)))
    settle(store)
    store.feeder.one(put("/cams/1", 1))
    assert asyncio.run(store.retention.rules()) == [
        RetentionRule("/cams", Bounds(files=2), 1, 10, True),
        RetentionRule("/other", bounds, 0, 0, True),
    ]
    asyncio.run(store.retention.remove(OPERATOR, "/other"))
    assert [rule.path for rule in asyncio.run(store.retention.rules())] == ["/cams"]
    with pytest.raises(NotFound):
        asyncio.run(store.retention.remove(OPERATOR, "/other"))
    with pytest.raises(Denied):
        asyncio.run(store.retention.set(store.account("ada"), "/cams", Bounds(files=1)))


@pytest.mark.parametrize("bounds", [Bounds(files=3), Bounds(bytes=45), Bounds(files=100), Bounds(age_ns=DAY)])
def test_a_preview_tells_what_goes_then(store: Store, bounds: Bounds) -> None:
    store.feeder.make("/cams", "/cams/a", "/cams/own")
    for seed in range(1, 5):
        store.feeder.one(put(f"/cams/{seed}", seed))
    for hour in range(1, 30):
        store.feeder.one(command("advance_clock", time_ns=NOW + hour * DAY // 24, limit=1))
    for seed in range(5, 8):
        store.feeder.one(put(f"/cams/a/{seed}", seed))
    asyncio.run(store.retention.set(OPERATOR, "/cams/own", Bounds(files=9)))
    store.feeder.one(put("/cams/own/8", 8))
    before = store.feeder.catalog.digest()
    preview = asyncio.run(store.retention.preview("/cams", bounds))
    assert store.feeder.catalog.digest() == before
    assert (preview.of_files, preview.of_bytes) == (7, 70)
    asyncio.run(store.retention.set(OPERATOR, "/cams", bounds))
    settle(store)
    left = store.feeder.catalog.totals()
    assert left == (8 - preview.files, 80 - preview.bytes)
    for path in preview.paths:
        with pytest.raises(StoreError):
            store.feeder.catalog.lookup(path)
    assert len(preview.paths) == preview.files == {3: 4, 100: 0}.get(bounds.files, 3 if bounds.bytes else 4)


def test_a_preview_goes_by_the_time_that_has_come_though_the_clock_is_a_little_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.feeder.make("/cams")
    store.feeder.one(command("advance_clock", time_ns=NOW, limit=1))
    store.feeder.one(put("/cams/1", 1))
    store.feeder.one(command("advance_clock", time_ns=NOW + 60 * 10**9, limit=1))
    second = 10**9
    for later, files in ((1, 0), (11, 1)):
        monkeypatch.setattr(
            retention, "time", SimpleNamespace(time_ns=lambda ns=later: NOW + (60 + ns) * second)
        )
        preview = asyncio.run(store.retention.preview("/cams", Bounds(age_ns=10 * second)))
        assert preview.files == files


@pytest.mark.parametrize("path", ["/", "/people", "/people/@inbox/anna", "/people/anna"])
def test_a_preview_is_refused_where_retention_is(store: Store, path: str) -> None:
    for asked in (
        store.retention.preview(path, Bounds(files=1)),
        store.retention.set(OPERATOR, path, Bounds(files=1)),
    ):
        with pytest.raises(Invalid, match="there is no retention for"):
            asyncio.run(asked)


def test_a_preview_is_of_a_directory(store: Store) -> None:
    store.feeder.one(put("/file", 1))
    with pytest.raises(NotADirectory):
        asyncio.run(store.retention.preview("/file", Bounds(files=1)))


def test_what_goes_is_the_oldest_until_all_bounds_hold() -> None:
    files = [(1, 10), (2, 30), (3, 5), (4, 5)]
    assert beyond(files, Bounds(), 0) == 0
    assert beyond(files, Bounds(files=2), 0) == 2
    assert beyond(files, Bounds(bytes=45), 0) == 1
    assert beyond(files, Bounds(bytes=1), 0) == 4
    assert beyond(files, Bounds(files=4), 3) == 2
    assert beyond([], Bounds(files=1), 9) == 0
