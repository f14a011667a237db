"""Names, as front-ends make, find, list, move and remove them."""

from __future__ import annotations

import asyncio

import pytest
from contract import World, refused

from raftstore.errors import (
    AlreadyExists,
    BadName,
    Cycle,
    Denied,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    QuotaExceeded,
    StoreError,
)
from raftstore.types import Kind, Order

# Directories.


async def test_a_directory_that_was_made_is_found_and_listed(world: World) -> None:
    await world.directory("d", "d/e")
    found = await world.lookup("d")
    assert (found.name, found.kind, found.size, found.owner) == ("d", Kind.DIRECTORY, 0, world.anna.owner)
    assert await world.names() == ["d"]
    assert await world.names("d") == ["e"]
    assert found.inode != (await world.lookup("d/e")).inode


async def test_a_name_is_made_once(world: World) -> None:
    await world.directory("d")
    await world.put("f")
    for path in ("d", "f"):
        with refused(AlreadyExists):
            await world.directory(path)


async def test_a_directory_is_made_in_one_that_is_there(world: World) -> None:
    await world.put("f")
    with refused(NotFound):
        await world.directory("missing/d")
    with refused(NotADirectory):
        await world.directory("f/d")


@pytest.mark.parametrize(
    "name",
    ["a\x01b", "n" * 256, "\ud800", "/".join(["deep"] * 130), "ü" * 128],
    ids=["control", "long", "half", "deep", "bytes"],
)
async def test_not_everything_can_be_a_name(world: World, name: str) -> None:
    with refused(BadName):
        await world.directory(name)
    with refused(BadName):
        await world.upload(name)
    await world.directory("d")
    with refused(BadName):
        await world.store.rename(world.anna, world.at("d"), world.at(name))


async def test_the_longest_name_is_taken(world: World) -> None:
    await world.directory("n" * 255)
    await world.put("ü" * 127)
    assert await world.names() == ["n" * 255, "ü" * 127]


async def test_an_empty_directory_is_removed(world: World) -> None:
    await world.directory("d", "d/e")
    with refused(NotEmpty):
        await world.store.remove_directory(world.anna, world.at("d"))
    await world.store.remove_directory(world.anna, world.at("d/e"))
    await world.store.remove_directory(world.anna, world.at("d"))
    assert await world.names() == []
    with refused(NotFound):
        await world.store.remove_directory(world.anna, world.at("d"))


async def test_a_file_is_not_removed_as_a_directory_nor_a_directory_as_a_file(world: World) -> None:
    await world.directory("d")
    await world.put("f")
    with refused(NotADirectory):
        await world.store.remove_directory(world.anna, world.at("f"))
    with refused(IsADirectory):
        await world.store.remove(world.anna, world.at("d"))
    assert await world.names() == ["d", "f"]


async def test_a_file_is_removed(world: World) -> None:
    await world.put("f")
    await world.store.remove(world.anna, world.at("f"))
    for path, error in (("f", NotFound), ("missing/f", NotFound)):
        with refused(error):
            await world.store.remove(world.anna, world.at(path))
    await world.put("g")
    with refused(NotADirectory):
        await world.store.remove(world.anna, world.at("g/h"))


async def test_what_is_looked_up_is_there_or_said_to_be_not(world: World) -> None:
    await world.put("f")
    for path, error in (("missing", NotFound), ("missing/below", NotFound), ("f/below", NotADirectory)):
        with refused(error):
            await world.lookup(path)


async def test_a_change_in_a_directory_is_seen_by_its_time(world: World) -> None:
    """Clients that keep listings look at it."""
    await world.directory("d", "e")
    for change in (
        lambda: world.directory("d/x"),
        lambda: world.put("d/f"),
        lambda: world.put("d/f", b"again"),
        lambda: world.store.rename(world.anna, world.at("d/f"), world.at("d/g")),
        lambda: world.store.remove(world.anna, world.at("d/g")),
        lambda: world.store.remove_directory(world.anna, world.at("d/x")),
    ):
        await world.store.set_modified(world.anna, world.at("d"), 1_000)
        await change()
        assert (await world.lookup("d")).mtime_ns > 1_000
    await world.put("d/f")
    for path in ("d", "e"):
        await world.store.set_modified(world.anna, world.at(path), 1_000)
    await world.store.rename(world.anna, world.at("d/f"), world.at("e/f"))
    assert min((await world.lookup("d")).mtime_ns, (await world.lookup("e")).mtime_ns) > 1_000


async def test_a_time_is_set_and_nothing_else(world: World) -> None:
    await world.directory("d")
    before = await world.put("f")
    for path in ("d", "f"):
        await world.store.set_modified(world.anna, world.at(path), 1_704_164_645_000_000_000)
        assert (await world.lookup(path)).mtime_ns == 1_704_164_645_000_000_000
    after = await world.lookup("f")
    assert (after.version, after.inode, after.size) == (before.version, before.inode, before.size)
    with refused(NotFound):
        await world.store.set_modified(world.anna, world.at("missing"), 1)


# Renames.


async def test_a_file_keeps_what_it_is_under_another_name(world: World) -> None:
    await world.directory("d")
    before = await world.put("f", b"content")
    await world.store.rename(world.anna, world.at("f"), world.at("d/g"))
    after = await world.lookup("d/g")
    assert (after.name, after.inode, after.version, after.mtime_ns, after.owner) == (
        "g",
        before.inode,
        before.version,
        before.mtime_ns,
        before.owner,
    )
    assert await world.get("d/g") == b"content"
    with refused(NotFound):
        await world.lookup("f")


async def test_a_directory_is_moved_with_what_is_in_it(world: World) -> None:
    await world.directory("d", "d/e", "other")
    await world.put("d/e/f", b"deep")
    await world.store.rename(world.anna, world.at("d"), world.at("other/moved"))
    assert await world.get("other/moved/e/f") == b"deep"
    with refused(NotFound):
        await world.lookup("d/e/f")


async def test_a_file_takes_the_place_of_another(world: World) -> None:
    moved = await world.put("f", b"new")
    await world.put("g", b"old")
    await world.store.rename(world.anna, world.at("f"), world.at("g"))
    assert await world.names() == ["g"]
    assert await world.get("g") == b"new"
    assert (await world.lookup("g")).inode == moved.inode


async def test_a_copy_is_another_file(world: World) -> None:
    await world.directory("d")
    await world.put("f", b"one")
    await world.store.copy(world.anna, world.at("f"), world.at("d/g"))
    await world.put("f", b"two")
    assert (await world.get("f"), await world.get("d/g")) == (b"two", b"one")
    copied = await world.lookup("d/g")
    assert (copied.owner, copied.size) == (world.anna.owner, 3)
    assert copied.inode != (await world.lookup("f")).inode
    await world.store.copy(world.anna, world.at("f"), world.at("d/g"))
    assert await world.get("d/g") == b"two"


async def test_what_is_not_copied(world: World) -> None:
    await world.directory("d")
    await world.put("f", b"f")
    await world.put("g", b"g")
    for source, target, kind in (
        ("f", "f", Denied),
        ("missing", "h", NotFound),
        ("f", "missing/h", NotFound),
        ("f", "g/h", NotADirectory),
        ("g/h", "i", NotADirectory),
        ("d", "h", IsADirectory),
        ("f", "d", IsADirectory),
        ("f", "n" * 256, BadName),
    ):
        with refused(kind):
            await world.store.copy(world.anna, world.at(source), world.at(target))
    with refused(AlreadyExists):
        await world.store.copy(world.anna, world.at("f"), world.at("g"), exclusive=True)
    assert await world.get("g") == b"g"


async def test_a_copy_needs_the_right_to_read_and_those_of_an_upload(world: World) -> None:
    await world.directory("d")
    await world.put("f", b"f")
    await world.put("d/there", b"there")
    for letters, allowed in (("elr", False), ("elw", False), ("elrw", True)):
        bob = await world.account(f"bob{letters}", letters)
        if allowed:
            await world.store.copy(bob, world.at("f"), world.at("d/new"))
            assert (await world.lookup("d/new")).owner == bob.owner
            with refused(AlreadyExists):
                await world.store.copy(bob, world.at("f"), world.at("d/there"))
        else:
            with refused(Denied):
                await world.store.copy(bob, world.at("f"), world.at("d/new"))


async def test_a_copy_counts_on_the_quota(world: World) -> None:
    await world.put("f", b"12345")
    bob = await world.account("bob", quota_bytes=9)
    await world.store.copy(bob, world.at("f"), world.at("g"))
    with refused(QuotaExceeded):
        await world.store.copy(bob, world.at("f"), world.at("h"))
    await world.store.copy(bob, world.at("f"), world.at("g"))


async def test_an_exclusive_rename_replaces_nothing(world: World) -> None:
    await world.put("f", b"new")
    await world.put("g", b"old")
    with refused(AlreadyExists):
        await world.store.rename(world.anna, world.at("f"), world.at("g"), exclusive=True)
    assert (await world.get("f"), await world.get("g")) == (b"new", b"old")
    await world.store.rename(world.anna, world.at("f"), world.at("h"), exclusive=True)
    assert await world.names() == ["g", "h"]


async def test_nothing_takes_the_place_of_a_directory_nor_a_directory_that_of_a_file(world: World) -> None:
    await world.directory("d", "empty")
    await world.put("f")
    for source, target in (("f", "d"), ("d", "f"), ("d", "empty")):
        with refused(AlreadyExists):
            await world.store.rename(world.anna, world.at(source), world.at(target))
    assert await world.names() == ["d", "empty", "f"]


async def test_a_directory_does_not_go_into_itself(world: World) -> None:
    await world.directory("d", "d/e", "dd")
    for target in ("d/x", "d/e/x"):
        with refused(Cycle):
            await world.store.rename(world.anna, world.at("d"), world.at(target))
    await world.store.rename(world.anna, world.at("d"), world.at("dd/d"))  # whose name only begins like it
    assert await world.names("dd") == ["d"]


async def test_a_rename_to_the_same_name_changes_nothing(world: World) -> None:
    await world.put("f", b"same")
    await world.directory("d")
    for path in ("f", "d"):
        before = await world.lookup(path)
        await world.store.rename(world.anna, world.at(path), world.at(path))
        assert await world.lookup(path) == before


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("missing", "g", NotFound),
        ("missing/f", "g", NotFound),
        ("f/below", "g", NotADirectory),
        ("f", "missing/g", NotFound),
        ("f", "h/g", NotADirectory),
    ],
)
async def test_both_ends_of_a_rename_must_be_there(
    world: World, source: str, target: str, error: type[StoreError]
) -> None:
    await world.put("f")
    await world.put("h")
    with refused(error):
        await world.store.rename(world.anna, world.at(source), world.at(target))
    assert await world.names() == ["f", "h"]


# Listings.


async def test_names_come_in_the_order_of_their_bytes(world: World) -> None:
    names = ["a", "Z", "é", "a b", "aa", "猫", "10", "9", "\U0001f408", "\uff21"]
    for name in names:
        await world.put(name)
    assert await world.names() == sorted(names, key=str.encode)
    assert await world.names(backwards=True) == sorted(names, key=str.encode, reverse=True)


async def test_only_directories_are_listed(world: World) -> None:
    await world.directory("empty")
    await world.put("f")
    assert await world.names("empty") == []
    for path, error in (("missing", NotFound), ("f", NotADirectory), ("f/below", NotADirectory)):
        with refused(error):
            await world.names(path)


async def test_a_listing_tells_what_a_lookup_does(world: World) -> None:
    await world.directory("d")
    await world.put("f", b"12345")
    page = await world.store.listing(world.anna, world.at())
    assert list(page.entries) == [await world.lookup("d"), await world.lookup("f")]
    assert (page.directory, page.path, page.more) == ((await world.lookup()).inode, world.at(), False)


async def test_a_large_directory_comes_page_by_page_each_name_once(world: World) -> None:
    await world.directory("large")
    names = [f"n{number:04}" for number in range(700)]
    await asyncio.gather(*(world.directory(f"large/{name}") for name in names))
    first = await world.store.listing(world.anna, world.at("large"))
    assert first.more and 0 < len(first.entries) < len(names)
    assert await world.names("large") == names
    assert await world.names("large", backwards=True) == names[::-1]


async def test_what_changes_between_two_pages_moves_no_other_name(world: World) -> None:
    await world.directory("large")
    names = [f"n{number:04}" for number in range(700)]
    await asyncio.gather(*(world.directory(f"large/{name}") for name in names))
    first = await world.store.listing(world.anna, world.at("large"))
    await world.store.remove_directory(world.anna, world.at(f"large/{names[0]}"))
    await world.directory("large/a-new-one")
    await world.store.rename(world.anna, world.at("large"), world.at("renamed"))
    found, last = [entry.name for entry in first.entries], first.last
    more = first.more
    while more:
        page = world.store.next_page(world.anna, first.directory, last)
        assert page is not None and page.path == world.at("renamed")
        found += [entry.name for entry in page.entries]
        last, more = page.last, page.more
    assert found == names


async def test_the_next_page_of_a_removed_directory_is_none(world: World) -> None:
    await world.directory("d")
    page = await world.store.listing(world.anna, world.at("d"))
    assert world.store.next_page(world.anna, page.directory, "") is not None
    await world.store.remove_directory(world.anna, world.at("d"))
    assert world.store.next_page(world.anna, page.directory, "") is None


async def test_a_directory_is_sorted_by_time_and_by_size(world: World) -> None:
    for name, size, mtime in (("a", 3, 20), ("b", 30, 10), ("c", 3, 30), ("d", 3, 20)):
        await world.put(name, b"x" * size)
        await world.store.set_modified(world.anna, world.at(name), mtime)
    orders = {Order.TIME: ["c", "a", "d", "b"], Order.SIZE: ["b", "a", "c", "d"]}
    for order, names in orders.items():
        listing = await world.store.sorted_listing(world.anna, world.at(), order)
        assert listing.count == 4
        forwards = [entry.name for number in range(listing.pages) for entry in listing.page(number).entries]
        backwards = [
            entry.name
            for number in range(listing.pages)
            for entry in listing.page(number, backwards=True).entries
        ]
        listing.close()
        assert (forwards, backwards) == (names, names[::-1])


async def test_a_file_and_what_is_missing_are_not_sorted(world: World) -> None:
    await world.put("f")
    for path, error in (("missing", NotFound), ("f", NotADirectory)):
        with refused(error):
            await world.store.sorted_listing(world.anna, world.at(path), Order.TIME)


async def test_a_sorted_listing_shows_one_moment(world: World) -> None:
    await world.put("f")
    listing = await world.store.sorted_listing(world.anna, world.at(), Order.SIZE)
    await world.store.remove(world.anna, world.at("f"))
    assert [entry.name for entry in listing.page(0).entries] == ["f"]
    listing.close()


async def test_the_directory_of_a_path_is_told_by_its_inode(world: World) -> None:
    await world.directory("d")
    assert await world.store.directory_of(world.anna, world.at("d/f")) == (await world.lookup("d")).inode
    with refused(NotFound):
        await world.store.directory_of(world.anna, world.at("missing/f"))


async def test_nobody_removes_or_renames_the_root(world: World) -> None:
    root = await world.account("root", "elradfmwMTA", home="/")
    assert (await world.store.lookup(root, "/")).is_directory
    for refuse in (
        lambda: world.store.remove_directory(root, "/"),
        lambda: world.store.rename(root, "/", world.at("r")),
    ):
        with refused(Denied):
            await refuse()
    with refused(AlreadyExists):
        await world.store.make_directory(root, "/")
