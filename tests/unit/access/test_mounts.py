"""What is mounted in a session's view, at the level that all front-ends share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from additions_gateway.mounted import NEWEST, NOTICES
from cursors import all_of
from fakestore import FakeStore

from ftpgateway.access.account import Account
from ftpgateway.access.storetree import mapped
from ftpgateway.access.tree import MountRefused, all_mounts
from ftpgateway.access.workspace import Workspace
from raftstore.errors import AlreadyExists, Denied, NotFound
from raftstore.metadata import levels
from raftstore.rights import ROLES, Action
from raftstore.types import Order, User

ANNA = User("anna", "", home="/home/anna", rights=ROLES["member"])


def view(
    test: Callable[[FakeStore, Workspace], Coroutine[Any, Any, None]],
    user: User = ANNA,
    mounts: tuple[Any, ...] = (NEWEST, NOTICES),
) -> None:
    """Run `test` with a store in which anna has a home, with some albums, and what her session sees."""
    store = FakeStore()
    store.accounts[user.name] = user
    for directory in ("/home", "/home/anna", "/home/anna/.albums", "/home/anna/.albums/newest", "/home/anna/d"):
        store.put(directory, None)
    store.put("/home/anna/.albums/newest/a.jpg", b"picture", "anna")
    asyncio.run(test(store, Workspace(store, Account(user, levels.NEWEST), mounts=mounts)))


async def send(files: Workspace, path: str, data: bytes = b"x") -> None:
    upload = await files.upload(path, offset=None, append=False, exclusive=False, expected=None)
    upload.feed(data)
    await upload.commit()


async def names(files: Workspace, path: str = "/", **how: Any) -> list[str]:
    return [entry.name for entry in await all_of(await files.directory(path, **how))]


def test_who_is_no_person_has_no_mounts_and_neither_has_a_session_without_them() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files) == [".albums", "d"]
        with pytest.raises(NotFound):
            await files.entry("/newest")

    assert {mount.name for mount in all_mounts()} >= {"inbox", "send", "shared"}
    view(test, mounts=all_mounts())
    view(test, mounts=())


def test_a_mounted_directory_is_where_its_account_has_it_and_nowhere_else() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files) == [".albums", "d", "newest", "notices"]
        assert await names(files, backwards=True) == ["notices", "newest", "d", ".albums"]
        assert await names(files, "/newest") == ["a.jpg"]
        assert (await files.entry("/newest")).name == "newest"
        assert (await files.entry("/newest/a.jpg")).size == 7
        assert [e.name for e in (await files.matching("/n*")).entries] == ["newest", "notices"]
        with pytest.raises(NotFound):
            await files.entry("/d/newest")

    view(test)

    async def reader(store: FakeStore, files: Workspace) -> None:
        assert await names(files) == [".albums", "d", "notices"]
        files.renew(Account(ANNA, levels.NEWEST))
        assert "newest" in await names(files)

    view(reader, replace(ANNA, rights=ROLES["read-only"]))


def test_what_a_mount_maps_is_hidden_until_it_is_there_and_hides_the_same_name_of_the_home() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files) == [".albums", "d", "notices"]
        store.put("/home/anna/.albums/newest", None)
        store.put("/home/anna/newest", b"hidden")
        assert await names(files) == [".albums", "d", "newest", "notices"]
        assert (await files.entry("/newest")).is_directory

    async def without(store: FakeStore, files: Workspace) -> None:
        del store.find("/home/anna/.albums").children["newest"]
        await test(store, files)

    view(without)


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("backwards", [False, True])
def test_mounts_are_listed_once_among_many_pages(order: Order, backwards: bool) -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        store.page = 3
        for number in range(10):
            store.put(f"/home/anna/{'amz'[number % 3]}{number}", b"." * number, "anna")
        store.put("/home/anna/notices", b"hidden")
        found = await names(files, order=order, backwards=backwards)
        assert sorted(found) == sorted(set(found)) and len(found) == 14
        if order is Order.NAME:
            assert found == sorted(found, reverse=backwards)

    view(test)


def test_a_mapped_mount_takes_what_the_rights_at_its_place_allow() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await send(files, "/newest/b.jpg")
        assert store.read("/home/anna/.albums/newest/b.jpg") == b"x"
        await files.make_directory("/newest/day")
        await files.rename("/newest/b.jpg", "/newest/day/c.jpg")
        await files.rename("/newest/day/c.jpg", "/d/c.jpg")
        await files.rename("/d/c.jpg", "/newest/c.jpg", exclusive=True)
        await files.remove_directory("/newest/day")
        assert await names(files, "/newest") == ["a.jpg", "c.jpg"]
        await files.remove("/newest/c.jpg")
        assert files.letters("/newest/a.jpg") == ROLES["member"] and files.may(Action.DELETE, "/newest/a.jpg")
        await files.enter("/newest")
        assert files.resolve("a.jpg") == "/newest/a.jpg" and files.resolve("..") == "/"
        assert await files.size("/newest") == (None, False) and await files.size("/newest/a.jpg") == (7, False)

    view(test)


def test_a_mapped_mount_gives_no_right_that_the_account_does_not_have() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        store.put("/others", None)
        store.put("/others/secret", b"s")
        assert await names(files) == [".albums", "d"], "outside of the home the store shows nothing"
        with pytest.raises(Denied):
            await files.download("/others/secret")
        with pytest.raises(Denied):
            await send(files, "/others/mine")

    view(test, mounts=(mapped("others", lambda user: "/others"),))


def test_a_mounted_directory_itself_stays() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        for name in ("newest", "notices"):
            with pytest.raises(MountRefused, match=f"/{name} is always there"):
                await files.remove_directory(f"/{name}")
            with pytest.raises(MountRefused, match="always there"):
                await files.rename(f"/{name}", "/d/x")
            with pytest.raises(MountRefused, match="always there"):
                await files.rename("/d", f"/{name}")
            with pytest.raises(MountRefused, match="always there"):
                await send(files, f"/{name}")
        with pytest.raises(AlreadyExists):
            await files.make_directory("/newest")

    view(test)


def test_a_mount_that_is_in_no_store_is_read_and_refuses_the_rest_with_its_reason() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files, "/notices") == ["welcome.txt"]
        entry = await files.entry("/notices/welcome.txt")
        assert entry.inode > 1 << 62 and entry.size == 15
        assert (await files.directory_of("/notices/welcome.txt")) == (await files.entry("/notices")).inode
        download = await files.download("/notices/welcome.txt")
        assert b"".join([bytes(block) async for block in download.blocks()]) == b"Welcome, anna!\n"
        assert not files.may(Action.WRITE, "/notices/welcome.txt") and files.letters("/notices") == "elr"
        for refused in (
            send(files, "/notices/x"),
            files.remove("/notices/welcome.txt"),
            files.make_directory("/notices/x"),
            files.remove_directory("/notices/x"),
            files.set_modified("/notices/welcome.txt", 0),
            files.rename("/notices/welcome.txt", "/notices/x"),
            files.free_space("/notices"),
            files.require(Action.WRITE, "/notices"),
        ):
            with pytest.raises(MountRefused, match="notices are only read"):
                await refused
        assert await files.begun("/notices/welcome.txt") == 0 and await files.reserve("/notices/x") is None

    view(test)


def test_a_move_across_is_refused_where_the_mount_does_not_offer_it() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await send(files, "/d/x")
        with pytest.raises(MountRefused, match="cannot be moved out"):
            await files.rename("/notices/welcome.txt", "/d/w")
        for source in ("/d/x", "/newest/a.jpg"):
            with pytest.raises(MountRefused, match="nothing can be moved into"):
                await files.rename(source, "/notices/x")
        with pytest.raises(MountRefused, match="close it before"):
            await files.check_rename_new("/d/new", "/newest/new", None)
        assert await names(files, "/d") == ["x"] and await names(files, "/newest") == ["a.jpg"]

    view(test)


def test_a_session_that_has_to_end_sees_no_mount_either() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        files.shut()
        for path in ("/newest", "/notices/welcome.txt", "/"):
            with pytest.raises(Denied, match="the session has ended"):
                await files.entry(path)

    view(test)
