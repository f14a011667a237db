"""The journal's two small files: the hard state (term and vote) and the mark (how far the log was synced).

`hardstate` is replaced whole (another file, sync, rename, sync of the directory) and is durable when `write`
returns. One that is missing or damaged is refused: a node that forgets its vote may vote twice in a term. The file
that was replaced is kept for the next write, which so needs no space: a node votes, and follows a new leader, on a
full disk, too.

`mark` has two slots in sectors of their own, written in turn. A mark is written after each sync of the log, and
never says more than what was synced; it is itself synced only now and then. So it is exact after the death of
the process, and at most as old as its last sync after a loss of power. A mark makes no entry durable: it only
makes a log that has become shorter visible. The hard state carries the mark of its time too.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from raftstore.errors import Damaged
from raftstore.util.disk import Disk, DiskFile, is_full, replace_file

HARD_STATE = "hardstate"
MARK = "mark"
SPARE = HARD_STATE + ".tmp"
"""The file that is written next. Only of the process that has made it: after a loss of power it may be `hardstate`
itself under a second name."""
_REPLACED = HARD_STATE + ".old.tmp"
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

_DIGEST = 16
_SLOT = 4096
_MARK = struct.Struct("<4s16sQQQQ16s")
_HARD = struct.Struct("<4s16sQQQQQ16sBH")
_MARK_MAGIC = b"pxM1"
_HARD_MAGIC = b"pxH1"


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to `offset` in the segment that starts with frame `segment`, the log was synced.

    `sequence` and `chain` are those of the last synced frame; sequence 0: nothing was.
    """

    segment: int = 0
    offset: int = 0
    sequence: int = 0
    chain: bytes = bytes(16)


@dataclass(frozen=True, slots=True)
class HardState:
    """Current term and vote of this node; `generation` counts the writes."""

    journal: bytes
    generation: int
    term: int
    vote: str | None
    mark: Mark


def _seal(body: bytes) -> bytes:
    return body + blake3(body).digest(length=_DIGEST)


def _whole(data: bytes) -> bool:
    return len(data) > _DIGEST and blake3(data[:-_DIGEST]).digest(length=_DIGEST) == data[-_DIGEST:]


def read_hard_state(disk: Disk, directory: Path) -> HardState:
    """Return the hard state. Raise Damaged, naming the file."""
    path = directory / HARD_STATE
    data = disk.read(path)
    if not _whole(data) or len(data) < _HARD.size + _DIGEST or data[:4] != _HARD_MAGIC:
        raise Damaged(f"{path} at byte 0: the record of term and vote is not whole")
    _, journal, generation, term, segment, offset, sequence, chain, voted, length = _HARD.unpack_from(data)
    if len(data) != _HARD.size + length + _DIGEST:
        raise Damaged(f"{path} at byte {_HARD.size}: the vote has another length than recorded")
    vote = data[_HARD.size : _HARD.size + length].decode() if voted else None
    return HardState(journal, generation, term, vote, Mark(segment, offset, sequence, chain))


def write_hard_state(
    disk: Disk, directory: Path, state: HardState, free_space: Callable[[], bool] = lambda: False
) -> None:
    """Replace the hard state; durable on return. OSError as from the disk.

    `free_space`: see `Journal`; the first write of a process needs a block, and each on a file system that copies.
    """
    vote = (state.vote or "").encode()
    mark = state.mark
    head = _HARD.pack(
        _HARD_MAGIC,
        state.journal,
        state.generation,
        state.term,
        mark.segment,
        mark.offset,
        mark.sequence,
        mark.chain,
        state.vote is not None,
        len(vote),
    )
    while True:
        try:
            _replace(disk, directory, _seal(head + vote))
            return
        except OSError as error:
            if not is_full(error) or not free_space():
                raise


def _replace(disk: Disk, directory: Path, data: bytes) -> None:
    """As `replace_file`, but into the file that the last write replaced, if there is one."""
    path, spare, replaced = (directory / name for name in (HARD_STATE, SPARE, _REPLACED))
    names = disk.names(directory)
    file = disk.open(spare, create=SPARE not in names)
    try:
        file.write_at(0, data)
        file.truncate(len(data))
        file.datasync()
    finally:
        file.close()
    kept = HARD_STATE in names and _keep(disk, path, replaced)
    disk.rename(spare, path)
    disk.sync_directory(directory)
    if kept:
        # Only now: before, `path` might have been this file again after a loss of power.
        disk.rename(replaced, spare)


def _keep(disk: Disk, path: Path, replaced: Path) -> bool:
    """Give the hard state in use a second name; False where the file system does not do that."""
    if replaced.name in disk.names(path.parent):
        disk.unlink(replaced)
    try:
        disk.link(path, replaced)
    except OSError as error:
        if error.errno in _NO_LINKS or is_full(error):
            return False
        raise
    return True


class MarkFile:
    """The mark on disk. Not thread-safe."""

    def __init__(self, file: DiskFile, journal: bytes, count: int, latest: Mark) -> None:
        self._file = file
        self._journal = journal
        self._count = count
        self.latest = latest

    @classmethod
    def create(cls, disk: Disk, directory: Path, journal: bytes) -> None:
        """Durably make a mark that says nothing."""
        content = bytearray(2 * _SLOT)
        slot = cls._slot(journal, 0, Mark())
        content[: len(slot)] = slot
        replace_file(disk, directory / MARK, content)

    @classmethod
    def open(cls, disk: Disk, directory: Path, journal: bytes) -> MarkFile:
        """Open the mark and read its newest whole slot. Raise Damaged when there is none or it is not ours."""
        found, count, mark = cls._read(disk, directory)
        if found != journal:
            raise Damaged(f"{directory / MARK} at byte 0: it belongs to another journal")
        return cls(disk.open(directory / MARK), journal, count, mark)

    @classmethod
    def peek(cls, disk: Disk, directory: Path) -> Mark:
        """Return the mark, of whatever journal. Raise Damaged when there is no whole one."""
        return cls._read(disk, directory)[2]

    @classmethod
    def _read(cls, disk: Disk, directory: Path) -> tuple[bytes, int, Mark]:
        path = directory / MARK
        data = disk.read(path)
        slots = [cls._decode(data[start : start + _MARK.size + _DIGEST]) for start in (0, _SLOT)]
        found = [slot for slot in slots if slot is not None]
        if not found:
            raise Damaged(f"{path} at byte 0: neither record of the synced position is whole")
        return max(found, key=lambda slot: slot[1])

    @staticmethod
    def _slot(journal: bytes, count: int, mark: Mark) -> bytes:
        return _seal(
            _MARK.pack(_MARK_MAGIC, journal, count, mark.segment, mark.offset, mark.sequence, mark.chain)
        )

    @staticmethod
    def _decode(data: bytes) -> tuple[bytes, int, Mark] | None:
        if not _whole(data) or len(data) != _MARK.size + _DIGEST or data[:4] != _MARK_MAGIC:
            return None
        _, journal, count, segment, offset, sequence, chain = _MARK.unpack_from(data)
        return journal, count, Mark(segment, offset, sequence, chain)

    def write(self, mark: Mark) -> None:
        """Write a mark, without sync."""
        self._count += 1
        self._file.write_at(self._count % 2 * _SLOT, self._slot(self._journal, self._count, mark))
        self.latest = mark

    def sync(self) -> None:
        """Make the last mark durable."""
        self._file.datasync()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
