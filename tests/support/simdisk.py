"""A disk in memory for the simulator: what is not synced is lost or torn at a loss of power, and it fails on demand.

The same faults as `faultdisk`, which serves the journal's own tests. This one is fast, and its operations take
virtual time: one in a worker lets the rest of the cluster run meanwhile, so a crash can come in the middle.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raftstore.util.buffers import Buffer

SECTOR = 512


class Crash(BaseException):
    """The node dies in the middle of an operation. `power`: what is not synced goes with it."""

    def __init__(self, what: str, *, power: bool) -> None:
        super().__init__(what)
        self.power = power


class _Inode:
    """A file's content as programs see it, and what of the platter's content differs from that.

    `unsynced`: sectors written since the last sync, with what the platter has. `dropped`: the same, for sectors
    whose sync failed: the kernel takes them for clean, and a later sync does not write them.
    """

    __slots__ = ("data", "dropped", "stable_size", "unsynced")

    def __init__(self) -> None:
        self.data = bytearray()
        self.stable_size = 0
        self.unsynced: dict[int, bytes] = {}
        self.dropped: dict[int, bytes] = {}

    def write(self, offset: int, piece: bytes) -> None:
        data, end = self.data, offset + len(piece)
        if offset > len(data):
            data.extend(bytes(offset - len(data)))
        self._touch(offset, end)
        data[offset:end] = piece

    def truncate(self, size: int) -> None:
        data = self.data
        self._touch(min(size, len(data)), max(size, len(data)))
        del data[size:]
        data.extend(bytes(size - len(data)))

    def _touch(self, start: int, end: int) -> None:
        for sector in range(start // SECTOR, -(-end // SECTOR)):
            if sector in self.dropped:
                self.unsynced[sector] = self.dropped.pop(sector)
            elif sector not in self.unsynced:
                self.unsynced[sector] = bytes(self.data[sector * SECTOR : sector * SECTOR + SECTOR])

    def sync(self) -> None:
        self.unsynced.clear()
        self.stable_size = len(self.data)

    def sync_failed(self) -> None:
        self.dropped.update(self.unsynced)
        self.unsynced.clear()

    def lose_power(self, rng: random.Random) -> None:
        if not self.unsynced and not self.dropped and self.stable_size == len(self.data):
            return
        data = self.data
        short, long = sorted((self.stable_size, len(data)))
        size = rng.choice((short, long, rng.randint(short, long)))
        chance = rng.choice((0.0, 0.5, 0.9, 1.0))
        for sector, old in sorted([*self.unsynced.items(), *self.dropped.items()]):
            if sector in self.dropped or rng.random() >= chance:
                start = sector * SECTOR
                if start + len(old) > len(data):
                    data.extend(bytes(start + len(old) - len(data)))
                end = min(start + SECTOR, len(data))
                data[start:end] = old.ljust(end - start, b"\0")
        del data[size:]
        data.extend(bytes(size - len(data)))
        self.unsynced.clear()
        self.dropped.clear()
        self.stable_size = size


@dataclass
class Latency:
    """Seconds that a sync takes: at least `base`, seldom up to `worst`."""

    base: float = 0.0005
    spread: float = 0.002
    worst: float = 0.02
    chance: float = 0.02

    def draw(self, rng: random.Random) -> float:
        if rng.random() < self.chance:
            return self.base + self.worst * rng.random()
        return self.base + self.spread * rng.random()


class SimFile:
    """An open file of a SimDisk; dead once its process is."""

    __slots__ = ("_closed", "_disk", "_inode", "_life", "_path")

    def __init__(self, disk: SimDisk, path: Path, inode: _Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._life = disk.life
        self._closed = False

    def _alive(self) -> None:
        if self._life != self._disk.life:
            raise Crash("a dead process uses a file", power=False)
        assert not self._closed, "a closed file is used"

    def read_at(self, offset: int, length: int) -> bytes:
        self._alive()
        return bytes(self._inode.data[offset : offset + length])

    def write_at(self, offset: int, data: Buffer) -> None:
        self._alive()
        piece = bytes(data)
        grown = self._disk.allot(self._inode, offset + len(piece))
        if grown < offset + len(piece):
            self._inode.write(offset, piece[: max(0, grown - offset)])
            raise OSError(errno.ENOSPC, "simulated: no space left", str(self._path))
        if self._disk.operation("write", self._path):
            self._inode.write(offset, piece[: len(piece) // 2])
            self._disk.fail("write", self._path)
        self._inode.write(offset, piece)
        self._disk.done()

    def datasync(self) -> None:
        self._alive()
        failing = self._disk.operation("datasync", self._path)
        self._disk.take_time()
        self._alive()
        if failing:
            self._inode.sync_failed()
            self._disk.fail("datasync", self._path)
        self._disk.done()
        self._inode.sync()

    def truncate(self, size: int) -> None:
        self._alive()
        if self._disk.operation("truncate", self._path):
            self._disk.fail("truncate", self._path)
        self._inode.truncate(size)
        self._disk.done()

    def size(self) -> int:
        self._alive()
        return len(self._inode.data)

    def close(self) -> None:
        self._closed = True


class SimDisk:
    """See the module. Directories are durable at once; only names of files can be lost.

    `pause(seconds)` passes time in the middle of an operation. `faulted(what, path)` is told of every fault.
    """

    def __init__(
        self, rng: random.Random, pause: Callable[[float], None], faulted: Callable[[str], None]
    ) -> None:
        self._rng = rng
        self._pause = pause
        self._faulted = faulted
        self.usual = self.latency = Latency()
        self.life = 0
        self.crash_in: int | None = None
        """The node dies in the so manieth operation from now that changes or syncs something."""
        self.crash_power = False
        self.fail_in: int | None = None
        """So manieth operation from now fails; with `fail_only`, operations of other kinds are not counted."""
        self.fail_only: str | None = None
        self.fail_errno = errno.EIO
        self.space: int | None = None
        """Bytes that are left, where the disk is (nearly) full."""
        self._seen: dict[Path, _Inode] = {}
        self._stable: dict[Path, _Inode] = {}
        self._unsynced_names: set[Path] = set()
        self._crashing = False

    # Faults.

    def operation(self, what: str, path: Path) -> bool:
        """Count an operation; whether it is to fail."""
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in <= 0:
                self.crash_in = None
                self._crashing = True
        if self.fail_in is not None and self.fail_only in (None, what):
            self.fail_in -= 1
            if self.fail_in <= 0:
                self.fail_in = None
                return True
        return False

    def allot(self, inode: _Inode, end: int) -> int:
        """Return up to where a file may be written that is to reach to `end`; it grows by whole sectors."""
        has = -(-len(inode.data) // SECTOR) * SECTOR
        wanted = max(0, -(-(end - has) // SECTOR) * SECTOR)
        if self.space is None or not wanted:
            return end
        got = min(wanted, self.space // SECTOR * SECTOR)
        self.space -= got
        return min(end, has + got)

    def fail(self, what: str, path: Path) -> None:
        """Raise the error that is due."""
        self._faulted(f"{what} {path.name} fails")
        raise OSError(self.fail_errno, f"simulated: {what} failed", str(path))

    def done(self) -> None:
        """Die, if it is time: after a volatile effect, before a durable one."""
        if self._crashing:
            self._crashing = False
            raise Crash("in an operation of the disk", power=self.crash_power)

    def take_time(self) -> None:
        """Pass the time that a sync takes."""
        self._pause(self.latency.draw(self._rng))

    def kill(self) -> None:
        """The process dies, the kernel lives on."""
        self.life += 1
        self.crash_in = self.fail_in = self.fail_only = None
        self._crashing = False
        self.latency = self.usual

    def lose_power(self) -> None:
        """What was not synced reaches the platter or does not, sector by sector and name by name."""
        self.kill()
        rng, names = self._rng, dict(self._stable)
        for path in sorted(self._unsynced_names):
            inode = rng.choice((self._seen, self._stable)).get(path)
            if inode is None:
                names.pop(path, None)
            else:
                names[path] = inode
        done: set[int] = set()
        for path in sorted(names):
            if id(names[path]) not in done:
                done.add(id(names[path]))
                names[path].lose_power(rng)
        self._seen, self._stable = names, dict(names)
        self._unsynced_names.clear()

    def rot(self, suffixes: tuple[str, ...]) -> str | None:
        """Flip one bit in a file with one of these endings; return where, None if there is nothing to flip."""
        paths = [p for p in sorted(self._seen) if p.name.endswith(suffixes) and self._seen[p].data]
        if not paths:
            return None
        path = self._rng.choice(paths)
        data = self._seen[path].data
        # Mostly where something was written: a flip in zeros that nobody reads is nothing to find.
        written = len(data.rstrip(b"\0")) or len(data)
        position = self._rng.randrange(len(data) if self._rng.random() < 0.2 else written)
        data[position] ^= 1 << self._rng.randrange(8)
        return f"{path.name} byte {position}"

    def wipe(self) -> None:
        """A new, empty disk."""
        self.kill()
        self._seen, self._stable = {}, {}
        self._unsynced_names.clear()

    # Disk.

    def open(self, path: Path, *, create: bool = False) -> SimFile:
        if create:
            if path in self._seen:
                raise FileExistsError(errno.EEXIST, "exists", str(path))
            if self.operation("create", path):
                self.fail("create", path)
            if self.space == 0 and self._rng.random() < 0.3:  # no space for the name
                raise OSError(errno.ENOSPC, "simulated: no space left", str(path))
            self._seen[path] = _Inode()
            self._unsynced_names.add(path)
            self.done()
        if path not in self._seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return SimFile(self, path, self._seen[path])

    def read(self, path: Path) -> bytes:
        if path not in self._seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return bytes(self._seen[path].data)

    def names(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self._seen if path.parent == directory)

    def make_directory(self, path: Path) -> None:
        """Nothing to do: directories are always there."""

    def rename(self, source: Path, target: Path) -> None:
        if self.operation("rename", target):
            self.fail("rename", target)
        self._seen[target] = self._seen.pop(source)
        self._unsynced_names.update((source, target))
        self.done()

    def link(self, source: Path, target: Path) -> None:
        if self.operation("link", target):
            self.fail("link", target)
        assert target not in self._seen
        self._seen[target] = self._seen[source]
        self._unsynced_names.add(target)
        self.done()

    def unlink(self, path: Path) -> None:
        if self.operation("unlink", path):
            self.fail("unlink", path)
        del self._seen[path]
        self._unsynced_names.add(path)
        self.done()

    def sync_directory(self, path: Path) -> None:
        failing = self.operation("sync_directory", path)
        life = self.life
        self.take_time()
        if life != self.life:
            raise Crash("a dead process uses a disk", power=False)
        if failing:
            self.fail("sync_directory", path)
        self.done()
        for name in [name for name in self._unsynced_names if name.parent == path]:
            if name in self._seen:
                self._stable[name] = self._seen[name]
            else:
                self._stable.pop(name, None)
            self._unsynced_names.discard(name)

    def free_bytes(self, path: Path) -> int:
        return 1 << 40
