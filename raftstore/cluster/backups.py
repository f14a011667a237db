"""What a node does for a backup: holds of chunks, a copy of its catalog, and chunks, in bounded portions.

A backup takes a hold (`raftstore/metadata/tables/contents/holds.py`) and renews it. Behind it in the log a node copies
its catalog; the copy is given out in pieces, as long as somebody reads it. Chunks come from whatever node has them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from blake3 import blake3

from raftstore.chunks.transfer.download import Fetcher
from raftstore.cluster.proposals import Propose
from raftstore.errors import DiskFailed, Invalid, NotFound, StoreError, Unavailable
from raftstore.metadata import Catalog
from raftstore.rights.reserved import LEVEL
from raftstore.types import ChunkRef
from raftstore.util.buffers import Buffer
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

_T = TypeVar("_T")

LEASE = 300.0
"""Seconds of a hold, if it is not renewed."""
KEEP = 300.0
"""Seconds after which a copy of the catalog that nobody reads is removed."""
COPY_WAIT = 5.0
"""Seconds after which who waits for a copy has to ask again."""
PIECE = 1 << 20
"""Bytes of one answer at most; more than one chunk only within that."""
MAX_CHUNKS = 256
"""Chunks of one answer."""
AT_A_TIME = 4
"""Answers with pieces or chunks that are made at a time at a node, over all who ask."""
MAX_WAITING = 64
"""Who asks when more wait is sent away."""


@dataclass(slots=True)
class Copy:
    """A copy of the catalog, as of log `index`; made for the hold `hold`, read last at `read_at`."""

    id: bytes
    hold: bytes
    index: int
    size: int
    digest: bytes
    read_at: float


class Backups:
    """The part of one node."""

    lease_ns = int(LEASE * 1e9)
    """Of a hold, in ns."""

    def __init__(
        self, catalog: Catalog, propose: Propose, fetcher: Fetcher, directory: Path, *, keep: float = KEEP
    ) -> None:
        """`directory` is where a copy lies; what an earlier start has left there is removed."""
        self._catalog = catalog
        self._propose = propose
        self._fetcher = fetcher
        self._file = directory / "backup.snapshot"
        self._gone = directory / "backup.snapshot.gone"
        for left in (self._file, self._gone):
            left.unlink(missing_ok=True)
        self._removal: asyncio.Future[None] | None = None
        self._keep = keep
        self._copy: Copy | None = None
        self._making: asyncio.Task[None] | None = None
        self._made_for = b""
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._waiting = 0

    async def stop(self) -> None:
        """Remove the copy, once it is not being made any more."""
        if self._making is not None:
            await asyncio.wait([self._making])
        self._drop()
        if self._removal is not None:
            await self._removal

    # Holds.

    async def hold(self, identity: bytes, *, renew: bool = False) -> int:
        """Take or renew a hold; return its log index. Raises NotFound, Invalid, QuotaExceeded, NoQuorum."""
        if self._catalog.level < LEVEL:
            raise Invalid(f"backups need level {LEVEL} of the log: see `pixraft upgrade status`")
        hold = commands.HoldChunks(id=identity, lease_ns=self.lease_ns, renew=renew)
        return (await self._propose(commands.Command(hold_chunks=hold))).index

    async def end(self, identity: bytes) -> int:
        """End a hold, and remove the copy that was made for it here; return the log index. Raises NoQuorum."""
        if self._copy is not None and self._copy.hold == identity:
            self._drop()
        return (await self._propose(commands.Command(end_hold=commands.EndHold(id=identity)))).index

    # The catalog.

    async def copy(self, hold: bytes) -> Copy | None:
        """Return the copy for a hold, which is made if it is not there; None: it is not ready yet.

        Raises Unavailable while another backup reads one here, NotFound when the hold has ended, DiskFull.
        """
        await self.hold(hold, renew=True)
        now = asyncio.get_running_loop().time()
        kept = self._copy
        if kept is not None and kept.hold == hold:
            kept.read_at = now
            return kept
        if kept is not None and now - kept.read_at <= self._keep:
            raise Unavailable("another backup reads the catalog of this node; ask another one, or later")
        if self._making is None:
            self._drop()
            self._catalog.settle()  # all that is applied is in the copy: the hold is
            self._made_for = hold
            self._making = asyncio.get_running_loop().create_task(self._make(hold), name="backup copy")
        elif self._made_for != hold:
            raise Unavailable("another backup has the catalog of this node copied; ask another one, or later")
        making = self._making
        await asyncio.wait([making], timeout=COPY_WAIT)
        if making.done():
            making.result()
        return self._copy

    async def _make(self, hold: bytes) -> None:
        try:
            index = await asyncio.to_thread(self._catalog.write_snapshot, self._file)
            size, digest = await asyncio.to_thread(_measure, self._file)
            now = asyncio.get_running_loop().time()
            self._copy = Copy(secrets.token_bytes(16), hold, index, size, digest, now)
            self._look_later(self._copy)
            log.info("catalog copied for a backup", index=index, bytes=size)
        finally:
            self._making = None

    def _look_later(self, copy: Copy) -> None:
        loop = asyncio.get_running_loop()

        def look() -> None:
            if self._copy is not copy:
                return
            if loop.time() - copy.read_at > self._keep:
                self._drop()
            else:
                loop.call_later(self._keep / 2, look)

        loop.call_later(self._keep / 2, look)

    def _drop(self) -> None:
        """Remove what is kept; a thread does it, since to free a large file takes long."""
        self._copy = None
        if self._file.exists():
            self._file.replace(self._gone)
            self._removal = asyncio.get_running_loop().run_in_executor(None, self._gone.unlink, True)

    async def piece(self, identity: bytes, offset: int, length: int) -> bytes:
        """Return some bytes of a copy. Raises NotFound when it is kept no longer, Invalid, Unavailable, DiskFailed."""
        copy = self._copy
        if copy is None or copy.id != identity:
            raise NotFound("this copy of the catalog is kept no longer")
        if not 0 < length <= PIECE or offset + length > copy.size:
            raise Invalid(f"{length} bytes at {offset} of a copy of {copy.size}")
        copy.read_at = asyncio.get_running_loop().time()
        return await self._in_turn(lambda: asyncio.to_thread(_read, self._file, offset, length))

    # Chunks.

    async def chunks(self, refs: Sequence[ChunkRef]) -> list[Buffer]:
        """Return the verified bytes of chunks, empty ones for those of which no copy can be read now.

        Raises Invalid for more than a portion, Unavailable when too many ask.
        """
        if len(refs) > MAX_CHUNKS or (len(refs) > 1 and sum(ref.length for ref in refs) > PIECE):
            raise Invalid(f"at most {MAX_CHUNKS} chunks of {PIECE} bytes together")
        return await self._in_turn(lambda: self._chunks(refs))

    async def _chunks(self, refs: Sequence[ChunkRef]) -> list[Buffer]:
        found = await asyncio.gather(*(self._fetcher.fetch(ref) for ref in refs), return_exceptions=True)
        data: list[Buffer] = []
        for ref, one in zip(refs, found, strict=True):
            if isinstance(one, StoreError):
                log.warning("chunk not read for a backup", chunk=ref.digest.hex(), error=str(one))
                data.append(b"")
            elif isinstance(one, BaseException):
                raise one
            else:
                data.append(one)
        return data

    async def _in_turn(self, work: Callable[[], Awaitable[_T]]) -> _T:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too much is asked of this node for backups; ask another one, or later")
        self._waiting += 1
        try:
            async with self._turns:
                return await work()
        finally:
            self._waiting -= 1


def _measure(path: Path) -> tuple[int, bytes]:
    hasher = blake3()
    hasher.update_mmap(path)
    return path.stat().st_size, hasher.digest()


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            return os.pread(file.fileno(), length, offset)
    except OSError as error:
        raise DiskFailed(f"{path}: {error}") from error
