"""Background tasks: those that look again and again, and how they are ended."""

from __future__ import annotations

import asyncio

import structlog

from raftstore.errors import StoreError

log = structlog.get_logger()


async def cancel_and_wait(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait until they are over, however they end. None stands for one that was not started."""
    started = [task for task in tasks if task is not None]
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)


class Periodic:
    """Looks whether something is to be done, does it, waits, and so on until it is stopped. No failure ends it."""

    def __init__(self, name: str, period: float, *, waits: str) -> None:
        """`period`: seconds between two looks; `waits`: what the log says when a look ends with a StoreError."""
        self._name = name
        self._period = period
        self._waits = waits
        self._task: asyncio.Task[None] | None = None

    async def look(self) -> bool | None:
        """Do what is due now; return whether to look again at once. Raises StoreError: what is due must wait."""
        raise NotImplementedError

    def start(self) -> None:
        """Start on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Stop, also in the midst of a look."""
        await cancel_and_wait(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            again: bool | None = False
            try:
                again = await self.look()
            except StoreError as error:
                log.info(self._waits, error=str(error))
            except Exception:  # a fault of one look must not be the end of all that this task has to do
                log.exception(f"{self._name} failed, trying again")
            await asyncio.sleep(0 if again else self._period)
