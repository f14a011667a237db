"""An asyncio loop on a virtual clock: when there is nothing to do it jumps to the next timer. No test waits."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from raftstore.consensus.runtime import error_of
from raftstore.util.disk import DiskFile

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Spends the time that it is told to wait on the clock of its loop."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self.loop.elapsed += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for one test."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.elapsed


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class VirtualRuntime:
    """A node's runtime on the virtual clock. Blocking work is done at the end of the time it takes.

    An object with a `begin_sync` is told when the time for its `sync` begins. `slowness` gives the seconds that a
    worker's next job takes; a test may change it.
    """

    def __init__(self, seed: int, start: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(seed)
        self._start = start
        self._busy: dict[str, float] = {}
        self.slowness: Callable[[str], float] = lambda worker: 0.001

    def now(self) -> float:
        return self._start + self._loop.time()

    def wall_ns(self) -> int:
        return int(self.now() * 1e9)

    def random(self) -> float:
        return self._random.random()

    def call_later(self, delay: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay, action)

    def call_soon(self, action: Callable[[], None]) -> asyncio.Handle:
        return self._loop.call_soon(action)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._loop.create_task(work)

    def blocking(self, worker: str, work: Callable[[], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        begin = max(self._loop.time(), self._busy.get(worker, 0.0))
        prepare = getattr(getattr(work, "__self__", None), "begin_sync", None)
        if prepare is not None:
            prepare()
        end = self._busy[worker] = begin + self.slowness(worker)

        def do() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

        self._loop.call_at(end, do)
        return future

    def datasync(self, worker: str, file: DiskFile, done: Callable[[BaseException | None], None]) -> None:
        self.blocking(worker, file.datasync).add_done_callback(lambda future: done(error_of(future)))

    async def close(self) -> None:
        pass
