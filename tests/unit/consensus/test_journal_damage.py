"""Real files, cut and flipped: everything synced comes back, or a refusal names file and byte."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from raftstore.consensus.log.hardstate import HARD_STATE, MARK, SPARE
from raftstore.consensus.log.journal import Journal
from raftstore.errors import Damaged
from raftstore.util.disk import RealDisk, RealDiskFile

pytestmark = pytest.mark.slow

Log = list[tuple[bytes, int, int]]
SECTOR = 512


class UnsyncedFile(RealDiskFile):
    def datasync(self) -> None:
        pass


class UnsyncedDisk(RealDisk):
    """Real files, without the wait for the disk: what is tested here is what is read."""

    def open(self, path: Path, *, create: bool = False) -> UnsyncedFile:
        return UnsyncedFile(os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0), 0o600))

    def sync_directory(self, path: Path) -> None:
        pass


DISK = UnsyncedDisk()


@dataclass
class Image:
    """A journal's directory as a dead process left it, and its log after each sync since the mark's."""

    directory: Path
    logs: dict[int, Log]
    """Size of the last segment -> the log, from the synced mark on."""

    @property
    def log(self) -> Log:
        return self.logs[max(self.logs)]

    @property
    def last(self) -> Path:
        return segments(self.directory)[-1]


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


def build(directory: Path, *, power: bool, last_bytes: int) -> Image:
    """Make a journal of three segments. `power`: the mark is as it was three syncs before the end."""
    rng = random.Random(7)
    live = directory / "live"
    journal = Journal(live, disk=DISK, segment_bytes=1500)
    journal.setCurrentTerm(1, "n1")
    index = 0
    while len(segments(live)) < 3:
        for _ in range(rng.randint(1, 3)):
            index += 1
            journal.add(rng.randbytes(rng.randint(0, 150)), index, 1)
        journal.setRaftCommitIndex(index - 2)
        journal.sync()
    journal.onOneSecondTimer()
    journal.sync()
    marks = {name: (live / name).read_bytes() for name in (MARK, HARD_STATE)}
    logs = {segments(live)[-1].stat().st_size: journal[:]}
    for size in (30, 200, last_bytes):
        index += 1
        journal.add(rng.randbytes(size), index, 1)
        journal.sync()
        logs[segments(live)[-1].stat().st_size] = journal[:]
    image = Image(directory / "image", logs if power else {max(logs): journal[:]})
    shutil.copytree(live, image.directory)
    journal.close()
    if power:
        for name, content in marks.items():
            (image.directory / name).write_bytes(content)
    return image


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def outcome(image: Image, scratch: Path, spoil: Callable[[Path], None]) -> Log | str:
    """Spoil a copy of the image and open it: the log, or the refusal, which names one of its files and a byte."""
    scratch.mkdir()
    try:
        for name, data in content(image.directory).items():
            (scratch / name).write_bytes(data)
        spoil(scratch)
        before = content(scratch)
        try:
            journal = Journal(scratch, disk=DISK)
        except Damaged as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert re.search(rf"{re.escape(str(scratch))}/[\w.]+ at byte \d+: ", refusal), refusal
            assert content(scratch) == before, "changed before it was refused"
            return refusal
        log = journal[:]
        journal.close()
        journal = Journal(scratch, disk=DISK)
        assert journal[:] == log
        journal.close()
        return log
    finally:
        shutil.rmtree(scratch)


def cut(name: str, size: int) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        with (directory / name).open("r+b") as file:
            file.truncate(size)

    return spoil


def edit(name: str, change: Callable[[bytearray], None]) -> Callable[[Path], None]:
    def spoil(directory: Path) -> None:
        data = bytearray((directory / name).read_bytes())
        change(data)
        (directory / name).write_bytes(data)

    return spoil


def flip(name: str, bit: int) -> Callable[[Path], None]:
    def change(data: bytearray) -> None:
        data[bit // 8] ^= 1 << bit % 8

    return edit(name, change)


def test_a_log_cut_at_any_byte_after_the_death_of_the_process_is_refused(tmp_path: Path) -> None:
    image = build(tmp_path, power=False, last_bytes=40)
    size = image.last.stat().st_size
    assert outcome(image, tmp_path / "x", lambda directory: None) == image.log
    for length in range(max(0, size - 700), size):
        refusal = outcome(image, tmp_path / "x", cut(image.last.name, length))
        assert isinstance(refusal, str), f"cut at {length} of {size} went unnoticed"
        assert image.last.name in refusal


def test_a_log_cut_at_any_byte_after_a_loss_of_power_keeps_all_that_is_whole(tmp_path: Path) -> None:
    image = build(tmp_path, power=True, last_bytes=40)
    sizes = sorted(image.logs)
    for length in range(max(0, sizes[0] - 200), sizes[-1] + 1):
        result = outcome(image, tmp_path / "x", cut(image.last.name, length))
        whole = [size for size in sizes if size <= length]
        if whole:
            assert result == image.logs[whole[-1]]
        else:
            assert isinstance(result, str), f"cut at {length} into what the mark covers went unnoticed"


@pytest.mark.parametrize("power", [False, True])
def test_500_flipped_bits_change_nothing_or_are_refused(tmp_path: Path, power: bool) -> None:
    image = build(tmp_path, power=power, last_bytes=900)
    files = sorted(path for path in image.directory.iterdir() if path.name != SPARE)  # of which nothing is read
    sizes = [path.stat().st_size for path in files]
    rng = random.Random(11)
    refused = 0
    for _ in range(500):
        path = rng.choices(files, sizes)[0]
        bit = rng.randrange(path.stat().st_size * 8)
        result = outcome(image, tmp_path / "x", flip(path.name, bit))
        if isinstance(result, str):
            refused += 1
            assert path.name in result
        else:
            assert result == image.log, f"bit {bit} of {path.name}"
            assert path.name == MARK
    assert refused > 100


def test_every_flipped_bit_of_the_last_frame_is_refused_after_a_loss_of_power(tmp_path: Path) -> None:
    image = build(tmp_path, power=True, last_bytes=1)
    _, start, end = sorted(image.logs)[-3:]
    for bit in range(start * 8, end * 8, 3):
        result = outcome(image, tmp_path / "x", flip(image.last.name, bit))
        assert isinstance(result, str)
        assert f"{image.last.name} at byte {start}" in result


def test_a_last_frame_with_unwritten_sectors_is_cut_off(tmp_path: Path) -> None:
    image = build(tmp_path, power=True, last_bytes=4000)
    start, end = sorted(image.logs)[-2:]
    sectors = range(start // SECTOR, -(-end // SECTOR))
    rng = random.Random(5)
    for _ in range(60):
        lost = rng.sample(sectors, rng.randint(1, len(sectors)))

        def lose(data: bytearray, lost: list[int] = lost) -> None:
            for sector in lost:
                low, high = max(start, sector * SECTOR), min(end, (sector + 1) * SECTOR)
                data[low:high] = bytes(high - low)

        assert outcome(image, tmp_path / "x", edit(image.last.name, lose)) == image.logs[start]


def test_a_last_frame_that_is_zero_from_some_byte_on_is_cut_off(tmp_path: Path) -> None:
    image = build(tmp_path, power=True, last_bytes=300)
    start, end = sorted(image.logs)[-2:]
    for byte in range(start, end - 16):

        def lose(data: bytearray, byte: int = byte) -> None:
            data[byte:] = bytes(len(data) - byte)

        assert outcome(image, tmp_path / "x", edit(image.last.name, lose)) == image.logs[start]


def test_zeros_after_the_last_frame_are_cut_off(tmp_path: Path) -> None:
    image = build(tmp_path, power=False, last_bytes=300)
    for more in (1, 63, 64, 5000):
        assert outcome(
            image, tmp_path / "x", edit(image.last.name, lambda data, n=more: data.extend(bytes(n)))
        ) == (image.log)


def test_garbage_after_the_last_frame_is_refused(tmp_path: Path) -> None:
    image = build(tmp_path, power=False, last_bytes=300)
    result = outcome(image, tmp_path / "x", edit(image.last.name, lambda data: data.extend(b"?" * 200)))
    assert isinstance(result, str)


def test_an_unwritten_sector_before_the_last_frame_is_refused(tmp_path: Path) -> None:
    image = build(tmp_path, power=True, last_bytes=40)
    start, end = sorted(image.logs)[1:3]

    def lose(data: bytearray) -> None:
        data[start:end] = bytes(end - start)

    result = outcome(image, tmp_path / "x", edit(image.last.name, lose))
    assert isinstance(result, str)
    assert f"{image.last.name} at byte {start}" in result
    assert f"at byte {end} a later frame was begun" in result


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_missing_segment_is_refused(tmp_path: Path, power: bool, number: int) -> None:
    image = build(tmp_path, power=power, last_bytes=40)
    name = segments(image.directory)[number].name
    assert isinstance(outcome(image, tmp_path / "x", lambda directory: (directory / name).unlink()), str)


@pytest.mark.parametrize("name", [HARD_STATE, MARK])
def test_a_missing_small_file_is_refused(tmp_path: Path, name: str) -> None:
    image = build(tmp_path, power=False, last_bytes=40)
    result = outcome(image, tmp_path / "x", lambda directory: (directory / name).unlink())
    assert isinstance(result, str)
    assert name in result


def test_a_lost_log_and_term_beside_a_used_mark_are_refused(tmp_path: Path) -> None:
    image = build(tmp_path, power=False, last_bytes=40)

    def lose(directory: Path) -> None:
        for path in [*segments(directory), directory / HARD_STATE]:
            path.unlink()

    assert isinstance(outcome(image, tmp_path / "x", lose), str)


def test_every_cut_and_flip_of_term_and_vote_is_refused(tmp_path: Path) -> None:
    image = build(tmp_path, power=False, last_bytes=40)
    size = (image.directory / HARD_STATE).stat().st_size
    spoils = [cut(HARD_STATE, length) for length in range(size)]
    spoils += [flip(HARD_STATE, bit) for bit in range(0, size * 8, 3)]
    for spoil in spoils:
        result = outcome(image, tmp_path / "x", spoil)
        assert isinstance(result, str)
        assert HARD_STATE in result


def test_an_older_term_and_vote_are_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.setCurrentTerm(1, "n1")
    old = (tmp_path / "journal" / HARD_STATE).read_bytes()
    journal.setCurrentTerm(2, "n2")
    journal.add(b"", 1, 2)
    journal.close()
    (tmp_path / "journal" / HARD_STATE).write_bytes(old)
    with pytest.raises(Damaged, match=f"{HARD_STATE} at byte 0: term and vote are older than the log"):
        Journal(tmp_path / "journal")


@pytest.mark.parametrize("name", [HARD_STATE, MARK, "log"])
def test_a_file_of_another_journal_is_refused(tmp_path: Path, name: str) -> None:
    for directory in ("a", "b"):
        journal = Journal(tmp_path / directory)
        journal.add(b"", 1, 0)
        journal.close()
    name = name if name != "log" else segments(tmp_path / "a")[0].name
    shutil.copy(tmp_path / "a" / name, tmp_path / "b" / name)
    with pytest.raises(Damaged):
        Journal(tmp_path / "b")


def test_a_stray_log_file_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    (tmp_path / "7.log").write_bytes(b"")
    with pytest.raises(Damaged, match="not the name of a segment"):
        Journal(tmp_path)


def test_a_log_that_continues_otherwise_than_the_one_that_was_synced_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "trunk", disk=DISK)
    journal.add(b"common", 1, 1)
    journal.close()
    for branch in ("a", "b"):
        shutil.copytree(tmp_path / "trunk", tmp_path / branch)
        journal = Journal(tmp_path / branch, disk=DISK, segment_bytes=1)
        for index in (2, 3):
            journal.add(branch.encode(), index, 1)
            journal.sync()
        journal.close()
    names = [path.name for path in segments(tmp_path / "a")]
    for taken in (names[:1], names[1:2], names[2:], names[:2], names[1:]):
        shutil.copytree(tmp_path / "b", tmp_path / "x")
        for name in taken:
            shutil.copy(tmp_path / "a" / name, tmp_path / "x" / name)
        if taken == names[:1]:
            journal = Journal(tmp_path / "x", disk=DISK)
            assert [command for command, _, _ in journal[:]] == [b"common", b"b", b"b"]
            journal.close()
        else:
            with pytest.raises(Damaged, match=r"\.log at byte 0"):
                Journal(tmp_path / "x", disk=DISK)
        shutil.rmtree(tmp_path / "x")
