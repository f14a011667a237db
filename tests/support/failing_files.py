"""A disk under the volumes that fails on demand and remembers what a power cut would leave."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from raftstore.chunks.volumes.files import Files
from raftstore.util.buffers import Buffer


class FailingFiles(Files):
    """Files with faults. A fault is a callable that raises, or None.

    Only volumes (*.vol) are watched. `synced` is the size of each up to which a power cut leaves it alone.
    `operation` is called before everything that changes the disk, one at a time, with its name.
    """

    def __init__(self, *, really_sync: bool = False) -> None:
        self.write_fault: Callable[[Path], None] | None = None
        self.sync_fault: Callable[[Path], None] | None = None
        self.truncate_fault: Callable[[Path], None] | None = None
        self.read_fault: Callable[[Path, int], None] | None = None
        self.operation: Callable[[str], None] | None = None
        self.before_sync: Callable[[], None] | None = None
        self.after_sync: Callable[[], None] | None = None
        self.short_writes: random.Random | None = None
        self.free: int | None = None
        self.cached = True
        self.syncs = 0
        self.writes = 0
        self.paths: dict[int, Path] = {}
        self.synced: dict[str, int] = {}
        self._really_sync = really_sync
        self._lock = threading.Lock()
        self._step = threading.RLock()
        self._unlinked: dict[str, bytes] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        with self._step:
            if self.operation is not None:
                self.operation(name)
            yield

    def open(self, path: Path, flags: int) -> int:
        with self.step("create") if flags & os.O_CREAT else contextlib.nullcontext():
            return self._open(path, flags)

    def _open(self, path: Path, flags: int) -> int:
        fd = super().open(path, flags)
        if path.suffix == ".vol":
            self.paths[fd] = path
            self.synced.setdefault(path.name, os.fstat(fd).st_size)
        return fd

    def close(self, fd: int) -> None:
        self.paths.pop(fd, None)
        super().close(fd)

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        with self.step("write"):
            return self._write(fd, buffers, offset)

    def _write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        path = self.paths.get(fd)
        if path is None:
            return super().write(fd, buffers, offset)
        self.writes += 1
        if self.write_fault is not None:
            self.write_fault(path)
        if self.short_writes is not None:
            joined = b"".join(buffers)
            return super().write(fd, [joined[: self.short_writes.randint(1, len(joined))]], offset)
        return super().write(fd, buffers, offset)

    def sync(self, fd: int) -> None:
        path = self.paths.get(fd)
        if path is not None:
            with self._lock:
                self.syncs += 1
            if self.before_sync is not None:
                self.before_sync()
            if self.sync_fault is not None:
                self.sync_fault(path)
        with self.step("sync"):
            if self._really_sync:
                super().sync(fd)
            if path is not None:
                self.synced[path.name] = os.fstat(fd).st_size
        if path is not None and self.after_sync is not None:
            self.after_sync()

    def truncate(self, fd: int, size: int) -> None:
        path = self.paths.get(fd)
        if path is not None and self.truncate_fault is not None:
            self.truncate_fault(path)
        with self.step("truncate"):
            super().truncate(fd, size)
            if path is not None:
                self.synced[path.name] = min(self.synced[path.name], size)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        path = self.paths.get(fd)
        if path is not None and self.read_fault is not None:
            self.read_fault(path, offset)
        return super().read(fd, length, offset)

    def read_cached(self, fd: int, target: bytearray, offset: int) -> int:
        if not self.cached:
            raise BlockingIOError(errno.EAGAIN, "not in memory")
        return super().read_cached(fd, target, offset)

    def free_bytes(self, directory: Path) -> int:
        return super().free_bytes(directory) if self.free is None else self.free

    def in_memory(self, fd: int, offset: int, length: int) -> bool:
        return False  # what is never synced does not leave the memory

    def punch(self, fd: int, offset: int, length: int) -> None:
        with self.step("punch"):
            super().punch(fd, offset, length)

    def replace(self, source: Path, target: Path) -> None:
        with self.step("replace"):
            super().replace(source, target)

    def unlink(self, path: Path) -> None:
        with self.step("unlink"):
            if path.suffix == ".vol" and path.exists():
                self._unlinked[path.name] = path.read_bytes()
            super().unlink(path)

    def sync_directory(self, directory: Path) -> None:
        with self.step("sync_directory"):
            if self._really_sync:
                super().sync_directory(directory)
            self._unlinked.clear()

    def crash_image(self, source: Path, target: Path, chance: random.Random) -> None:
        """Copy `source` as a power cut now would leave it: what is not synced is cut and garbled by chance."""
        with self._step:
            shutil.copytree(source, target)
            for name, content in self._unlinked.items():
                if chance.random() < 0.5:
                    (target / name).write_bytes(content)
            for path in target.glob("*.vol"):
                size = path.stat().st_size
                synced = self.synced[path.name]
                if size > synced:
                    tear(path, synced, chance)


def tear(path: Path, synced: int, chance: random.Random) -> None:
    """Cut `path` somewhere behind `synced` and zero or garble some of the 512-byte sectors behind it."""
    size = path.stat().st_size
    if chance.random() < 0.5:
        size = chance.randint(synced, size)
        os.truncate(path, size)
    if chance.random() < 0.7:
        share = chance.choice((0.02, 0.3, 1.0))
        with path.open("r+b") as file:
            position = synced
            while position < size:
                end = min(size, (position // 512 + 1) * 512)
                if chance.random() < share:
                    file.seek(position)
                    file.write(
                        bytes(end - position) if chance.random() < 0.5 else chance.randbytes(end - position)
                    )
                position = end


def raises(number: int) -> Callable[..., None]:
    """Return a fault that raises OSError `number`."""

    def fault(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fault


def flip(path: Path, offset: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
