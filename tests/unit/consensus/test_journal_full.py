"""A full disk under the journal: nothing is lost, nothing is acknowledged, and it goes on when there is space."""

from __future__ import annotations

import contextlib
import errno
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faultdisk import FaultDisk, FaultFile, PowerLoss

from raftstore.consensus.log.hardstate import HARD_STATE
from raftstore.consensus.log.journal import Journal
from raftstore.errors import DiskFailed, DiskFull

DIRECTORY = Path("/node/journal")
PLENTY = 1 << 40


def fill(journal: Journal, first: int, last: int, size: int = 40) -> None:
    for index in range(first, last + 1):
        journal.add(b"%d" % (index % 10) * size, index, 1)


def leave(disk: FaultDisk, free: int) -> None:
    """Something else has filled the disk, but for so many bytes."""
    disk.capacity = PLENTY
    disk.capacity = PLENTY - disk.free_bytes(DIRECTORY) + free


def indexes(journal: Journal) -> list[int]:
    return [index for _, index, _ in journal[:]]


def killed_and_reopened(disk: FaultDisk, rng: random.Random | None = None, **options: int) -> Journal:
    (disk.kill if rng is None else lambda: disk.crash(rng))()
    disk.capacity = PLENTY
    return Journal(DIRECTORY, disk=disk, **options)


@pytest.mark.parametrize("free", [0, 1, 100, 511, 512, 700])
@pytest.mark.parametrize("segment_bytes", [1 << 20, 600])
def test_what_does_not_fit_waits_and_is_written_when_there_is_space(free: int, segment_bytes: int) -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=segment_bytes)
    fill(journal, 1, 3)
    assert journal.sync() == 3
    leave(disk, free)
    fill(journal, 4, 40)
    for _ in range(3):
        with pytest.raises(DiskFull):
            journal.sync()
        assert (journal.durable_index, journal.dirty) == (3, True)
    journal.deleteEntriesFrom(20 - 1)  # what waits may be dropped again
    fill(journal, 20, 25)
    leave(disk, 1 << 20)
    assert journal.sync() == 25
    fill(journal, 26, 30)
    assert journal.sync() == 30
    again = killed_and_reopened(disk, segment_bytes=segment_bytes)
    assert indexes(again) == list(range(1, 31))
    again.close()


@pytest.mark.parametrize("seed", range(40))
def test_a_loss_of_power_around_a_full_disk_loses_nothing_that_was_durable(seed: int) -> None:
    """Also where a part of a frame was written, and another one is then written in its place."""
    rng = random.Random(seed)
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=rng.choice((700, 4000, 1 << 20)), ahead_bytes=8192)
    fill(journal, 1, 3)
    durable, last = journal.sync(), 3
    for _ in range(rng.randint(1, 6)):
        if rng.random() < 0.5 and (work := journal.filling()) is not None:
            work()
        leave(disk, rng.choice((0, 1, 100, 513, 2000, 1 << 20)))
        count = rng.choice((1, 1, 5, 30))
        fill(journal, last + 1, last + count)
        last += count
        try:
            durable = journal.sync()
        except DiskFull:
            assert journal.durable_index == durable
    again = killed_and_reopened(disk, rng)
    found = indexes(again)
    assert found == list(range(1, found[-1] + 1))
    assert durable <= found[-1] <= last
    again.close()


class AllButTheFirst(random.Random):
    """Chance at a loss of power: of each file every sector was written but the first of those that were not synced."""

    def choice(self, seq: Sequence[Any]) -> Any:
        self._first = True
        return 0.5 if isinstance(seq[0], float) else max(seq) if isinstance(seq[0], int) else seq[0]

    def randint(self, a: int, b: int) -> int:
        return b

    def random(self) -> float:
        first, self._first = self._first, False
        return 1.0 if first else 0.0


def test_no_mix_of_two_frames_is_ever_on_the_disk() -> None:
    """What a full disk took of a frame may have reached the platter when the next one is written in its place."""
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    fill(journal, 1, 3)
    journal.sync()
    leave(disk, 2048)
    fill(journal, 4, 90)
    with pytest.raises(DiskFull):
        journal.sync()
    disk.write_back()
    fill(journal, 91, 120)
    leave(disk, 1 << 20)

    def lose_power(path: Path) -> None:
        if len(disk.read(path).rstrip(b"\0")) > 6000:  # the next frame has been written, and is not synced yet
            raise PowerLoss

    disk.before_sync = lose_power
    with pytest.raises(PowerLoss):
        journal.sync()
    again = killed_and_reopened(disk, AllButTheFirst())
    assert indexes(again) == [1, 2, 3]
    again.close()


def test_the_quick_way_leaves_to_sync_what_does_not_fit() -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    fill(journal, 1, 2)
    journal.sync()
    leave(disk, 100)
    fill(journal, 3, 9)
    assert journal.write() is None
    assert journal.write() is None  # a part of the frame lies there
    leave(disk, 1 << 20)
    assert journal.sync() == 9
    fill(journal, 10, 10)
    file = journal.write()
    assert file is not None
    file.datasync()
    journal.synced()
    assert journal.durable_index == 10
    assert indexes(killed_and_reopened(disk)) == list(range(1, 11))


def test_what_is_kept_for_it_is_used_before_anybody_waits() -> None:
    disk, pieces = FaultDisk(), [2, 1]

    def free_space() -> bool:
        if not pieces:
            return False
        pieces.pop()
        disk.capacity += 600
        return True

    journal = Journal(DIRECTORY, disk=disk, free_space=free_space)
    fill(journal, 1, 2)
    journal.sync()
    leave(disk, 0)
    fill(journal, 3, 20)
    assert journal.sync() == 20
    assert not pieces
    fill(journal, 21, 60)
    with pytest.raises(DiskFull):
        journal.sync()


def test_segments_that_nobody_needs_give_space_first() -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=2000)
    for index in range(1, 60):
        fill(journal, index, index)
        journal.sync()
    journal.setRaftCommitIndex(58)
    journal.deleteEntriesTo(55)
    journal.sync()
    assert journal.dirty, "superseded segments are removed one at a time"
    leave(disk, 0)
    fill(journal, 60, 90)
    assert journal.sync() == 90
    assert indexes(killed_and_reopened(disk, segment_bytes=2000))[-1] == 90


def test_a_vote_needs_no_space() -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    leave(disk, 0)
    for term in range(1, 6):
        journal.setCurrentTerm(term, None)
        journal.setCurrentTerm(term, "somebody with a longer name" if term % 2 else "n1")
    again = killed_and_reopened(disk)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (5, "somebody with a longer name")
    again.close()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("at", range(1, 12))
def test_a_vote_survives_a_loss_of_power_at_any_step(seed: int, at: int) -> None:
    """The file that was replaced is written over: never while it may be the hard state still."""
    rng = random.Random(seed)
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    term = 0
    for _ in range(3):
        disk.crash_at = disk.operations + at
        written = term
        with contextlib.suppress(PowerLoss):
            for _ in range(3):
                term += 1
                journal.setCurrentTerm(term, f"n{term}")
                written = term
        journal = killed_and_reopened(disk, rng)
        assert written <= journal.getCurrentTerm() <= term
        assert journal.getVotedForNodeId() in (None, f"n{journal.getCurrentTerm()}")
        term = journal.getCurrentTerm()


def test_a_leftover_second_name_of_the_hard_state_is_not_written_to() -> None:
    """After a loss of power the spare may be the hard state itself, under two names."""
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    journal.setCurrentTerm(1, "n1")
    journal.close()
    for name in (".tmp", ".old.tmp"):
        if disk.names(DIRECTORY).count(HARD_STATE + name):
            disk.unlink(DIRECTORY / (HARD_STATE + name))
        disk.link(DIRECTORY / HARD_STATE, DIRECTORY / (HARD_STATE + name))
    again = killed_and_reopened(disk)
    disk.fail_at = disk.operations + 2  # the sync of what is written next
    with pytest.raises(DiskFailed):
        again.setCurrentTerm(2, "n2")
    assert killed_and_reopened(disk).getCurrentTerm() == 1


def test_a_sync_that_finds_no_space_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then data are lost that the kernel had taken."""
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    fill(journal, 1, 2)
    journal.sync()

    def datasync(self: FaultFile) -> None:
        raise OSError(errno.ENOSPC, "delayed")

    monkeypatch.setattr(FaultFile, "datasync", datasync)
    fill(journal, 3, 4)
    with pytest.raises(DiskFailed):
        journal.sync()
    monkeypatch.undo()
    with pytest.raises(DiskFailed):
        journal.sync()


def test_a_journal_that_cannot_be_opened_for_want_of_space_says_so() -> None:
    disk = FaultDisk()
    Journal(DIRECTORY, disk=disk).close()
    disk.kill()
    leave(disk, 0)
    for name in disk.names(DIRECTORY):
        if name.endswith(".tmp"):
            disk.unlink(DIRECTORY / name)
    leave(disk, 0)
    with pytest.raises(DiskFull):
        Journal(DIRECTORY, disk=disk)
