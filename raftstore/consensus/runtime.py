"""Time, chance, timers and threads: all that consensus takes from its surroundings besides links and journal.

A simulator runs many nodes in one process by giving each a runtime of its own on a virtual clock.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import structlog

from raftstore.consensus.log.kernelsync import KernelSync
from raftstore.util.disk import DiskFile, RealDiskFile

log = structlog.get_logger()

T = TypeVar("T")


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """Prevent it, if it has not happened."""
        ...


class Runtime(Protocol):
    """Seam between the engine and the world. Everything but the work given to `blocking` runs on one loop."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch."""
        ...

    def random(self) -> float:
        """Draw a number from [0, 1)."""
        ...

    def call_later(self, delay: float, action: Callable[[], None]) -> Timer:
        """Call after `delay` seconds."""
        ...

    def call_soon(self, action: Callable[[], None]) -> Timer:
        """Call after what is under way on the loop."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run beside everything else."""
        ...

    def blocking(self, worker: str, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run `work`, which blocks, off the loop; what is given to the same worker runs one after the other."""
        ...

    def datasync(self, worker: str, file: DiskFile, done: Callable[[BaseException | None], None]) -> None:
        """Sync a file off the loop, then call `done` on it, with the error if there was one."""
        ...

    async def close(self) -> None:
        """Wait for blocking work that has begun, and let go of the threads."""
        ...


class AsyncioRuntime:
    """The real thing: the running asyncio loop, its clock, one thread a worker."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._under_way: set[asyncio.Future[Any]] = set()
        self._workers: dict[str, ThreadPoolExecutor] = {}
        self._found: asyncio.AbstractEventLoop | None = None
        self._kernel: KernelSync | None = None
        self._kernel_refused = False

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._found is None:  # to ask each time would be a system call each time
            self._found = asyncio.get_running_loop()
        return self._found

    now = staticmethod(time.monotonic)

    def wall_ns(self) -> int:
        """See Runtime."""
        return time.time_ns()

    def random(self) -> float:
        """See Runtime."""
        return self._random.random()

    def call_later(self, delay: float, action: Callable[[], None]) -> Timer:
        """See Runtime."""
        return self._loop.call_later(delay, action)

    def call_soon(self, action: Callable[[], None]) -> Timer:
        """See Runtime."""
        return self._loop.call_soon(action)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """See Runtime."""
        return self._loop.create_task(work)

    def blocking(self, worker: str, work: Callable[[], T]) -> asyncio.Future[T]:
        """See Runtime."""
        pool = self._workers.get(worker)
        if pool is None:
            pool = self._workers[worker] = ThreadPoolExecutor(1, thread_name_prefix=f"raft-{worker}")
        future = self._loop.run_in_executor(pool, work)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        return future

    def datasync(self, worker: str, file: DiskFile, done: Callable[[BaseException | None], None]) -> None:
        """See Runtime. By the kernel; where that cannot do it, by a thread."""
        if isinstance(file, RealDiskFile) and not self._kernel_refused:
            try:
                if self._kernel is None:
                    self._kernel = KernelSync(self._loop)
                self._kernel.submit(file.fileno(), done)
            except OSError as error:
                self._kernel_refused = True
                log.info("files are synced by threads: the kernel does not do it alone", error=str(error))
            else:
                return
        self.blocking(worker, file.datasync).add_done_callback(lambda future: done(error_of(future)))

    async def close(self) -> None:
        """See Runtime."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))
        for pool in self._workers.values():
            pool.shutdown()
        self._workers.clear()
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


def error_of(future: asyncio.Future[Any]) -> BaseException | None:
    """Return what a future has failed with; None for one that was cancelled, too: nobody waits for it."""
    return None if future.cancelled() else future.exception()
