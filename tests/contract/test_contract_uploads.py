"""Uploads, as front-ends open, feed and end them, and downloads of what they have published."""

from __future__ import annotations

import asyncio

import pytest
from contract import World, read, refused

from raftstore.errors import (
    AlreadyExists,
    Changed,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotFound,
    QuotaExceeded,
    TooLarge,
)
from raftstore.types import CHUNK_SIZE, MAX_FILE_SIZE, Kind

LARGE = b"".join(number.to_bytes(4, "big") * 64 for number in range(2 * CHUNK_SIZE // 256 + 100))
"""Two chunks and a piece of a third; no two chunks are the same."""

# Publishing.


async def test_a_file_is_there_when_it_is_published_and_not_before(world: World) -> None:
    upload = await world.upload("f", b"content")
    assert not await world.there("f")
    published = await upload.commit(mtime_ns=1_000_000_007)
    found = await world.lookup("f")
    assert published == found
    assert (found.name, found.kind, found.size) == ("f", Kind.FILE, 7)
    assert (found.owner, found.mtime_ns) == (world.anna.owner, 1_000_000_007)
    assert await world.get("f") == b"content"


async def test_what_was_prepared_is_published_or_kept_to_be_resumed(world: World) -> None:
    first, second = await world.upload("f", LARGE), await world.upload("g", LARGE)
    for upload in (first, second):
        await upload.prepare()
    assert not await world.there("f")
    await first.commit()
    await second.suspend()
    assert await world.get("f") == LARGE
    assert not await world.there("g")
    kept = await world.store.partial(world.anna, world.at("g"))
    assert kept is not None and kept.size == len(LARGE)


async def test_an_empty_file_is_a_file(world: World) -> None:
    assert (await world.put("f", b"")).size == 0
    assert await world.get("f") == b""


async def test_a_file_of_several_chunks_comes_back(world: World) -> None:
    upload = await world.upload("f")
    for start in range(0, len(LARGE), 100_000):
        if not upload.feed(LARGE[start : start + 100_000]):
            await upload.drained()
    assert upload.position == len(LARGE)
    assert (await upload.commit()).size == len(LARGE)
    assert await world.get("f") == LARGE


async def test_what_was_fed_may_change_afterwards(world: World) -> None:
    piece = bytearray(b"first")
    upload = await world.upload("f")
    upload.feed(piece)
    piece[:] = b"other"
    upload.feed(memoryview(b"second")[1:])
    await upload.commit()
    assert await world.get("f") == b"firstecond"


async def test_a_new_version_takes_the_place_of_the_old_one(world: World) -> None:
    before = await world.put("f", b"first")
    upload = await world.upload("f", b"second version")
    assert await world.get("f") == b"first"
    after = await upload.commit()
    assert await world.get("f") == b"second version"
    assert after.inode == before.inode and after.version > before.version
    assert await world.names() == ["f"]


async def test_of_two_uploads_the_one_that_ends_last_stays(world: World) -> None:
    first, second = await world.upload("f", b"first"), await world.upload("f", b"second")
    await second.commit()
    await first.commit()
    assert await world.get("f") == b"first"


async def test_an_exclusive_upload_replaces_nothing(world: World) -> None:
    upload = await world.upload("f", b"late", exclusive=True)
    await world.put("f", b"first")
    with refused(AlreadyExists):
        await upload.commit()
    with refused(AlreadyExists):
        await world.upload("f", exclusive=True)
    assert await world.get("f") == b"first"
    await world.put("g", b"new", exclusive=True)
    assert await world.get("g") == b"new"


async def test_a_file_does_not_take_the_place_of_a_directory(world: World) -> None:
    upload = await world.upload("d", b"late")
    await world.directory("d")
    with refused(IsADirectory):
        await upload.commit()
    with refused(IsADirectory):
        await world.upload("d")
    assert (await world.lookup("d")).is_directory


async def test_a_file_needs_a_directory_to_be_in(world: World) -> None:
    await world.put("f")
    await world.directory("d")
    upload = await world.upload("d/g", b"late")
    await world.store.remove_directory(world.anna, world.at("d"))
    with refused(NotFound):
        await upload.commit()
    with refused(NotFound):
        await world.upload("missing/g")
    with refused(NotADirectory):
        await world.upload("f/g")


async def test_an_upload_goes_where_its_path_leads_at_its_end(world: World) -> None:
    await world.directory("d")
    upload = await world.upload("d/f", b"content")
    await world.store.rename(world.anna, world.at("d"), world.at("moved"))
    await world.directory("d")
    await upload.commit()
    assert await world.names("d") == ["f"]
    assert await world.names("moved") == []


async def test_an_upload_that_is_thrown_away_leaves_nothing(world: World) -> None:
    await world.put("f", b"first")
    await (await world.upload("f", b"second")).abort()
    await (await world.upload("g", b"second")).abort()
    assert await world.names() == ["f"]
    assert await world.get("f") == b"first"
    assert await world.store.partial(world.anna, world.at("f")) is None
    assert await world.store.partial(world.anna, world.at("g")) is None


async def test_uploads_at_the_same_time_do_not_mix(world: World) -> None:
    uploads = [await world.upload(f"f{number}") for number in range(8)]
    for part in range(10):
        for number, upload in enumerate(uploads):
            upload.feed(b"%d-%d " % (number, part))
    await asyncio.gather(*(upload.commit() for upload in uploads))
    for number in range(8):
        assert await world.get(f"f{number}") == b"".join(b"%d-%d " % (number, part) for part in range(10))


async def test_a_file_has_a_largest_size(world: World) -> None:
    upload = await world.upload("f")
    upload.check_size(MAX_FILE_SIZE)
    with refused(TooLarge):
        upload.check_size(MAX_FILE_SIZE + 1)
    with refused(TooLarge):
        upload.feed_zeroes(MAX_FILE_SIZE + 1)
    await upload.abort()
    with refused(TooLarge):
        await world.upload("f", expected=MAX_FILE_SIZE + 1)


# Resuming.


async def test_what_came_of_an_upload_is_kept_for_its_owner(world: World) -> None:
    other = await world.account("other")
    await (await world.upload("f", b"first half, ")).suspend()
    kept = await world.store.partial(world.anna, world.at("f"))
    assert kept is not None and kept.size == 12
    assert await world.store.partial(other, world.at("f")) is None
    assert not await world.there("f")
    upload = await world.upload("f", b"second half", offset=12)
    assert (upload.position, upload.base) == (23, None)
    await upload.commit()
    assert await world.get("f") == b"first half, second half"
    assert await world.store.partial(world.anna, world.at("f")) is None


async def test_a_resumed_upload_goes_on_from_where_it_is_asked_to(world: World) -> None:
    await (await world.upload("f", LARGE)).suspend()
    await (await world.upload("f", b"rest", offset=CHUNK_SIZE + 5)).commit()
    assert await world.get("f") == LARGE[: CHUNK_SIZE + 5] + b"rest"


async def test_an_append_goes_on_at_the_end_of_what_was_begun(world: World) -> None:
    await world.put("f", b"published")
    await (await world.upload("f", b"begun anew")).suspend()
    upload = await world.upload("f", b", and on", append=True)
    assert upload.base is None
    await upload.commit()
    assert await world.get("f") == b"begun anew, and on"


async def test_an_append_goes_on_at_the_end_of_what_is_published(world: World) -> None:
    before = await world.put("f", b"first")
    upload = await world.upload("f", b", second", append=True)
    assert upload.base == before
    await upload.commit()
    assert await world.get("f") == b"first, second"
    assert await world.put("g", b"new", append=True)
    assert await world.get("g") == b"new"


async def test_the_beginning_of_what_is_published_can_be_kept(world: World) -> None:
    before = await world.put("f", b"0123456789")
    upload = await world.upload("f", b"abc", offset=4)
    assert (upload.position, upload.base) == (7, before)
    await upload.commit()
    assert await world.get("f") == b"0123abc"


async def test_nothing_is_gone_on_with_behind_its_end(world: World) -> None:
    await world.put("f", b"12345")
    for path, offset in (("f", 6), ("missing", 1)):
        with refused(Invalid):
            await world.upload(path, offset=offset)
    assert (await world.upload("f", offset=5)).position == 5


@pytest.mark.parametrize("options", [{"append": True}, {"offset": 3}], ids=["append", "offset"])
async def test_what_goes_on_from_a_version_is_refused_when_that_is_no_longer_there(
    world: World, options: dict[str, int]
) -> None:
    for path in ("replaced", "removed"):
        await world.put(path, b"first")
        upload = await world.upload(path, b"more", **options)
        if path == "replaced":
            await world.put(path, b"other")
        else:
            await world.store.remove(world.anna, world.at(path))
        with refused(Changed):
            await upload.commit()
    assert await world.names() == ["replaced"]
    assert await world.get("replaced") == b"other"


async def test_an_append_to_nothing_is_refused_when_something_came(world: World) -> None:
    upload = await world.upload("f", b"more", append=True)
    await world.put("f", b"first")
    with refused(Changed):
        await upload.commit()
    assert await world.get("f") == b"first"


async def test_nothing_is_kept_of_an_upload_without_bytes(world: World) -> None:
    await (await world.upload("f")).suspend()
    assert await world.store.partial(world.anna, world.at("f")) is None


async def test_nothing_is_kept_when_its_owner_has_sent_the_file_again(world: World) -> None:
    stuck = await world.upload("f", b"half a pic")
    await world.put("f", b"the whole picture")
    await stuck.suspend()
    assert await world.store.partial(world.anna, world.at("f")) is None


async def test_publishing_a_name_ends_what_was_begun_there(world: World) -> None:
    await (await world.upload("f", b"half")).suspend()
    await world.put("f", b"whole")
    assert await world.store.partial(world.anna, world.at("f")) is None
    await (await world.upload("g", b"half")).suspend()
    await world.store.rename(world.anna, world.at("f"), world.at("g"))
    assert await world.store.partial(world.anna, world.at("g")) is None


async def test_what_was_begun_later_takes_the_place_of_the_earlier(world: World) -> None:
    await (await world.upload("f", b"a longer half")).suspend()
    await (await world.upload("f", b"half")).suspend()
    kept = await world.store.partial(world.anna, world.at("f"))
    assert kept is not None and kept.size == 4


async def test_what_was_begun_is_forgotten_when_asked(world: World) -> None:
    await (await world.upload("f", b"half")).suspend()
    await world.store.drop_partial(world.anna, world.at("f"))
    assert await world.store.partial(world.anna, world.at("f")) is None
    with refused(NotFound):
        await world.store.drop_partial(world.anna, world.at("f"))


async def test_what_was_begun_moves_with_its_directory_and_goes_with_it(world: World) -> None:
    await world.directory("d")
    await (await world.upload("d/f", b"half")).suspend()
    await world.store.rename(world.anna, world.at("d"), world.at("e"))
    kept = await world.store.partial(world.anna, world.at("e/f"))
    assert kept is not None and kept.size == 4
    assert await world.store.partial(world.anna, world.at("d/f")) is None
    await world.store.remove_directory(world.anna, world.at("e"))
    await world.directory("e")
    assert await world.store.partial(world.anna, world.at("e/f")) is None


# Quotas.


async def test_an_upload_stays_within_the_quota_of_bytes(world: World) -> None:
    small = await world.account("small", quota_bytes=1000)
    await world.put("f", b"x" * 600, small)
    with refused(QuotaExceeded):
        await world.upload("g", b"x" * 401, small)
    with refused(QuotaExceeded):
        await world.upload("g", actor=small, expected=401)
    await world.put("g", b"x" * 400, small)
    assert await world.names() == ["f", "g"]
    await world.store.remove(small, world.at("f"))
    await world.put("h", b"x" * 600, small)


async def test_what_is_replaced_makes_space_for_what_replaces_it(world: World) -> None:
    small = await world.account("small", quota_bytes=1000)
    await world.put("f", b"x" * 900, small)
    await world.put("f", b"y" * 1000, small)
    with refused(QuotaExceeded):
        await world.put("f", b"z" * 1001, small)
    assert await world.get("f") == b"y" * 1000
    await world.put("others", b"x" * 100)
    with refused(QuotaExceeded):
        await world.put("others", b"x" * 100, small)  # it is not the small one's space that this makes


async def test_two_uploads_at_the_same_time_do_not_exceed_the_quota(world: World) -> None:
    small = await world.account("small", quota_bytes=1000)
    uploads = [await world.upload(f"f{number}", b"x" * 600, small) for number in range(2)]
    await uploads[0].commit()
    with refused(QuotaExceeded):
        await uploads[1].commit()
    assert await world.names() == ["f0"]


async def test_files_and_directories_stay_within_the_quota_of_names(world: World) -> None:
    few = await world.account("few", quota_files=3)
    await world.put("f", b"", few)
    await world.store.make_directory(few, world.at("d"))
    await world.put("g", b"", few)
    with refused(QuotaExceeded):
        await world.upload("h", b"", few)
    with refused(QuotaExceeded):
        await world.store.make_directory(few, world.at("e"))
    await world.put("f", b"again", few)
    await world.store.remove_directory(few, world.at("d"))
    await world.put("h", b"", few)
    assert await world.names() == ["f", "g", "h"]


async def test_what_is_published_counts_for_who_put_it(world: World) -> None:
    before = world.store.usage(world.anna.owner)
    await world.directory("d")
    await world.put("d/f", b"x" * 100)
    await (await world.upload("d/g", b"half")).suspend()
    after = world.store.usage(world.anna.owner)
    assert (after.files - before.files, after.bytes - before.bytes) == (2, 100)
    other = await world.account("other")
    await world.put("d/f", b"x" * 70, other)
    assert world.store.usage(other.owner) == (1, 70)
    assert world.store.usage(world.anna.owner).bytes == before.bytes


async def test_a_home_counts_for_nobody(world: World) -> None:
    mover = await world.account("mover", home=world.at("deep/home"))
    await world.store.make_home(mover)
    assert world.store.usage(mover.owner) == (0, 0)
    assert (await world.lookup("deep/home")).owner == ""


# Downloads.


async def test_a_part_of_a_file_is_read(world: World) -> None:
    await world.put("f", LARGE)
    for offset, length in ((0, 10), (CHUNK_SIZE - 3, 6), (len(LARGE) - 4, 100), (len(LARGE), 5), (7, 0)):
        assert await world.get("f", offset=offset, length=length) == LARGE[offset : offset + length]
    assert await world.get("f", offset=CHUNK_SIZE + 1) == LARGE[CHUNK_SIZE + 1 :]


async def test_what_is_there_is_said_before_it_is_read(world: World) -> None:
    entry = await world.put("f", b"12345")
    download = await world.store.download(world.anna, world.at("f"))
    assert (download.entry, download.size, download.version.entry) == (entry, 5, entry)
    await download.close()


async def test_only_files_are_read(world: World) -> None:
    await world.directory("d")
    await world.put("f")
    for path, error in (("d", IsADirectory), ("missing", NotFound), ("f/below", NotADirectory)):
        with refused(error):
            await world.get(path)


@pytest.mark.parametrize("change", ["replaced", "removed", "renamed", "directory removed"])
async def test_a_download_reads_the_version_that_it_was_opened_on(world: World, change: str) -> None:
    await world.directory("d")
    await world.put("d/f", LARGE)
    download = await world.store.download(world.anna, world.at("d/f"))
    blocks = download.blocks()
    first = bytes(await anext(blocks))
    if change == "replaced":
        await world.put("d/f", b"other")
    elif change == "renamed":
        await world.store.rename(world.anna, world.at("d/f"), world.at("g"))
    else:
        await world.store.remove(world.anna, world.at("d/f"))
    if change == "directory removed":
        await world.store.remove_directory(world.anna, world.at("d"))
    assert first + b"".join([bytes(block) async for block in blocks]) == LARGE
    assert await read(download, CHUNK_SIZE - 1, 2) == LARGE[CHUNK_SIZE - 1 : CHUNK_SIZE + 1]
