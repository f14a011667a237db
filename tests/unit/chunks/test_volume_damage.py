"""Damage on disk: what is sound stays, what is not is never served."""

import asyncio
import json
import os
import random
import shutil
import threading

import pytest
from failing_files import FailingFiles, flip, raises
from somevolumes import NoSpaceForBytes, chunk, opened, run

from raftstore.chunks.format.needle import HEADER_SIZE, footprint
from raftstore.chunks.volumes.recovery.quarantine import Quarantine
from raftstore.chunks.volumes.volumeset import VolumeSet
from raftstore.errors import Damaged, NotFound, Refused

SIZE = 1000
STEP = footprint(SIZE)


async def fill(directory, count, *, size=SIZE, **settings):
    """Chunks 0.. in one batch each; the volumes are left as a kill leaves them, without a last mark."""
    volumes = await opened(directory, **settings)
    for number in range(count):
        await volumes.put(*chunk(number, size), verified=True)
    shutil.copytree(directory, directory.with_name("killed"))
    await volumes.close()
    shutil.rmtree(directory)
    directory.with_name("killed").rename(directory)


async def present(volumes, count, *, size=SIZE):
    """Which of the chunks can be read; none may be wrong."""
    found = []
    for number in range(count):
        digest, data = chunk(number, size)
        try:
            assert await volumes.get(digest) == data
            found.append(number)
        except (NotFound, Damaged):
            assert digest not in volumes
    return found


@pytest.mark.parametrize("size", [1000, 100_000])
def test_flipped_bit_in_a_payload(tmp_path, size):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 4, size=size)
        volumes = await opened(directory)
        flip(directory / "00000001.vol", HEADER_SIZE + footprint(size) + HEADER_SIZE + 500)
        digest, data = chunk(1, size)
        both = await asyncio.gather(volumes.get(digest), volumes.get(digest), return_exceptions=True)
        assert [type(result) for result in both] == [Damaged] * 2
        with pytest.raises(NotFound):
            await volumes.get(digest)
        with pytest.raises(NotFound):
            volumes.lease(digest)
        assert volumes.stats().quarantined == 1
        note = json.loads(next((directory / "quarantine").glob("*.json")).read_text())
        assert (note["chunk"], note["reason"]) == (digest.hex(), "payload does not match")
        copy = next((directory / "quarantine").glob("*.bytes")).read_bytes()
        assert len(copy) == HEADER_SIZE + size
        assert sum(a != b for a, b in zip(copy[HEADER_SIZE:], data, strict=True)) == 1
        await volumes.close()
        # Not served after a restart either; a good copy can be put back.
        volumes = await opened(directory)
        assert await present(volumes, 4, size=size) == [0, 2, 3]
        await volumes.put(digest, data, verified=False)
        await volumes.close()
        volumes = await opened(directory)
        assert await present(volumes, 4, size=size) == [0, 1, 2, 3]
        assert volumes.stats().quarantined == 1
        await volumes.close()

    run(scenario())


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_put_of_what_has_rotted_unseen_stores_it_again(tmp_path, size):
    """Or a picture that is sent once more would be acknowledged on the strength of a copy that nobody can read."""
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 3, size=size)
        volumes = await opened(directory)
        flip(directory / "00000001.vol", HEADER_SIZE + footprint(size) + HEADER_SIZE + 500)
        digest, data = chunk(1, size)
        await asyncio.gather(*(volumes.put(digest, data, verified=True) for _ in range(3)))
        assert await volumes.get(digest) == data
        assert volumes.stats().quarantined == 1
        await volumes.close()
        volumes = await opened(directory)
        assert await present(volumes, 3, size=size) == [0, 1, 2]
        await volumes.close()

    run(scenario())


def test_a_start_that_is_broken_off_leaves_nothing_open(tmp_path):
    async def scenario():
        directory = tmp_path / "v"
        await fill(directory, 3)
        reading, go_on = threading.Event(), threading.Event()
        volumes = VolumeSet(directory, files=(files := FailingFiles()))

        def hold(*_):
            reading.set()
            assert go_on.wait(60)

        files.read_fault = hold
        opening = asyncio.create_task(volumes.open())
        assert await asyncio.to_thread(reading.wait, 60)
        opening.cancel()
        await asyncio.sleep(0)
        with pytest.raises(Refused):  # the thread still has the files
            await opened(directory)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
        volumes = await opened(directory)
        assert await present(volumes, 3) == [0, 1, 2]
        await volumes.close()

    run(scenario())


def test_flipped_bit_in_a_header_that_is_read(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 2, size=100_000)
        volumes = await opened(directory)
        flip(directory / "00000001.vol", HEADER_SIZE + 30)
        assert await present(volumes, 2, size=100_000) == [1]
        await volumes.close()

    run(scenario())


def test_damaged_headers_cost_only_their_own_needle(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 10)
        for number in (2, 5, 6):
            flip(directory / "00000001.vol", HEADER_SIZE + number * STEP + 21)
        for _ in range(3):
            volumes = await opened(directory)
            assert await present(volumes, 10) == [0, 1, 3, 4, 7, 8, 9]
            assert volumes.stats().quarantined == 2  # two ranges
            await volumes.close()
        volumes = await opened(directory)
        await volumes.put(*chunk(5), verified=True)
        assert await present(volumes, 10) == [0, 1, 3, 4, 5, 7, 8, 9]
        await volumes.close()
        assert len(list((directory / "quarantine").glob("*.bytes"))) == 2

    run(scenario())


def test_damaged_start_of_a_volume(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 5)
        flip(directory / "00000001.vol", 9)
        for _ in range(2):
            volumes = await opened(directory)
            assert await present(volumes, 5) == [0, 1, 2, 3, 4]
            await volumes.put(*chunk(7), verified=True)
            assert volumes.stats().volumes == 2  # the damaged one is not written on
            await volumes.close()

    run(scenario())


@pytest.mark.parametrize("emptied", [False, True])
def test_a_volume_of_which_nothing_can_be_recognised_is_compacted_away(tmp_path, emptied):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 1, size=0)
        path = directory / "00000001.vol"
        if emptied:
            path.write_bytes(b"")
        else:
            flip(path, 0)
            flip(path, HEADER_SIZE)
        held = path.read_bytes()
        await (await opened(directory)).close()
        volumes = await opened(directory)
        await volumes.put(*chunk(1), verified=True)  # into another: the last one stays in any case
        await volumes.compact()
        assert path.exists() == emptied  # what was begun and never written on is made anew, and is the last
        await volumes.close()
        kept = b"".join(item.read_bytes() for item in sorted((directory / "quarantine").glob("*.bytes")))
        assert kept == held  # nothing is deleted of which there is no copy
        volumes = await opened(directory)
        assert await present(volumes, 2) == [1]
        await volumes.close()

    run(scenario())


def test_an_older_volume_that_the_file_system_emptied_is_compacted_away(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 8, volume_bytes=4 * STEP)
        (directory / "00000001.vol").write_bytes(b"")
        volumes = await opened(directory, volume_bytes=4 * STEP)
        report = await volumes.compact()
        assert report.ending == "done"
        assert not (directory / "00000001.vol").exists()
        lost = sorted(set(range(8)) - set(await present(volumes, 8)))
        assert lost
        await volumes.put(*chunk(lost[0]), verified=True)
        await volumes.close()

    run(scenario())


@pytest.mark.slow
def test_torn_tail_at_every_kind_of_place(tmp_path):
    """Everything up to the cut is found, and the volume can be written on."""
    directory = tmp_path / "v"
    chance = random.Random(11)

    async def scenario():
        await fill(directory, 6)
        whole = (directory / "00000001.vol").read_bytes()
        starts = [HEADER_SIZE + number * STEP for number in range(7)]
        sizes = {0, 1, 63} | {start + d for start in starts for d in (-16, -1, 0, 1, 63, 64, 65)}
        for size in sorted(sizes | {chance.randrange(len(whole)) for _ in range(20)}):
            if size > len(whole):
                continue
            (directory / "00000001.vol").write_bytes(whole[:size])
            volumes = await opened(directory)
            expected = [number for number in range(6) if starts[number + 1] <= size]
            assert await present(volumes, 6) == expected
            assert volumes.stats().quarantined == 0
            await volumes.put(*chunk(100), verified=True)
            await volumes.close()
            volumes = await opened(directory)
            assert await present(volumes, 101) == [*expected, 100]
            assert volumes.stats().volumes == 1
            await volumes.close()

    run(scenario())


def test_holes_in_the_last_batch(tmp_path):
    """Any needle of the last batch may have been acknowledged: whole ones stay, others are kept aside."""
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory)
        await volumes.put(*chunk(0), verified=True)
        await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(1, 7)))
        shutil.copytree(directory, tmp_path / "killed")
        await volumes.close()
        path = tmp_path / "killed" / "00000001.vol"
        flip(path, HEADER_SIZE + 2 * STEP + HEADER_SIZE + 7)  # payload
        flip(path, HEADER_SIZE + 3 * STEP + 21)  # header
        flip(path, HEADER_SIZE + 5 * STEP + HEADER_SIZE + 7)  # payload
        flip(path, HEADER_SIZE + 6 * STEP + 21)  # header of the last
        for _ in range(2):
            volumes = await opened(tmp_path / "killed")
            assert await present(volumes, 7) == [0, 1, 4]
            assert volumes.stats().quarantined == 2
            await volumes.put(*chunk(50), verified=True)
            assert volumes.stats().volumes == 1
            assert len(list((tmp_path / "killed" / "quarantine").glob("*-cut-*.bytes"))) == 1
            await volumes.close()
        volumes = await opened(tmp_path / "killed")
        assert await present(volumes, 51) == [0, 1, 4, 50]
        await volumes.close()

    run(scenario())


def test_tail_of_zeros_is_cut_without_a_trace(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 3)
        with (directory / "00000001.vol").open("ab") as file:
            file.write(bytes(10_000))
        volumes = await opened(directory)
        assert await present(volumes, 3) == [0, 1, 2]
        await volumes.close()
        assert list((directory / "quarantine").iterdir()) == []

    run(scenario())


def test_tail_that_cannot_be_kept_is_not_cut(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 3)
        with (directory / "00000001.vol").open("ab") as file:
            file.write(random.Random(1).randbytes(5_000))
        files = FailingFiles()
        files.save = raises(28)
        volumes = VolumeSet(directory, files=files)
        await volumes.open()
        assert await present(volumes, 3) == [0, 1, 2]
        await volumes.put(*chunk(3), verified=True)
        assert volumes.stats().volumes == 2
        await volumes.close()
        volumes = await opened(directory)
        assert await present(volumes, 4) == [0, 1, 2, 3]
        await volumes.close()

    run(scenario())


@pytest.mark.slow
def test_long_garbage_is_damage_not_a_tail(tmp_path):
    """No batch is that long, so it cannot be an unfinished write."""
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 3)
        path = directory / "00000001.vol"
        end = path.stat().st_size
        os.truncate(path, end + 40 * 1024 * 1024)
        volumes = await opened(directory)
        assert await present(volumes, 3) == [0, 1, 2]
        assert volumes.stats().quarantined == 1
        await volumes.put(*chunk(3), verified=True)
        assert volumes.stats().volumes == 2
        await volumes.close()
        assert path.stat().st_size == end + 40 * 1024 * 1024

    run(scenario())


def test_older_volume_that_is_cut_off_is_left_alone(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 20, volume_bytes=5_000)
        path = directory / "00000002.vol"
        os.truncate(path, HEADER_SIZE + STEP + 500)
        for _ in range(2):
            volumes = await opened(directory, volume_bytes=5_000)
            assert await present(volumes, 20) == [0, 1, 2, 3, 4, *range(8, 20)]
            assert volumes.stats().quarantined == 1
            assert path.stat().st_size == HEADER_SIZE + STEP + 500
            await volumes.close()

    run(scenario())


def test_clean_close_leaves_nothing_to_check(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        volumes = await opened(directory)
        await asyncio.gather(*(volumes.put(*chunk(i), verified=True) for i in range(20)))
        await volumes.close()
        size = (directory / "00000001.vol").stat().st_size
        files = FailingFiles()
        for _ in range(3):
            volumes = VolumeSet(directory, files=files)
            await volumes.open()
            await volumes.close()
        assert files.syncs == 0
        assert (directory / "00000001.vol").stat().st_size == size

    run(scenario())


def test_quarantine_that_cannot_copy_still_remembers(tmp_path):
    directory = tmp_path / "v"

    async def scenario():
        await fill(directory, 2)
        flip(directory / "00000001.vol", HEADER_SIZE + HEADER_SIZE + 5)
        for _ in range(2):
            volumes = VolumeSet(directory, files=NoSpaceForBytes())
            await volumes.open()
            assert await present(volumes, 2) == [1]
            assert volumes.stats().quarantined == 1
            await volumes.close()
        assert [path.suffix for path in (directory / "quarantine").iterdir()] == [".json"]

    run(scenario())


def test_copies_in_quarantine_are_bounded(tmp_path):
    files = FailingFiles()
    quarantine = Quarantine(tmp_path / "q", files, copy_limit=1000)
    quarantine.open()
    for number in range(3):
        assert quarantine.add(1, number * 1000, 900, "test", content=bytes(900))
    assert quarantine.keep_cut(1, 5000, bytes(900))
    assert len(list((tmp_path / "q").glob("*.bytes"))) == 2
    again = Quarantine(tmp_path / "q", files)
    again.open()
    assert len(again) == 3
    assert (1, 2000) in again
    assert (1, 5000) not in again
    assert again.reaches(1, 1500)
    assert not again.reaches(1, 2001)
