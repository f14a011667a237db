"""Collection: a node removes from its disk the chunks that are not said to be there. It never takes what somebody is
about to publish.

Either nothing refers to such a chunk any more, or this copy is more than is wanted: it was given up (`rebalance`), or
never listed. Chunks are named by their content, and a put of a chunk that is there stores nothing. So a chunk that the
catalog does not list here may be one that an upload under way counts on. What keeps it safe is an order of the log, not
a clock.

**The rule.** `BeginSweep` in the log (at index I) begins each removal; the catalog remembers I as the store's `swept`.
A `DropReplicas` that gives copies up is a BeginSweep too, whose candidates are those copies.
A command that says "store s has chunk d" (PutFile, PutPartial, ChangeReplicas) also says `since`: how far its proposer
had applied the log *before* it asked s. Where it is applied, s does not count if s.swept > since. s itself removes a
candidate only when (a) it has applied the log up to I at least, (b) the catalog, as applied here and now, has no row
for d that lists s, (c) d is still on the list of candidates, and asks all that in the very step in which it queues the
removal. A put, `confirm` or copy of d at s takes d off the list before it looks whether d is there; the list does not
grow from before the sweep is proposed to its end. Once the removal is queued, a put stores the bytes anew and a
`confirm` says no.

**Claim.** While the catalog's row of d lists s, s does not remove d.

**Proof.** Let the listing be applied at index j, with what was heard from s after `since`, and the row list s ever
since; let a sweep that began at I remove d, having looked when it had applied x >= I. At x the row did not list s, so
x < j, and I < j: the listing was applied when s.swept was I or later. It counted, so s.swept <= since, so I <= since.
So s was asked after I was committed. If s answered before the removal was queued, d was off the list then: not removed
(c). If it answered after, a put has stored d anew, and a `confirm` has said no, so that there was no listing.
Contradiction.

A node that pauses, a message that is late, a clock that jumps can only make a listing come with an older `since`:
it does not count, the uploader asks again (`raftstore.store.transfers.confirmations`) and, should too few copies be
left, its
client gets 451. That a row is forgotten with its last reference is part of the proof: copies known from an earlier life
of the row prove nothing. What an upload takes over from a partial upload or another version was heard from the catalog,
not from the store, so it asks for that before it publishes in any case.

**A hold** (`raftstore/metadata/tables/contents/holds.py`) is a rule of the same kind: while a backup has one,
BeginSweep is refused. The backup's copy of the catalog is of a later index than the hold. Where it lists a chunk, that
was listed when the copy was made, so it is no candidate of a sweep that began before, and no other begins.

**The grace period** is for liveness, and for downloads of versions that were deleted: a chunk becomes a candidate in
a first pass and is removed in a second one a grace period later at the earliest. Looks in between take off the list
what was on its way to be published during the first. Uploads and downloads that take long tell the stores now and then
what they need (`raftstore.store.transfers.confirmations.TransferLeases`), which takes it off the list. A restart
forgets the candidates: begin again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from raftstore.chunks.format.needle import KEY_SIZE
from raftstore.cluster.proposals import Barrier
from raftstore.cluster.replicas.candidates import Candidates
from raftstore.errors import Unavailable
from raftstore.util.limits.slices import Pace

log = structlog.get_logger()

MAX_CANDIDATES = 1_000_000
SHARE = 0.05
"""Of the loop's time, for choosing candidates and sparing some: with ten million chunks that takes minutes."""

TOGETHER = 500
"""Names about which the catalog is asked together."""

OVERDUE = 10.0
"""Seconds beyond twice the grace period after which something is wrong when an unreferenced chunk is still here."""


class Entry(Protocol):
    """A chunk that is here."""

    @property
    def key(self) -> bytes:
        """The first bytes of its digest."""
        ...


class Chunks(Protocol):
    """What the collector needs of the local `VolumeSet`."""

    on_touch: Callable[[bytes], None] | None

    def digests(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield what is here, in portions."""
        ...

    async def remove_many(
        self, digests: Iterable[bytes], *, unless: Callable[[bytes], bool] | None = None
    ) -> int:
        """Remove chunks; `unless` is asked in the step in which the removal of a chunk is queued."""
        ...


class Collector:
    """The collector of one node. `look` does what is due: the second pass, and a first one."""

    def __init__(
        self,
        chunks: Chunks,
        *,
        grace: float,
        unlisted: Callable[[Iterable[bytes]], list[bytes]],
        find: Callable[[Sequence[bytes]], Awaitable[list[bytes]]],
        barrier: Barrier,
        begin: Callable[[], Awaitable[int]],
        swept: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        limit: int = MAX_CANDIDATES,
        share: float = SHARE,
    ) -> None:
        """`grace` in seconds. `unlisted` asks the catalog, as applied here, what of some chunks it does not list at
        this node's store; `find` does it without holding up the loop, as of some moment since it was called: enough to
        choose candidates, not to remove them. `begin` has BeginSweep for that applied here, and returns its log index;
        `swept` returns the store's, as applied here. `share`: of the loop's time, for choosing.
        """
        self._chunks = chunks
        self._grace = grace
        self._unlisted = unlisted
        self._find = find
        self._barrier = barrier
        self._begin = begin
        self._swept = swept
        self._clock = clock
        self._limit = limit
        self._share = share
        self._candidates: Candidates | None = None
        self._given_up: Candidates | None = None
        self._finding = False
        self._touched_meanwhile: set[bytes] = set()
        self._sweeping = asyncio.Lock()
        self._ripe_at = 0.0
        chunks.on_touch = self._touched

    @property
    def waiting(self) -> int:
        """How many candidates there are now."""
        return 0 if self._candidates is None else len(self._candidates)

    def is_overdue(self, digest: bytes) -> bool:
        """Whether the chunk has not been listed here, or touched, for so long that it should be gone."""
        return (
            self._candidates is not None
            and self._clock() >= self._ripe_at + self._grace + OVERDUE
            and digest in self._candidates
        )

    def _touched(self, digest: bytes) -> None:
        if self._finding:
            self._touched_meanwhile.add(digest[:KEY_SIZE])
        for names in (self._candidates, self._given_up):
            if names is not None:
                names.discard(digest)

    async def give_up(self, digests: Sequence[bytes], drop: Callable[[], Awaitable[int]]) -> int:
        """Remove copies of chunks that are more than wanted; return how many were removed. Raises StoreError.

        `drop` has DropReplicas for them applied here, and returns its log index, 0 when it was of no effect. Copies
        that stay, because somebody asks for them at this moment, are unlisted and collected after a grace period.
        """
        async with self._sweeping:
            # In its place before the drop is proposed: a touch from now on counts.
            names = self._given_up = Candidates(len(digests))
            for digest in digests:
                names.add(digest)
            try:
                index = await drop()
                return await self._remove(names, [digests], index) if index else 0
            finally:
                self._given_up = None

    async def look(self, progress: Callable[[int, int], None] = lambda done, total: None) -> int:
        """Remove what is due; choose new candidates when there are none. Return how many chunks were removed.

        `progress` hears (done, total) of the removal. Raises StoreError; the candidates stay then.
        """
        async with self._sweeping:
            return await self._look(progress)

    async def _look(self, progress: Callable[[int, int], None]) -> int:
        removed = 0
        if self._candidates is not None and self._clock() >= self._ripe_at:
            if self._candidates:
                removed = await self._sweep(self._candidates, progress)
            self._candidates = None
        if self._candidates is None:
            await self._mark()
        else:
            await self._spare(self._candidates)
        return removed

    async def _spare(self, candidates: Candidates) -> None:
        """Take off the list what is referred to now: should that end again, its grace period begins then."""
        pace = Pace(self._share)
        for portion in _together(candidates.portions()):
            unlisted = await self._found(portion)
            with pace:
                for key in {*portion}.difference(unlisted):
                    candidates.discard(key)
            await pace.rest()

    async def _mark(self) -> None:
        await self._barrier()
        # In its place before the first is added: a touch during this pass counts too.
        found = self._candidates = Candidates(self._limit)
        self._ripe_at = float("inf")
        pace = Pace(self._share)
        try:
            async for portion in self._chunks.digests():
                with pace:
                    keys = [entry.key for entry in portion]
                unlisted = await self._found(keys)
                with pace:
                    for key in unlisted:
                        found.add(key)
                if found.full:
                    break
                await pace.rest()
        except BaseException:
            self._candidates = None
            raise
        self._ripe_at = self._clock() + self._grace

    async def _found(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of `keys` that are not listed here, but for what somebody has asked for in the meantime."""
        self._finding = True
        try:
            unlisted = await self._find(keys)
            return [key for key in unlisted if key not in self._touched_meanwhile]
        finally:
            self._finding = False
            self._touched_meanwhile.clear()

    async def _sweep(self, candidates: Candidates, progress: Callable[[int, int], None]) -> int:
        total, done = len(candidates), 0

        def portions() -> Iterator[list[bytes]]:
            nonlocal done
            for portion in candidates.portions():
                yield portion
                done += len(portion)
                progress(min(done, total), total)

        removed = await self._remove(candidates, portions(), await self._begin())
        log.info("chunks removed that are not listed", chunks=removed, candidates=total)
        return removed

    async def _remove(self, names: Candidates, portions: Iterable[Sequence[bytes]], index: int) -> int:
        """Remove what is on the list and not listed, in a sweep that began at log `index`."""

        def needed(key: bytes) -> bool:
            # The sweep itself is asked for each time: a full disk may undo what is applied, down to before it.
            return key not in names or self._swept() != index or not self._unlisted((key,))

        removed = 0
        for portion in portions:
            if self._swept() != index:
                raise Unavailable("another sweep of this store has begun")
            removed += await self._chunks.remove_many(portion, unless=needed)
        return removed


def _together(portions: Iterable[list[bytes]]) -> Iterator[list[bytes]]:
    """Join small portions."""
    joined: list[bytes] = []
    for portion in portions:
        joined += portion
        if len(joined) >= TOGETHER:
            yield joined
            joined = []
    if joined:
        yield joined
