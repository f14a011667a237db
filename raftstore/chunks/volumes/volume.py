"""One volume: a file of needles that is only ever appended to."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raftstore.chunks.format import needle
from raftstore.chunks.format.needle import HEADER_SIZE, Header, Kind
from raftstore.chunks.format.scan import Damage, Found, walk
from raftstore.chunks.volumes.files import PAGE, Files
from raftstore.util.buffers import Buffer

Pending = tuple[Kind, bytes, Buffer]
"""A needle to be written: kind, digest, payload."""

NO_DIGEST = bytes(32)
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAX_BUFFERS = 1024


class NotWritten(OSError):
    """The disk has no space; nothing was written."""


def volume_path(directory: Path, number: int) -> Path:
    """Return where volume `number` lies."""
    return directory / f"{number:08d}.vol"


def failure_path(directory: Path, number: int) -> Path:
    """Return where a failure of volume `number` is noted."""
    return directory / f"{number:08d}.failed"


class Volume:
    """An open volume. One thread appends; any thread reads what is durable.

    `end` is where the next needle goes. Everything before it is durable: `append` moves it only after the sync.
    What is on the loop's side (`live`, `tombstones`) belongs to `Holdings`.
    """

    def __init__(self, files: Files, directory: Path, number: int, fd: int, key: bytes, end: int) -> None:
        self.number = number
        self.fd = fd
        self.end = end
        self.marked = False
        self.live = 0
        self.tombstones: Counter[int] = Counter()
        self._files = files
        self._directory = directory
        self._key = key
        self._holders = 0
        self._closing = False
        self.written_epoch = 0
        """The `epoch` of what was appended last."""
        self._epoch = 0
        self._modified = 0
        self._writing = False

    @classmethod
    def create(cls, files: Files, directory: Path, number: int, identity: bytes, key: bytes) -> Volume:
        """Make a new, durable, empty volume. OSError when that fails; then nothing is left of it."""
        path = volume_path(directory, number)
        fd = files.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        volume = cls(files, directory, number, fd, key, 0)
        try:
            volume.start(identity)
            files.sync_directory(directory)
        except OSError:
            # Were it there, or there again after a power cut, the volume before it would pass for one that is durable
            # to its end: only the last one's tail is checked.
            try:
                files.close(fd)
                files.unlink(path)
                files.sync_directory(directory)
            except OSError as error:
                raise OSError(errno.EIO, f"{path} was begun and cannot be removed: {error}") from error
            raise
        return volume

    def start(self, identity: bytes) -> None:
        """Write the start of an empty volume, durably."""
        self._files.truncate(self.fd, 0)
        self._write([needle.encode_start(identity, self.number)], 0)
        self._files.sync(self.fd)
        self.end = HEADER_SIZE

    @property
    def dead(self) -> int:
        """Bytes of what is no live chunk: removed ones, tombstones, what was damaged."""
        return max(0, self.end - HEADER_SIZE - self.live)

    @property
    def held(self) -> bool:
        """Whether somebody reads from the file."""
        return self._holders > 0

    def hold(self) -> None:
        """Keep the file open until `let_go`. On the loop."""
        self._holders += 1

    def let_go(self) -> None:
        """Give back what `hold` took. On the loop."""
        self._holders -= 1
        if self._closing and not self._holders:
            self._files.close(self.fd)

    def append(self, needles: Sequence[Pending]) -> list[int]:
        """Append `needles` and make them durable with one sync; return their offsets.

        Raises NotWritten when the disk is full and the volume is as before; any other OSError means that the
        volume must not be written again.
        """
        start = offset = self.end
        offsets: list[int] = []
        buffers: list[Buffer] = []
        pad = b""
        for kind, digest, payload in needles:
            length = len(payload)
            header = needle.encode(self._key, self.number, offset, Header(kind, digest, length, start))
            buffers.append(pad + header)
            if length:
                buffers.append(payload)
            pad = needle.padding(length)
            offsets.append(offset)
            offset += needle.footprint(length)
        if pad:
            buffers.append(pad)
        try:
            self._write(buffers, start)
        except OSError as error:
            self._files.truncate(self.fd, start)
            if error.errno in NO_SPACE:
                raise NotWritten(error.errno, error.strerror) from error
            raise
        self._files.sync(self.fd)
        self.end = offset
        self.marked = False
        return offsets

    def mark(self) -> None:
        """Note durably in the volume that all of it is durable, so that recovery need not check its tail."""
        if not self.marked:
            self.append([(Kind.MARK, NO_DIGEST, b"")])
            self.marked = True

    def note_failure(self, reason: str) -> None:
        """Remember as well as the disk still allows that this volume failed, and drop what is not durable."""
        note = f"{self.end}\n{reason}\n".encode()
        try:
            self._files.save(failure_path(self._directory, self.number), note)
        finally:
            self._files.truncate(self.fd, self.end)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`; may wait for the disk. OSError."""
        return self._files.read(self.fd, length, offset)

    def read_cached(self, offset: int, length: int) -> bytearray | None:
        """Return exactly `length` bytes at `offset` if they are in memory. OSError if that cannot be told."""
        target = bytearray(length)
        try:
            count = self._files.read_cached(self.fd, target, offset)
        except BlockingIOError:
            return None
        return target if count == length else None

    def forget(self, offset: int, length: int) -> None:
        """Drop what the page cache has of a range, so that it is read from the disk."""
        self._files.forget(self.fd, offset, length)

    def decode(self, raw: bytes, offset: int) -> Header | None:
        """Return the header of the needle at `offset` from its bytes, None if damaged."""
        return needle.decode(self._key, self.number, offset, raw)

    def walk(self, start: int) -> Iterator[Found | Damage]:
        """Yield what lies between the needle at `start` and `end` (see `scan.walk`); reads from the disk."""
        return walk(self.read, start or HEADER_SIZE, self.end, self._key, self.number)

    def punch(self, payloads: Sequence[tuple[int, int]]) -> None:
        """Give back the disk space of payloads, given by offset and length; headers stay. OSError.

        What somebody still has in memory stays, too: a socket keeps the pages that were sent from the file until
        its peer has them, however long that takes, and sends zeros where a hole is made meanwhile.
        """
        # What nobody has drops out of memory now.
        self._files.forget(self.fd, 0)
        fd = self._files.open(volume_path(self._directory, self.number), os.O_WRONLY)
        try:
            for offset, length in payloads:
                start = -(-offset // PAGE) * PAGE
                size = (offset + length) // PAGE * PAGE - start
                if size > 0 and not self._files.in_memory(self.fd, start, size):
                    self._files.punch(fd, start, size)
        finally:
            self._files.close(fd)

    def remove(self) -> Callable[[], None]:
        """Remove the file, durably. It stays open. OSError.

        After `close`, call in a thread what is returned: to give its space back may take long.
        """
        self._files.unlink(volume_path(self._directory, self.number))
        self._files.sync_directory(self._directory)
        self._files.unlink(failure_path(self._directory, self.number))
        last = self._files.duplicate(self.fd)
        return lambda: self._files.close(last)

    def close(self) -> None:
        """Close the file, when nobody holds it any more. Once is enough."""
        closing, self._closing = self._closing, True
        if not closing and not self._holders:
            self._files.close(self.fd)

    def epoch(self) -> int:
        """Return a number that is another one after somebody else has written to the file. Any thread; OSError."""
        modified = self._files.modified(self.fd)
        if modified != self._modified and not self._writing:
            self._epoch += 1
            self._modified = modified
        return self._epoch

    @contextmanager
    def _writes(self) -> Iterator[None]:
        """What changes the file within is our own doing."""
        self.written_epoch = self.epoch()
        self._writing = True
        try:
            yield
        finally:
            self._modified = self._files.modified(self.fd)
            self._writing = False

    def _write(self, buffers: list[Buffer], offset: int) -> None:
        with self._writes():
            while buffers:
                written = self._files.write(self.fd, buffers[:_MAX_BUFFERS], offset)
                if written <= 0:
                    raise OSError(0, "the disk took no bytes")
                offset += written
                buffers = _rest(buffers, written)


def _rest(buffers: list[Buffer], written: int) -> list[Buffer]:
    """Return what is left of `buffers` after `written` bytes of them."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[index + 1 :]] if written else buffers[index:]
        written -= len(buffer)
    return []
