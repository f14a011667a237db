"""Replicas that became durable after their picture was published, and bad ones, recorded in the catalog in batches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import structlog

from raftstore.chunks.placement.topology import Topology
from raftstore.cluster.proposals import Propose
from raftstore.errors import Invalid, StoreError
from raftstore.types import Wanted
from raftstore.util.tasks import cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

MAX_WAITING = 100_000
MAX_BATCH = 256
GATHER_SECONDS = 0.2
RETRY_SECONDS = 1.0
MAX_FINDING = 100


class ReplicaRecorder:
    """Proposes ChangeReplicas for what it is told, at most one proposal at a time.

    What does not fit its bound, or is lost with the process, is found again: a copy that is not listed when repair
    wants to make it; one that is listed and missing when it is read, or its node takes inventory at its next start.
    """

    def __init__(self, propose: Propose) -> None:
        self._propose = propose
        self._waiting: dict[tuple[bytes, int], int | None] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start recording on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="replica recorder")

    async def stop(self) -> None:
        """Stop; what waits is dropped."""
        await cancel_and_wait(self._task)
        self._task = None

    def added(self, digest: bytes, store: int, since: int) -> None:
        """Note that `store` holds chunk `digest` durably.

        It was asked after this node had applied log index `since`: see `collector`.
        """
        self._note(digest, store, since)

    def removed(self, digest: bytes, store: int) -> bool:
        """Note that `store` does not hold a readable copy of chunk `digest`; False when too much waits already."""
        return self._note(digest, store, None)

    async def flushed(self, timeout: float) -> None:
        """Wait until all that was noted is in the catalog, at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()

    def _note(self, digest: bytes, store: int, since: int | None) -> bool:
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting[digest, store] = since
        self._wake.set()
        self._idle.clear()
        return True

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            # One log entry for all that comes within a moment, instead of one a picture.
            await asyncio.sleep(GATHER_SECONDS)
            batch = dict(list(self._waiting.items())[:MAX_BATCH])
            try:
                await self._propose(_command(batch))
            except StoreError as error:
                log.warning("replicas not recorded yet", waiting=len(self._waiting), error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                if not isinstance(error, Invalid):
                    continue
                # The state machine will never take it, and what comes after it must not wait for ever.
            for key, since in batch.items():
                if key in self._waiting and self._waiting[key] == since:
                    del self._waiting[key]
            if not self._waiting:
                self._wake.clear()
                self._idle.set()


class Log(Protocol):
    """How far this node has applied the log."""

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied."""
        ...

    def is_short(self, digest: bytes, wanted: Wanted, live: Collection[int]) -> bool:
        """Whether a chunk is on fewer stores of `live` than are `wanted`."""
        ...


class FoundReplicas:
    """Copies found by chance that the catalog does not list: their stores are asked to keep them, then they are noted.

    Where there are enough without them they are left to be collected. At most MAX_FINDING at a time; repair finds the
    others.
    """

    def __init__(
        self,
        catalog: Log,
        topology: Topology,
        confirm: Callable[[int, Sequence[bytes]], Awaitable[set[bytes]]],
        recorder: ReplicaRecorder,
    ) -> None:
        self._catalog = catalog
        self._topology = topology
        self._confirm = confirm
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, digest: bytes, store: int) -> None:
        """Store number `store` was found to have chunk `digest`."""
        view = self._topology.view()
        if len(self._tasks) < MAX_FINDING and self._catalog.is_short(digest, view.wanted, view.staying):
            task = asyncio.get_running_loop().create_task(self._note(digest, store))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _note(self, digest: bytes, store: int) -> None:
        since = self._catalog.applied_index
        try:
            if await self._confirm(store, [digest]):
                self._recorder.added(digest, store, since)
        except StoreError as error:
            log.info("copy found and not confirmed", store=store, error=str(error))


def _command(batch: dict[tuple[bytes, int], int | None]) -> commands.Command:
    change = commands.ChangeReplicas()
    for (digest, store), since in batch.items():
        if since is None:
            change.removed.append(commands.ReplicaChange(digest=digest, store=store))
        else:
            change.added.append(commands.ReplicaChange(digest=digest, store=store, since=since))
    return commands.Command(change_replicas=change)
