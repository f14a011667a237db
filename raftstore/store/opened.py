"""Which pictures of inboxes were opened at this node: noted in the catalog in batches, never in a reader's way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from raftstore.errors import Invalid, StoreError
from raftstore.metadata.tables.people.sending import MAX_OPENED
from raftstore.util.tasks import cancel_and_wait
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

GATHER_SECONDS = 1.0
"""Between two proposals at least."""

MAX_WAITING = 100_000
"""What does not fit is not marked: its sender may recall it although it was opened, until it is opened again.

So it is with what was opened in the last moment before the node died."""

STOP_SECONDS = 2.0
"""Longest that a node which stops waits for its last marks."""


class OpenedMarks:
    """Proposes MarkOpened for what it is given, at most once in GATHER_SECONDS."""

    def __init__(self, propose: Callable[[commands.Command], Awaitable[commands.Result]]) -> None:
        self._propose = propose
        self._waiting: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="opened marks")

    async def stop(self) -> None:
        """Stop, once what waits was proposed, if that is possible now."""
        await cancel_and_wait(self._task)
        self._task = None
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while self._waiting:
                    await self._propose_some()
        except (StoreError, TimeoutError) as error:
            log.info("not marked as opened", pictures=len(self._waiting), error=str(error))

    def note(self, inode: int) -> None:
        """The file of an inbox with this inode is read by its person."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[inode] = None
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self._propose_some()
            except StoreError as error:
                log.info("not marked as opened yet", pictures=len(self._waiting), error=str(error))
            if not self._waiting:
                self._wake.clear()

    async def _propose_some(self) -> None:
        batch = list(self._waiting)[:MAX_OPENED]
        try:
            await self._propose(commands.Command(mark_opened=commands.MarkOpened(inodes=batch)))
        except Invalid as error:
            # The state machine will never take it, and what comes after it must not wait for ever.
            log.warning("not marked as opened", error=str(error))
        for inode in batch:
            self._waiting.pop(inode, None)
