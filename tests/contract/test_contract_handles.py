"""Open handles, as SFTP has them: published by what the file is, whatever its name is by now; and reserved names."""

from __future__ import annotations

import pytest
from contract import World, read, refused

from ftpgateway.access.backend import Upload
from raftstore.errors import AlreadyExists, Changed, Denied, IsADirectory, NotEmpty, NotFound, QuotaExceeded
from raftstore.store.targets import Target
from raftstore.types import CHUNK_SIZE

BIG = b"".join(number.to_bytes(4, "big") * 64 for number in range(2 * CHUNK_SIZE // 256)) + b"tail"


async def opened(world: World, path: str, data: bytes = b"data") -> tuple[Upload, Target]:
    upload = await world.upload(path, data, handle=True)
    return upload, await upload.target()


# Where it is published.


async def test_a_new_file_is_published_at_its_name(world: World) -> None:
    upload, target = await opened(world, "f", b"content")
    assert target.inode == 0
    published = await upload.publish(target, 5_000)
    assert not published.gone
    assert await read(published.download) == b"content"
    found = await world.lookup("f")
    assert (found.size, found.mtime_ns, found.owner) == (7, 5_000, world.anna.owner)
    assert (published.download.entry.inode, published.download.entry.version) == (found.inode, found.version)


async def test_a_handle_publishes_again_and_again(world: World) -> None:
    upload, target = await opened(world, "f", b"first")
    first = await upload.publish(target)
    again = await world.store.rewrite(world.anna, first.download, world.at("f"))
    assert again.position == 5
    again.feed(b", second")
    second = await again.publish(target.became(first.download.entry))
    assert second.download.entry.inode == first.download.entry.inode
    assert await world.get("f") == b"first, second"
    for published in (first, second):
        await published.download.close()


async def test_a_handle_follows_its_file_to_another_name(world: World) -> None:
    await world.directory("d")
    before = await world.put("f", b"first")
    upload, target = await opened(world, "f", b"second")
    await world.store.rename(world.anna, world.at("f"), world.at("d/g"))
    await (await upload.publish(target)).download.close()
    assert await world.names() == ["d"]
    assert await world.get("d/g") == b"second"
    assert (await world.lookup("d/g")).inode == before.inode


async def test_a_new_file_follows_the_directory_that_it_was_opened_in(world: World) -> None:
    await world.directory("d")
    upload, target = await opened(world, "d/f")
    await world.store.rename(world.anna, world.at("d"), world.at("moved"))
    await world.directory("d")
    await (await upload.publish(target)).download.close()
    assert (await world.names("moved"), await world.names("d")) == (["f"], [])


async def test_what_is_written_into_a_removed_file_is_published_nowhere(world: World) -> None:
    await world.put("f", b"first")
    upload, target = await opened(world, "f", b"second")
    await world.store.remove(world.anna, world.at("f"))
    published = await upload.publish(target)
    assert published.gone
    assert await read(published.download) == b"second"
    assert await world.names() == []


async def test_a_file_that_others_have_changed_is_not_overwritten(world: World) -> None:
    await world.put("f", b"first")
    upload, target = await opened(world, "f", b"mine")
    await world.put("f", b"theirs")
    with refused(Changed):
        await upload.publish(target)
    assert await world.get("f") == b"theirs"


async def test_a_new_file_takes_nobodys_place(world: World) -> None:
    upload, target = await opened(world, "f", b"mine")
    await world.put("f", b"theirs")
    with refused(Changed):
        await upload.publish(target)
    assert await world.get("f") == b"theirs"
    upload, target = await opened(world, "d", b"mine")
    await world.directory("d")
    with refused(Changed):
        await upload.publish(target)


async def test_a_new_file_in_a_removed_directory_is_refused(world: World) -> None:
    await world.directory("d")
    upload, target = await opened(world, "d/f")
    await world.store.remove_directory(world.anna, world.at("d"))
    with refused(NotFound):
        await upload.publish(target)


async def test_a_new_file_may_replace_the_one_that_it_was_opened_to_replace(world: World) -> None:
    before = await world.put("f", b"first")
    upload, target = await opened(world, "f", b"second")
    replacing = Target(target.directory, "f", replaces=(before.inode, before.version))
    await (await upload.publish(replacing)).download.close()
    assert await world.get("f") == b"second"
    assert (await world.lookup("f")).inode != before.inode


async def test_a_handle_keeps_to_the_rights_of_where_its_file_is_now(world: World) -> None:
    await world.directory("closed")
    ruled = await world.account("ruled", "elradfmwMT", ("closed", "elr"))
    await world.put("f", b"first", ruled)
    upload = await world.upload("f", b"second", ruled, handle=True)
    target = await upload.target()
    await world.store.rename(world.anna, world.at("f"), world.at("closed/f"))
    with refused(Denied):
        await upload.publish(target)
    assert await world.get("closed/f") == b"first"


# What is in it, before it is published.


async def test_what_is_behind_the_last_whole_chunk_is_changed_in_place(world: World) -> None:
    upload = await world.upload("f", BIG)
    assert upload.whole == 2 * CHUNK_SIZE
    upload.patch(upload.whole + 1, b"AI")
    assert upload.filling(upload.whole, upload.position) == b"tAIl"
    await upload.commit()
    assert await world.get("f", offset=2 * CHUNK_SIZE) == b"tAIl"


async def test_a_whole_chunk_is_read_and_replaced(world: World) -> None:
    upload = await world.upload("f", BIG, handle=True)
    target = await upload.target()
    assert bytes(await upload.chunk(1)) == BIG[CHUNK_SIZE : 2 * CHUNK_SIZE]
    fresh = bytes(reversed(BIG[:CHUNK_SIZE]))
    if not upload.replace(0, fresh):
        await upload.drained()
    assert bytes(await upload.chunk(0)) == fresh
    await (await upload.publish(target)).download.close()
    assert await world.get("f") == fresh + BIG[CHUNK_SIZE:]


@pytest.mark.parametrize("size", [2 * CHUNK_SIZE + 2, 2 * CHUNK_SIZE, CHUNK_SIZE + 77, 5, 0])
async def test_an_upload_is_cut(world: World, size: int) -> None:
    upload = await world.upload("f", BIG, handle=True)
    target = await upload.target()
    await upload.cut(size)
    assert upload.position == size
    upload.feed(b"end")
    await (await upload.publish(target)).download.close()
    assert await world.get("f") == BIG[:size] + b"end"


async def test_zeroes_cost_no_bytes_to_send(world: World) -> None:
    upload = await world.upload("f", b"begin")
    if not upload.feed_zeroes(CHUNK_SIZE + 10):
        await upload.drained()
    upload.feed(b"end")
    await upload.commit()
    assert await world.get("f") == b"begin" + bytes(CHUNK_SIZE + 10) + b"end"


async def test_a_file_is_opened_to_be_changed(world: World) -> None:
    entry = await world.put("f", b"content")
    base = await world.store.base(world.anna, world.at("f"))
    assert base.entry == entry
    changed = await world.store.rewrite(world.anna, base, world.at("f"))
    assert changed.position == 7
    await changed.cut(3)
    await (await changed.publish(await changed.target())).download.close()
    await base.close()
    assert await world.get("f") == b"con"


async def test_only_a_file_that_is_there_is_opened_to_be_changed(world: World) -> None:
    await world.directory("d")
    for path, error in (("missing", NotFound), ("d", IsADirectory)):
        with refused(error):
            await world.store.base(world.anna, world.at(path))
    await world.put("f")
    reader = await world.account("reader", "elr")
    with refused(Denied):
        await world.store.base(reader, world.at("f"))


# Reserved names.


async def reserve(world: World, path: str) -> Target:
    target = await world.store.reserve(world.anna, world.at(path))
    assert target is not None
    return target


async def test_a_reserved_name_is_nobody_elses(world: World) -> None:
    target = await reserve(world, "f")
    await world.put("other")
    await world.directory("d")
    upload = await world.upload("f", b"late")
    for refuse in (
        lambda: world.store.reserve(world.anna, world.at("f")),
        lambda: world.directory("f"),
        lambda: world.store.rename(world.anna, world.at("other"), world.at("f")),
        lambda: world.store.rename(world.anna, world.at("d"), world.at("f")),
        lambda: upload.commit(),
    ):
        with refused(AlreadyExists):
            await refuse()
    assert await world.names() == ["d", "other"]
    await world.store.release(target)


async def test_a_reserved_name_is_not_to_be_seen(world: World) -> None:
    target = await reserve(world, "f")
    with refused(NotFound):
        await world.lookup("f")
    assert await world.names() == []
    await world.store.release(target)


async def test_what_is_published_under_a_reservation_ends_it(world: World) -> None:
    target = await reserve(world, "f")
    upload = await world.upload("f", b"mine", handle=True)
    await (await upload.publish(target)).download.close()
    assert await world.get("f") == b"mine"
    await world.put("f", b"theirs")
    with refused(AlreadyExists):
        await world.store.reserve(world.anna, world.at("f"))


async def test_a_released_name_is_free(world: World) -> None:
    target = await reserve(world, "f")
    await world.store.release(target)
    await world.put("f", b"theirs")
    upload = await world.upload("f", b"mine", handle=True)
    with refused(Changed):
        await upload.publish(target)
    assert await world.get("f") == b"theirs"


async def test_a_name_is_reserved_where_a_file_could_be(world: World) -> None:
    await world.put("f")
    await world.directory("d")
    for path, error in (("f", AlreadyExists), ("d", AlreadyExists), ("missing/f", NotFound)):
        with refused(error):
            await world.store.reserve(world.anna, world.at(path))
    reader = await world.account("reader", "elr")
    with refused(Denied):
        await world.store.reserve(reader, world.at("g"))


async def test_a_directory_with_a_reserved_name_is_not_removed(world: World) -> None:
    await world.directory("d")
    target = await reserve(world, "d/f")
    with refused(NotEmpty):
        await world.store.remove_directory(world.anna, world.at("d"))
    await world.store.release(target)
    await world.store.remove_directory(world.anna, world.at("d"))


# Copies.


@pytest.mark.parametrize("data", [b"small", BIG, BIG[: 2 * CHUNK_SIZE]], ids=["small", "large", "whole chunks"])
async def test_an_upload_becomes_a_copy_without_bytes(world: World, data: bytes) -> None:
    await world.put("f", data)
    base = await world.store.download(world.anna, world.at("f"))
    upload, target = await opened(world, "g", b"")
    assert upload.adopt(base)
    assert upload.position == len(data)
    assert not upload.adopt(base), "once"
    await base.close()
    await (await upload.publish(target)).download.close()
    assert await world.get("g") == data


@pytest.mark.parametrize("data", [b"small", BIG, BIG[: 2 * CHUNK_SIZE]], ids=["small", "large", "whole chunks"])
async def test_a_copy_is_changed_when_it_is_unfolded(world: World, data: bytes) -> None:
    await world.put("f", data)
    base = await world.store.download(world.anna, world.at("f"))
    upload, target = await opened(world, "g", b"")
    assert upload.adopt(base)
    await upload.unfold()
    await base.close()
    assert (upload.position, upload.whole) == (len(data), len(data) // CHUNK_SIZE * CHUNK_SIZE)
    upload.feed(b" and more")
    await (await upload.publish(target)).download.close()
    assert (await world.get("g"), await world.get("f")) == (data + b" and more", data)


async def test_only_a_new_upload_becomes_a_copy(world: World) -> None:
    await world.put("f", b"content")
    await world.put("empty", b"")
    bob = await world.account("bob", quota_bytes=3)
    for path, fed, expected in (("f", b"x", False), ("empty", b"", False), ("f", b"", True)):
        base = await world.store.download(world.anna, world.at(path))
        upload, _ = await opened(world, "g", fed)
        assert upload.adopt(base) is expected
        await upload.abort()
        await base.close()
    base = await world.store.download(world.anna, world.at("f"))
    small = await world.store.upload(bob, world.at("h"), handle=True)
    with refused(QuotaExceeded):
        small.adopt(base)
    await small.abort()
    await base.close()


async def test_a_copy_that_breaks_can_be_resumed(world: World) -> None:
    await world.put("f", BIG)
    base = await world.store.download(world.anna, world.at("f"))
    upload, _ = await opened(world, "g", b"")
    assert upload.adopt(base)
    await upload.suspend()
    await base.close()
    begun = await world.store.partial(world.anna, world.at("g"))
    assert begun is not None and begun.size == len(BIG)
