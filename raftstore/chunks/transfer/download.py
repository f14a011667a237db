"""Reading a file: verified chunks, from whichever replica answers, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from raftstore.chunks.placement.placement import read_order
from raftstore.chunks.placement.topology import StoreState
from raftstore.chunks.transfer.downloadbuffers import BufferedChunk
from raftstore.chunks.transfer.path import SLICE, ChunkPath
from raftstore.chunks.volumes.shelf import SMALL
from raftstore.errors import Damaged, Invalid, NotFound, StoreError, Unavailable
from raftstore.types import ChunkRef, Span
from raftstore.util.buffers import Buffer

log = structlog.get_logger()

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

OnBadReplica = Callable[[bytes, int, str], None]
"""Hears (digest, store number, reason) of a copy that the catalog lists and its store does not have whole."""

OnFound = Callable[[bytes, int], None]
"""Hears (digest, store number) of a copy that was read and that the catalog did not list when it was asked."""


Part = Buffer | Span
"""Something to be sent: bytes, or where they lie in a file; a Span must be closed."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a read needs of one chunk: its bytes from `start` to `stop`."""

    ref: ChunkRef
    start: int
    stop: int


def pieces(chunks: Sequence[ChunkRef], offset: int, length: int | None) -> Iterator[Piece]:
    """Split the file's bytes from `offset`, `length` of them (None: to the end), by chunk."""
    position = 0
    end = sum(ref.length for ref in chunks)
    if length is not None:
        end = min(end, offset + length)
    for ref in chunks:
        if position >= end:
            return
        start, stop = max(0, offset - position), min(ref.length, end - position)
        if start < stop:
            yield Piece(ref, start, stop)
        position += ref.length


P = TypeVar("P", Buffer, Part)


def _cut(part: Part, piece: Piece) -> Part:
    """Return what `piece` wants of a whole chunk."""
    if not isinstance(part, Span):
        return _within(part, piece)
    if piece.stop - piece.start != len(part):
        part.cut(piece.start, piece.stop)
    return part


def _within(data: Buffer, piece: Piece) -> Buffer:
    return data if piece.stop - piece.start == len(data) else memoryview(data)[piece.start : piece.stop]


def _not_at_once(piece: Piece) -> Buffer | None:
    """Have nothing at hand: bytes are got, not looked for."""
    return None


def _is_there(part: Part | None) -> bool:
    """Whether there is something; it is let go."""
    if isinstance(part, Span):
        part.close()
    return part is not None


class Fetcher:
    """Finds a readable copy of one chunk at a time."""

    def __init__(self, path: ChunkPath, on_bad_replica: OnBadReplica | None, on_found: OnFound | None) -> None:
        self._path = path
        self._on_bad_replica = on_bad_replica
        self._on_found = on_found

    async def fetch(self, ref: ChunkRef) -> Buffer:
        """The verified bytes of a chunk.

        Asks the copies in turn, in several rounds with pauses while some may come back. Raises Unavailable when
        the time for all rounds is over, or at once when every copy is known to be gone or damaged.
        """
        limits, loop = self._path.limits, self._path.loop
        deadline = loop.time() + limits.read_total
        pause, timeout = FIRST_PAUSE, limits.read_first
        while True:
            data, reasons, hope = await self._round(ref, timeout, deadline)
            if data is not None:
                return data
            if not hope or loop.time() + pause >= deadline:
                why = ", ".join(reasons) or "no copy is reachable"
                raise Unavailable(f"chunk {ref.digest.hex()[:16]}: {why}")
            if pause == FIRST_PAUSE:
                log.warning(
                    "no copy of a chunk is readable, trying again", chunk=ref.digest.hex(), reasons=reasons
                )
            await asyncio.sleep(pause)
            pause, timeout = min(2 * pause, LONGEST_PAUSE), min(2 * timeout, limits.read_longest)

    async def block(self, piece: Piece) -> Buffer:
        """A piece of a chunk, verified, as bytes. Raises as `fetch`."""
        return _within(await self.fetch(piece.ref), piece)

    def at_once(self, piece: Piece) -> Part | None:
        """What can be sent of the local copy now, without waiting."""
        ref, shelf = piece.ref, self._path.shelf
        if shelf is None or not self._path.client.holds(ref.digest):
            return None
        try:
            part = shelf.at_once(ref.digest, ref.length)
        except (StoreError, OSError):
            return None
        return None if part is None else _cut(part, piece)

    async def part(self, piece: Piece) -> Part:
        """A piece of a chunk to be sent, verified: in the local volumes' file if that can be, else as bytes.

        Raises as `fetch`.
        """
        ref, shelf = piece.ref, self._path.shelf
        if shelf is not None and ref.length > SMALL and self._path.client.holds(ref.digest):
            try:
                async with asyncio.timeout(self._path.limits.read_first):
                    return _cut(await shelf.open(ref.digest, ref.length), piece)
            except (StoreError, TimeoutError) as error:
                self._not_here(ref, error)
        return _cut(await self.fetch(ref), piece)

    def _not_here(self, ref: ChunkRef, error: Exception) -> None:
        """The local copy cannot be sent; `fetch` asks it once more unless it is gone."""
        local = self._path.view().local
        if local is not None and isinstance(error, NotFound | Damaged):
            self._report(ref, local, error)
        else:
            log.warning("local copy cannot be sent", chunk=ref.digest.hex(), reason=str(error))

    async def _round(
        self, ref: ChunkRef, timeout: float, deadline: float
    ) -> tuple[Buffer | None, list[str], bool]:
        """Ask every copy once. Return the bytes if found, why not, and whether a later round has a chance."""
        reasons: list[str] = []
        candidates, hope = self._candidates(ref)
        for store in candidates:
            remaining = deadline - self._path.loop.time()
            if remaining <= 0:
                return None, reasons, True
            try:
                data = await self._ask(store, ref, min(timeout, remaining))
            except (NotFound, Damaged) as error:
                reasons.append(f"{store.node}: {error}")
                self._report(ref, store, error)
            except StoreError as error:
                reasons.append(f"{store.node}: {error}")
                hope = True
                if self._path.suspects.add(store.number):
                    log.warning("read fails, going to another copy", peer=store.node, reason=str(error))
            else:
                if store.number not in ref.stores and self._on_found is not None:
                    self._on_found(ref.digest, store.number)
                return data, reasons, True
        return None, reasons, hope

    def _candidates(self, ref: ChunkRef) -> tuple[list[StoreState], bool]:
        """Stores to ask, in order, and whether a copy exists on one that cannot be asked now.

        The local store comes first when it has the chunk, whatever the catalog says. Stores that the catalog
        does not list come last: a copy may have got there too late to be listed.
        """
        view, path = self._path.view(), self._path
        local = view.local
        here = local is not None and path.client.holds(ref.digest)
        listed, others, away = [], [], False
        for store in view.stores:
            known = store.number in ref.stores
            if store.local and not here:
                if known:
                    self._report(ref, store, NotFound("not in the local volumes"))
            elif not store.reachable:
                # Any store may have a late copy: what is away leaves hope.
                away = True
            elif known or store.local:
                listed.append(store)
            else:
                others.append(store)
        suspects = path.suspects.current()
        if len(listed) > 1:
            listed = read_order(listed, ref.digest, path.reading, suspects)
        if len(others) > 1:
            others = read_order(others, ref.digest, path.reading, suspects)
        return listed + others, away or len(view.stores) < view.nodes

    async def _ask(self, store: StoreState, ref: ChunkRef, timeout: float) -> Buffer:
        reading = self._path.reading
        reading[store.number] += 1
        try:
            async with self._path.fetching:
                data = await self._path.client.get(store, ref.digest, ref.length, timeout=timeout)
        finally:
            reading[store.number] -= 1
        self._path.suspects.clear(store.number)
        return data

    def _report(self, ref: ChunkRef, store: StoreState, error: StoreError) -> None:
        if store.number not in ref.stores:
            return
        log.warning("bad copy", chunk=ref.digest.hex(), peer=store.node, reason=str(error))
        if self._on_bad_replica is not None:
            self._on_bad_replica(ref.digest, store.number, str(error))


class Download:
    """One version of a file, open for reading; it may be read several times and from several places."""

    def __init__(
        self,
        path: ChunkPath,
        chunks: Sequence[ChunkRef],
        *,
        on_bad_replica: OnBadReplica | None = None,
        on_found: OnFound | None = None,
    ) -> None:
        self.size = sum(ref.length for ref in chunks)
        self._path = path
        self._chunks = chunks
        self._fetcher = Fetcher(path, on_bad_replica, on_found)

    def blocks(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[Buffer, None]:
        """Yield the bytes from `offset` on, `length` of them (None: to the end), at most SLICE at a time.

        All are verified, with the rest of their chunk, before they are yielded. While the caller sends one chunk the
        next is fetched, as far as the node's memory allows. Close the iterator (`aclose`) when you stop before its
        end. Raises Invalid (outside the file), Unavailable (no copy can be read now).
        """
        return self._each(offset, length, _not_at_once, self._fetcher.block)

    def at_once(self, offset: int = 0) -> Part | None:
        """Return all bytes from `offset` on, if they are within one chunk that can be sent now; close a Span."""
        if len(self._chunks) != 1 or not 0 <= offset < self.size:
            return None
        return self._fetcher.at_once(Piece(self._chunks[0], offset, self.size))

    def parts(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[Part, None]:
        """Yield what `blocks` does, but as places in the local volumes' files where they are known to be sound.

        Close each Span that you get.
        """
        return self._each(offset, length, self._fetcher.at_once, self._fetcher.part)

    async def _each(
        self,
        offset: int,
        length: int | None,
        at_once: Callable[[Piece], P | None],
        fetch: Callable[[Piece], Coroutine[Any, Any, P]],
    ) -> AsyncGenerator[P, None]:
        """Yield piece by piece what `at_once` has, or else `fetch` gets; of the next one while one is sent."""
        self._check_within(offset, length)
        ahead: _Ahead[P] | None = None
        try:
            wanted = pieces(self._chunks, offset, length)
            piece = next(wanted, None)
            while piece is not None:
                part: P | None = await ahead.take() if ahead else at_once(piece)
                if part is None:
                    part = await fetch(piece)
                following, ahead = next(wanted, None), None
                if following is not None and not _is_there(at_once(following)):
                    ahead = self._fetch_ahead(following, fetch)
                if isinstance(part, Span):
                    yield part
                    del part
                else:
                    slices = _Slices(self._path, self._fetcher, piece)
                    slices.have(part)
                    del part
                    with slices:
                        while (block := await slices.following()) is not None:
                            yield block
                            del block
                piece = following
        finally:
            if ahead:
                await ahead.close()

    def _check_within(self, offset: int, length: int | None) -> None:
        if not 0 <= offset <= self.size or (length is not None and length < 0):
            raise Invalid(f"byte {offset} is outside a file of {self.size} bytes")

    def _fetch_ahead(self, piece: Piece, fetch: Callable[[Piece], Coroutine[Any, Any, P]]) -> _Ahead[P] | None:
        if not self._path.prefetching.take(piece.ref.length):
            return None
        return _Ahead(self._path, piece.ref.length, fetch(piece))


class _Slices:
    """A piece of a chunk that is in memory, for sending. Leave the context when no more of it is wanted.

    Slices are copies: whoever sends one must not keep the whole chunk in memory with it.
    """

    def __init__(self, path: ChunkPath, fetcher: Fetcher, piece: Piece) -> None:
        self._held = path.held
        self._fetcher = fetcher
        self._piece = piece
        self._at = 0
        self._fresh: Buffer | None = None
        self._kept: BufferedChunk | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._fresh = None
        if self._kept is not None:
            self._held.drop(self._kept)

    def have(self, data: Buffer) -> None:
        """Here is the piece, verified; `following` is called at once."""
        self._fresh = data
        if self._piece.ref.length > SLICE:
            self._kept = self._held.keep(data, self._piece.ref.length)

    async def following(self) -> Buffer | None:
        """Return the next slice, None at the end. Raises as `Fetcher.fetch`."""
        start, self._at = self._at, self._at + SLICE
        if start >= self._piece.stop - self._piece.start:
            return None
        data, self._fresh = self._fresh, None
        if data is None and self._kept is not None:
            data = self._held.use(self._kept)
        if data is None:
            self.have(_within(await self._fetcher.fetch(self._piece.ref), self._piece))
            data, self._fresh = self._fresh, None
        assert data is not None
        if self._piece.ref.length <= SLICE:
            return data
        if self._kept is not None and self._at >= self._piece.stop - self._piece.start:
            self._held.drop(self._kept)
        return bytes(memoryview(data)[start : start + SLICE])


class _Ahead(Generic[P]):
    """A chunk that is fetched before it is asked for; its bytes count as read ahead until it is taken."""

    def __init__(self, path: ChunkPath, charge: int, work: Coroutine[Any, Any, P]) -> None:
        self._task: asyncio.Task[P] = path.loop.create_task(work)
        self._give = path.prefetching.give
        self._charge = charge
        self._taken = False

    async def take(self) -> P:
        """Wait for the bytes; a caller that is cancelled cancels the fetch."""
        try:
            part = await self._task
            self._taken = True
            return part
        finally:
            self._release()

    def _release(self) -> None:
        charge, self._charge = self._charge, 0
        if charge:
            self._give(charge)

    async def close(self) -> None:
        """Drop it, also when it was taken; returns when nothing is under way any more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and self._task.exception() is None and not self._taken:
            part = self._task.result()
            if isinstance(part, Span):
                part.close()
        self._release()
