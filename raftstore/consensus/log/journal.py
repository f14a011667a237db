"""The Raft log, term and vote on disk: pysyncobj's Journal, made durable.

The directory holds `<first frame>.log` segments to which each sync adds one frame (`records`), and the two
small files of `hardstate`. Nothing but zeros is ever rewritten in place: a truncation, a compaction and the replacement
of the log by a snapshot are records too. Whole old segments are removed once a *durable* record has made them
superfluous.

The last segment is filled with zeros ahead of the log (`ahead`). `recovery` says what is found out when the journal is
opened, and what cannot be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn, SupportsIndex, overload

import structlog
from pysyncobj.journal import Journal as RaftJournal

from raftstore.consensus.log.ahead import AHEAD_BYTES
from raftstore.consensus.log.hardstate import HardState, write_hard_state
from raftstore.consensus.log.records import (
    MAX_COMMAND,
    Compact,
    Entry,
    Reset,
    Truncate,
    encode_entry_head,
    encode_record,
)
from raftstore.consensus.log.recovery import recover
from raftstore.consensus.log.segments import Batch, NoSpace, SegmentWriter
from raftstore.errors import Damaged, DiskFailed, DiskFull
from raftstore.util.disk import Disk, DiskFile, RealDisk, is_full

log = structlog.get_logger()

SEGMENT_BYTES = 64 * 1024 * 1024
QUICK_BYTES = 64 * 1024
"""Up to so many bytes are written on the loop: hashing and copying them takes less than giving them to a thread."""


class Diverged(Damaged):
    """The log contradicts what this node knows to be committed."""

    code = "Diverged"
    message = "The log contradicts what this node knows to be committed"
    exit_code = 40


class Journal(RaftJournal):  # type: ignore[misc]
    """The log as a list of (command, index, term), and term, vote and commit index.

    All methods are for the loop's thread, except `sync`, which blocks and is for a worker thread; the two may
    overlap. `write`, a sync of the file that it returns, and `synced` do the same without a worker; only one of
    these ways is gone at a time. After DiskFailed, and after Diverged, the node must stop: the journal takes
    nothing more after the former. After DiskFull it is as before, what was to be written still waits for the next
    `sync`, and nothing of it counts as durable.

    Bounded by its callers: `add` buffers until `sync`, and the whole log is in memory until it is compacted.
    """

    def __init__(
        self,
        directory: Path,
        *,
        disk: Disk | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        ahead_bytes: int = AHEAD_BYTES,
        free_space: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open or make the journal in `directory`; what is read is synced on return.

        A segment is ended after it has reached `segment_bytes`, and filled with at most `ahead_bytes` of zeros at a
        time. `free_space` is called, in any thread, when the disk is full; it returns whether it is worth while to try
        again. Raises Damaged, naming file and byte; DiskFailed, DiskFull.
        """
        self._disk = RealDisk() if disk is None else disk
        self._free_space = free_space
        self._directory = directory
        self._lock = threading.Lock()  # what follows; held for moments only
        self._io = threading.Lock()  # one sync at a time
        self._fill = threading.Lock()  # one filling, and no sync in a thread meanwhile
        self._failure: str | None = None
        self._closed = False
        try:
            recovered = recover(self._disk, directory)
            self._writer = SegmentWriter(self._disk, directory, recovered, segment_bytes, ahead_bytes)
        except OSError as error:
            raise (DiskFull if is_full(error) else DiskFailed)(f"journal {directory}: {error}") from error
        self._hard: HardState = recovered.hard
        self._entries: list[Entry] = recovered.replay.entries
        self._replaced: list[Entry] | None = None
        last = self._last(self._entries)
        # The first entry is the end of what was compacted or installed, or the entry all nodes are born with.
        base = self._entries[0][1] if self._entries else 0
        self._commit = max(base, min(recovered.replay.commit, last))
        self._written_commit = recovered.replay.commit
        self._records: list[bytes] = []
        self._size = 0  # of the entries in there
        self._reset = False
        self._durable = self._floor = last
        self._commit_due = self._mark_due = False

    # The log, in memory.

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, item: SupportsIndex) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: SupportsIndex | slice) -> Entry | list[Entry]:
        return self._entries[item]

    @staticmethod
    def _last(entries: list[Entry]) -> int:
        return entries[-1][1] if entries else 0

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry, in memory until the next sync. ValueError: `idx` does not follow the last one."""
        self._check()
        if len(command) > MAX_COMMAND or idx < 1 or term < 0:
            raise ValueError(f"not an entry: index {idx}, term {term}, {len(command)} bytes")
        if self._entries and idx != self._entries[-1][1] + 1:
            raise ValueError(f"entry {idx} does not follow {self._entries[-1][1]}")
        with self._lock:
            self._entries.append((command, idx, term))
            if self._replaced is None:
                self._records += (encode_entry_head(command, idx, term), command)
                self._size += len(command)
            elif len(self._entries) == 2:
                self._install(self._replaced)

    def clear(self) -> None:
        """Begin to replace the log by a snapshot: the two `add` that follow give its last two entries.

        With the second one the replacement is done, and the next sync writes it, whole. Until then nothing of
        it is written, `durable_index` is 0, and the log cannot be changed in other ways. See `_install`.
        """
        self._check()
        with self._lock:
            if self._replaced is None:
                self._replaced = self._entries
            self._entries = []
            self._durable = self._floor = 0

    def _install(self, old: list[Entry]) -> None:
        """Make a snapshot's last two entries the start of the log; Diverged: it is behind the commit index.

        A log that has the snapshot's last entry (same index and term, so the same history) keeps what follows
        it, as Raft demands: this node may have acknowledged it, and a majority may count on that.
        """
        self._replaced = None
        installed = self._entries
        base = old[0][1] if old else 0
        following: list[Entry] = []
        for position, (_, index, term) in enumerate(installed):
            at = index - base
            if 0 <= at < len(old) and old[at][2] == term:
                installed[position] = old[at]
                following = old[at + 1 :] if position == 1 else []
        if self._last(following or installed) < self._commit:
            self._entries = old
            self._durable = self._floor = 0
            raise Diverged(
                f"{self._directory}: a snapshot up to entry {installed[1][1]} would drop entries up to the "
                f"committed {self._commit}"
            )
        self._entries = installed + following
        self._commit = max(self._commit, installed[1][1])
        self._records.append(encode_record(Reset()))
        for command, index, term in self._entries:
            self._records += (encode_entry_head(command, index, term), command)
        self._reset = True

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Drop the entries from this position on. Diverged: one of them is committed."""
        self._check(installing=False)
        if not 0 <= entryFrom < len(self._entries):
            if entryFrom < 0:
                raise ValueError(f"position {entryFrom}")
            return
        index = self._entries[entryFrom][1]
        committed = max(self._commit, self._entries[0][1])
        if index <= committed:
            raise Diverged(
                f"{self._directory}: asked to drop entries {index} to {self._entries[-1][1]}, "
                f"but those up to {committed} are committed"
            )
        with self._lock:
            del self._entries[entryFrom:]
            self._records.append(encode_record(Truncate(index)))
            self._durable = min(self._durable, index - 1)
            self._floor = min(self._floor, index - 1)

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Drop the entries before this position; they must be applied, so they count as committed."""
        self._check(installing=False)
        if entryTo <= 0:
            return
        if entryTo >= len(self._entries):
            raise ValueError("a compaction leaves the last entry at least")
        index = self._entries[entryTo][1]
        with self._lock:
            del self._entries[:entryTo]
            self._commit = max(self._commit, index)
            self._records.append(encode_record(Compact(index)))

    # Term, vote and commit index.

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Note that entries up to this one are committed; never goes back. Written with the next sync."""
        if raftCommitIndex > self._commit:
            self._commit = max(self._commit, min(raftCommitIndex, self._last(self._entries)))

    def getRaftCommitIndex(self) -> int:
        """Return the highest index known to be committed; 1 for a new log: nodes are born with entry 1."""
        return max(self._commit, 1)

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Note term and vote; durable on return (blocks). ValueError: an older term, or a changed vote."""
        self._check()
        hard = self._hard
        if (term, votedForNodeId) == (hard.term, hard.vote):
            return
        if term < hard.term or (term == hard.term and hard.vote is not None):
            raise ValueError(
                f"term {term} with vote {votedForNodeId} after term {hard.term} with vote {hard.vote}"
            )
        state = HardState(hard.journal, hard.generation + 1, term, votedForNodeId, self._writer.mark)
        try:
            write_hard_state(self._disk, self._directory, state, self._free_space)
        except BaseException as error:
            self._fail(error)
        with self._lock:
            self._hard = state

    def getCurrentTerm(self) -> int:
        """Return the current term; 0 for a new journal."""
        return self._hard.term

    def getVotedForNodeId(self) -> str | None:
        """Return whom this node voted for in the current term."""
        return self._hard.vote

    # The disk.

    @property
    def durable_index(self) -> int:
        """Highest index such that all entries up to it are on disk as they are now in memory; 0: none."""
        return self._durable

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do; never after a failure or `close`."""
        if self._failure is not None or self._closed:
            return False
        return bool(self._records) or self._commit_due or self._mark_due or self._writer.superseded > 0

    def sync(self) -> int:
        """Write and sync what was added before the call; return `durable_index`. Blocks; for a worker thread.

        Raises DiskFailed, and for ever after a write or sync has failed; DiskFull.
        """
        with self._fill, self._io:
            self._check()
            self._finish()
            with self._lock:
                batch = self._take()
                mark_due, self._mark_due = self._mark_due, False
            try:
                if batch is not None and not self._append(batch):
                    raise DiskFull(f"journal {self._directory}: nothing is written until there is space again")
                if mark_due and not self._writer.mark_synced:
                    self._writer.sync_mark()
                self._writer.remove_oldest()
            except DiskFull:
                raise
            except BaseException as error:
                self._fail(error)
            with self._lock:
                if batch is not None:
                    self._durable = self._floor
                return self._durable

    def _append(self, batch: Batch) -> bool:
        """Write a batch, durably; False: the disk is full, and it waits again."""
        while True:
            try:
                self._writer.append(batch)
                return True
            except NoSpace:
                if self._writer.superseded:
                    self._writer.remove_oldest()
                elif not self._free_space():
                    self._put_back(batch)
                    return False

    def _put_back(self, batch: Batch) -> None:
        """Have the next batch begin with this one, of which nothing is written."""
        with self._lock:
            self._records[:0] = batch.records
            self._size += batch.size
            self._reset |= batch.reset
            self._commit_due = True

    def _finish(self) -> None:
        """Sync what `write` has written, and write its mark, if nobody did."""
        file = self._writer.pending
        if file is not None:
            self._try(file.datasync)
            self.synced()
        self._try(self._writer.write_mark)

    def write(self) -> DiskFile | None:
        """Write what was added, if that is quickly done: returns the file to sync, after which `synced` is due.

        None if there is nothing to write, or more to do than to write a little: that is for `sync`. So is what does
        not fit on the disk. Raises DiskFailed.
        """
        self._check()
        writer = self._writer
        if self._size > QUICK_BYTES or self._mark_due or writer.superseded or writer.begins(self._reset):
            return None
        if writer.torn or not writer.fits(self._records):
            return None  # it would pass where zeros are being written
        with self._lock:
            batch = self._take()
        if batch is None:
            return None
        try:
            return writer.write(batch)
        except NoSpace:
            self._put_back(batch)
            return None
        except BaseException as error:
            self._fail(error)

    def synced(self, error: BaseException | None = None) -> None:
        """Take note that what `write` has written is synced, or that this has failed. Raises DiskFailed."""
        if error is not None:
            self._fail(error)
        self._try(self._writer.synced)
        with self._lock:
            self._durable = self._floor

    def remember(self) -> None:
        """Write the mark of what `synced` was last told of. May be a little later: nobody waits for it."""
        if self._io.acquire(blocking=False):  # else a `sync` has begun, which does it
            try:
                self._try(self._writer.write_mark)
            finally:
                self._io.release()

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:
            self._fail(error)

    def filling(self) -> Callable[[], None] | None:
        """Return the work that is due to fill the segment ahead of the log, if any. Not to be called during a `sync`.

        It blocks, and is for the worker of `sync`; `write` may be called meanwhile. It raises DiskFailed.
        """
        if self._failure is not None or self._closed:
            return None
        work = self._writer.filling()
        return None if work is None else partial(self._run, work)

    def _run(self, work: Callable[[], None]) -> None:
        with self._fill:
            self._check()
            self._try(work)

    def _take(self) -> Batch | None:
        """Return what is to be written. `_floor` then is what it makes durable; a truncation lowers it."""
        if not self._records and not self._commit_due:
            return None
        entries = self._entries if self._replaced is None else self._replaced
        first = entries[0][1] if entries else 0
        batch = Batch(
            self._records,
            self._size,
            self._hard.generation,
            self._commit,
            first,
            first + len(entries),
            self._reset,
        )
        self._records, self._size = [], 0
        self._reset = self._commit_due = False
        self._written_commit = self._commit
        self._floor = self._last(entries) if self._replaced is None else 0
        return batch

    def onOneSecondTimer(self) -> None:
        """Have the next `sync` write the commit index and sync the mark: sets `dirty` if there is need."""
        with self._lock:
            self._commit_due = self._commit > self._written_commit
            self._mark_due = not self._writer.mark_synced

    def close(self) -> None:
        """Sync what is left, with the mark, and close; idempotent. Raises DiskFailed.

        What a full disk does not take was never acknowledged, so that nobody misses it.
        """
        if self._closed:
            return
        try:
            if self._failure is None:
                self.onOneSecondTimer()
                self.sync()
                self.onOneSecondTimer()
                self.sync()
        except DiskFull as error:
            log.warning("journal closed without its last entries", error=str(error))
        finally:
            self._closed = True
            with self._fill, self._io:
                self._writer.close()

    def _destroy(self) -> None:
        self.close()

    def _check(self, *, installing: bool = True) -> None:
        if self._failure is not None:
            raise DiskFailed(self._failure)
        if self._closed:
            raise ValueError("the journal is closed")
        if not installing and self._replaced is not None:
            raise ValueError("a snapshot is being installed")

    def _fail(self, error: BaseException) -> NoReturn:
        self._failure = f"journal {self._directory}: {error}"
        if isinstance(error, Exception):
            raise DiskFailed(self._failure) from error
        raise error
