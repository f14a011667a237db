"""The log of transfers, as wu-ftpd, ProFTPD and vsftpd write it (xferlog(5)), for the tools that read that.

Front-ends call `record` on the loop; a thread writes. What it cannot keep up with is dropped and counted, never
waited for.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import NamedTuple, Protocol

import structlog

from ftpgateway.serving.logs.logfile import AppendedFile
from raftstore.util.metrics import counter

log = structlog.get_logger()

ANONYMOUS = "anonymous"
"""Name of the user who has given none."""

QUEUE_LIMIT = 10_000
"""Lines that may wait for the disk."""

_BATCH = 256
_STOP_TIME = 5.0
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Transferred(NamedTuple):
    """One upload or download that has ended, whole or not.

    `ended` is seconds since the epoch, `seconds` how long it took, `size` the bytes that were moved; `service` names
    the protocol as the status does ("ftp", "sftp").
    """

    ended: float
    seconds: float
    host: str
    size: int
    path: str
    upload: bool
    complete: bool
    user: str
    anonymous: bool = False
    service: str = "ftp"


def xferlog_line(entry: Transferred, moment: time.struct_time) -> str:
    """Return the line of `entry`, which ended at `moment` in local time, without its end of line. Pure.

    Fields are parted by single blanks, so blanks and what is not printable in names become `_`, as other servers do.
    """
    day = f"{_DAYS[moment.tm_wday]} {_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:02}"
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} {moment.tm_year:04}"
    return " ".join(
        (
            f"{day} {clock}",
            str(max(0, round(entry.seconds))),
            _safe(entry.host),
            str(entry.size),
            _safe(entry.path),
            "b",  # binary: nothing is ever converted
            "_",  # not compressed, not packed
            "i" if entry.upload else "o",
            "a" if entry.anonymous else "r",
            _safe(entry.user),
            entry.service,
            "0",  # no RFC 931 authentication,
            "*",  # hence no identity from there
            "c" if entry.complete else "i",
        )
    )


def _safe(text: str) -> str:
    if text.isprintable():
        return text.replace(" ", "_") or "_"
    return "".join(each if each.isprintable() and each != " " else "_" for each in text)


class TransferSink(Protocol):
    """Takes notes of transfers that have ended."""

    def record(self, entry: Transferred) -> None:
        """Take note of one; never waits."""
        ...


class TransferLog:
    """Writes `Transferred` entries to a file, in a thread of its own."""

    def __init__(self, file: AppendedFile, *, limit: int = QUEUE_LIMIT) -> None:
        self._file = file
        self._queue: queue.Queue[Transferred | None] = queue.Queue(limit)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="transfer log", daemon=True)
        self._thread.start()

    @counter("pixraft_transfer_log_dropped_total", "Transfers that are missing in the log of transfers.")
    def missing(self) -> float:
        """How many: see `dropped`."""
        return self.dropped

    @property
    def dropped(self) -> int:
        """How many entries were not written: they came too fast for the disk, or it failed."""
        return self._dropped + self._file.dropped

    def record(self, entry: Transferred) -> None:
        """Have an entry written, soon; never waits."""
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._dropped += 1
            if self._dropped == 1:
                log.error("transfers are not logged: the disk is too slow for them", path=str(self._file.path))

    def reopen(self) -> None:
        """The file may have been rotated."""
        self._file.reopen()

    def close(self) -> None:
        """Write what waits, for a few seconds at most, and close."""
        try:
            self._queue.put(None, timeout=_STOP_TIME)
        except queue.Full:
            return
        self._thread.join(_STOP_TIME)

    def _write_all(self) -> None:
        more = True
        while more:
            entries = [self._queue.get()]
            while len(entries) < _BATCH and not self._queue.empty():
                entries.append(self._queue.get())
            more = None not in entries
            lines = [
                xferlog_line(entry, time.localtime(entry.ended)) + "\n"
                for entry in entries
                if entry is not None
            ]
            if lines:
                self._file.write("".join(lines))
        self._file.close()
