"""A lane to one member that is kept up: dialled, watched, dialled again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from raftstore.errors import Incompatible, Removed, StoreError, Unavailable
from raftstore.peers.connections.outgoing import Outgoing
from raftstore.peers.model import Limits

log = structlog.get_logger()

Dial = Callable[[Callable[[Outgoing], None]], Awaitable[Outgoing]]
"""Opens the connection; what it is given wants to know when that connection is dropped."""


class Backoff:
    """Waits between attempts: doubling from `first` to `most` seconds, less up to half of it by chance."""

    def __init__(self, first: float, most: float, chance: Callable[[], float] = random.random) -> None:
        self._first = first
        self._most = most
        self._chance = chance
        self._next = first

    def wait(self) -> float:
        """Give the seconds to wait now; the next wait is longer."""
        current = self._next
        self._next = min(current * 2, self._most)
        return current * (1 - self._chance() / 2)

    def reset(self) -> None:
        """An attempt went well: start over."""
        self._next = self._first


class Link:
    """One lane to one member. `up` and `down` are called on the loop, always in turn."""

    def __init__(
        self,
        member: str,
        lane: str,
        dial: Dial,
        limits: Limits,
        *,
        up: Callable[[], None] = lambda: None,
        down: Callable[[], None] = lambda: None,
    ) -> None:
        self.member = member
        self.lane = lane
        self._dial = dial
        self._limits = limits
        self._up = up
        self._down = down
        self._current: Outgoing | None = None
        self._failure = ""
        self._settled = asyncio.Event()
        self._dropped = asyncio.Event()
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def channel(self) -> Outgoing | None:
        """The connection, while it is up."""
        current = self._current
        return current if current is not None and current.usable else None

    async def connected(self) -> Outgoing:
        """Wait for the connection, unless the last attempt failed: then raise Unavailable at once."""
        while (channel := self.channel) is None:
            if self._failure:
                raise Unavailable(self._failure)
            if self._task is None or self._task.done():
                raise Unavailable(f"{self.member} is not connected")
            await self._settled.wait()
        return channel

    def start(self) -> None:
        """Keep the lane up from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"link {self.member} {self.lane}")

    async def stop(self) -> None:
        """Hang up for good; the transport is gone when this returns."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._failure = self._failure or f"the link to {self.member} is stopped"
        self._settled.set()
        channel = self._current
        if channel is not None:
            channel.drop("stopped")
            await channel.finished.wait()

    def nudge(self) -> None:
        """The member was just heard of: do not wait long for the next attempt."""
        self._nudged.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(self._limits.backoff_min, self._limits.backoff_max)
        while True:
            channel = await self._attempt()
            if channel is not None:
                since = loop.time()
                await self._dropped.wait()
                log.info("peer link down", peer=self.member, lane=self.lane, reason=channel.reason)
                # A peer that takes connections and drops them at once is not dialled in a tight loop.
                if loop.time() - since > self._limits.backoff_max:
                    backoff.reset()
                await channel.finished.wait()
            await self._pause(backoff.wait())

    async def _attempt(self) -> Outgoing | None:
        self._dropped.clear()
        try:
            channel = await self._dial(self._on_drop)
        except StoreError as error:
            reason = str(error) if isinstance(error, Removed) else error.detail or str(error)
            self._fail(reason, anew=isinstance(error, Incompatible) and reason != self._failure)
            return None
        except Exception as error:  # whatever it is, the lane is tried again
            log.exception("dialling failed", peer=self.member, lane=self.lane)
            self._fail(f"{type(error).__name__}: {error}")
            return None
        self._current = channel
        self._failure = ""
        self._settled.set()
        log.info("peer link up", peer=self.member, lane=self.lane)
        self._up()
        return channel

    def _fail(self, reason: str, *, anew: bool = False) -> None:
        """`anew`: it is another reason than before, that an operator must hear of."""
        if anew or not self._failure:  # one line for an outage, not one for every attempt
            log.warning("peer cannot be reached", peer=self.member, lane=self.lane, reason=reason)
        self._failure = reason
        self._settled.set()

    def _on_drop(self, channel: Outgoing) -> None:
        if channel is not self._current:
            return  # it never was up
        self._current = None
        self._settled.clear()
        self._dropped.set()
        # Not from within whatever noticed it: that may be a call of the listener itself.
        asyncio.get_running_loop().call_soon(self._down)

    async def _pause(self, seconds: float) -> None:
        """Sleep; a nudge shortens it to the shortest wait, so that even nudges do not make a tight loop."""
        shortest = min(seconds, self._limits.backoff_min)
        await asyncio.sleep(shortest)
        try:
            async with asyncio.timeout(seconds - shortest):
                await self._nudged.wait()
        except TimeoutError:
            pass
        self._nudged.clear()
