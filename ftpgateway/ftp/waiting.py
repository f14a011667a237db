"""Synchronous commands that wait: a greenlet runs the command and hands its awaitables to the asyncio loop.

This is how SQLAlchemy's asyncio layer runs synchronous code: `wait(awaitable)` switches to the loop, which
makes a task of the awaitable and switches back with its result (or exception) when it is done. Nothing blocks
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

from raftstore.errors import NoQuorum

T = TypeVar("T")


class SessionEnded(BaseException):
    """The session was closed while its command waited. Not an Exception, so that nothing takes it for a
    failure.
    """


class Runner:
    """Runs one command of a session at a time; `on_done` is called when one that waited has ended.

    `limit` (seconds) bounds every wait, as a guard behind the store's own deadlines: NoQuorum is raised then.
    """

    __slots__ = ("_cancelled", "_limit", "_loop", "_on_done", "_task", "_timer", "_worker", "busy")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float, on_done: Callable[[], None]) -> None:
        self._loop = loop
        self._limit = limit
        self._on_done = on_done
        self._worker: Any = None
        self.busy = False
        """Whether a command waits (or runs)."""
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled = False

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """What the command waits for."""
        return self._task

    def run(self, command: Callable[[], None]) -> None:
        """Run `command` until it ends or waits for the first time. It may raise only SessionEnded."""
        assert self._worker is None, "one command at a time"
        self._worker = greenlet(command, parent=getcurrent())
        self.busy = True
        self._step(self._worker.switch)

    def wait(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Within a command: wait for `awaitable` and return its result.

        Raises what it raises; NoQuorum when it takes longer than the limit; SessionEnded when the session ends
        before a result is there.
        """
        worker = getcurrent()
        assert worker is self._worker, "wait() outside of this session's command"
        if self._cancelled:
            awaitable.close()
            raise SessionEnded
        return cast(T, worker.parent.switch(awaitable))

    def cancel(self) -> None:
        """The session ends: what is waited for is cancelled, and no further wait begins."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _step(self, switch: Callable[..., Any], *arguments: Any) -> None:
        try:
            awaitable = switch(*arguments)
        except SessionEnded:
            awaitable = None
        except BaseException:
            self._worker, self.busy = None, False
            raise
        if awaitable is None or self._worker.dead:
            self._worker, self.busy = None, False
            return
        self._task = self._loop.create_task(awaitable)
        self._task.add_done_callback(self._resume)
        self._timer = self._loop.call_later(self._limit, self._task.cancel)

    def _resume(self, task: asyncio.Task[Any]) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = self._task = None
        worker = self._worker
        worker.parent = getcurrent()
        if task.cancelled():
            reason = SessionEnded() if self._cancelled else NoQuorum("no answer within the limit")
            self._step(worker.throw, reason)
        elif (error := task.exception()) is not None:
            self._step(worker.throw, error)
        else:
            # A result that is there is handed over also when the session has ended: the command releases it.
            self._step(worker.switch, task.result())
        if not self.busy:
            self._on_done()
