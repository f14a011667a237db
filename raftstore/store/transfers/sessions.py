"""One upload or download as a front-end sees it: bytes through the chunk path, then one replicated command."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import structlog

from raftstore.chunks.transfer.download import Download, Part
from raftstore.chunks.transfer.upload import Upload
from raftstore.cluster.proposals import Propose
from raftstore.errors import Changed, Invalid, QuotaExceeded, StoreError, TooLarge
from raftstore.paths import parent
from raftstore.store.targets import Target
from raftstore.store.transfers.ahead import Stager, chunks_to_wire
from raftstore.store.transfers.confirmations import ConfirmedCopies, TransferLeases
from raftstore.store.transfers.publishbatch import PublishBatch
from raftstore.store.transfers.publishing import Aim
from raftstore.types import (
    CHUNK_SIZE,
    INBOX_MARK,
    MAX_FILE_SIZE,
    ChunkRef,
    Entry,
    FileVersion,
    Kind,
    Usage,
    User,
)
from raftstore.util.buffers import Buffer
from raftstore.wire import commands_pb2 as commands

log = structlog.get_logger()

GATHERED = 256 * 1024
"""Bytes up to which a file waits to be published with others. For larger ones a Raft round counts for little, and in
step they would leave the disk idle while they are received, and the processors while they are written."""


ATTEMPTS = 4
"""To publish, when a store begins to remove chunks meanwhile: what it has confirmed is asked again then."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Bytes that an upload may have at most, so that what cannot be published is not received either.

    The quota is checked again when the upload is published; until then others may have used it up.
    """

    quota: int | None = None

    @classmethod
    def of(cls, user: User | None, usage: Callable[[str], Usage], replaced: Entry | None) -> Self:
        """Return what a file of an account in place of `replaced` may have by its quota and `usage` (by owner) of now.

        Raises QuotaExceeded when it may have no more files.
        """
        if user is None or not (user.quota_bytes or user.quota_files):
            return cls()
        used = usage(user.owner)
        own = replaced is not None and replaced.owner == user.owner
        if user.quota_files and not own and used.files >= user.quota_files:
            raise QuotaExceeded(f"{user.quota_files} files are there already")
        if not user.quota_bytes:
            return cls()
        freed = replaced.size if replaced is not None and own else 0
        return cls(max(freed, user.quota_bytes - used.bytes + freed))

    def check(self, size: int) -> None:
        """Raise QuotaExceeded or TooLarge for an upload of `size` bytes."""
        if size > MAX_FILE_SIZE:
            raise TooLarge(f"a file has at most {MAX_FILE_SIZE} bytes")
        if self.quota is not None and size > self.quota:
            raise QuotaExceeded(f"{self.quota} bytes are left for it")


class Replicas(Protocol):
    """Hears of copies that became durable late."""

    def added(self, digest: bytes, store: int, since: int) -> None:
        """Store number `store` holds chunk `digest`: it was asked after log index `since` was applied here."""
        ...


class LateReplicas:
    """Holds back copies confirmed before their picture is published: the catalog does not know the chunk yet."""

    def __init__(self, replicas: Replicas, since: int) -> None:
        self._replicas = replicas
        self._since = since
        self._early: list[tuple[bytes, int]] | None = []

    def __call__(self, digest: bytes, store: int) -> None:
        """Note a confirmed copy."""
        if self._early is None:
            self._replicas.added(digest, store, self._since)
        else:
            self._early.append((digest, store))

    def publish(self, chunks: Sequence[ChunkRef]) -> None:
        """Pass on what the published `chunks` do not say, and everything from now on at once."""
        known = {(ref.digest, store) for ref in chunks for store in ref.stores}
        early, self._early = self._early or [], None
        for digest, store in early:
            if (digest, store) not in known:
                self._replicas.added(digest, store, self._since)


class Published(NamedTuple):
    """What was published, open for reading. `gone`: its file is not there any more, so nobody else will see it.

    `waits`: it is delivered when it is published once more.
    """

    download: DownloadSession
    gone: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What an upload was opened as: who may publish how much in which place."""

    put: commands.PutFile
    """Publishes it, but for what only the end tells."""
    owner: str
    """Whose it is."""
    allowance: Allowance = Allowance()
    base: Entry | None = None
    """The published version whose beginning it keeps; None when it begins anew, or goes on from what was begun."""


@dataclass(frozen=True, slots=True)
class PublishCalls:
    """What every upload needs of the store to be published, or kept for later."""

    propose: Propose
    overtaken: Callable[[], Awaitable[bool]]
    """Whether its owner has published a version at its path since it began."""
    confirmed: ConfirmedCopies
    late: LateReplicas
    leases: TransferLeases
    batch: PublishBatch
    stager: Stager


@dataclass(frozen=True, slots=True)
class HandleCalls:
    """What an upload through an open handle needs of the store beside what every upload does."""

    aim: Aim
    load: Callable[[ChunkRef], Awaitable[Buffer]]
    """Returns the bytes of a chunk."""
    reopen: Callable[[FileVersion], DownloadSession]
    published: Callable[[Target], None]
    """Is told what was published."""


class UploadSession:
    """One upload. Ends with exactly one of `commit`, `publish`, `suspend`, `abort`; nothing is visible before.

    It may be changed everywhere until then: `write` behind its end and in front of it, `cut`; `read` sees that.
    """

    def __init__(
        self, plan: UploadPlan, upload: Upload, calls: PublishCalls, handle: HandleCalls | None = None
    ) -> None:
        """`upload` takes the bytes; `handle` is for one that is published by what is at its path then."""
        self.path = plan.put.path
        self.owner = plan.owner
        self._plan = plan
        self._upload = upload
        self._store = calls
        self._handle = handle
        self._received: Sequence[ChunkRef] = ()
        self._prepared: commands.PutFile | None = None
        self._adopted: FileVersion | None = None
        calls.leases.watch(self)

    def needs(self) -> Sequence[ChunkRef]:
        """Return the chunks that must stay until this upload is published."""
        return self._upload.referred() if self._adopted is None else self._adopted.chunks

    @property
    def position(self) -> int:
        """Bytes from the start of the file that the upload holds so far."""
        return self._upload.position if self._adopted is None else self._adopted.entry.size

    @property
    def base(self) -> Entry | None:
        """The published version whose beginning it keeps; None when it begins anew, or goes on from what was begun."""
        return self._plan.base

    def feed(self, data: Buffer) -> bool:
        """Take all of `data` (copied); False asks the caller to await `drained` before it feeds more.

        Raises the StoreError that broke the upload; QuotaExceeded, TooLarge: it can never be published.
        """
        self._plan.allowance.check(self._upload.position + len(data))
        return self._upload.feed(data)

    async def drained(self) -> None:
        """Wait until the upload takes more. Raises the StoreError that broke it."""
        await self._upload.drained()

    # A copy.

    def adopt(self, base: DownloadSession) -> bool:
        """Become a copy of all of `base`, without its bytes; False: it has to be fed.

        It can be published, suspended and aborted then; before anything else, `unfold` it. Raises QuotaExceeded,
        TooLarge.
        """
        chunks, size = base.version.chunks, base.version.entry.size
        if self.position or not size or sum(ref.length for ref in chunks) != size:
            return False
        if any(ref.length != CHUNK_SIZE for ref in chunks[:-1]):
            return False
        self._plan.allowance.check(size)
        self._store.confirmed.take_over(chunks)
        self._adopted = base.version
        return True

    async def unfold(self) -> None:
        """Hold what was adopted as if it had been fed: whole chunks, and the bytes behind them. Raises StoreError."""
        if self._adopted is None:
            return
        chunks = self._adopted.chunks
        whole = chunks if chunks[-1].length == CHUNK_SIZE else chunks[:-1]
        rest = b"" if whole is chunks else await self._calls.load(chunks[-1])
        self._adopted = None
        self._upload.refer(whole)
        self._upload.feed(rest)

    # What was fed, read and changed.

    @property
    def whole(self) -> int:
        """Bytes from the start in whole chunks. What is behind, up to `position`, is in memory, to be `patch`ed."""
        return self._upload.whole

    def check_size(self, size: int) -> None:
        """Raise QuotaExceeded or TooLarge when a file of `size` bytes could not be published."""
        self._plan.allowance.check(size)

    def feed_zeroes(self, count: int) -> bool:
        """Take `count` zero bytes, whole chunks of them for next to nothing. As `feed`."""
        self._plan.allowance.check(self._upload.position + count)
        return self._upload.feed_zeroes(count)

    def patch(self, offset: int, data: Buffer) -> None:
        """Overwrite bytes between `whole` and `position`, copying `data`. Raises StoreError."""
        self._upload.patch(offset, data)

    def filling(self, start: int, stop: int) -> bytes:
        """Return bytes between `whole` and `position`."""
        return self._upload.filling(start, stop)

    async def chunk(self, index: int) -> Buffer:
        """Return the bytes of chunk `index`, a whole one. Raises StoreError."""
        found = self._upload.chunk(index)
        return await self._calls.load(found) if isinstance(found, ChunkRef) else found

    def replace(self, index: int, data: Buffer) -> bool:
        """Take `data`, a whole chunk that nobody changes any more, as chunk `index`. As `feed`."""
        return self._upload.replace(index, data)

    async def cut(self, size: int) -> None:
        """Keep the first `size` bytes. Raises StoreError."""
        head: Buffer = b""
        if size < self.whole and size % CHUNK_SIZE:
            head = memoryview(await self.chunk(size // CHUNK_SIZE))[: size % CHUNK_SIZE]
        self._upload.cut(size, head)

    # The end.

    async def target(self) -> Target:
        """Return the file that it was opened on, or will make. Raises StoreError."""
        return await self._calls.aim.target()

    @property
    def _calls(self) -> HandleCalls:
        if self._handle is None:
            raise Invalid("the upload is not an open handle's")
        return self._handle

    def prepare(self) -> Coroutine[Any, Any, object]:
        """Wait until all that came is durable: `commit` only has to publish it then, `suspend` may follow, too.

        Raises as `commit`.
        """
        return self._finished(None, prepared=True)

    async def commit(self, mtime_ns: int | None = None) -> Entry:
        """Publish the whole file at its path: durable on a write quorum and visible at every node when this returns.

        Raises StoreError; the earlier version is then untouched (OutcomeUnknown: or replaced by the whole new one).
        """
        put = self._prepared if self._prepared is not None else await self._finished(mtime_ns)
        if self.base is not None:
            put.base_inode = self.base.inode
            put.base_version = self.base.version
        done = await self._propose_put(put)
        return self._entry(parent(self.path)[1], put, done)

    async def publish(
        self, target: Target, mtime_ns: int | None = None, *, unfinished: bool = False
    ) -> Published:
        """Publish the whole file as what `target` is by now; `unfinished`: whoever writes it may go on.

        What is unfinished is not delivered, if it is what a person sends: then it `waits` to be published once more.
        Raises as `commit`; Changed when others have changed it, or there is something now where it was to be new.
        """
        put = await self._finished(mtime_ns)
        waits = unfinished and self._calls.aim.delivers(self.path)
        if waits:
            put.unfinished = True
        done = await self._calls.aim.publish(target, put, self._propose_put)
        self._calls.published(target)
        entry = self._entry(target.name, put, done if done is not None else commands.Result())
        return Published(self._calls.reopen(FileVersion(entry, tuple(self._received))), done is None, waits)

    async def _finished(self, mtime_ns: int | None, *, prepared: bool = False) -> commands.PutFile:
        """Wait until all is durable; return the command that publishes it at its path; `prepared`: keep it for that."""
        if self.position <= GATHERED:
            with self._store.batch:
                received, size = await self._taken()
            await self._store.batch.together()
        else:
            received, size = await self._taken()
        self._received = received
        put = commands.PutFile()
        put.CopyFrom(self._plan.put)
        put.size, put.mtime_ns = size, mtime_ns or time.time_ns()
        if self._adopted is not None and self._adopted.entry.owner == self.owner + INBOX_MARK:
            put.kept = self._adopted.entry.inode
        if prepared:
            self._prepared = put
        return put

    async def _taken(self) -> tuple[Sequence[ChunkRef], int]:
        received = await self._upload.finish()
        return received if self._adopted is None else (self._adopted.chunks, self._adopted.entry.size)

    async def _propose_put(self, put: commands.PutFile) -> commands.Result:
        chunks, done = await self._publish(self._received, put, lambda: commands.Command(put_file=put))
        self._received = chunks
        self._store.late.publish(chunks)
        return done

    def _entry(self, name: str, put: commands.PutFile, done: commands.Result) -> Entry:
        # Not what is at the path now: others may have moved it, or put something else there.
        return Entry(name, Kind.FILE, done.inode, put.size, put.mtime_ns, self.owner, done.index)

    async def _publish(
        self,
        chunks: Sequence[ChunkRef],
        put: commands.PutFile | commands.PutPartial,
        command: Callable[[], commands.Command],
    ) -> tuple[Sequence[ChunkRef], commands.Result]:
        """Propose `put` with the copies that still count; return those and the result."""
        stager, content = self._store.stager, 0
        for attempt in range(1, ATTEMPTS + 1):
            if not self._store.confirmed.stands(chunks):
                chunks = await self._store.confirmed.renewed(chunks)
            put.since = self._store.confirmed.since
            del put.chunks[:]
            try:
                if stager.needs(chunks):
                    content = await stager.stage(chunks, put.since, self.owner)
                else:
                    put.chunks.extend(chunks_to_wire(chunks))
                put.content = content
                done = await self._store.propose(command())
                break
            except Changed:
                # A refusal for any other reason stands.
                if attempt == ATTEMPTS or self._store.confirmed.stands(chunks):
                    raise
            finally:
                if content:
                    stager.over(content)
                    content = 0
        self._store.leases.left(self)
        return chunks, done

    async def suspend(self) -> None:
        """Keep what came so far for its owner to resume. Never raises: a broken upload may also be lost.

        It is not kept when its owner has published a version since it began: who sent the picture again, while the
        server had not yet noticed that the first connection was dead, has nothing to resume.
        """
        self._drop_aim()
        try:
            chunks, size = await self._came()
            if size and not await self._store.overtaken():
                put = commands.PutPartial(path=self.path, size=size)
                chunks, _ = await self._publish(chunks, put, lambda: commands.Command(put_partial=put))
                self._store.late.publish(chunks)
        except StoreError as error:
            log.warning("partial upload not kept", path=self.path, owner=self.owner, error=str(error))
        self._store.leases.left(self)

    async def _came(self) -> tuple[Sequence[ChunkRef], int]:
        """Return what is durable: everything that came, or after a failure the chunks up to it."""
        if self._prepared is not None:
            return self._received, self._prepared.size
        try:
            return await self._taken()
        except StoreError:
            return self._upload.durable()

    def _drop_aim(self) -> None:
        if self._handle is not None:
            self._handle.aim.drop()

    async def abort(self) -> None:
        """Throw the upload away."""
        self._drop_aim()
        self._store.leases.left(self)
        await self._upload.abort()


class DownloadSession:
    """One whole version of a file, old or new, to its end, whatever happens to the name meanwhile."""

    def __init__(self, version: FileVersion, download: Download, leases: TransferLeases) -> None:
        self.entry = version.entry
        self.version = version
        """What is read: its entry and chunks."""
        self._chunks = version.chunks
        self._download = download
        self._leases = leases
        leases.watch(self)

    def needs(self) -> Sequence[ChunkRef]:
        """Return the chunks that must stay until this download is closed."""
        return self._chunks

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self.entry.size

    def blocks(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[Buffer, None]:
        """Yield verified bytes from `offset`, at most 1 MiB at a time. Raises Unavailable when no copy can be read."""
        return self._download.blocks(offset, length)

    def at_once(self, offset: int = 0) -> Part | None:
        """Return all bytes from `offset` on if they can be sent now, without waiting; close a `Span`."""
        return self._download.at_once(offset)

    def parts(self, offset: int = 0) -> AsyncIterator[Part]:
        """Yield what `blocks` does, with a `Span` for what can be sent straight from a file; close each of them."""
        return self._download.parts(offset)

    async def close(self) -> None:
        """Release what the download holds."""
        self._leases.left(self)
