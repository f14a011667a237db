"""One chunk on its way to its stores: done when W of R have it durable, the rest in the background.

`Spread` is a small state machine around one future a put; it has neither a task nor a timer of its own. One sweep
for all of them (`Spreader`) looks after deadlines.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from raftstore.chunks.placement.placement import Placement, place
from raftstore.chunks.placement.topology import StoreState, Topology
from raftstore.chunks.transfer.replicator import StoreClient, Suspects, patience
from raftstore.errors import DiskFull, NoQuorum, StoreError, Unavailable
from raftstore.util.buffers import Buffer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SpreadLimits:
    """Bounds of a chunk's way to its stores, in seconds.

    A put may take `put` (plus time for its size). While there is no quorum, another candidate is asked beside
    each put older than `hedge`. Without a quorum after `chunk` the upload fails; whatever is still under way
    then is given up in any case. After the quorum the other copies are given up once they are `grace` late
    and somebody waits for the memory that they hold: a stuck store may cost a copy (repair makes it later), but
    never stops uploads. A store on which puts are stuck is not asked as a hedge. Deadlines are looked at every `tick`.
    """

    put: float = 10.0
    hedge: float = 1.5
    chunk: float = 30.0
    grace: float = 2.0
    tick: float = 0.25


class Observer(Protocol):
    """Whose chunk it is. Called on the loop; `settled` and `released` exactly once, in this order."""

    def settled(self, spread: Spread, error: StoreError | None) -> None:
        """W stores have it durable (`spread.confirmed`), or it failed."""
        ...

    def late(self, store: int) -> None:
        """One more store has it durable, after the quorum."""
        ...

    def given_up(self) -> None:
        """The puts that are left have been cancelled for their slowness; a stuck disk may hold the bytes on."""
        ...

    def released(self) -> None:
        """No put holds the bytes any more."""
        ...

    def squeezed(self) -> bool:
        """Whether somebody waits for the memory that the chunk holds."""
        ...


class Spreader:
    """Spreads chunks over stores for all uploads of a node."""

    def __init__(
        self,
        topology: Topology,
        client: StoreClient,
        suspects: Suspects,
        limits: SpreadLimits = SpreadLimits(),
    ) -> None:
        self.topology = topology
        self.client = client
        self.suspects = suspects
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self._active: dict[Spread, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def start(self, digest: bytes, data: Buffer, observer: Observer, replicas: int = 0) -> Spread:
        """Send a chunk to `replicas` stores (0: as the cluster has it).

        Raises NoQuorum or DiskFull when there are too few to try.
        """
        view = self.topology.view().with_replicas(replicas)
        placement = place(view, digest, len(data), self.suspects.current())
        spread = Spread(self, digest, data, observer, placement)
        self._active[spread] = None
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(self.limits.tick, self._sweep)
        spread.begin()
        return spread

    def forget(self, spread: Spread) -> None:
        """It is over."""
        self._active.pop(spread, None)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self.loop.time()
        for spread in list(self._active):
            spread.check(now)
        if self._active:
            self._sweeper = self.loop.call_later(self.limits.tick, self._sweep)

    @property
    def active(self) -> int:
        """Chunks of which some put is still under way."""
        return len(self._active)

    async def close(self, timeout: float = 5.0) -> None:
        """Give up all that is under way, and wait for its end."""
        tasks = [task for spread in list(self._active) for task in spread.cancel()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None


@dataclass(slots=True)
class _Put:
    store: StoreState
    began: float
    hedged: bool = False
    stuck: bool = False


class Spread:
    """The puts of one chunk. `confirmed` are the numbers of the stores that have it durable, in that order."""

    __slots__ = (
        "_began",
        "_candidates",
        "_data",
        "_digest",
        "_failures",
        "_observer",
        "_over",
        "_patience",
        "_placement",
        "_puts",
        "_quorum_at",
        "_spreader",
        "confirmed",
    )

    def __init__(
        self, spreader: Spreader, digest: bytes, data: Buffer, observer: Observer, placement: Placement
    ) -> None:
        self.confirmed: list[int] = []
        self._spreader = spreader
        self._digest = digest
        self._data: Buffer = data
        self._observer = observer
        self._placement = placement
        self._candidates = list(placement.order)
        self._puts: dict[asyncio.Future[None], _Put] = {}
        self._failures: list[tuple[StoreState, StoreError]] = []
        self._patience = patience(spreader.limits.put, len(data))
        self._began = spreader.loop.time()
        self._quorum_at: float | None = None
        self._over = False

    def begin(self) -> None:
        """Start the first puts."""
        for _ in range(self._placement.first):
            self._start_next(self._began)

    def _start_next(self, now: float, *, hedge: bool = False) -> bool:
        """Ask the next candidate; False when none is left. To `hedge`, none on which puts are stuck already."""
        suspects = self._spreader.suspects
        candidates = self._candidates
        if hedge:
            candidates = [store for store in candidates if not suspects.is_stuck(store.number)]
        if not candidates:
            return False
        store = candidates[0]
        self._candidates.remove(store)
        task = self._spreader.client.begin(store, self._digest, self._data, timeout=self._patience)
        self._puts[task] = _Put(store, now)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Future[None]) -> None:
        put = self._puts.pop(task)
        store = put.store
        if put.stuck:
            self._spreader.suspects.unstuck(store.number)
        if task.cancelled():
            # Given up by us, or by a room that shuts down; either way this store has not confirmed.
            error: BaseException | None = Unavailable("given up")
        else:
            error = task.exception()
        if error is None:
            self._succeeded(store)
        elif not self._over:
            self._failed(store, error)
        if not self._puts and (self._over or self._quorum_at is not None):
            self._release()

    def _succeeded(self, store: StoreState) -> None:
        if self._spreader.suspects.resting:
            self._spreader.suspects.clear(store.number)
        self.confirmed.append(store.number)
        if self._quorum_at is not None:
            self._observer.late(store.number)
        elif not self._over and len(self.confirmed) >= self._placement.quorum:
            self._quorum_at = self._spreader.loop.time()
            for put in self._puts.values():
                if put.hedged:  # others came after it and were first
                    self._suspect(put.store, Unavailable("slower than the others"))
            self._observer.settled(self, None)

    def _failed(self, store: StoreState, error: BaseException) -> None:
        if not isinstance(error, StoreError):
            log.error("put failed in an unexpected way", peer=store.node, exc_info=error)
            error = StoreError(repr(error))
        self._suspect(store, error)
        self._failures.append((store, error))
        now = self._spreader.loop.time()
        while len(self.confirmed) + len(self._puts) < self._placement.first and self._start_next(now):
            pass
        if self._quorum_at is None and len(self.confirmed) + len(self._puts) < self._placement.quorum:
            self._fail(self._verdict())

    def _suspect(self, store: StoreState, error: StoreError) -> None:
        if self._spreader.suspects.add(store.number):
            log.warning("store left out for a moment", peer=store.node, store=store.number, reason=str(error))

    def _verdict(self) -> StoreError:
        """Why there is no quorum."""
        reasons = ", ".join(f"{store.node}: {error}" for store, error in self._failures)
        if all(isinstance(error, DiskFull) for _, error in self._failures):
            return DiskFull(reasons)
        return NoQuorum(f"{len(self.confirmed)} of {self._placement.quorum} copies are safe ({reasons})")

    def _fail(self, error: StoreError) -> None:
        self.cancel()
        self._observer.settled(self, error)

    def _release(self) -> None:
        self._over = True
        self._data = b""
        self._spreader.forget(self)
        self._observer.released()

    def check(self, now: float) -> None:
        """Look after the deadlines."""
        limits = self._spreader.limits
        if self._over:
            return
        if self._quorum_at is not None:
            late = now - self._quorum_at >= limits.grace and self._observer.squeezed()
            if late or now - self._began >= limits.chunk:
                self._give_up()
        elif now - self._began >= limits.chunk:
            waiting = ", ".join(put.store.node for put in self._puts.values())
            self._give_up()
            self._fail(NoQuorum(f"{waiting} did not confirm within {limits.chunk:g} s"))
        else:
            for put in list(self._puts.values()):
                if not put.hedged and now - put.began >= limits.hedge and self._start_next(now, hedge=True):
                    put.hedged = True

    def _give_up(self) -> None:
        for put in self._puts.values():
            self._suspect(put.store, Unavailable("too slow"))
            self._spreader.suspects.stuck(put.store.number)
            put.stuck = True
        self.cancel()
        self._observer.given_up()

    def cancel(self) -> list[asyncio.Future[None]]:
        """Give up what is under way; return the tasks that are about to end. What is confirmed stays."""
        tasks = list(self._puts)
        if not self._over:
            self._over = True
            for task in tasks:
                task.cancel()
        return tasks
