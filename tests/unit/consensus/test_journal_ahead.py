"""Zeros ahead of the log's end: the end is found, nothing else is taken for it, and they are never in the way."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from faultdisk import FaultDisk

from raftstore.consensus.log.ahead import Ahead
from raftstore.consensus.log.journal import Journal
from raftstore.consensus.log.records import ALIGN, SECTOR
from raftstore.errors import Damaged, DiskFailed, DiskFull

DIRECTORY = Path("/node/journal")
SEGMENT = f"{1:020d}.log"


def put(journal: Journal, *indexes: int) -> bool:
    """Add entries and write them as the loop does; whether that was for it to do."""
    for index in indexes:
        journal.add(b"%d" % index * 40, index, 1)
    file = journal.write()
    if file is None:
        return False
    file.datasync()
    journal.synced()
    journal.remember()
    return True


def filled(disk: FaultDisk, last: int = 8, **options: int) -> Journal:
    """A journal with entries 1 to `last`, a frame each, and zeros behind them."""
    journal = Journal(DIRECTORY, disk=disk, **options)
    put(journal, 1)
    journal.sync()
    for index in range(2, last + 1):
        assert put(journal, index)
    work = journal.filling()
    assert work is not None
    work()
    return journal


def contents(disk: FaultDisk) -> bytes:
    return disk.read(DIRECTORY / SEGMENT)


def indexes(journal: Journal) -> list[int]:
    return [index for _, index, _ in journal[:]]


def test_frames_go_into_what_is_filled_and_the_end_is_found() -> None:
    disk = FaultDisk()
    journal = filled(disk)
    size, end = len(contents(disk)), len(contents(disk).rstrip(b"\0"))
    assert size > end + 64 * 1024
    assert put(journal, 9, 10)
    assert (len(contents(disk)), journal.filling()) == (size, None)
    disk.crash(random.Random(1))
    again = Journal(DIRECTORY, disk=disk)
    assert (indexes(again), len(contents(disk))) == (list(range(1, 11)), size)
    assert put(again, 11)
    assert len(contents(disk)) == size
    again.close()
    again = Journal(DIRECTORY, disk=disk)
    assert indexes(again) == list(range(1, 12))
    again.close()


def test_no_frame_passes_where_zeros_are_being_written() -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    put(journal, 1)
    journal.sync()
    assert put(journal, 2)
    work = journal.filling()
    assert work is not None
    assert journal.filling() is None
    assert not put(journal, 3)  # nothing is filled yet
    work()
    journal.sync()
    assert put(journal, 4)
    disk.kill()
    again = Journal(DIRECTORY, disk=disk)
    assert indexes(again) == [1, 2, 3, 4]
    again.close()


def test_frames_go_on_meanwhile_where_it_was_filled_before() -> None:
    disk = FaultDisk()
    journal = filled(disk, ahead_bytes=16_384, segment_bytes=1 << 20)
    work, last = None, 8
    while work is None:
        last += 1
        assert put(journal, last)
        work = journal.filling()
    assert put(journal, last + 1)
    work()
    assert put(journal, last + 2)
    disk.kill()
    again = Journal(DIRECTORY, disk=disk)
    assert indexes(again) == list(range(1, last + 3))
    again.close()


@pytest.mark.parametrize(("end", "most"), [(0, 4096), (100, 1 << 20), (5 << 20, 1 << 20), (63_000, 65_536)])
def test_what_lies_ahead_is_bounded(end: int, most: int) -> None:
    disk = FaultDisk()
    disk.make_directory(DIRECTORY)
    file = disk.open(DIRECTORY / "file", create=True)
    file.write_at(0, b"x" * end)
    ahead = Ahead(segment_bytes=8 << 20, most=most)
    ahead.begin(file, end)
    work = ahead.work(end)
    assert work is not None
    work()
    assert most // 8 <= file.size() - end <= most + 4096
    assert disk.read(DIRECTORY / "file") == b"x" * end + bytes(file.size() - end)
    short = Ahead(segment_bytes=end + 10, most=most)
    short.begin(file, end + 10)
    assert short.work(end) is None


def test_a_full_disk_is_no_error_until_the_log_itself_finds_no_room() -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    put(journal, 1)
    journal.sync()
    assert put(journal, 2)
    disk.capacity = disk.capacity - disk.free_bytes(DIRECTORY) + 3000
    work = journal.filling()
    assert work is not None
    work()
    assert put(journal, 3)
    assert journal.filling() is None
    last = next(index for index in range(4, 100) if not put(journal, index))
    with pytest.raises(DiskFull, match="until there is space"):
        journal.sync()
    assert journal.durable_index == last - 1
    journal.close()
    disk.kill()
    disk.capacity = 1 << 40
    again = Journal(DIRECTORY, disk=disk)
    assert indexes(again) == list(range(1, last))
    again.close()


@pytest.mark.parametrize("operation", ["write", "datasync"])
def test_any_other_failure_is_for_ever(operation: str) -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=8192)
    put(journal, 1)
    journal.sync()
    assert put(journal, 2)
    work = journal.filling()
    assert work is not None
    disk.fail_at = disk.operations + 1 + ["write", "datasync"].index(operation)
    with pytest.raises(DiskFailed, match=r"simulated: .* failed"):
        work()
    assert disk.history[-1].startswith(operation)
    assert journal.filling() is None
    with pytest.raises(DiskFailed):
        journal.add(b"", 3, 1)
    journal.close()


Spoil = Callable[[bytearray, int, int], None]
"""Gets the file's content, where its last frame starts, and where it ends."""


def _wipe(data: bytearray, start: int, end: int) -> None:
    data[start:end] = bytes(end - start)


def _wipe_two(data: bytearray, start: int, end: int) -> None:
    _wipe(data, start - (end - start), end)


def _repeat(data: bytearray, start: int, end: int) -> None:
    """An old frame, whole, where the next one is due."""
    data[end : end + end - start] = data[start:end]


def _flip_in_frame(data: bytearray, start: int, end: int) -> None:
    data[start + ALIGN + 5] ^= 4


def _flip_in_header(data: bytearray, start: int, end: int) -> None:
    data[start + 9] ^= 1


REFUSED: dict[str, tuple[Spoil, str]] = {
    "the last frame reads as zeros": (_wipe, "the log ends here; it was synced up to"),
    "so do the last two": (_wipe_two, "the log ends here; it was synced up to"),
    "an old frame lies behind the end": (_repeat, "belongs elsewhere"),
    "a bit of the last frame is flipped": (_flip_in_frame, "synced"),
    "a bit of its header is flipped": (_flip_in_header, "synced"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_damage_is_not_taken_for_the_end(what: str) -> None:
    spoil, reason = REFUSED[what]
    disk = FaultDisk()
    filled(disk)
    disk.kill()
    data = bytearray(contents(disk))
    end = -(-len(data.rstrip(b"\0")) // ALIGN) * ALIGN
    spoil(data, data.rindex(b"pxJ1"), end)
    file = disk.open(DIRECTORY / SEGMENT)
    file.write_at(0, data)
    file.close()
    with pytest.raises(Damaged, match=f"{re.escape(SEGMENT)} at byte \\d+: .*{reason}"):
        Journal(DIRECTORY, disk=disk)
    assert contents(disk) == data


def written(disk: FaultDisk) -> int:
    """Where the frames end; the digest at the end of the last one may end in zeros."""
    return -(-len(contents(disk).rstrip(b"\0")) // ALIGN) * ALIGN


def test_a_frame_of_an_earlier_try_at_the_same_place_is_not_taken() -> None:
    """Power fails before any of frames 9 and 10 is there; another 9 is written; then the old 10 shows up behind it."""
    disk = FaultDisk()
    journal = filled(disk)
    later = copy.deepcopy(disk)
    later.kill()
    put(journal, 9)
    start = written(disk)
    put(journal, 10)
    stale = contents(disk)[start:]
    journal = Journal(DIRECTORY, disk=later)
    journal.add(b"8" * 40, 9, 1)
    assert journal.write() is not None
    assert written(later) == start
    later.kill()
    file = later.open(DIRECTORY / SEGMENT)
    file.write_at(start, stale)
    file.close()
    with pytest.raises(Damaged, match=f"{SEGMENT} at byte {start}: a frame is damaged"):
        Journal(DIRECTORY, disk=later)


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bits_in_the_zeros_harm_nothing(seed: int) -> None:
    disk = FaultDisk()
    filled(disk, segment_bytes=8192)
    disk.kill()
    data = contents(disk)
    end = -(-len(data.rstrip(b"\0")) // ALIGN) * ALIGN
    rng = random.Random(seed)
    disk.flip(
        DIRECTORY / SEGMENT, rng.randrange(end * 8, min(len(data), end + rng.choice((64, SECTOR, 4096))) * 8)
    )
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=8192)
    assert indexes(journal) == list(range(1, 9))
    put(journal, 9)
    journal.sync()
    disk.crash(rng)
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=8192)
    assert indexes(journal) == list(range(1, 10))
    journal.close()


def test_an_earlier_segment_may_end_in_zeros_but_not_too_early() -> None:
    disk = FaultDisk()
    journal = filled(disk)
    journal.clear()
    for index in (20, 21):
        journal.add(b"snapshot", index, 2)
    disk.fail_at = disk.operations + 7
    with pytest.raises(DiskFailed):
        journal.sync()
    assert disk.history[-1] == f"unlink {SEGMENT}"  # the new segment is there, the old one is, too
    disk.kill()
    spoilt = copy.deepcopy(disk)
    journal = Journal(DIRECTORY, disk=disk)
    assert indexes(journal) == [20, 21]
    data = contents(spoilt)
    start = data.rindex(b"pxJ1")
    file = spoilt.open(DIRECTORY / SEGMENT)
    file.write_at(start, bytes(len(data) - start))
    file.close()
    with pytest.raises(Damaged, match=f"{SEGMENT} at byte {start}: frame 8 was never written, a later segment"):
        Journal(DIRECTORY, disk=spoilt)
