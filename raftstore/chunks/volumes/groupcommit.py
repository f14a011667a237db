"""The writer: one thread that gathers waiting needles, writes them with few calls, syncs once for all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from raftstore.chunks.format import needle
from raftstore.chunks.format.index import Place
from raftstore.chunks.format.needle import Kind
from raftstore.chunks.volumes.files import Files
from raftstore.chunks.volumes.volume import NO_SPACE, NotWritten, Volume
from raftstore.errors import DiskFailed, DiskFull, StoreError
from raftstore.util.buffers import Buffer

log = structlog.get_logger()

BATCH_BYTES = 16 * 1024 * 1024
BATCH_NEEDLES = 500
"""Bounds of one batch. A larger one gains nothing and makes those wait who came first."""

_FREE_AGE = 1.0


class Abandoned(Exception):
    """Whoever brought the bytes of this write gave up before it began; others bring their own."""


class Write:
    """A needle on its way to the disk, and those who wait for it. The writer fills in `place` or `error`.

    `digest` is what the needle says as such: a chunk's, or in a tombstone what it removes. `moves`: compaction
    copies it. `seals`: the volume with this number, or an older one, is not written on any more.
    """

    __slots__ = ("digest", "epoch", "error", "kind", "moves", "payload", "place", "seals", "size", "waiters")

    def __init__(
        self, kind: Kind, digest: bytes, payload: Buffer, *, moves: bool = False, seals: int = 0
    ) -> None:
        self.moves = moves
        self.seals = seals
        self.kind = kind
        self.digest = digest
        self.payload = payload
        self.size = needle.footprint(len(payload))
        self.place: Place | None = None
        self.epoch = 0
        self.error: StoreError | None = None
        self.waiters: list[asyncio.Future[None]] = []

    @property
    def key(self) -> bytes:
        """The first half of the chunk's digest: at most one write of it is under way."""
        return self.digest[: needle.KEY_SIZE]

    def wake(self, error: Exception | None) -> None:
        """Tell those who wait how it ended. On the loop."""
        for waiter in self.waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                elif isinstance(error, StoreError):
                    # Each gets an exception of its own: a shared one would collect all their tracebacks.
                    waiter.set_exception(type(error)(error.detail))
                else:
                    waiter.set_exception(type(error)())


class FreeSpace:
    """Free bytes of the disk, asked at most once a second, less what was written since. Thread-safe enough."""

    def __init__(self, files: Files, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._directory = directory
        self._clock = clock
        self._free = 0
        self._asked = float("-inf")

    def get(self, *, fresh: bool = False) -> int:
        """Return the free bytes; `fresh` asks the disk in any case. 0 where the disk does not answer."""
        now = self._clock()
        if fresh or now - self._asked >= _FREE_AGE:
            try:
                self._free = self._files.free_bytes(self._directory)
            except OSError as error:
                log.warning("free space is unknown", error=str(error))
                self._free = 0
            self._asked = now
        return self._free

    def written(self, size: int) -> None:
        """Count bytes that were just written."""
        self._free -= size


class Writer:
    """Owns the volume that is written. Everything that blocks happens in its thread.

    After a failed write or sync of a volume nothing more is written by this process: what the disk then holds
    is unknown until recovery has read it. A full disk is no failure: those needles are refused, others go on.
    """

    def __init__(
        self,
        *,
        active: Volume | None,
        create: Callable[[], Volume],
        volume_bytes: int,
        reserve_bytes: int,
        free: FreeSpace,
        finished: Callable[[Sequence[Write]], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._active = active
        self._create = create
        self._volume_bytes = volume_bytes
        self._reserve_bytes = reserve_bytes
        self._free = free
        self._finished = finished
        self._loop = loop
        self._fresh: list[Write] = []
        self._queue: deque[Write] = deque()
        self._wakeup = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pixraft-volumes", daemon=True)
        self.failure: DiskFailed | None = None
        self.failed_volumes = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, write: Write) -> None:
        """Queue a needle; `finished` is called with it on the loop. Called on the loop."""
        # One hand-over for all that are submitted in this turn of the loop: they make one batch.
        if not self._fresh:
            self._loop.call_soon(self._hand_over)
        self._fresh.append(write)

    def withdraw(self, write: Write) -> bool:
        """Take a needle back; False if the thread has it already. Called on the loop."""
        if write in self._fresh:
            self._fresh.remove(write)
            return True
        with self._wakeup:
            if write in self._queue:
                self._queue.remove(write)
                return True
        return False

    def stop(self) -> None:
        """Let the thread write what is queued, note in the volume that it is whole, and end. Called on the loop."""
        self._hand_over()
        with self._wakeup:
            self._stopping = True
            self._wakeup.notify()

    def join(self) -> None:
        """Wait until the thread has ended. Blocks."""
        self._thread.join()

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if fresh:
            with self._wakeup:
                self._queue.extend(fresh)
                self._wakeup.notify()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._commit(batch)
            except BaseException as error:  # a defect: whoever waits must not wait for ever
                log.exception("writer of the volumes failed")
                self._fail(f"{type(error).__name__}: {error}")
                for write in batch:
                    if write.place is None and write.error is None:
                        write.error = self.failure
            self._loop.call_soon_threadsafe(self._finished, batch)
        if self._active is not None and self.failure is None:
            try:
                self._active.mark()
            except OSError as error:
                log.warning("volume could not be marked whole", volume=self._active.number, error=str(error))

    def _next_batch(self) -> list[Write]:
        """Wait for work; return what makes the next batch, nothing at the end."""
        with self._wakeup:
            while not self._queue and not self._stopping:
                self._wakeup.wait()
            batch: list[Write] = []
            size = 0
            while self._queue and len(batch) < BATCH_NEEDLES:
                size += self._queue[0].size
                if batch and size > BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
            return batch

    def _commit(self, batch: list[Write]) -> None:
        """Give each write a place or an error."""
        admitted = self._admit(batch)
        while admitted:
            if self.failure is not None:
                _refuse(admitted, self.failure)
                return
            try:
                volume = self._volume_for(admitted[0])
            except OSError as error:
                self._refuse_new_volume(admitted, error)
                return
            fitting = self._fitting(volume, admitted)
            self._append(volume, admitted[:fitting])
            admitted = admitted[fitting:]

    def _admit(self, batch: list[Write]) -> list[Write]:
        """Refuse the chunks that would take the disk below its reserve.

        What frees space may use the reserve: removals all of it, compaction the most.
        """
        admitted: list[Write] = []
        free = self._free.get()
        asked = False
        for write in batch:
            kept = self._reserve_bytes // 4 if write.moves else self._reserve_bytes
            if write.kind is Kind.DATA and write.size > free - kept and not asked:
                free = self._free.get(fresh=True) - sum(w.size for w in admitted)
                asked = True
            if write.kind is Kind.DATA and write.size > free - kept:
                write.error = DiskFull(f"{kept} bytes are kept free")
            else:
                free -= write.size
                admitted.append(write)
        return admitted

    def _volume_for(self, write: Write) -> Volume:
        """Return the volume for a needle; make a new one where the active one is full, or to be sealed."""
        active = self._active
        if (
            active is not None
            and active.number > write.seals
            and (active.end + write.size <= self._volume_bytes or active.end <= needle.HEADER_SIZE)
        ):
            return active
        # The volume's last batch is durable already, so that it needs no mark: a later volume proves as much.
        self._active = self._create()
        return self._active

    def _fitting(self, volume: Volume, writes: list[Write]) -> int:
        """Return how many of `writes` go into `volume`: at least one."""
        end = volume.end + writes[0].size
        count = 1
        for write in writes[1:]:
            if end + write.size > self._volume_bytes or write.seals >= volume.number:
                break
            end += write.size
            count += 1
        return count

    def _append(self, volume: Volume, writes: list[Write]) -> None:
        try:
            offsets = volume.append([(write.kind, write.digest, write.payload) for write in writes])
        except NotWritten as error:
            log.warning("disk is full", volume=volume.number, error=str(error))
            _refuse(writes, DiskFull(str(error)))
            self._free.get(fresh=True)
        except OSError as error:
            self._retire(volume, writes, error)
        else:
            for write, offset in zip(writes, offsets, strict=True):
                write.place = Place(volume.number, offset, len(write.payload))
                write.epoch = volume.written_epoch
            self._free.written(sum(write.size for write in writes))

    def _retire(self, volume: Volume, writes: list[Write], error: OSError) -> None:
        """Never write `volume` again after an error that leaves its end unknown."""
        reason = f"volume {volume.number}: {error}"
        log.error("volume failed", volume=volume.number, durable=volume.end, error=str(error))
        self._active = None
        self.failed_volumes += 1
        noted = True
        try:
            volume.note_failure(str(error))
        except OSError as another:
            noted = False
            log.error("failure of a volume could not be noted", volume=volume.number, error=str(another))
        if error.errno in NO_SPACE and noted:
            _refuse(writes, DiskFull(reason))
        else:
            self._fail(reason)
            _refuse(writes, DiskFailed(reason))

    def _refuse_new_volume(self, writes: list[Write], error: OSError) -> None:
        if error.errno in NO_SPACE:
            log.warning("disk is full", error=str(error))
            _refuse(writes, DiskFull(str(error)))
        else:
            log.error("no new volume can be made", error=str(error))
            self._fail(f"new volume: {error}")
            _refuse(writes, DiskFailed(f"new volume: {error}"))

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            self.failure = DiskFailed(reason)


def _refuse(writes: Sequence[Write], error: StoreError) -> None:
    for write in writes:
        write.error = error
