"""The seam between the store and the file system, so that a test can put a disk that fails in its place.

Every method may raise OSError. Nothing is durable before `DiskFile.datasync` (content and size of a file) or
`Disk.sync_directory` (names in a directory) has returned; after one of them has failed, nobody knows what is on
the disk, and the caller must not try again: the kernel may have dropped the data and report success next time.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Protocol

from raftstore.util.buffers import Buffer

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk, or a quota on it, that is full."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that the disk is full: nothing of it is broken, and it may have space again later.

    Believe it of a write, or of making a file. From a sync it says that data are lost, which is a failure.
    """
    return isinstance(error, OSError) and error.errno in NO_SPACE


def has_space(directory: Path, size: int = 64 * 1024) -> bool:
    """Try whether `size` bytes can be written to a new file in `directory`. For errors that do not tell."""
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            return file.write(bytes(size)) == size
    except OSError as error:
        return not is_full(error)


class DiskFile(Protocol):
    """An open file. Offsets and sizes are in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer only at the end of the file."""
        ...

    def write_at(self, offset: int, data: Buffer) -> None:
        """Write all of `data` at `offset`; the file grows as needed."""
        ...

    def datasync(self) -> None:
        """Return when content and size are on stable storage."""
        ...

    def truncate(self, size: int) -> None:
        """Set the size; what is beyond it is gone."""
        ...

    def size(self) -> int:
        """Return the present size."""
        ...

    def close(self) -> None:
        """Close; idempotent. Does not sync."""
        ...


class Disk(Protocol):
    """What the store asks of a file system."""

    def open(self, path: Path, *, create: bool = False) -> DiskFile:
        """Open for reading and writing; `create` makes a new file and fails if there is one."""
        ...

    def read(self, path: Path) -> bytes:
        """Return the whole content of a file."""
        ...

    def names(self, directory: Path) -> list[str]:
        """Return the names in a directory, sorted; empty when it does not exist."""
        ...

    def make_directory(self, path: Path) -> None:
        """Make a directory with its parents, durably; nothing happens if it exists."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Atomically give a file a new name, replacing what had it."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """Give a file a further name, which nothing has. OSError also where the file system has no such names."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Return when all names made, changed and removed in a directory are on stable storage."""
        ...

    def free_bytes(self, path: Path) -> int:
        """Return the bytes that this process can still write on the file system of `path`."""
        ...


def replace_file(disk: Disk, path: Path, data: Buffer) -> None:
    """Durably make `data` the content of `path`: after a crash it is the old or the new content, whole."""
    temporary = path.with_name(path.name + ".tmp")
    if temporary.name in disk.names(path.parent):
        disk.unlink(temporary)
    file = disk.open(temporary, create=True)
    try:
        file.write_at(0, data)
        file.datasync()
    finally:
        file.close()
    disk.rename(temporary, path)
    disk.sync_directory(path.parent)


class RealDiskFile:
    """A file of the operating system."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._closed = False

    def read_at(self, offset: int, length: int) -> bytes:
        """See DiskFile."""
        parts = []
        while length > 0:
            part = os.pread(self._descriptor, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def write_at(self, offset: int, data: Buffer) -> None:
        """See DiskFile."""
        view = memoryview(data).cast("B")
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            offset += written
            view = view[written:]

    def datasync(self) -> None:
        """See DiskFile."""
        os.fdatasync(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor, for what can sync it in another way."""
        return self._descriptor

    def truncate(self, size: int) -> None:
        """See DiskFile."""
        os.ftruncate(self._descriptor, size)

    def size(self) -> int:
        """See DiskFile."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """See DiskFile."""
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)


class RealDisk:
    """The file system of the operating system. Files are private to the user (mode 0600)."""

    def open(self, path: Path, *, create: bool = False) -> RealDiskFile:
        """See Disk."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        return RealDiskFile(os.open(path, flags, 0o600))

    def read(self, path: Path) -> bytes:
        """See Disk."""
        return path.read_bytes()

    def names(self, directory: Path) -> list[str]:
        """See Disk."""
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_directory(self, path: Path) -> None:
        """See Disk."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        self.sync_directory(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        """See Disk."""
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """See Disk."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        """See Disk."""
        os.unlink(path)

    def sync_directory(self, path: Path) -> None:
        """See Disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        """See Disk."""
        stat = os.statvfs(path)
        return stat.f_bavail * stat.f_frsize
