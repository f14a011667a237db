"""Zeros ahead of the log's end: a frame that overwrites them needs no blocks, no new size and no journal of the file
system for its sync, which then takes a half to two thirds of the time.

They are written, not only allocated: a block that was never written costs the same again at its first sync. They are
never part of the log: where nothing but zeros follows a frame, recovery sees the end. Nothing relies on their being
there; without room on the disk for them the log goes on without.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from raftstore.util.disk import DiskFile, is_full

log = structlog.get_logger()

AHEAD_BYTES = 1024 * 1024
"""At most so many bytes of zeros are written at a time; less in a segment with little in it."""
PIECE_BYTES = 64 * 1024
"""The file is locked against the log's own writes for no longer than so many bytes take."""
_BLOCK = 4096


class Ahead:
    """How far the segment that is written to is filled, and the work that fills it further.

    Invariant: while such work is under way, no frame passes the place where it began (`fits`), so zeros are never
    written over a frame. The work runs where syncs that begin segments run, one after the other. Two fillings are
    never under way, and never more than `most` bytes (and no more than the segment may have) lie beyond the end.
    """

    def __init__(self, segment_bytes: int, most: int) -> None:
        self._segment_bytes = segment_bytes
        self._most = most
        self._file: DiskFile | None = None
        self._filled = 0
        self._filling = False
        self._no_space = False

    def begin(self, file: DiskFile, size: int) -> None:
        """Frames go to this file from now on; it has `size` bytes. Not while a filling is under way."""
        self._file, self._filled = file, size
        self._no_space = False

    def fits(self, end: int) -> bool:
        """Whether a frame that ends there may be written now."""
        return not self._filling or end <= self._filled

    @property
    def filled(self) -> int:
        """Up to here the file has bytes that were written, zeros or frames."""
        return self._filled

    def written(self, end: int) -> None:
        """A frame that ends there was written."""
        self._filled = max(self._filled, end)

    def work(self, end: int) -> Callable[[], None] | None:
        """Return the work that is due when the log ends at `end`, to be run once, off the loop; None: nothing is.

        It raises OSError, after which nobody knows what is on the disk; a full one is no error. Frames are bound by
        `fits` from now on, until it has ended.
        """
        step = min(self._most, max(end, self._most // 8))
        stop = min(-(-(end + step) // _BLOCK) * _BLOCK, self._segment_bytes)
        file, start = self._file, self._filled
        if file is None or self._filling or self._no_space or stop <= start or start - end > step // 2:
            return None
        self._filling = True

        def fill() -> None:
            try:
                self._fill(file, start, stop)
            finally:
                self._filling = False

        return fill

    def _fill(self, file: DiskFile, start: int, stop: int) -> None:
        for offset in range(start, stop, PIECE_BYTES):
            try:
                file.write_at(offset, bytes(min(PIECE_BYTES, stop - offset)))
            except OSError as error:
                if not is_full(error):
                    raise
                self._no_space = True
                log.warning("journal: no room to write ahead of the log", error=str(error))
                return
        file.datasync()
        self._filled = stop
