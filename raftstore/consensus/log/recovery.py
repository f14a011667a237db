"""Reading the journal's directory back: replay, and the decision between the end, a torn tail and damage.

A segment is filled with zeros ahead of the log (`ahead`), so the log ends where its file does, or where nothing but
zeros follow. What is found out when the journal is opened:

- Every byte of every frame is under a digest that is chained to the frame before it. A damaged, missing, moved
  or foreign frame with anything whole behind it (frame or segment) is refused: a frame is begun only when the
  one before it is synced. So is a missing, damaged or outdated term and vote: each frame names the generation
  it was written in.
- Nothing that the mark says was synced may be missing or changed. The mark is written, not synced, right after
  each sync of the log (those who wait for the log are told first), and synced once a second while there is
  something new, with each new segment, with each change of term or vote and at close. So after the death of the
  process, whatever happens to the files, every loss is refused; but for the very last frame if it died between
  the two.
- That leaves the last frame after a loss of power, if it is at most a second younger than the last sync of the
  mark. It is cut off if it was not written whole: the file ends in it, or a sector of it (or its end) reads as
  zeros, which no single flipped bit can bring about (`records` says why). Any other fault in it is refused as
  damage.

What cannot be found out: after a loss of power, that synced frames of that last second were cut off at the end
of the file or zeroed by someone else; that *all* files were set back together to an earlier state. What is
refused although it may be innocent: a file system that shows old blocks instead of zeros where a write was lost
(ext4 with data=writeback), for such a block cannot be told from damage. That is also why files are never used
again for a later part of the log: an old frame in the place of a lost one would be such a block.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import structlog

from raftstore.consensus.log import hardstate
from raftstore.consensus.log.hardstate import HardState, Mark, MarkFile
from raftstore.consensus.log.records import (
    FIRST_CHAIN,
    Compact,
    Entry,
    Fault,
    Frame,
    Record,
    Reset,
    Start,
    Truncate,
    decode_frame,
    decode_records,
    ends,
    later_frame,
)
from raftstore.errors import Damaged
from raftstore.util.disk import Disk

log = structlog.get_logger()

SUFFIX = ".log"


def segment_name(first: int) -> str:
    """Return the file name of the segment whose first frame has the sequence `first`."""
    return f"{first:020d}{SUFFIX}"


def journal_key(journal: bytes) -> bytes:
    """Return the key of the digests of the journal with this identity (16 bytes)."""
    return journal + b"pixraft journal."


@dataclass(slots=True)
class Segment:
    """A segment file: sequence of its first frame, index of the entry that was next when it was begun."""

    first: int
    next: int


@dataclass(slots=True)
class Replay:
    """The log as the records so far make it: entries `first` to `next` - 1, of which the last ones are at hand.

    The others were in segments that are gone; at the end of the replay none may be wanted.
    """

    entries: list[Entry] = field(default_factory=list)
    first: int = 0
    next: int = 0
    commit: int = 0
    hard: int = 0
    started: bool = False
    resets: int = 0

    def apply(self, record: Record) -> None:
        """Apply one record. ValueError: it does not fit the log."""
        match record:
            case (_, index, _):
                if self.next == self.first:
                    self.first = self.next = index
                if index != self.next:
                    raise ValueError(f"entry {index} where {self.next} was due")
                self.entries.append(record)
                self.next += 1
            case Truncate(index):
                if not self.first < index < self.next:
                    raise ValueError(f"truncation at {index} of entries {self.first} to {self.next - 1}")
                del self.entries[max(0, index - self.held) :]
                self.next = index
            case Compact(index):
                if not self.first < index < self.next:
                    raise ValueError(f"compaction to {index} of entries {self.first} to {self.next - 1}")
                del self.entries[: max(0, index - self.held)]
                self.first = index
            case Reset():
                self.entries.clear()
                self.first = self.next = 0
                self.resets += 1
            case Start():
                raise ValueError("the start of a segment in its middle")

    @property
    def held(self) -> int:
        """Index of the first entry at hand."""
        return self.next - len(self.entries)

    def start(self, record: Start) -> None:
        """Begin a segment. ValueError: it does not follow from what was read."""
        if not self.started:
            self.started = True
            self.first, self.next = record.first, record.next
        elif (self.first, self.next) != (record.first, record.next):
            raise ValueError(f"a segment for entries {record.first} to {record.next - 1} does not follow")


@dataclass(slots=True)
class Recovered:
    """What is on disk, verified and synced. `segments` may be empty; the last one is appended to at `end`."""

    hard: HardState
    mark: MarkFile
    replay: Replay
    segments: list[Segment]
    end: int
    chain: bytes
    sequence: int
    superseded: int
    """So many of the oldest segments are no longer needed."""


def recover(disk: Disk, directory: Path) -> Recovered:
    """Read the journal in `directory` or make an empty one. Raise Damaged (file, byte) rather than guess."""
    disk.make_directory(directory)
    names = disk.names(directory)
    firsts = sorted(_sequence_of(directory, name) for name in names if name.endswith(SUFFIX))
    hard = _hard_state(disk, directory, firsts)
    if hardstate.MARK not in disk.names(directory):
        raise Damaged(f"{directory / hardstate.MARK} at byte 0: the file is missing")
    mark = MarkFile.open(disk, directory, hard.journal)
    try:
        return _Reader(disk, directory, hard, mark).run(firsts)
    except BaseException:
        mark.close()
        raise


def _sequence_of(directory: Path, name: str) -> int:
    stem = name.removesuffix(SUFFIX)
    if not stem.isdecimal() or segment_name(int(stem)) != name:
        raise Damaged(f"{directory / name} at byte 0: not the name of a segment")
    return int(stem)


def _hard_state(disk: Disk, directory: Path, firsts: list[int]) -> HardState:
    """Read the hard state; for a new journal make it, last of all, so that its presence proves the rest."""
    names = disk.names(directory)
    if hardstate.HARD_STATE in names:
        return hardstate.read_hard_state(disk, directory)
    if firsts:
        raise Damaged(
            f"{directory / hardstate.HARD_STATE} at byte 0: term and vote are missing, the log is there"
        )
    journal = secrets.token_bytes(16)
    if hardstate.MARK in names:
        _refuse_used_mark(disk, directory)
    MarkFile.create(disk, directory, journal)
    state = HardState(journal, 1, 0, None, Mark())
    hardstate.write_hard_state(disk, directory, state)
    return state


def _refuse_used_mark(disk: Disk, directory: Path) -> None:
    if MarkFile.peek(disk, directory).sequence:
        raise Damaged(
            f"{directory / hardstate.HARD_STATE} at byte 0: term and vote are missing, the mark is there"
        )


class _Reader:
    """One reading of a journal's segments."""

    def __init__(self, disk: Disk, directory: Path, hard: HardState, mark: MarkFile) -> None:
        self._disk = disk
        self._directory = directory
        self._hard = hard
        self._mark = mark
        self._synced = max(hard.mark, mark.latest, key=lambda one: one.sequence)
        self._key = journal_key(hard.journal)
        self._replay = Replay()
        self._segments: list[Segment] = []
        self._superseded = 0
        self._sequence = 0
        self._chain = FIRST_CHAIN
        self._end = 0
        self._tail: tuple[Path, int, int] | None = None

    def run(self, firsts: list[int]) -> Recovered:
        """Read the segments whose first sequences are `firsts`."""
        for first, following in zip_longest(firsts, firsts[1:]):
            self._segment(first, following)
        if self._sequence < self._synced.sequence:
            where = self._directory / segment_name(self._synced.segment)
            end = self._end if self._segments and self._segments[-1].first == self._synced.segment else 0
            raise Damaged(
                f"{where} at byte {end}: the log ends here; it was synced up to byte {self._synced.offset}"
            )
        replay = self._replay
        if replay.next - replay.first != len(replay.entries):
            raise Damaged(
                f"{self._path(self._segments[0].first)} at byte 0: "
                f"the segments with entries {replay.first} to {replay.held - 1} are missing"
            )
        if replay.hard > self._hard.generation:
            raise Damaged(
                f"{self._directory / hardstate.HARD_STATE} at byte 0: term and vote are older than the log"
            )
        self._settle()
        return Recovered(
            self._hard,
            self._mark,
            replay,
            self._segments,
            self._end,
            self._chain,
            self._sequence + 1,
            self._superseded,
        )

    def _path(self, first: int) -> Path:
        return self._directory / segment_name(first)

    def _segment(self, first: int, following: int | None) -> None:
        path, last = self._path(first), following is None
        if self._segments and first != self._sequence + 1:
            raise Damaged(f"{path} at byte 0: frame {self._sequence + 1}, which comes before it, is missing")
        data = self._disk.read(path)
        offset, chain, sequence = 0, FIRST_CHAIN, first
        while offset < len(data):
            frame = decode_frame(self._key, chain, memoryview(data), offset)
            if isinstance(frame, Fault):
                if offset and ends(data, offset):
                    self._check_end(path, offset, sequence, following)
                    return
                self._judge(path, data, offset, sequence, frame, last=last)
                break
            self._frame(path, frame, sequence)
            offset, chain, sequence = offset + frame.size, frame.chain, sequence + 1
        if offset == 0 and (not last or first <= self._synced.sequence):
            raise Damaged(f"{path} at byte 0: the segment is empty")
        if offset == 0 or offset < len(data):
            self._tail = path, offset, len(data)

    def _check_end(self, path: Path, offset: int, sequence: int, following: int | None) -> None:
        """Nothing was written behind `offset`: right, unless something should have been."""
        if following is not None and following != sequence:
            raise Damaged(
                f"{path} at byte {offset}: frame {sequence} was never written, a later segment was begun"
            )

    def _frame(self, path: Path, frame: Frame, sequence: int) -> None:
        """Take a whole frame into the log."""
        where = f"{path} at byte {frame.offset}"
        if frame.sequence != sequence:
            raise Damaged(f"{where}: frame {frame.sequence} where {sequence} was due")
        if sequence == self._synced.sequence and frame.chain != self._synced.chain:
            raise Damaged(f"{where}: another frame {sequence} than the one that was synced")
        replay = self._replay
        resets = replay.resets
        records = decode_records(frame.payload)
        try:
            if frame.offset == 0:
                self._start(next(records, None), sequence)
            for record in records:
                replay.apply(record)
        except ValueError as error:
            raise Damaged(f"{where}: {error}") from None
        if replay.resets > resets:
            self._superseded = len(self._segments) - 1
        replay.commit = max(replay.commit, frame.commit)
        replay.hard = max(replay.hard, frame.hard)
        self._sequence, self._chain, self._end = sequence, frame.chain, frame.offset + frame.size

    def _start(self, record: Record | None, sequence: int) -> None:
        if not isinstance(record, Start) or record.journal != self._hard.journal:
            raise ValueError("a segment that does not begin as one of this journal")
        if self._segments and record.chain != self._chain:
            raise ValueError("the segment does not follow the one before it")
        self._replay.start(record)
        self._segments.append(Segment(sequence, record.next))

    def _judge(self, path: Path, data: bytes, offset: int, sequence: int, fault: Fault, *, last: bool) -> None:
        """Return if the fault can only be an unsynced tail; else raise Damaged."""
        where = f"{path} at byte {offset}: {fault.reason}"
        if not last:
            raise Damaged(f"{where}, and a later segment was begun")
        if sequence <= self._synced.sequence:
            raise Damaged(f"{where}, and it had been synced")
        later = later_frame(self._key, data, offset, sequence)
        if later is not None:
            raise Damaged(f"{where}, and at byte {later} a later frame was begun")
        if not fault.torn:
            raise Damaged(where)

    def _cut_tail(self) -> None:
        """Remove the unsynced tail, durably, before anything is written in its place."""
        if self._tail is None:
            return
        path, offset, size = self._tail
        log.warning("journal: unsynced tail cut off", file=str(path), offset=offset, bytes=size - offset)
        if offset == 0:
            self._disk.unlink(path)
            self._disk.sync_directory(self._directory)
            return
        file = self._disk.open(path)
        try:
            file.truncate(offset)
            file.datasync()
        finally:
            file.close()

    def _settle(self) -> None:
        """Cut the tail, make durable what was read, and say so in the mark. Nothing was changed before this.

        What lies beyond the mark may be in the kernel's cache only, perhaps as clean pages after a sync that
        failed in an earlier life of the process; so may the hard state's name. They are written once more, so
        that this sync means something.
        """
        self._cut_tail()
        for name in self._disk.names(self._directory):
            if name.endswith(".tmp"):
                self._disk.unlink(self._directory / name)
        if self._segments:
            active = self._segments[-1].first
            start = self._synced.offset if self._synced.segment == active else 0
            file = self._disk.open(self._path(active))
            try:
                if start < self._end:
                    file.write_at(start, file.read_at(start, self._end - start))
                file.datasync()
            finally:
                file.close()
            self._disk.sync_directory(self._directory)
            self._mark.write(Mark(active, self._end, self._sequence, self._chain))
        self._mark.sync()
        self._hard = replace(self._hard, mark=self._mark.latest)
        hardstate.write_hard_state(self._disk, self._directory, self._hard)
