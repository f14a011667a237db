"""The first command of a new log: the state machine says what it is, and nothing else is taken before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from raftstore.consensus.runtime import Runtime
from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import NoQuorum, StoreError

log = structlog.get_logger()

ATTEMPT = 5.0
"""Seconds for one proposal of the first command; then the leader of that time makes another."""

Propose = Callable[[bytes, float], Coroutine[Any, Any, bytes]]


class Opening:
    """Holds back what callers propose on a node whose state machine is new, until it is opened.

    The leader proposes what `machine.opening` says. A node that is new in an old cluster waits until it has caught up.
    """

    def __init__(
        self, machine: StateMachine, propose: Propose, leads: Callable[[], bool], runtime: Runtime
    ) -> None:
        self._machine = machine
        self._propose = propose
        self._leads = leads
        self._runtime = runtime
        self.over = machine.opening is None
        """Whether nothing is held back; once, for good."""
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._stopped = ""

    def check(self) -> None:
        """Look whether it is over, or this node's turn. To be called when something was applied, and now and then."""
        if self.over or self._stopped:
            return
        command = self._machine.opening
        if command is None:
            self.over = True
            self._wake(None)
        elif self._task is None and self._leads():
            self._task = self._runtime.spawn(self._run(command))

    def stop(self, reason: str) -> None:
        """Refuse what waits and what comes."""
        self._stopped = reason
        self._wake(NoQuorum(reason))

    async def propose(self, command: bytes, timeout: float) -> bytes:
        """Propose, once it is over. Raises as the proposer does; NoQuorum when it is not over in time."""
        began = self._runtime.now()
        if self._stopped:
            raise NoQuorum(self._stopped)
        if not self.over:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            timer = self._runtime.call_later(timeout, partial(_give_up, waiter, timeout))
            try:
                await waiter
            finally:
                timer.cancel()
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
        return await self._propose(command, began + timeout - self._runtime.now())

    def _wake(self, error: StoreError | None) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    async def _run(self, command: bytes) -> None:
        try:
            await self._propose(command, ATTEMPT)
        except StoreError as error:
            log.info("the first command of the log is not there yet", error=str(error))
        finally:
            self._task = None


def _give_up(waiter: asyncio.Future[None], timeout: float) -> None:
    if not waiter.done():
        waiter.set_exception(NoQuorum(f"the cluster has not begun within {timeout:g} s"))
