"""Names that this node has reserved: renewed together while their handles live, and ended when these do.

The leader ends those of nodes that renew nothing any more, judged by its own monotonic clock and by what it has
applied: see `raftstore.metadata.tables.names.reservations` for why a wrong judgement costs no more than one file that
is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from raftstore.cluster.proposals import Propose
from raftstore.errors import Changed, StoreError
from raftstore.metadata.tables.names.reservations import Reservation
from raftstore.util.tasks import cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

RENEW = 20.0
"""Seconds between renewals."""

LEASE = 6 * RENEW
"""Seconds without one after which the leader ends what a node has reserved."""


class Silence:
    """For how long nothing was heard of who has reserved names. Pure but for the time that it is told."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._heard: dict[tuple[str, int], tuple[int, float]] = {}

    def over(self, reservations: Iterable[Reservation], now: float) -> list[commands.ReleaseName]:
        """Return what to end, when all there are at `now` (in seconds) are `reservations`."""
        latest: dict[tuple[str, int], int] = {}
        for held in reservations:
            key = (held.node, held.boot)
            latest[key] = max(latest.get(key, 0), held.renewed)
        self._heard = {
            key: self._heard[key] if key in self._heard and self._heard[key][0] == renewed else (renewed, now)
            for key, renewed in latest.items()
        }
        return [
            commands.ReleaseName(node=node, boot=boot, renewed=renewed)
            for (node, boot), (renewed, since) in self._heard.items()
            if now - since >= self._lease
        ]


class Reserver:
    """Reserves names for the handles of this node, in one boot of it."""

    def __init__(
        self,
        node: str,
        boot: int,
        reservations: Callable[[], list[Reservation]],
        propose: Propose,
        leads: Callable[[], bool],
        *,
        renew: float = RENEW,
        lease: float = LEASE,
    ) -> None:
        """`reservations` are those that are applied here."""
        self._node = node
        self._boot = boot
        self._reservations = reservations
        self._propose = propose
        self._leads = leads
        self._renew = renew
        self._lease = lease
        self._silence = Silence(lease)
        self._held: set[int] = set()
        self._unused: set[int] = set()  # to be ended
        self._reserving = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to renew, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="reservations")

    async def stop(self) -> None:
        """Stop; the next boot ends what is left."""
        await cancel_and_wait(self._task)

    async def reserve(self, path: str, propose: Propose) -> commands.Result:
        """Take the name at `path`, proposed as its actor does; return its number and the directory's inode.

        Raises AlreadyExists, StoreError.
        """
        self._reserving += 1
        try:
            command = commands.ReserveName(path=path, node=self._node, boot=self._boot)
            done = await propose(commands.Command(reserve_name=command))
            self._held.add(done.reservation)
            return done
        finally:
            self._reserving -= 1

    def published(self, number: int) -> None:
        """The file is published, and the reservation over with that."""
        self._held.discard(number)

    async def release(self, number: int) -> None:
        """End a reservation. Raises StoreError; it ends later then."""
        self._held.discard(number)
        try:
            await self._end(number)
        except StoreError:
            self.forget(number)
            raise

    def forget(self, number: int) -> None:
        """Nobody needs a reservation any more; it ends in a moment."""
        self._held.discard(number)
        self._unused.add(number)
        self._wake.set()

    async def _end(self, number: int) -> None:
        release = commands.ReleaseName(node=self._node, boot=self._boot, reservation=number)
        await self._propose(commands.Command(release_name=release))

    async def _run(self) -> None:
        deadline = 0.0
        while True:
            try:
                await self._end_unused()
                if time.monotonic() >= deadline:
                    deadline = time.monotonic() + self._renew
                    await self._keep()
            except StoreError as error:
                log.debug("reservations not renewed", error=str(error))
                self._silence = Silence(self._lease)  # the others could not renew theirs either
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _own(self) -> list[Reservation]:
        return [held for held in self._reservations() if (held.node, held.boot) == (self._node, self._boot)]

    async def _end_unused(self) -> None:
        """End those that no handle needs; also such as were applied although their proposal seemed to fail."""
        for number in list(self._unused):
            await self._end(number)
            self._unused.discard(number)
        if self._reserving:
            return  # which of them are new nobody knows yet
        for held in self._own():
            if held.number not in self._held and not self._reserving:
                await self._end(held.number)

    async def _keep(self) -> None:
        # A leader finds out by that, too, whether anybody can renew anything: with two full disks nobody can.
        if self._own() or (self._leads() and self._reservations()):
            renew = commands.RenewNames(node=self._node, boot=self._boot)
            await self._propose(commands.Command(renew_names=renew))
        if not self._leads():
            self._silence = Silence(self._lease)
            return
        for release in self._silence.over(self._reservations(), time.monotonic()):
            log.warning("names of a node that is silent are free again", node=release.node)
            try:
                await self._propose(commands.Command(release_name=release))
            except Changed:
                log.info("the node was heard of just now", node=release.node)
