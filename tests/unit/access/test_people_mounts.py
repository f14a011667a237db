"""What a person sees beside its home: /inbox, /send, /shared, over the fake store, where nothing is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from cursors import all_of
from fakestore import FakeStore

from ftpgateway.access.account import Account
from ftpgateway.access.settings import PeopleSettings
from ftpgateway.access.tree import MountRefused, all_mounts
from ftpgateway.access.workspace import Workspace
from ftpgateway.serving.refusals import reason
from raftstore.errors import Denied, NotFound
from raftstore.metadata.levels import NEWEST
from raftstore.rights import ROLES, Action
from raftstore.types import DeliveryState, SentItem, User

HOUR = 3600 * 10**9


def person(name: str) -> User:
    return User(name, "", home=f"/people/{name}", rights=ROLES["member"], person=True)


def view(test: Callable[[FakeStore, Workspace], Coroutine[Any, Any, None]], *, listed: bool = True) -> None:
    """Run `test` with a store in which anna, bob and carol are persons, and what anna's session sees."""
    store = FakeStore()
    for directory in ("/people", "/people/@inbox", "/people/@sent", "/people/@shared"):
        store.put(directory, None)
    for name in ("anna", "bob", "carol"):
        store.accounts[name] = person(name)
        for path in (f"/people/{name}", f"/people/@inbox/{name}", f"/people/@sent/{name}"):
            store.put(path, None)
    store.put("/people/@inbox/anna/bob", None)
    store.put("/people/@inbox/anna/bob/hi.jpg", b"picture", "anna/inbox")
    settings = PeopleSettings(list=listed)
    files = Workspace(store, Account(store.accounts["anna"], NEWEST), mounts=all_mounts(), people=settings)
    asyncio.run(test(store, files))


async def put(files: Workspace, path: str, data: bytes = b"x", **how: Any) -> None:
    upload = await files.upload(path, offset=None, append=False, exclusive=False, expected=None, **how)
    upload.feed(data)
    await upload.commit()


async def names(files: Workspace, path: str) -> list[str]:
    return [entry.name for entry in await all_of(await files.directory(path))]


async def refused(work: Awaitable[Any], text: str) -> None:
    with pytest.raises(MountRefused) as error:
        await work
    assert text in reason(error.value)


def test_persons_have_three_directories_beside_what_is_theirs() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files, "/") == ["inbox", "send", "shared"]
        assert await names(files, "/inbox") == ["bob"] and await names(files, "/inbox/bob") == ["hi.jpg"]
        for name in ("inbox", "send", "shared"):
            assert (await files.entry(f"/{name}")).is_directory
            await refused(files.remove_directory(f"/{name}"), "always there")
        await put(files, "/shared/a.jpg")
        assert store.read("/people/@shared/a.jpg") == b"x"

    view(test)


def test_everybody_who_can_be_sent_something_is_listed_before_anything_was() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files, "/send") == ["bob", "carol"]
        assert await names(files, "/send/bob") == []
        assert (await files.entry("/send/bob")).is_directory
        await files.enter("/send/bob")
        for nobody in ("/send/nobody", "/send/anna", "/send/.DS_Store", "/send/bob/x"):
            with pytest.raises(NotFound):
                await files.entry(nobody)
        await put(files, "/send/bob/x.jpg")
        assert store.read("/people/@sent/anna/bob/x.jpg") == b"x"
        assert await names(files, "/send") == ["bob", "carol"] and await names(files, "/send/bob") == ["x.jpg"]
        assert [e.name for e in (await files.matching("/send/c*")).entries] == ["carol"]
        await refused(files.remove_directory("/send/carol"), "nothing was sent there")

    view(test)


def test_where_names_are_not_listed_nobody_is_told_apart() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files, "/send") == []
        for name in ("bob", "nobody"):
            assert (await files.entry(f"/send/{name}")).is_directory and await names(
                files, f"/send/{name}"
            ) == []
        with pytest.raises(NotFound):
            await files.entry("/send/.hidden")

    view(test, listed=False)


@pytest.mark.parametrize(
    ("name", "draft"),
    [("x.jpg", False), ("x.jpg.PART", True), ("._x.jpg", True), ("x.tmp", True), ("part", False)],
)
def test_the_store_is_told_of_names_for_writing_and_of_the_expiry_of_the_session(
    name: str, draft: bool
) -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        noted: list[tuple[bool, int]] = []
        real = store.upload

        async def upload(*arguments: Any, **how: Any) -> Any:
            noted.append((how["draft"], how["expires_ns"]))
            return await real(*arguments, **how)

        store.upload = upload  # type: ignore[method-assign]
        await files.make_directory("/send/bob")
        files.expire_after(HOUR)
        await put(files, f"/send/bob/{name}")
        files.renew(Account(person("anna"), NEWEST))
        await put(files, f"/send/bob/again-{name}")
        assert noted[0] == (draft, HOUR) and noted[1][1] == HOUR

    view(test)


def test_the_first_thing_that_is_put_to_somebody_may_be_a_directory() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await files.make_directory("/send/bob/trip")
        assert await names(files, "/send/bob") == ["trip"]
        with pytest.raises(NotFound):
            await files.make_directory("/send/carol/trip/deep")

    view(test)


def test_a_mount_is_not_changed_also_where_the_change_is_of_many_names() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        for mount in ("/inbox", "/send", "/shared"):
            with pytest.raises(MountRefused):
                files.check_change(mount)
        files.check_change("/inbox/bob")
        files.check_change("/album")

    view(test)


def test_what_cannot_be_is_refused_with_what_to_do() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await put(files, "/mine.jpg")
        await put(files, "/send/bob/x.jpg")
        into_inbox = "put it to /send/NAME/"
        await refused(put(files, "/inbox/bob/x"), into_inbox)
        await refused(files.reserve("/inbox/bob/x"), into_inbox)
        await refused(files.base("/inbox/bob/hi.jpg"), into_inbox)
        await refused(files.make_directory("/inbox/x"), into_inbox)
        await refused(files.rename("/mine.jpg", "/inbox/x"), into_inbox)
        await refused(files.rename("/send/bob/x.jpg", "/inbox/x"), "stays here until you delete it")
        await refused(files.rename("/inbox/bob/hi.jpg", "/inbox/x"), "move it out to keep it")
        await refused(files.set_modified("/inbox/bob/hi.jpg", 0), "move it out")
        await refused(put(files, "/send/x.jpg"), "/send/NAME/")
        await refused(put(files, "/send/anna/x.jpg"), "nobody sends to oneself")
        await refused(files.make_directory("/send/anna"), "nobody sends to oneself")
        await refused(files.rename("/send/bob/x.jpg", "/x.jpg"), "stays here until you delete it")
        await refused(files.rename("/mine.jpg", "/send/bob/y.jpg"), "SITE SEND")
        await refused(files.rename("/inbox/bob/hi.jpg", "/send/carol/y.jpg"), "SITE SEND")
        with pytest.raises(Denied) as error:
            await files.rename("/send/bob/x.jpg", "/send/carol/x.jpg")
        assert "put the picture there" in reason(error.value)

    view(test)


def test_what_came_is_kept_by_moving_it_out() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await files.rename("/inbox/bob/hi.jpg", "/hi.jpg")
        assert store.read("/people/anna/hi.jpg") == b"picture" and await names(files, "/inbox/bob") == []
        assert not files.may(Action.WRITE, "/inbox/bob/x") and files.may(Action.WRITE, "/send/bob/x")

    view(test)


def test_failures_are_texts_that_are_found_by_their_directory() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        assert await names(files, "/send/.failed") == []
        failed = ((DeliveryState.REFUSED, "team/a.jpg"), (DeliveryState.OPENED, "bob/b.jpg"))
        for number, (state, path) in enumerate((*failed, failed[0]), 1):
            store.people.failed.append(SentItem(path, "bob", state, 5, 10**18, 0, 10**18, (number, 0)))
        assert await names(files, "/send/.failed") == ["team a.jpg (bob) 1.txt", "team a.jpg (bob) 3.txt"]
        path = "/send/.failed/team a.jpg (bob) 1.txt"
        download = await files.download(path)
        text = b"".join([bytes(block) async for block in download.blocks()])
        assert b"takes no pictures" in text and (await files.entry(path)).size == len(text)
        assert await names(files, "/send") == ["bob", "carol"]
        assert files.letters(path) == "elr" and not files.may(Action.DELETE, path)
        assert await files.begun(path) == 0
        for work in (
            files.remove(path),
            put(files, "/send/.failed/x"),
            files.make_directory("/send/.failed/d"),
        ):
            await refused(work, "it goes by itself")
        others = ("other", "b.jpg (bob) 2.txt", "x (bob) 1.txt", "team a.jpg (bob) 9.txt", " 1.txt")
        for other in others:
            with pytest.raises(NotFound):
                await files.download(f"/send/.failed/{other}")

    view(test)


def test_many_failures_are_listed_a_page_at_a_time_and_each_is_found_by_itself() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        for number in range(1, 251):
            item = SentItem("team/a.jpg", "bob", DeliveryState.REFUSED, 5, 10**18, 0, 0, (7, number))
            store.people.failed.append(item)
        listed = await names(files, "/send/.failed")
        assert len(set(listed)) == 250 and store.calls["sent"] == 4
        for name in listed:
            assert (await files.entry(f"/send/.failed/{name}")).name == name
        assert store.calls["sent"] == 4 and store.calls["sent_one"] == 250

    view(test)


def test_a_directory_that_went_with_the_last_file_may_be_removed_again() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await files.remove_directory("/inbox/carol")
        await files.remove("/inbox/bob/hi.jpg")
        await files.remove_directory("/inbox/bob")

    view(test)


def test_blocks_and_what_is_sent_without_bytes_are_for_persons() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await put(files, "/mine.jpg")
        files.expire_after(HOUR)
        await files.send_file("/mine.jpg", "bob")
        assert store.people.sends == [("/people/anna/mine.jpg", "bob", HOUR)]
        with pytest.raises(NotFound) as error:
            await files.send_file("/mine.jpg", "nobody")
        assert reason(error.value) == "nobody takes no pictures from you."
        await files.block("bob")
        assert await files.blocks() == ["bob"]
        await files.block("bob", off=True)
        assert await files.blocks() == []
        files.renew(Account(User("anna", "", home="/people/anna"), NEWEST))
        with pytest.raises(Denied, match="for persons"):
            await files.blocks()

    view(test)


def test_copies_go_where_something_may_be_put() -> None:
    async def test(store: FakeStore, files: Workspace) -> None:
        await put(files, "/mine.jpg", b"mine")
        await files.copy("/inbox/bob/hi.jpg", "/kept.jpg")
        assert store.read("/people/anna/kept.jpg") == b"picture"
        await files.copy("/mine.jpg", "/shared/mine.jpg")
        await files.copy("/mine.jpg", "/send/bob/mine.jpg")
        assert store.read("/people/@sent/anna/bob/mine.jpg") == b"mine", "with the directory that it needs"
        await refused(files.copy("/mine.jpg", "/inbox/bob/mine.jpg"), "/send/NAME/")
        await refused(files.copy("/mine.jpg", "/send/mine.jpg"), "/send/NAME/")
        await refused(files.copy("/mine.jpg", "/send/anna/mine.jpg"), "oneself")
        await refused(files.copy("/send/.failed/x", "/x"), "")
        await refused(files.copy("/mine.jpg", "/shared"), "always there")
        with pytest.raises(NotFound):
            await files.copy("/none.jpg", "/send/carol/none.jpg")
        assert "carol" not in store.find("/people/@sent/anna").children, "nothing is made for nothing"
        with pytest.raises(Denied):
            await files.copy("/mine.jpg", "/mine.jpg")

    view(test)
