"""The journal against a plain list, on a disk that crashes: nothing synced is lost, nothing is invented."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples import examples
from faultdisk import FaultDisk, PowerLoss
from hypothesis import given
from hypothesis import strategies as st
from journals import sync_written

from raftstore.consensus.log.journal import Journal
from raftstore.errors import DiskFailed
from raftstore.util.disk import DiskFile

DIRECTORY = Path("/node/journal")
Log = list[tuple[bytes, int, int]]

commands = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", bytes(300), bytes(1500), b"\xff" * 700, b"pxJ1" * 40]),
    st.integers(0, 9).map(lambda seed: random.Random(seed).randbytes(1300)),
)
operations = st.one_of(
    st.tuples(st.just("add"), st.lists(commands, min_size=1, max_size=4)),
    st.tuples(st.just("sync")),
    st.tuples(st.just("write")),
    st.tuples(st.just("written"), st.booleans()),
    st.tuples(st.just("remember")),
    st.tuples(st.just("filling")),
    st.tuples(st.just("filled")),
    st.tuples(st.just("second")),
    st.tuples(st.just("truncate"), st.integers(1, 6)),
    st.tuples(st.just("compact"), st.integers(1, 6)),
    st.tuples(st.just("commit"), st.integers(0, 4)),
    st.tuples(st.just("snapshot"), st.integers(0, 3)),
    st.tuples(st.just("term"), st.sampled_from([None, "n1", "n2"])),
    st.tuples(st.just("close")),
    st.tuples(st.just("kill")),
    st.tuples(st.just("crash"), st.integers(0, 2**32)),
    st.tuples(st.just("crash_soon"), st.integers(0, 8), st.integers(0, 2**32)),
    st.tuples(st.just("fail_soon"), st.integers(0, 6)),
)


class Harness:
    """Runs the same operations on a journal and on lists; method names are operations."""

    def __init__(self, segment_bytes: int) -> None:
        self.disk = FaultDisk()
        self.segment_bytes = segment_bytes
        self.rng = random.Random(0)
        self.journal: Journal | None = None
        self.log: Log = []
        self.synced: Log = []
        self.highest_commit = 1
        self.flying: tuple[DiskFile, Log] | None = None
        self.fill: Callable[[], None] | None = None
        self.now: tuple[int, str | None] = (0, None)
        # What may be found after a crash: what was synced last, or what was on its way.
        self.allowed: list[Log] = [[]]
        self.allowed_hard = {self.now}

    def open(self) -> Journal:
        while self.journal is None:
            try:
                self.journal = Journal(
                    DIRECTORY, disk=self.disk, segment_bytes=self.segment_bytes, ahead_bytes=4096
                )
            except PowerLoss:
                self.disk.crash(self.rng)
            except DiskFailed:
                assert self.disk.handles == 0
                self.disk.kill()
        journal = self.journal
        self.flying = self.fill = None
        self.log = journal[:]
        assert self.log in self.allowed
        assert journal.durable_index == (self.log[-1][1] if self.log else 0)
        self.now = journal.getCurrentTerm(), journal.getVotedForNodeId()
        assert self.now in self.allowed_hard
        commit = journal.getRaftCommitIndex()
        assert 1 <= commit <= max(self.highest_commit, self.log[0][1] if self.log else 1)
        assert commit <= max(1, journal.durable_index)
        self.highest_commit = commit
        self.synced, self.allowed, self.allowed_hard = list(self.log), [list(self.log)], {self.now}
        return journal

    def run(self, steps: list[tuple[Any, ...]]) -> None:
        self.open()
        for name, *arguments in steps:
            journal = self.open() if self.journal is None else self.journal
            try:
                getattr(self, name)(journal, *arguments)
            except PowerLoss:
                self.disk.crash(self.rng)
                self.journal = None
            except DiskFailed:
                self.check_dead(journal)
                self.disk.kill()
                self.journal = None
            if self.journal is not None:
                self.check(self.journal)
        self.disk.crash_at = self.disk.fail_at = None
        self.close(self.open() if self.journal is None else self.journal)
        self.close(self.open())

    def check(self, journal: Journal) -> None:
        assert journal[:] == self.log
        assert len(journal) == len(self.log)
        assert journal[-3:] == self.log[-3:]
        assert journal.getRaftCommitIndex() == self.highest_commit
        if self.log:
            assert (journal[0], journal[-1]) == (self.log[0], self.log[-1])
        assert [
            entry for entry in self.log if entry[1] <= journal.durable_index and entry not in self.synced
        ] == []

    def check_dead(self, journal: Journal) -> None:
        for attempt in (
            journal.sync,
            lambda: journal.add(b"", 10**6, 1),
            lambda: journal.setCurrentTerm(99, None),
        ):
            try:
                attempt()
            except DiskFailed:
                continue
            raise AssertionError("the journal goes on after its disk has failed")
        journal.close()
        assert self.disk.handles == 0

    # Operations.

    def add(self, journal: Journal, many: list[bytes]) -> None:
        for command in many:
            entry = command, self.log[-1][1] + 1 if self.log else 1, self.now[0]
            journal.add(*entry)
            self.log.append(entry)

    def write(self, journal: Journal) -> None:
        """Write without a sync; others may change the log before that comes."""
        if self.flying is None and journal.dirty:
            self.allowed.append(list(self.log))
            file = journal.write()
            if file is None:
                self.sync(journal)
            else:
                self.flying = file, list(self.log)

    def written(self, journal: Journal, remember: bool) -> None:
        """Sync what was written; its mark may not get there."""
        if self.flying is not None:
            (file, log), self.flying = self.flying, None
            sync_written(journal, file)
            self.synced, self.allowed = log, [log]
            if remember:
                journal.remember()

    def remember(self, journal: Journal) -> None:
        journal.remember()

    def filling(self, journal: Journal) -> None:
        """Zeros are to be written ahead of the log; until they are, others may write frames."""
        if self.fill is None:
            self.fill = journal.filling()

    def filled(self, journal: Journal) -> None:
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill()

    def sync(self, journal: Journal) -> None:
        self.filled(journal)  # the same worker does it, and this came first
        self.flying = None  # it does that too
        self.allowed.append(list(self.log))
        assert journal.sync() == (self.log[-1][1] if self.log else 0)
        self.synced, self.allowed = list(self.log), [list(self.log)]

    def second(self, journal: Journal) -> None:
        journal.onOneSecondTimer()
        if journal.dirty:
            self.sync(journal)

    def truncate(self, journal: Journal, many: int) -> None:
        position = len(self.log) - many
        if position >= 1 and self.log[position][1] > self.highest_commit:
            journal.deleteEntriesFrom(position)
            del self.log[position:]

    def compact(self, journal: Journal, many: int) -> None:
        if many < len(self.log):
            journal.deleteEntriesTo(many)
            del self.log[:many]
            self.highest_commit = max(self.highest_commit, self.log[0][1])

    def commit(self, journal: Journal, back: int) -> None:
        if len(self.log) > back:
            index = self.log[-1 - back][1]
            journal.setRaftCommitIndex(index)
            self.highest_commit = max(self.highest_commit, index)

    def snapshot(self, journal: Journal, ahead: int) -> None:
        """Install a snapshot of another history that ends `ahead` entries after what is committed here."""
        self.term(journal, None)
        last = max(self.highest_commit, 2) + ahead
        entries = [(b"snapshot", last - 1, self.now[0]), (b"last", last, self.now[0])]
        journal.clear()
        for entry in entries:
            assert journal.durable_index == 0
            journal.add(*entry)
        self.log = entries
        self.highest_commit = last

    def term(self, journal: Journal, vote: str | None) -> None:
        wanted = self.now[0] + 1, vote
        self.allowed_hard.add(wanted)
        journal.setCurrentTerm(*wanted)
        self.now, self.allowed_hard = wanted, {wanted}

    def close(self, journal: Journal) -> None:
        self.filled(journal)
        self.flying = None
        self.allowed.append(list(self.log))
        journal.close()
        assert self.disk.handles == 0
        self.allowed = [list(self.log)]
        self.journal = None

    def kill(self, journal: Journal) -> None:
        self.disk.kill()
        self.journal = None

    def crash(self, journal: Journal, seed: int) -> None:
        self.disk.crash(random.Random(seed))
        self.journal = None

    def crash_soon(self, journal: Journal, after: int, seed: int) -> None:
        self.disk.crash_at = self.disk.operations + 1 + after
        self.rng = random.Random(seed)

    def fail_soon(self, journal: Journal, after: int) -> None:
        self.disk.fail_at = self.disk.operations + 1 + after


@examples(400)
@given(st.lists(operations, max_size=40), st.sampled_from([1, 700, 4000, 1 << 20]))
def test_a_journal_is_a_list_that_survives(steps: list[tuple[Any, ...]], segment_bytes: int) -> None:
    Harness(segment_bytes).run(steps)
