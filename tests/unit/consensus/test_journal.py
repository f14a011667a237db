"""The journal as pysyncobj uses it: a list with a term, a vote and a commit index that survive."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from faultdisk import FaultDisk
from pysyncobj.journal import Journal as RaftJournal

from raftstore.consensus.log.hardstate import Mark, MarkFile
from raftstore.consensus.log.journal import QUICK_BYTES, Diverged, Journal
from raftstore.consensus.log.raftlog import RaftLog
from raftstore.errors import Damaged, DiskFailed
from raftstore.util.disk import RealDisk

DIRECTORY = Path("/node/journal")


def entry(index: int, term: int = 1) -> tuple[bytes, int, int]:
    return f"command {index} of term {term}".encode(), index, term


def fill(journal: Journal, first: int, last: int, term: int = 1) -> None:
    for index in range(first, last + 1):
        journal.add(*entry(index, term))


def reopened(journal: Journal, directory: Path, **options: int) -> Journal:
    journal.close()
    return Journal(directory, **options)


def indexes(journal: Journal) -> list[int]:
    return [index for _, index, _ in journal[:]]


def test_every_method_of_the_library_is_overridden() -> None:
    methods = {name for name, value in vars(RaftJournal).items() if callable(value)}
    assert methods <= set(vars(Journal)) | {"__dict__", "__weakref__"}


def test_the_journal_is_the_log_that_consensus_asks_for() -> None:
    asked = {name for name, value in vars(RaftLog).items() if callable(value) or isinstance(value, property)}
    asked = {name for name in asked if not name.startswith("_") or name in ("__len__", "__getitem__")}
    assert len(asked) >= 13
    assert asked <= vars(Journal).keys(), "mypy does not see it: the library's Journal is untyped"


def test_a_new_journal_is_empty_and_its_first_entry_counts_as_committed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal")
    assert (len(journal), journal.durable_index, journal.dirty) == (0, 0, False)
    assert (journal.getRaftCommitIndex(), journal.getCurrentTerm(), journal.getVotedForNodeId()) == (1, 0, None)
    with pytest.raises(IndexError):
        journal[-1]
    fill(journal, 1, 2, term=0)
    with pytest.raises(Diverged):
        journal.deleteEntriesFrom(0)
    journal.close()


def test_what_is_synced_comes_back_and_what_is_not_does_not(tmp_path: Path) -> None:
    disk = FaultDisk()
    journal = Journal(DIRECTORY, disk=disk)
    fill(journal, 1, 5)
    assert journal.dirty
    assert journal.durable_index == 0
    assert journal.sync() == journal.durable_index == 5
    assert not journal.dirty
    fill(journal, 6, 7)
    assert journal.durable_index == 5
    disk.kill()
    again = Journal(DIRECTORY, disk=disk)
    assert again[:] == [entry(index) for index in range(1, 6)]
    assert (again.durable_index, again[0], again[-1], again[1:3]) == (
        5,
        entry(1),
        entry(5),
        [entry(2), entry(3)],
    )
    again.close()


def test_real_files_come_back_after_close(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    fill(journal, 1, 5)
    journal.setCurrentTerm(4, "n2")
    journal.setRaftCommitIndex(3)
    journal = reopened(journal, tmp_path)
    assert (indexes(journal), journal.getCurrentTerm(), journal.getVotedForNodeId()) == (
        [1, 2, 3, 4, 5],
        4,
        "n2",
    )
    assert journal.getRaftCommitIndex() == 3
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.add(*entry(6))


def test_entries_must_follow_each_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    fill(journal, 1, 2)
    for wrong in (2, 4):
        with pytest.raises(ValueError, match="does not follow"):
            journal.add(b"", wrong, 1)
    with pytest.raises(ValueError, match="not an entry"):
        journal.add(b"", 0, 1)
    journal.close()


class TestTruncation:
    def test_lowers_the_durable_index_and_survives(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 5)
        journal.sync()
        journal.deleteEntriesFrom(3)
        assert (indexes(journal), journal.durable_index) == ([1, 2, 3], 3)
        fill(journal, 4, 6, term=2)
        assert journal.durable_index == 3
        assert journal.sync() == 6
        journal.deleteEntriesFrom(6)
        journal = reopened(journal, tmp_path)
        assert journal[:] == [entry(1), entry(2), entry(3), entry(4, 2), entry(5, 2), entry(6, 2)]
        journal.close()

    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_of_committed_entries_is_refused_and_changes_nothing(self, tmp_path: Path, position: int) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 5)
        journal.setRaftCommitIndex(3)
        with pytest.raises(Diverged, match=r"entries . to 5, but those up to 3 are committed"):
            journal.deleteEntriesFrom(position)
        assert isinstance(Diverged(), Damaged)
        journal.deleteEntriesFrom(3)
        journal = reopened(journal, tmp_path)
        assert indexes(journal) == [1, 2, 3]
        with pytest.raises(Diverged):
            journal.deleteEntriesFrom(2)
        journal.close()

    def test_during_a_sync_makes_its_entries_not_durable(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        fill(journal, 1, 5)

        def loop_meanwhile(path: Path) -> None:
            disk.before_sync = lambda path: None
            journal.deleteEntriesFrom(3)
            fill(journal, 4, 7, term=2)

        disk.before_sync = loop_meanwhile
        assert journal.sync() == 3
        assert journal.dirty
        assert journal.sync() == 7
        disk.kill()
        again = Journal(DIRECTORY, disk=disk)
        assert again[3:] == [entry(index, 2) for index in range(4, 8)]
        again.close()


class TestCompaction:
    def test_removes_whole_old_segments_and_keeps_the_base(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, segment_bytes=1)
        for index in range(1, 9):
            fill(journal, index, index)
            journal.sync()
        journal.deleteEntriesTo(5)
        assert journal[0] == entry(6)
        assert journal.getRaftCommitIndex() == 6
        while journal.dirty:
            assert journal.sync() == 8
        assert [name for name in RealDisk().names(tmp_path) if name.endswith(".log")] == [
            f"{sequence:020d}.log" for sequence in (6, 7, 8, 9)
        ]
        journal = reopened(journal, tmp_path)
        assert indexes(journal) == [6, 7, 8]
        journal.close()

    def test_is_for_entries_before_the_last_only(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 3)
        journal.deleteEntriesTo(0)
        journal.deleteEntriesTo(-1)
        with pytest.raises(ValueError, match="last entry"):
            journal.deleteEntriesTo(3)
        assert indexes(journal) == [1, 2, 3]
        journal.close()


class TestSnapshot:
    def test_replaces_the_log_as_a_whole(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, segment_bytes=1)
        for index in range(1, 5):
            fill(journal, index, index)
            journal.sync()
        journal.clear()
        assert (len(journal), journal.sync()) == (0, 0)
        journal.add(*entry(99, 7))
        assert (indexes(journal), journal.sync(), journal.dirty) == ([99], 0, False)
        with pytest.raises(ValueError, match="being installed"):
            journal.deleteEntriesFrom(0)
        journal.add(*entry(100, 7))
        assert (indexes(journal), journal.durable_index, journal.dirty) == ([99, 100], 0, True)
        fill(journal, 101, 102, term=7)
        assert journal.sync() == 102
        assert journal.getRaftCommitIndex() == 100
        while journal.dirty:
            journal.sync()
        assert [name for name in RealDisk().names(tmp_path) if name.endswith(".log")] == [f"{5:020d}.log"]
        journal = reopened(journal, tmp_path)
        assert indexes(journal) == [99, 100, 101, 102]
        assert journal.getRaftCommitIndex() == 100
        journal.close()

    def test_half_installed_leaves_the_old_log(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 4)
        journal.clear()
        journal.add(*entry(99, 7))
        journal = reopened(journal, tmp_path)
        assert indexes(journal) == [1, 2, 3, 4]
        journal.close()

    def test_behind_the_commit_index_is_refused_and_changes_nothing(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 9)
        journal.setRaftCommitIndex(7)
        journal.clear()
        journal.add(*entry(5, 2))
        with pytest.raises(Diverged, match="committed 7"):
            journal.add(*entry(6, 2))
        assert indexes(journal) == list(range(1, 10))
        journal = reopened(journal, tmp_path)
        assert indexes(journal) == list(range(1, 10))
        journal.close()

    def test_that_the_log_contains_keeps_the_entries_after_it(self, tmp_path: Path) -> None:
        """They may have been acknowledged: a majority may count on this node's copy."""
        journal = Journal(tmp_path)
        fill(journal, 1, 9)
        journal.setRaftCommitIndex(7)
        journal.clear()
        journal.add(b"not kept in snapshots", 5, 1)
        journal.add(b"not kept in snapshots", 6, 1)
        assert journal[:] == [entry(index) for index in range(5, 10)]
        assert journal.sync() == 9
        journal = reopened(journal, tmp_path)
        assert (journal[:], journal.getRaftCommitIndex()) == ([entry(index) for index in range(5, 10)], 7)
        journal.close()

    def test_of_an_empty_log(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        journal.clear()
        fill(journal, 41, 43)
        assert journal.sync() == 43
        journal = reopened(journal, tmp_path)
        assert indexes(journal) == [41, 42, 43]
        journal.close()


class TestTermAndVote:
    def test_are_durable_at_once(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        journal.setCurrentTerm(2, "n3")
        operations = disk.operations
        journal.setCurrentTerm(2, "n3")
        assert disk.operations == operations
        disk.kill()
        again = Journal(DIRECTORY, disk=disk)
        assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (2, "n3")
        again.setCurrentTerm(3, None)
        again.setCurrentTerm(3, "n1")
        again.close()

    @pytest.mark.parametrize(("term", "vote"), [(1, None), (2, None), (2, "n1")])
    def test_never_go_back(self, tmp_path: Path, term: int, vote: str | None) -> None:
        journal = Journal(tmp_path)
        journal.setCurrentTerm(2, "n3")
        with pytest.raises(ValueError, match="after term 2 with vote n3"):
            journal.setCurrentTerm(term, vote)
        assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (2, "n3")
        journal.close()

    def test_a_failed_write_stops_the_journal(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        disk.fail_at = disk.operations + 3
        with pytest.raises(DiskFailed):
            journal.setCurrentTerm(2, "n3")
        assert journal.getCurrentTerm() == 0
        with pytest.raises(DiskFailed):
            journal.sync()
        journal.close()


class TestCommitIndex:
    def test_is_written_with_the_next_sync_or_by_the_timer(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        fill(journal, 1, 5)
        journal.setRaftCommitIndex(2)
        journal.sync()
        journal.setRaftCommitIndex(4)
        assert not journal.dirty
        disk.kill()
        journal = Journal(DIRECTORY, disk=disk)
        assert journal.getRaftCommitIndex() == 2
        journal.setRaftCommitIndex(4)
        journal.onOneSecondTimer()
        assert journal.dirty
        assert journal.sync() == 5
        journal.onOneSecondTimer()
        journal.sync()
        journal.onOneSecondTimer()
        assert not journal.dirty
        disk.kill()
        journal = Journal(DIRECTORY, disk=disk)
        assert journal.getRaftCommitIndex() == 4
        journal.close()

    def test_never_goes_back_nor_past_the_log(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 5)
        journal.setRaftCommitIndex(3)
        journal.setRaftCommitIndex(2)
        assert journal.getRaftCommitIndex() == 3
        journal.setRaftCommitIndex(9)
        assert journal.getRaftCommitIndex() == 5
        journal.close()


class TestWrittenOnTheLoop:
    def test_is_durable_when_it_is_synced_and_not_before(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        fill(journal, 1, 1)
        assert journal.write() is None  # a segment begins: not quickly done
        journal.sync()
        fill(journal, 2, 3)
        file = journal.write()
        assert file is not None
        assert (journal.dirty, journal.durable_index) == (False, 1)
        fill(journal, 4, 4)
        file.datasync()
        journal.synced()
        assert (journal.dirty, journal.durable_index) == (True, 3)
        disk.crash(random.Random(1))
        again = Journal(DIRECTORY, disk=disk)
        assert indexes(again) == [1, 2, 3]
        again.close()

    def test_is_finished_by_the_next_sync(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        fill(journal, 1, 1)
        journal.sync()
        fill(journal, 2, 2)
        assert journal.write() is not None
        fill(journal, 3, 3)
        assert journal.sync() == 3
        journal.close()
        disk.crash(random.Random(1))
        again = Journal(DIRECTORY, disk=disk)
        assert indexes(again) == [1, 2, 3]
        again.close()

    def test_is_little(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        fill(journal, 1, 1)
        journal.sync()
        journal.add(bytes(QUICK_BYTES + 1), 2, 1)
        assert journal.write() is None
        assert journal.sync() == 2
        journal.close()

    def test_fails_for_ever(self) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        fill(journal, 1, 1)
        journal.sync()
        fill(journal, 2, 2)
        assert journal.write() is not None
        with pytest.raises(DiskFailed, match="no luck"):
            journal.synced(OSError("no luck"))
        assert (journal.dirty, journal.durable_index) == (False, 1)
        with pytest.raises(DiskFailed):
            journal.add(*entry(3))
        journal.close()


class TestFailure:
    @pytest.mark.parametrize("operation", ["write", "datasync", "create", "sync_directory"])
    def test_of_the_first_sync_is_for_ever(self, operation: str) -> None:
        disk = FaultDisk()
        journal = Journal(DIRECTORY, disk=disk)
        fill(journal, 1, 3)
        disk.fail_at = disk.operations + 1 + ["create", "write", "datasync", "sync_directory"].index(operation)
        with pytest.raises(DiskFailed, match=r"simulated: .* failed"):
            journal.sync()
        assert disk.history[-1].startswith(operation)
        operations = disk.operations
        for again in (journal.sync, lambda: journal.add(*entry(4)), lambda: journal.setCurrentTerm(1, None)):
            with pytest.raises(DiskFailed):
                again()
        assert (journal.durable_index, journal.dirty) == (0, False)
        journal.close()
        assert (disk.operations, disk.handles) == (operations, 0)


def test_adding_and_syncing_overlap_in_threads(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=50_000)
    last = 3000
    synced = threading.Event()
    seen: list[int] = []

    def worker() -> None:
        while not seen or seen[-1] < last:
            seen.append(journal.sync())
            synced.set()

    thread = threading.Thread(target=worker)
    thread.start()
    for index in range(1, last + 1):
        if index % 100 == 0:
            synced.clear()
            assert synced.wait(60)
        fill(journal, index, index)
    thread.join(60)
    assert seen == sorted(seen)
    assert seen[-1] == last
    journal = reopened(journal, tmp_path)
    assert indexes(journal) == list(range(1, last + 1))
    journal.close()


def test_the_mark_of_an_earlier_sync_never_takes_the_place_of_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread syncs what came next, while the loop writes the mark of what the kernel has synced."""
    journal = Journal(tmp_path)
    fill(journal, 1, 1)
    journal.sync()
    fill(journal, 2, 2)
    file = journal.write()
    assert file is not None
    file.datasync()
    journal.synced()
    fill(journal, 3, 3)
    later = threading.Thread(target=journal.sync)
    write_mark = MarkFile.write

    def overtaken(self: MarkFile, mark: Mark) -> None:
        if threading.current_thread() is not later and later.ident is None:
            later.start()
            later.join(0.5)
        write_mark(self, mark)

    monkeypatch.setattr(MarkFile, "write", overtaken)
    journal.remember()
    later.join()
    assert MarkFile.peek(RealDisk(), tmp_path).sequence == 3
    journal.close()
