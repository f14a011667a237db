"""An asyncio loop on a virtual clock: no files, no threads, no waiting. It always does the same in the same order."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class SimHandle:
    """Something that will be called."""

    __slots__ = ("_callback", "_context", "_when", "arguments", "cancelled_")

    def __init__(
        self, callback: Callable[..., object], arguments: tuple[Any, ...], context: Context | None, when: float
    ) -> None:
        self._callback = callback
        self.arguments = arguments
        self._context = context
        self._when = when
        self.cancelled_ = False

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self._when

    def run(self) -> None:
        if not self.cancelled_:
            if self._context is None:
                self._callback(*self.arguments)
            else:
                self._context.run(self._callback, *self.arguments)


class OutOfEvents(Exception):
    """Nothing will ever happen again."""


class TooManyEvents(Exception):
    """The simulation does not come to an end."""


class SimLoop(asyncio.AbstractEventLoop):
    """What tasks, futures and timers need of a loop, in virtual time. To be run by `run_until`."""

    def __init__(self, max_steps: int) -> None:
        self._now = 0.0
        self._ready: deque[SimHandle] = deque()
        self._timers: list[tuple[float, int, SimHandle]] = []
        self._count = 0
        self._max_steps = max_steps
        self.steps = 0
        self.errors: list[dict[str, Any]] = []
        """What tasks and futures complained of."""
        self.tasks: list[asyncio.Task[Any]] = []
        """All tasks ever made: so that none is collected while it waits."""

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimHandle:
        handle = SimHandle(callback, args, context, self._now)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimHandle:
        handle = SimHandle(callback, args, context, when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> SimHandle:
        return self.call_at(self._now + max(0.0, delay), callback, *args, context=context)

    def call_with_handle(
        self, delay: float | None, callback: Callable[..., object], argument: object
    ) -> SimHandle:
        """Call `callback(argument, handle)` soon (None) or after `delay` seconds."""
        handle = self.call_soon(callback) if delay is None else self.call_later(delay, callback)
        handle.arguments = (argument, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def run_until(self, done: Callable[[], bool], deadline: float = float("inf")) -> bool:
        """Let things happen until `done()`, or until the clock has passed `deadline`; return `done()`."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while not done():
                if not self._advance(deadline):
                    return False
            return True
        finally:
            events._set_running_loop(before)

    def _advance(self, deadline: float) -> bool:
        ready = self._ready
        if not ready:
            timers = self._timers
            while timers and timers[0][2].cancelled_:
                heapq.heappop(timers)
            if not timers:
                raise OutOfEvents
            when = timers[0][0]
            if when > deadline:
                self._now = max(self._now, deadline)
                return False
            self._now = max(self._now, when)
            while timers and timers[0][0] <= self._now:
                handle = heapq.heappop(timers)[2]
                if not handle.cancelled_:
                    ready.append(handle)
        for _ in range(len(ready)):
            self.steps += 1
            ready.popleft().run()
        if self.steps > self._max_steps:
            raise TooManyEvents(f"{self.steps} steps by {self._now:.3f} s")
        return True

    def close(self) -> None:
        """Forget everything that has not happened; tasks that wait are ended without a word."""
        self._ready.clear()
        self._timers.clear()
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine: Any = task.get_coro()
                coroutine.close()
        self._ready.clear()
        self.tasks.clear()
