"""The writing side of the journal's segment files: append a frame, begin a segment, remove superseded ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raftstore.consensus.log.ahead import Ahead
from raftstore.consensus.log.hardstate import Mark
from raftstore.consensus.log.records import FIRST_CHAIN, Start, encode_frame, encode_record, frame_size
from raftstore.consensus.log.recovery import Recovered, Segment, journal_key, segment_name
from raftstore.util.disk import Disk, DiskFile, is_full


class NoSpace(Exception):
    """The disk is full: a batch is not written, and the journal is as it was before. It may be tried again."""


@dataclass(slots=True)
class Batch:
    """What one sync writes, and the log (entries `first` to `next` - 1) as it is with it.

    `size`: bytes of the commands in the records. `reset`: the records hold a reset, which makes all earlier segments
    superfluous.
    """

    records: Sequence[bytes]
    size: int
    hard: int
    commit: int
    first: int
    next: int
    reset: bool


class SegmentWriter:
    """Appends to the journal's segments. Not thread-safe; useless after any method has raised, but for NoSpace.

    What a full disk has taken of a frame is overwritten with zeros, and that synced, before another frame is written
    in its place (`_mend`): a loss of power could else leave a mix of the two, which recovery takes for damage.
    """

    def __init__(
        self, disk: Disk, directory: Path, recovered: Recovered, segment_bytes: int, ahead_bytes: int
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._journal = recovered.hard.journal
        self._key = journal_key(self._journal)
        self._mark = recovered.mark
        self._mark_synced = True
        self._segments = recovered.segments
        self._superseded = recovered.superseded
        self._end = recovered.end
        self._chain = recovered.chain
        self._sequence = recovered.sequence
        self._first, self._next = recovered.replay.first, recovered.replay.next
        self._file: DiskFile | None = None
        self._pending: Batch | None = None
        self._unmarked: Mark | None = None
        self._torn = 0
        self._ahead = Ahead(segment_bytes, ahead_bytes)
        if self._segments:
            self._file = disk.open(directory / segment_name(self._segments[-1].first))
            self._ahead.begin(self._file, self._file.size())
        self._count_superseded()

    @property
    def mark(self) -> Mark:
        """How far the segments are synced."""
        return self._mark.latest

    @property
    def mark_synced(self) -> bool:
        """Whether the last mark is durable."""
        return self._mark_synced

    @property
    def superseded(self) -> int:
        """How many segments can be removed."""
        return self._superseded

    @property
    def torn(self) -> bool:
        """Whether a part of a frame lies at the end, which only `append` may write over."""
        return self._torn > 0

    @property
    def segments(self) -> int:
        """How many segment files there are."""
        return len(self._segments)

    def begins(self, reset: bool) -> bool:
        """Whether the next frame begins a segment; after a reset it does, so that the old log's files can go."""
        return self._file is None or self._end >= self._segment_bytes or reset

    def fits(self, records: Sequence[bytes]) -> bool:
        """Whether a frame of these records may be written while the work of `filling` may be under way."""
        return self._ahead.fits(self._end + frame_size(sum(map(len, records))))

    def filling(self) -> Callable[[], None] | None:
        """Return the work that is due to lengthen the segment by zeros, if any: see `Ahead.work`."""
        return self._ahead.work(self._end)

    def append(self, batch: Batch) -> None:
        """Write one frame; it is durable on return. NoSpace."""
        self._mend()
        if self.begins(batch.reset):
            self._begin(batch)
        else:
            self.write(batch).datasync()
            self.synced()
            self.write_mark()

    def write(self, batch: Batch) -> DiskFile:
        """Write one frame that begins no segment; return its file, to be synced before `synced` is called. NoSpace."""
        assert self._file is not None and not self._torn
        payload = b"".join(batch.records)
        try:
            self._write(self._file, payload, batch)
        except OSError as error:
            if not is_full(error):
                raise
            self._torn = frame_size(len(payload))
            raise NoSpace(str(error)) from error
        self._pending = batch
        return self._file

    def _mend(self) -> None:
        """Durably put zeros where a part of a frame was written, or cut it off where the file ended before."""
        if not self._torn:
            return
        assert self._file is not None
        filled = self._ahead.filled
        if self._file.size() > filled:
            self._file.truncate(filled)
        self._file.write_at(self._end, bytes(max(0, min(filled, self._end + self._torn) - self._end)))
        self._file.datasync()
        self._torn = 0

    def synced(self) -> None:
        """The frame last written is durable."""
        batch, self._pending = self._pending, None
        assert batch is not None
        self._unmarked = Mark(self._segments[-1].first, self._end, self._sequence - 1, self._chain)
        self._advance(batch)

    def write_mark(self) -> None:
        """Write how far the segments are synced, if that is not written yet."""
        if self._unmarked is not None:
            self._mark.write(self._unmarked)
            self._unmarked = None
            self._mark_synced = False

    @property
    def pending(self) -> DiskFile | None:
        """The file with a frame that was written and is not known to be synced."""
        return None if self._pending is None else self._file

    def _advance(self, batch: Batch) -> None:
        self._first, self._next = batch.first, batch.next
        if batch.reset:
            self._superseded = len(self._segments) - 1
        self._count_superseded()

    def _begin(self, batch: Batch) -> None:
        """Begin a segment with the batch as its first frame. NoSpace: there is no such segment."""
        start = encode_record(Start(self._journal, self._chain, self._first, self._next))
        first = self._sequence
        end, chain = self._end, self._chain
        file = self._create(first)
        self._end, self._chain = 0, FIRST_CHAIN
        try:
            self._write(file, b"".join((start, *batch.records)), batch)
        except BaseException as error:
            file.close()
            if not is_full(error):
                raise
            self._end, self._chain = end, chain
            self._disk.unlink(self._directory / segment_name(first))
            self._disk.sync_directory(self._directory)
            raise NoSpace(str(error)) from error
        if self._file is not None:
            self._file.close()
        self._file = file
        self._ahead.begin(file, self._end)
        file.datasync()
        self._disk.sync_directory(self._directory)
        self._segments.append(Segment(first, self._next))
        self._unmarked = None
        self._mark.write(Mark(first, self._end, first, self._chain))
        self.sync_mark()
        self._advance(batch)

    def _create(self, first: int) -> DiskFile:
        try:
            return self._disk.open(self._directory / segment_name(first), create=True)
        except OSError as error:
            if is_full(error):
                raise NoSpace(str(error)) from error
            raise

    def _write(self, file: DiskFile, payload: bytes, batch: Batch) -> None:
        frame, chain = encode_frame(
            self._key,
            self._chain,
            sequence=self._sequence,
            offset=self._end,
            hard=batch.hard,
            commit=batch.commit,
            payload=payload,
        )
        file.write_at(self._end, frame)
        self._end += len(frame)
        if file is self._file:
            self._ahead.written(self._end)
        self._chain = chain
        self._sequence += 1

    def _count_superseded(self) -> None:
        """Count the oldest segments that hold no entry of the log: the next one began at or before its base."""
        segments = self._segments
        while self._superseded + 1 < len(segments) and segments[self._superseded + 1].next <= self._first:
            self._superseded += 1

    def sync_mark(self) -> None:
        """Make the last mark durable."""
        self._mark.sync()
        self._mark_synced = True

    def remove_oldest(self) -> None:
        """Durably remove the oldest superseded segment, if any; one at a time leaves no gap after a crash."""
        if not self._superseded:
            return
        self._disk.unlink(self._directory / segment_name(self._segments[0].first))
        self._disk.sync_directory(self._directory)
        del self._segments[0]
        self._superseded -= 1

    def close(self) -> None:
        """Close the files; nothing is synced."""
        if self._file is not None:
            self._file.close()
        self._mark.close()
