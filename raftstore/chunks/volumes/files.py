"""The system calls under the volumes, in one place, so that tests can put a failing disk there."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

from raftstore.util.buffers import Buffer

_LIBC = ctypes.CDLL(None, use_errno=True)
_PUNCH_HOLE = 0x01 | 0x02
"""FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE of <linux/falloc.h>."""

PAGE = mmap.PAGESIZE


class Files:
    """The real disk. Thread-safe; every method raises OSError as the system call does."""

    def open(self, path: Path, flags: int) -> int:
        """Open `path` and return its descriptor."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def close(self, fd: int) -> None:
        """Close `fd`."""
        os.close(fd)

    def duplicate(self, fd: int) -> int:
        """Return another descriptor of the same open file."""
        return os.dup(fd)

    def size(self, fd: int) -> int:
        """Return the file's size in bytes."""
        return os.fstat(fd).st_size

    def modified(self, fd: int) -> int:
        """Return when the file was last written to: ns, of some clock."""
        return os.fstat(fd).st_mtime_ns

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Write `buffers` one after the other at `offset`; return how many bytes were taken (maybe fewer)."""
        return os.pwritev(fd, buffers, offset)

    def sync(self, fd: int) -> None:
        """Make what was written durable."""
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(fd, size)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes at `offset`; may wait for the disk."""
        return os.pread(fd, length, offset)

    def read_cached(self, fd: int, target: bytearray, offset: int) -> int:
        """Fill `target` only from memory; return the bytes read. BlockingIOError where the disk is needed."""
        return os.preadv(fd, [target], offset, os.RWF_NOWAIT)

    def punch(self, fd: int, offset: int, length: int) -> None:
        """Give the disk space of a range back, as far as it is whole blocks; it reads as zeros then."""
        if _LIBC.fallocate(fd, _PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(length)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def in_memory(self, fd: int, offset: int, length: int) -> bool:
        """Whether the page cache has any of these whole pages, or might have."""
        with mmap.mmap(fd, length, access=mmap.ACCESS_COPY, offset=offset) as mapped:
            pages = ctypes.create_string_buffer(length // PAGE)
            start = ctypes.c_char.from_buffer(mapped)
            failed = _LIBC.mincore(ctypes.byref(start), ctypes.c_size_t(length), pages)
            del start  # it holds the mapping
        return bool(failed) or any(page & 1 for page in pages.raw)

    def forget(self, fd: int, offset: int, length: int = 0) -> None:
        """Drop `length` cached bytes (0: all) from `offset` on, so that the next read shows what the disk holds."""
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)

    def free_bytes(self, directory: Path) -> int:
        """Return the free bytes of the file system that holds `directory`."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize

    def save(self, path: Path, content: Buffer) -> None:
        """Put a small file in place, atomically and durably."""
        temporary = path.with_name(path.name + ".tmp")
        fd = self.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            view = memoryview(content)
            position = 0
            while position < len(view):
                position += self.write(fd, [view[position:]], position)
            self.sync(fd)
        finally:
            self.close(fd)
        self.replace(temporary, path)

    def replace(self, source: Path, target: Path) -> None:
        """Rename a file over another, durably."""
        os.replace(source, target)
        self.sync_directory(target.parent)

    def unlink(self, path: Path) -> None:
        """Remove a file, if it is there; durable with the next `sync_directory`."""
        path.unlink(missing_ok=True)

    def sync_directory(self, directory: Path) -> None:
        """Make names that were created, renamed or removed in `directory` durable."""
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
