"""A simulated disk in memory that loses and tears what was not synced, and fails when it is told to.

`crash` is a loss of power: every sector written since the last sync of its file is there or not, a file's size
is anything between the synced and the last one, and every name changed since the last sync of its directory is
as before or as after, independently. A sync that fails drops what it should have written, and the next one
reports success, as Linux does. All chance comes from the `random.Random` given.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

from raftstore.util.buffers import Buffer

SECTOR = 512


class PowerLoss(BaseException):
    """The power went off in the middle of an operation."""


class _Content:
    """An inode: what programs see, and what is on the platter."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.stable = bytearray()
        self.dirty: set[int] = set()

    def write(self, offset: int, data: Buffer) -> None:
        if offset > len(self.seen):
            self.seen.extend(bytes(offset - len(self.seen)))
        self.seen[offset : offset + len(data)] = data
        self.dirty.update(range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)))

    def taken(self) -> int:
        """Bytes of the disk that it takes: whole sectors."""
        return -(-len(self.seen) // SECTOR) * SECTOR

    def sync(self) -> None:
        self._resize(self.stable, len(self.seen))
        for sector in self.dirty:
            self._copy(sector)
        self.dirty.clear()

    def crash(self, rng: random.Random) -> None:
        """Let chance decide what of the unsynced reached the platter; the rest is gone."""
        short, long = sorted((len(self.stable), len(self.seen)))
        size = rng.choice((short, long, rng.randint(short, long)))
        self._resize(self.stable, size)
        chance = rng.choice((0.0, 0.5, 0.9, 1.0))
        for sector in sorted(self.dirty):
            if rng.random() < chance:
                self._copy(sector)
        self.seen = bytearray(self.stable)
        self.dirty.clear()

    def _copy(self, sector: int) -> None:
        start, stop = sector * SECTOR, min(sector * SECTOR + SECTOR, len(self.stable))
        piece = self.seen[start:stop]
        self.stable[start : start + len(piece)] = piece

    @staticmethod
    def _resize(data: bytearray, size: int) -> None:
        del data[size:]
        data.extend(bytes(size - len(data)))


class FaultFile:
    """An open file of a FaultDisk; of no use after a crash."""

    def __init__(self, disk: FaultDisk, path: Path, content: _Content) -> None:
        self._disk = disk
        self._path = path
        self._content = content
        self._life = disk.lives
        disk.handles += 1
        self._closed = False

    def _alive(self) -> None:
        assert self._life == self._disk.lives, "a file handle from before the crash is used"
        assert not self._closed, "a closed file is used"

    def read_at(self, offset: int, length: int) -> bytes:
        self._alive()
        return bytes(self._content.seen[offset : offset + length])

    def write_at(self, offset: int, data: Buffer) -> None:
        self._alive()
        free_space = self._disk.free_bytes(self._path) + max(0, self._content.taken() - offset)
        if len(data) > free_space:
            self._content.write(offset, bytes(data)[:free_space])
            raise OSError(errno.ENOSPC, "simulated: no space left", str(self._path))
        if self._disk.fails("write", self._path):
            self._content.write(offset, bytes(data)[: len(data) // 2])
            raise OSError(errno.EIO, "simulated: write failed", str(self._path))
        self._content.write(offset, data)
        self._disk.done()

    def datasync(self) -> None:
        self._alive()
        self._disk.before_sync(self._path)
        if self._disk.fails("datasync", self._path):
            self._content.dirty.clear()
            raise OSError(errno.EIO, "simulated: sync failed", str(self._path))
        self._disk.stop_before()
        self._content.sync()

    def truncate(self, size: int) -> None:
        self._alive()
        if self._disk.fails("truncate", self._path):
            raise OSError(errno.EIO, "simulated: truncate failed", str(self._path))
        del self._content.seen[size:]
        self._content.seen.extend(bytes(size - len(self._content.seen)))
        self._disk.done()

    def size(self) -> int:
        self._alive()
        return len(self._content.seen)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._life == self._disk.lives:
                self._disk.handles -= 1


class FaultDisk:
    """See the module. Directories are durable at once; only files have names that can be lost."""

    def __init__(self, capacity: int = 1 << 40) -> None:
        self.capacity = capacity
        self.operations = 0
        self.crash_at: int | None = None
        """Raise PowerLoss in the operation with this number (operations that change or sync are counted)."""
        self.fail_at: int | None = None
        """Raise OSError in the operation with this number."""
        self.before_sync: Callable[[Path], None] = lambda path: None
        """Called in each sync of a file, before anything is stable: what other threads do meanwhile."""
        self.lives = 0
        self.handles = 0
        """Files that are open."""
        self.history: list[str] = []
        self._seen: dict[Path, _Content] = {}
        self._stable: dict[Path, _Content] = {}
        self._directories: set[Path] = set()

    # Faults.

    def fails(self, what: str, path: Path) -> bool:
        """Count an operation; whether it is the one that fails."""
        self.operations += 1
        self.history.append(f"{what} {path.name}")
        return self.operations == self.fail_at

    def stop_before(self) -> None:
        """Lose power before the operation's effect."""
        if self.operations == self.crash_at:
            raise PowerLoss(self.history[-1])

    def done(self) -> None:
        """Lose power after the operation's (volatile) effect."""
        self.stop_before()

    def write_back(self) -> None:
        """The kernel writes what is not synced of its own accord, as it does after a while."""
        for content in {id(content): content for content in self._seen.values()}.values():
            content.sync()

    def crash(self, rng: random.Random) -> None:
        """Lose power, and come back."""
        names: dict[Path, _Content] = {}
        for path in sorted({*self._seen, *self._stable}):
            content = rng.choice((self._seen, self._stable)).get(path)
            if content is not None:
                names[path] = content
        for content in {id(content): content for content in names.values()}.values():
            content.crash(rng)
        self._seen, self._stable = names, dict(names)
        self.kill()

    def kill(self) -> None:
        """The process dies; the kernel lives on."""
        self.lives += 1
        self.handles = 0
        self.crash_at = self.fail_at = None
        self.before_sync = lambda path: None

    def flip(self, path: Path, bit: int) -> None:
        """Flip one bit of a file, on the platter."""
        content = self._seen[path]
        content.seen[bit // 8] ^= 1 << bit % 8
        content.sync()

    # Disk.

    def open(self, path: Path, *, create: bool = False) -> FaultFile:
        if create:
            if path in self._seen:
                raise FileExistsError(errno.EEXIST, "exists", str(path))
            assert path.parent in self._directories
            if self.fails("create", path):
                raise OSError(errno.EIO, "simulated: create failed", str(path))
            self._seen[path] = _Content()
            self.done()
        if path not in self._seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return FaultFile(self, path, self._seen[path])

    def read(self, path: Path) -> bytes:
        if path not in self._seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return bytes(self._seen[path].seen)

    def names(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self._seen if path.parent == directory)

    def make_directory(self, path: Path) -> None:
        self._directories.update((path, *path.parents))

    def rename(self, source: Path, target: Path) -> None:
        if self.fails("rename", target):
            raise OSError(errno.EIO, "simulated: rename failed", str(target))
        self._seen[target] = self._seen.pop(source)
        self.done()

    def link(self, source: Path, target: Path) -> None:
        if self.fails("link", target):
            raise OSError(errno.EIO, "simulated: link failed", str(target))
        assert target not in self._seen
        self._seen[target] = self._seen[source]
        self.done()

    def unlink(self, path: Path) -> None:
        if self.fails("unlink", path):
            raise OSError(errno.EIO, "simulated: unlink failed", str(path))
        del self._seen[path]
        self.done()

    def sync_directory(self, path: Path) -> None:
        if self.fails("sync_directory", path):
            raise OSError(errno.EIO, "simulated: sync of a directory failed", str(path))
        self.stop_before()
        for name in {*self._seen, *self._stable}:
            if name.parent == path:
                if name in self._seen:
                    self._stable[name] = self._seen[name]
                else:
                    self._stable.pop(name, None)

    def free_bytes(self, path: Path) -> int:
        there = {id(content): content for content in self._seen.values()}
        return max(0, self.capacity - sum(content.taken() for content in there.values()))
