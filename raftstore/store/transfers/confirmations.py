"""What an upload knows of the copies of its chunks, and since when; and that long transfers keep what they need.

A store may remove chunks that nothing refers to (`raftstore.cluster.replicas.collector`, which has the argument). What
it has said of a chunk therefore counts only until its next sweep: the command that publishes tells how far this node
had applied the log before it asked, and what was heard before a sweep is asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from weakref import WeakSet

import structlog

from raftstore.errors import StoreError
from raftstore.types import ChunkRef
from raftstore.util.tasks import cancel_and_wait

log = structlog.get_logger()

Confirm = Callable[[int, Sequence[bytes]], Awaitable[set[bytes]]]
"""Asks a store, by its number, which of some chunks it has and does not remove; raises StoreError."""


class Log(Protocol):
    """What is asked of the catalog as this node has applied it."""

    @property
    def applied_index(self) -> int:
        """Log index of the last entry applied."""
        ...

    def swept(self) -> Mapping[int, int]:
        """Return by store number the log index at which each store last began to remove (0: never)."""
        ...


class ConfirmedCopies:
    """What the stores have confirmed for one upload. Make it before the first chunk is sent."""

    def __init__(self, log: Log, confirm: Confirm, hearsay: Sequence[ChunkRef] = ()) -> None:
        """`hearsay` are chunks that are taken over from what the catalog says, so that no store was asked."""
        self._log = log
        self._confirm = confirm
        self._hearsay = {ref.digest for ref in hearsay}
        self.begun = log.applied_index
        """What is confirmed at any time during this upload was confirmed after this log index was applied here."""
        self.since = self.begun
        """The same, for what `renewed` has returned."""

    def take_over(self, hearsay: Iterable[ChunkRef]) -> None:
        """These are taken over, too."""
        self._hearsay.update(ref.digest for ref in hearsay)

    def stands(self, chunks: Sequence[ChunkRef]) -> bool:
        """Whether all that is known of `chunks` still counts, as far as this node has applied the log."""
        return not self._doubtful(chunks)

    def _doubtful(self, chunks: Sequence[ChunkRef]) -> dict[int, list[bytes]]:
        """Return by store what it has to be asked about."""
        swept, since = self._log.swept(), self.since
        doubtful: dict[int, dict[bytes, None]] = {}
        for ref in chunks:
            for store in ref.stores:
                if swept.get(store, 0) > since or ref.digest in self._hearsay:
                    doubtful.setdefault(store, {})[ref.digest] = None
        return {store: list(digests) for store, digests in doubtful.items()}

    async def renewed(self, chunks: Sequence[ChunkRef]) -> list[ChunkRef]:
        """Return `chunks` with the stores that have them still, after asking where there is doubt.

        A store that does not answer counts as one that has nothing.
        """
        # No store that is not asked has been swept between the old `since` and this.
        applied = self._log.applied_index
        asked = self._doubtful(chunks)
        answers = await asyncio.gather(*(self._ask(store, digests) for store, digests in asked.items()))
        held = dict(zip(asked, answers, strict=True))
        doubtful = {store: set(digests) for store, digests in asked.items()}
        self.since = applied
        self._hearsay.clear()
        return [
            ref
            if not asked
            else replace(
                ref,
                stores=tuple(
                    store
                    for store in ref.stores
                    if ref.digest not in doubtful.get(store, ()) or ref.digest in held[store]
                ),
            )
            for ref in chunks
        ]

    async def _ask(self, store: int, digests: Sequence[bytes]) -> set[bytes]:
        try:
            return await self._confirm(store, digests)
        except StoreError as error:
            log.warning("copies not confirmed", store=store, chunks=len(digests), error=str(error))
            return set()


class Transfer(Protocol):
    """An upload or download that is under way."""

    def needs(self) -> Sequence[ChunkRef]:
        """Return the chunks that must stay as long as it goes on."""
        ...


class TransferLeases:
    """Tells the stores now and then which chunks transfers need that take long, so that they stay."""

    def __init__(self, period: float, confirm: Confirm) -> None:
        """`period` in seconds, at most a third of the grace period."""
        self._period = period
        self._confirm = confirm
        self._begun: WeakSet[Transfer] = WeakSet()
        self._old: WeakSet[Transfer] = WeakSet()
        self._task: asyncio.Task[None] | None = None

    def watch(self, transfer: Transfer) -> None:
        """Keep what `transfer` needs until it is `left` or gone."""
        self._begun.add(transfer)

    def left(self, transfer: Transfer) -> None:
        """It is over."""
        self._begun.discard(transfer)
        self._old.discard(transfer)

    def start(self) -> None:
        """Start on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="keeper of chunks")

    async def stop(self) -> None:
        """Stop."""
        await cancel_and_wait(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._round()
            except Exception:  # without it, long transfers would fail for want of their chunks
                log.exception("chunks of long transfers not kept, trying again")
            await asyncio.sleep(max(0.0, self._period - (time.monotonic() - began)))

    async def _round(self) -> None:
        needed: dict[int, set[bytes]] = {}
        for transfer in list(self._old):
            for ref in transfer.needs():
                for store in ref.stores:
                    needed.setdefault(store, set()).add(ref.digest)
        # What began within the last period is looked at next time: most transfers never are.
        self._old.update(self._begun)
        self._begun.clear()
        for store, digests in needed.items():
            try:
                await self._confirm(store, list(digests))
            except StoreError as error:
                log.info("chunks not kept at a store", store=store, chunks=len(digests), error=str(error))
