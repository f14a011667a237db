"""A node announces its volumes: at its start, and whenever the cluster has come to take them for lost.

It comes to that when a node that replaces one of the same name starts before the earlier one is removed: what goes with
the earlier one's membership are all volumes of that name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from raftstore.cluster.proposals import Propose
from raftstore.cluster.replicas.inventory import take_inventory
from raftstore.errors import Invalid, StoreError, Superseded
from raftstore.types import StoreInfo
from raftstore.util.tasks import cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

PERIOD = 0.5
"""Seconds between two tries, and between two looks whether it has to be said again."""


class Listed(Protocol):
    """What the catalog says of volumes."""

    def stores(self) -> list[StoreInfo]:
        """Return every store."""
        ...

    def chunks_on(self, store: int) -> Iterator[list[bytes]]:
        """Return the chunks that a store should have, in pages."""
        ...


class Registration:
    """Keeps one node's volumes announced while it is a member."""

    def __init__(
        self,
        command: commands.RegisterStore,
        catalog: Listed,
        *,
        propose: Propose,
        member: Callable[[], bool],
        holds: Callable[[bytes], bool],
        missing: Callable[[bytes, int], bool],
        announced: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`holds`: whether a chunk is here; `missing` is told which of a store are not, and says whether it took that.

        `announced` is called when the cluster has taken note; `on_fatal` when the volumes are not this node's.
        """
        self._command = command
        self._catalog = catalog
        self._propose = propose
        self._member = member
        self._holds = holds
        self._missing = missing
        self._announced = announced
        self._on_fatal = on_fatal
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="announce volumes")

    async def stop(self) -> None:
        """End."""
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        due, again, reported = True, False, ""
        while True:
            if not due and self._member() and not self._known():
                due = again = True
            if due:
                try:
                    await self._announce(again=again)
                    due = False
                except (Invalid, Superseded) as error:
                    self._on_fatal(
                        error
                    )  # what this node keeps would be taken for another one's, or a later one's
                    return
                except StoreError as error:
                    if str(error) != reported:  # one line for an outage, not one for every attempt
                        reported = str(error)
                        log.info("volumes not announced yet", error=reported)
            await asyncio.sleep(PERIOD)

    def _known(self) -> bool:
        identity = self._command.identity
        return any(store.current and store.identity == identity for store in self._catalog.stores())

    async def _announce(self, *, again: bool) -> None:
        """Announce them, then look whether they are whole."""
        if again:
            log.warning("the cluster takes these volumes for lost; they are announced again")
        number = (await self._propose(commands.Command(register_store=self._command))).store
        self._announced()
        await take_inventory(
            self._catalog.chunks_on(number), self._holds, lambda digest: self._missing(digest, number)
        )
