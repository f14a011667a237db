"""Space on the disk that log and catalog go on with when something else has filled it.

A file of fixed size, the ballast, holds it. When the disk is full it is given up in pieces: to log and catalog, which
are all that still grows then. When nothing is left of it the node pauses: it takes no further commands, and stays up.
It looks every second, makes the ballast whole again when there is space, and goes on. `judge` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from raftstore.util.disk import is_full

log = structlog.get_logger()

MIB = 1024 * 1024
PIECES = 8
"""The ballast is given up in so many pieces: what fills the disk takes one away at most before it fails."""
LOOK_SECONDS = 1.0
NAME = "ballast"


class Space(enum.IntEnum):
    """How much space there is for log and catalog."""

    ENOUGH = 0
    LITTLE = 1
    """The disk is full, and the ballast is being used: others should lead."""
    NONE = 2
    """The ballast is used up: this node takes no commands and does not stand. It votes, and reads go on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Free bytes that decide, for a ballast of `size` bytes.

    Below `low` a piece of the ballast is given up. With none left, below `pause` the node pauses, until there are
    `low` again. With `high` beyond what the ballast lacks, that is made whole.
    """

    size: int

    @property
    def low(self) -> int:
        """See the class."""
        return min(16 * MIB, self.size // 4) if self.size else 16 * MIB

    @property
    def pause(self) -> int:
        """See the class."""
        return self.low // 4

    @property
    def high(self) -> int:
        """See the class."""
        return 2 * self.low

    @property
    def piece(self) -> int:
        """How much of the ballast is given up at a time."""
        return -(-self.size // PIECES)


def judge(before: Space, limits: Limits, *, free: int, held: int, failed: bool) -> Space:
    """Return how much space there is, with `free` bytes on the disk and `held` of the ballast.

    `failed`: a write has just found no space, and the ballast had none left.
    """
    if held == 0 and (failed or free < (limits.low if before is Space.NONE else limits.pause)):
        return Space.NONE
    missing = limits.size - held
    if free < limits.low or (before is not Space.ENOUGH and free - missing < limits.high):
        return Space.LITTLE
    return Space.ENOUGH


class Ballast:
    """The file. Thread-safe; blocks."""

    def __init__(self, directory: Path, size: int) -> None:
        """`size` in bytes; 0: there is none. Nothing is made before `make`."""
        self._path = directory / NAME
        self.limits = Limits(size)
        self._lock = threading.Lock()
        self.failed = False
        """Whether space was asked for in vain since `make` was called last."""

    @property
    def held(self) -> int:
        """Bytes of disk that the file has."""
        try:
            return min(self.limits.size, os.stat(self._path).st_size)
        except FileNotFoundError:
            return 0

    def free_space(self) -> bool:
        """Give up a piece, for good when this returns; False if there is none left."""
        with self._lock:
            held = self.held
            if not held:
                self.failed = True
                return False
            left = max(0, held - self.limits.piece)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, left)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        log.warning("disk is full: log and catalog get a piece of the ballast", left=left)
        return True

    def make(self, free: int) -> bool:
        """Make the file whole if `free` bytes are enough for that; whether it is."""
        with self._lock:
            self.failed = False
            limits, held = self.limits, self.held
            if held >= limits.size and (not self._path.exists() or os.stat(self._path).st_size == limits.size):
                return True
            if free - (limits.size - held) < limits.high:
                return False
            return self._allocate(held)

    def _allocate(self, held: int) -> bool:
        size = self.limits.size
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, held)
            if size:
                os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, held)
            if not is_full(error):
                log.warning("no ballast for a full disk can be kept", file=str(self._path), error=str(error))
            return False
        finally:
            os.close(descriptor)
        return True


class SpaceWatch:
    """Looks at the disk of `directory` as long as it runs."""

    def __init__(self, directory: Path, ballast: Ballast) -> None:
        self._directory = directory
        self.ballast = ballast
        self._task: asyncio.Task[None] | None = None
        self.space = Space.ENOUGH
        """As seen last."""

    def start(self, changed: Callable[[Space], None], looked: Callable[[], None]) -> None:
        """Look every second, on the running loop: `changed` is told what has changed, `looked` called after each."""
        self._task = asyncio.get_running_loop().create_task(self._run(changed, looked), name="disk space")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def until_enough_to_start(self) -> None:
        """Wait until the data can be opened, which takes some space; give up of the ballast what that takes."""
        reported = False
        while not await asyncio.to_thread(self._can_start):
            if not reported:
                reported = True
                log.error(
                    "disk is full: the node waits until there is space, and then starts by itself",
                    directory=str(self._directory),
                    wanted=self.ballast.limits.low,
                )
            await asyncio.sleep(LOOK_SECONDS)

    def _can_start(self) -> bool:
        limits = self.ballast.limits
        while (free := self.free()) < limits.low and self.ballast.free_space():
            pass
        return free >= limits.pause

    def free(self) -> int:
        """Return the bytes that this process can still write."""
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    async def _run(self, changed: Callable[[Space], None], looked: Callable[[], None]) -> None:
        while True:
            try:
                space = await asyncio.to_thread(self.look)
            except OSError as error:
                log.warning("free space is unknown", directory=str(self._directory), error=str(error))
            else:
                self._take(space, changed)
            looked()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> Space:
        """Give up or make ballast as is due; return how much space there is then. Blocks."""
        ballast, free = self.ballast, self.free()
        failed = ballast.failed
        if free < ballast.limits.low:
            if ballast.held and ballast.free_space():
                free = self.free()
        elif ballast.make(free):
            free = self.free()
        return judge(self.space, ballast.limits, free=free, held=ballast.held, failed=failed)

    def _take(self, space: Space, changed: Callable[[Space], None]) -> None:
        before, self.space = self.space, space
        if space is before:
            return
        tell = log.warning if space is Space.ENOUGH else log.error
        tell(f"disk space: {space.name.lower()}", directory=str(self._directory), ballast=self.ballast.held)
        changed(space)
