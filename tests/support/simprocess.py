"""One life of a simulated node: its share of the loop, its threads, its clock.

Everything that a node does passes through its process: nothing happens in it once it is dead, and while it is
stopped (SIGSTOP, or a sync on its loop) all that would happen waits and then comes at once.

Threads are greenlets. One gives way where its node's disk takes time, so the node's loop, and the others, go on
in the middle of a sync, and the node may die there.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet
from simdisk import Crash
from simloop import SimHandle, SimLoop

from raftstore.consensus.runtime import error_of
from raftstore.util.disk import DiskFile

T = TypeVar("T")


class Process:
    """See the module. `crashed(process, power)` is called when it dies in the middle of something, `failed` with an
    error that nobody caught, `after` when it has done something.
    """

    def __init__(
        self,
        loop: SimLoop,
        name: str,
        *,
        crashed: Callable[[Process, Crash], None],
        failed: Callable[[Process, BaseException], None],
        after: Callable[[Process], None],
    ) -> None:
        self.loop = loop
        self.name = name
        self.alive = True
        self._crashed = crashed
        self._failed = failed
        self._after = after
        self._stopped_until = 0.0
        self._waiting: deque[tuple[Callable[[], object], SimHandle | None]] = deque()
        self.at_death: list[Callable[[], None]] = []
        self.threads: list[greenlet] = []

    def run(self, action: Callable[[], object], handle: SimHandle | None = None) -> None:
        """Do it, unless this is dead; later, if it is stopped. Not if `handle` is cancelled by then."""
        if not self.alive or (handle is not None and handle.cancelled_):
            return
        if self._waiting or self.loop.time() < self._stopped_until:
            self._waiting.append((action, handle))
            return
        self._do(action)

    def _do(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Crash as crash:
            if self.alive:
                self._crashed(self, crash)
            return
        except Exception as error:
            if self.alive:
                self._failed(self, error)
            return
        if self.alive:
            self._after(self)

    def stop_for(self, seconds: float) -> None:
        """Do nothing for so long; to be called again and again, it adds up to the longest."""
        until = self.loop.time() + seconds
        if until > self._stopped_until:
            self._stopped_until = until
            self.loop.call_at(until, self._resume)

    @property
    def stopped(self) -> bool:
        """Whether it does nothing now, or has not yet done all that waited."""
        return bool(self._waiting) or self.loop.time() < self._stopped_until

    def resume_now(self) -> None:
        """End a stop early."""
        self._stopped_until = 0.0
        self._resume()

    def _resume(self) -> None:
        while self.alive and self._waiting and self.loop.time() >= self._stopped_until:
            action, handle = self._waiting.popleft()
            if handle is None or not handle.cancelled_:
                self._do(action)

    def pause(self, seconds: float) -> None:
        """Let virtual time pass in the middle of an operation. On the loop: stops the node as soon as it is done."""
        thread = getcurrent()
        if thread in self.threads:
            self.loop.call_later(seconds, self.run, lambda: thread.switch())
            thread.parent.switch()
        else:
            self.stop_for(seconds)

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine of this node; an error that comes out of it counts as escaped."""
        task = self.loop.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Crash) and self.alive:
            self._crashed(self, error)
        elif error is not None and self.alive:
            self._failed(self, error)

    def die(self) -> None:
        """End, without a word."""
        self.alive = False
        self._waiting.clear()
        callbacks, self.at_death = self.at_death, []
        for callback in callbacks:
            callback()


class SimRuntime:
    """A node's Runtime (see raftstore.consensus.runtime). Its clock starts anywhere and runs at a rate of its own.

    `slowness(rng)` gives the seconds that a job takes beside what its disk takes.
    """

    def __init__(
        self,
        process: Process,
        seed: str,
        *,
        offset: float,
        rate: float,
        slowness: Callable[[random.Random], float],
    ) -> None:
        self._process = process
        self._loop = process.loop
        self._random = random.Random(seed)
        self._offset = offset
        self._rate = rate
        self._slowness = slowness
        self._workers: dict[str, deque[Callable[[], None]]] = {}
        self._busy: set[str] = set()
        self._under_way: dict[asyncio.Future[Any], None] = {}

    def now(self) -> float:
        return self._offset + self._loop.time() * self._rate

    def wall_ns(self) -> int:
        return int(self.now() * 1e9)

    def random(self) -> float:
        return self._random.random()

    def call_later(self, delay: float, action: Callable[[], None]) -> SimHandle:
        return self._loop.call_with_handle(delay / self._rate, self._process.run, action)

    def call_soon(self, action: Callable[[], None]) -> SimHandle:
        return self._loop.call_with_handle(None, self._process.run, action)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._process.task(work)

    def blocking(self, worker: str, work: Callable[[], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        jobs = self._workers.setdefault(worker, deque())
        jobs.append(lambda: self._job(worker, work, future))
        self._under_way[future] = None
        future.add_done_callback(self._under_way.pop)
        self._next(worker)
        return future

    def datasync(self, worker: str, file: DiskFile, done: Callable[[BaseException | None], None]) -> None:
        def finished(future: asyncio.Future[None]) -> None:
            self._process.run(lambda: done(error_of(future)))

        self.blocking(worker, file.datasync).add_done_callback(finished)

    def _next(self, worker: str) -> None:
        jobs = self._workers[worker]
        if jobs and worker not in self._busy:
            self._busy.add(worker)
            job = jobs.popleft()
            self._loop.call_later(self._slowness(self._random), self._process.run, job)

    def _job(self, worker: str, work: Callable[[], T], future: asyncio.Future[T]) -> None:
        threads = self._process.threads
        thread: greenlet

        def body() -> None:
            finish: Callable[[], None]
            try:
                finish = partial(future.set_result, work())
            except Exception as error:
                finish = partial(future.set_exception, error)
            # The result crosses over to the loop as an event of its own: what else is due may come first.
            self._loop.call_later(self._slowness(self._random) / 4, self._process.run, lambda: end(finish))

        def end(finish: Callable[[], None]) -> None:
            if thread in threads:
                threads.remove(thread)
            self._busy.discard(worker)
            self._next(worker)
            if not future.done():
                finish()

        thread = greenlet(body)
        threads.append(thread)
        thread.switch()

    async def close(self) -> None:
        while self._under_way:
            await asyncio.wait(list(self._under_way))
