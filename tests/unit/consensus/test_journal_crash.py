"""Crashes and failures at every single disk operation of what the journal does in several steps."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faultdisk import FaultDisk, PowerLoss
from journals import sync_written

from raftstore.consensus.log.journal import Journal
from raftstore.errors import Damaged, DiskFailed

pytestmark = pytest.mark.slow

DIRECTORY = Path("/node/journal")
Log = list[tuple[bytes, int, int]]
SEEDS = range(4)


def log_of(first: int, last: int, term: int = 1) -> Log:
    return [(b"%d/%d" % (index, term) * 60, index, term) for index in range(first, last + 1)]


def start() -> tuple[FaultDisk, Journal]:
    """A journal with entries 1 to 8, synced one by one into several segments, up to 6 committed."""
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=900)
    journal.setCurrentTerm(1, "n1")
    for entry in log_of(1, 8):
        journal.add(*entry)
        journal.sync()
    journal.setRaftCommitIndex(6)
    journal.onOneSecondTimer()
    journal.sync()
    return disk, journal


def drain(journal: Journal) -> None:
    while journal.dirty:
        journal.sync()


def compact(journal: Journal) -> None:
    journal.deleteEntriesTo(5)
    drain(journal)


def install(journal: Journal) -> None:
    journal.clear()
    for entry in log_of(20, 22, term=3):
        journal.add(*entry)
    drain(journal)


def rewrite(journal: Journal) -> None:
    journal.deleteEntriesFrom(6)
    for entry in log_of(7, 9, term=2):
        journal.add(*entry)
    drain(journal)


def reopen(disk: FaultDisk) -> None:
    Journal(DIRECTORY, disk=disk, segment_bytes=900).close()


def vote(journal: Journal) -> None:
    journal.setCurrentTerm(2, "n2")


def in_two(journal: Journal) -> None:
    """Write and sync separately, as the loop does; the last mark is not written."""
    for entry in log_of(9, 11):
        journal.add(*entry)
        file = journal.write()
        if file is None:
            journal.sync()
        else:
            sync_written(journal, file)
            if entry[1] < 11:
                journal.remember()


def ahead(journal: Journal) -> None:
    """The same, into what is filled with zeros; a frame comes when the work for that has begun."""
    for entry in log_of(9, 12):
        journal.add(*entry)
        work = journal.filling()
        file = journal.write()
        if work is not None:
            work()
        if file is None:
            journal.sync()
            continue
        sync_written(journal, file)
        journal.remember()


def close(journal: Journal) -> None:
    for entry in log_of(9, 9):
        journal.add(*entry)
    journal.close()


WORK: dict[str, tuple[Callable[[Journal], None], Log]] = {
    "compaction": (compact, log_of(6, 8)),
    "snapshot": (install, log_of(20, 22, term=3)),
    "truncation": (rewrite, log_of(1, 6) + log_of(7, 9, term=2)),
    "vote": (vote, log_of(1, 8)),
    "two steps": (in_two, log_of(1, 11)),
    "filling ahead": (ahead, log_of(1, 12)),
    "close": (close, log_of(1, 9)),
}
cases = pytest.mark.parametrize("name", WORK)


def steps(after: Log) -> list[Log]:
    """What may be found after a crash, beside the log of the start: each sync adds some entries of `after`."""
    return [after] if after[:8] != log_of(1, 8) else [after[:length] for length in range(9, len(after) + 1)]


def crashes(prepare: Callable[[], FaultDisk], act: Callable[[FaultDisk], None]) -> Iterator[FaultDisk]:
    """Yield the disk after a loss of power in each operation of `act`, several times each."""
    for seed in SEEDS:
        for operation in range(1, 1000):
            disk = prepare()
            disk.crash_at = disk.operations + operation
            try:
                act(disk)
            except PowerLoss:
                disk.crash(random.Random(seed * 1000 + operation))
                yield disk
            else:
                break
        else:
            raise AssertionError("no end")


def check(disk: FaultDisk, allowed: list[Log]) -> None:
    """The log is one of `allowed`, opening works, again and again, and the journal goes on."""
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=900)
    log = journal[:]
    assert log in allowed
    assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) in {(1, "n1"), (2, "n2")}
    assert log[0][1] <= journal.getRaftCommitIndex() <= log[-1][1]
    disk.crash(random.Random(len(log)))
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=900)
    assert journal[:] == log
    journal.add(b"more", log[-1][1] + 1, 9)
    drain(journal)
    disk.crash(random.Random(1))
    journal = Journal(DIRECTORY, disk=disk, segment_bytes=900)
    assert journal[:] == [*log, (b"more", log[-1][1] + 1, 9)]
    journal.close()
    assert disk.handles == 0


@cases
def test_a_crash_anywhere_leaves_the_old_log_or_the_new_one(name: str) -> None:
    work, after = WORK[name]
    live: list[Journal] = []

    def prepare() -> FaultDisk:
        disk, journal = start()
        live[:] = [journal]
        return disk

    for disk in crashes(prepare, lambda disk: work(live[0])):
        check(disk, [log_of(1, 8), *steps(after)])


@cases
def test_a_crash_while_opening_after_a_crash_loses_nothing(name: str) -> None:
    """The tail is torn in one of its operations; then each operation of the recovery is interrupted."""
    work, after = WORK[name]
    for torn in (1, 2):

        def prepare(torn: int = torn) -> FaultDisk:
            disk, journal = start()
            disk.crash_at = disk.operations + torn
            try:
                work(journal)
            except PowerLoss:
                pass
            disk.crash(random.Random(torn))
            return disk

        for disk in crashes(prepare, reopen):
            check(disk, [log_of(1, 8), *steps(after)])


@cases
def test_a_failure_anywhere_then_a_crash_while_opening(name: str) -> None:
    """What a failed sync left in the kernel's cache is made durable when it is read again, or not there."""
    work, after = WORK[name]
    for failing in range(1, 100):
        disk, journal = start()
        disk.fail_at = disk.operations + failing
        try:
            work(journal)
        except DiskFailed:
            pass
        else:
            break

        def prepare(failing: int = failing) -> FaultDisk:
            disk, journal = start()
            disk.fail_at = disk.operations + failing
            with pytest.raises(DiskFailed):
                work(journal)
            disk.kill()
            return disk

        check(prepare(), [log_of(1, 8), *steps(after)])
        for disk in crashes(prepare, reopen):
            check(disk, [log_of(1, 8), *steps(after)])


def test_a_crash_while_the_journal_is_made() -> None:
    for disk in crashes(FaultDisk, lambda disk: Journal(DIRECTORY, disk=disk).close()):
        journal = Journal(DIRECTORY, disk=disk)
        assert (len(journal), journal.getCurrentTerm()) == (0, 0)
        journal.close()


def test_a_crash_in_the_first_sync() -> None:
    def act(disk: FaultDisk) -> None:
        journal = Journal(DIRECTORY, disk=disk)
        for entry in log_of(1, 3):
            journal.add(*entry)
        journal.sync()

    for disk in crashes(FaultDisk, act):
        journal = Journal(DIRECTORY, disk=disk)
        assert journal[:] in ([], log_of(1, 3))
        journal.close()
        assert disk.handles == 0


def test_a_failure_while_opening_closes_everything() -> None:
    disk, journal = start()
    journal.close()
    operations = disk.operations
    Journal(DIRECTORY, disk=disk).close()
    for operation in range(1, disk.operations - operations + 1):
        disk.fail_at = disk.operations + operation
        with pytest.raises(DiskFailed):
            Journal(DIRECTORY, disk=disk).close()
        assert disk.handles == 0
        disk.kill()
    Journal(DIRECTORY, disk=disk).close()


@pytest.mark.parametrize("seed", range(8))
def test_the_loss_of_a_new_segment_is_noticed_even_after_a_loss_of_power(seed: int) -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    journal.add(b"", 1, 1)
    journal.sync()
    disk.crash(random.Random(seed))
    segment = next(name for name in disk.names(DIRECTORY) if name.endswith(".log"))
    disk.unlink(DIRECTORY / segment)
    disk.sync_directory(DIRECTORY)
    with pytest.raises(Damaged, match=f"{segment} at byte 0: the log ends here"):
        Journal(DIRECTORY, disk=disk)
