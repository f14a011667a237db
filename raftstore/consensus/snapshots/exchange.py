"""Snapshots for followers that need entries which the leader's log no longer has.

The log's own messages carry none of it: a follower that is told `oldest` and has nothing that matches asks the
leader for a snapshot over the bulk lane, piece by piece, checks it, has the state machine install it and only
then starts its log at the snapshot's last two entries.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from blake3 import blake3
from google.protobuf.empty_pb2 import Empty

from raftstore.consensus.links import Links
from raftstore.consensus.log.raftlog import RaftLog
from raftstore.consensus.log.records import Entry
from raftstore.consensus.runtime import Runtime
from raftstore.consensus.settings import ConsensusSettings
from raftstore.consensus.statemachine import StateMachine
from raftstore.errors import Damaged, DiskFailed, NotFound, StoreError, TooNew, Unavailable
from raftstore.peers.calls import Call
from raftstore.peers.model import Peer
from raftstore.util.buffers import Buffer
from raftstore.wire import raft_pb2

log = structlog.get_logger()

OPEN = Call("raft.snapshot.open", raft_pb2.SnapshotOpen, raft_pb2.SnapshotInfo)
READ = Call("raft.snapshot.read", raft_pb2.SnapshotRead, Empty)
WORKER = "snapshots"


SYNC_BYTES = 8 * 1024 * 1024
"""What is received is synced in such portions, lest the journal's next sync has to wait for all of it."""


@dataclass(slots=True)
class _Kept:
    path: Path
    info: raft_pb2.SnapshotInfo
    used_at: float


class SnapshotServer:
    """Makes snapshots and gives them out. One is kept, for as long as someone reads it."""

    def __init__(
        self,
        *,
        links: Links,
        runtime: Runtime,
        settings: ConsensusSettings,
        machine: StateMachine,
        journal: RaftLog,
        directory: Path,
        is_member: Callable[[str], bool],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._machine = machine
        self._journal = journal
        self._file = directory / "outgoing.snapshot"
        self._file.unlink(missing_ok=True)  # an earlier start's
        self._is_member = is_member
        self._failed = failed
        self._kept: _Kept | None = None
        self._making: asyncio.Task[None] | None = None
        self.started = False
        OPEN.serve(links, self._open)
        READ.serve_payload(links, self._read)

    @property
    def floor(self) -> int | None:
        """Entries after this one must stay in the log: someone is fetching the snapshot that ends there."""
        if self._making is not None:
            return self._journal[0][1]  # it is not known yet where it will end
        return None if self._kept is None else self._kept.info.index

    def check(self) -> None:
        """Remove a snapshot that is no longer read. To be called now and then."""
        kept = self._kept
        if kept is not None and self._runtime.now() - kept.used_at > self._settings.snapshot_keep:
            self.drop()

    async def stop(self) -> None:
        """Wait for a snapshot that is being made, and remove it."""
        self.started = False
        if self._making is not None:
            await asyncio.wait([self._making])
        self.drop()

    def drop(self) -> None:
        """Remove what is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            self._runtime.blocking(WORKER, lambda: _remove(kept.path))

    async def _open(self, peer: Peer, request: raft_pb2.SnapshotOpen) -> raft_pb2.SnapshotInfo:
        self._admit(peer)
        kept = self._kept
        # What follows the snapshot must still be in the log, or the follower would have to come again.
        if kept is None or kept.info.index <= request.above or kept.info.index < self._journal[1][1]:
            kept = await self._made()
        kept.used_at = self._runtime.now()
        return kept.info

    async def _read(
        self, peer: Peer, request: raft_pb2.SnapshotRead, _payload: memoryview
    ) -> tuple[Empty, Buffer]:
        self._admit(peer)
        kept = self._kept
        if kept is None or kept.info.id != request.id:
            raise NotFound("this snapshot is kept no longer")
        kept.used_at = self._runtime.now()
        length = min(request.length, self._settings.snapshot_piece)
        path, offset = kept.path, request.offset
        try:
            piece = await self._runtime.blocking(WORKER, lambda: _read_piece(path, offset, length))
        except OSError as error:
            raise Unavailable(f"snapshot: {error}") from error
        return Empty(), piece

    def _admit(self, peer: Peer) -> None:
        if not self._is_member(peer.name) or not self.started:
            raise Unavailable("no snapshots for you here now")

    async def _made(self) -> _Kept:
        """Make a snapshot; if that takes long, the follower has to ask again."""
        if self._making is None:
            self.drop()
            self._making = self._runtime.spawn(self._make())
        await asyncio.wait([self._making], timeout=self._settings.snapshot_call / 2)
        if self._kept is None:
            raise Unavailable("the snapshot is not there yet")
        return self._kept

    async def _make(self) -> None:
        try:
            path = self._file
            await self._runtime.blocking(WORKER, lambda: _remove(path))
            index = await self._runtime.blocking(WORKER, lambda: self._machine.write_snapshot(path))
            size, digest = await self._runtime.blocking(WORKER, lambda: _measure(path))
            first = self._journal[0][1]
            if not first < index <= self._journal[-1][1]:
                await self._runtime.blocking(WORKER, lambda: _remove(path))
                log.warning("snapshot does not fit the log", index=index, first=first)
                return
            before, last = self._journal[index - 1 - first], self._journal[index - first]
            info = raft_pb2.SnapshotInfo(
                id=secrets.token_bytes(16),
                index=index,
                size=size,
                digest=digest,
                before=raft_pb2.Entry(term=before[2], command=before[0]),
                last=raft_pb2.Entry(term=last[2], command=last[0]),
            )
            self._kept = _Kept(path, info, self._runtime.now())
            log.info("snapshot made", index=index, bytes=size)
        except (StoreError, OSError) as error:
            log.error("snapshot not made", error=str(error))
        except Exception as error:
            self._failed(error)
        finally:
            self._making = None


@dataclass(slots=True)
class _Part:
    """The first `size` bytes of the snapshot `id`, received at `at`."""

    id: bytes
    size: int
    at: float


class SnapshotClient:
    """Fetches a snapshot when the log of this node is too far behind. One at a time.

    What came before a connection broke is kept: the next attempt goes on there if it is offered the same snapshot.
    `install` gets the file and its last two entries when it is whole and checked; before, `prepare` does in a thread
    what would hold up the loop.
    """

    def __init__(
        self,
        *,
        links: Links,
        runtime: Runtime,
        settings: ConsensusSettings,
        directory: Path,
        committed: Callable[[], int],
        prepare: Callable[[Path], int],
        discard_prepared: Callable[[], None],
        install: Callable[[Path, Entry, Entry], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._links = links
        self._runtime = runtime
        self._settings = settings
        self._file = directory / "incoming.snapshot"
        self._file.unlink(missing_ok=True)  # an earlier start's
        self._part: _Part | None = None
        self._committed = committed
        self._prepare = prepare
        self._discard_prepared = discard_prepared
        self._install = install
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._not_before = float("-inf")

    def need(self, leader: str) -> None:
        """The leader's log begins after everything that matches here."""
        if self._task is None and self._runtime.now() >= self._not_before:
            self._task = self._runtime.spawn(self._run(leader))

    def check(self) -> None:
        """Remove the part of a snapshot that nobody goes on with. To be called now and then."""
        part = self._part
        if part is None or self._task is not None:
            return
        if self._runtime.now() - part.at > self._settings.snapshot_keep:
            self._discard()

    def _discard(self) -> None:
        self._part = None
        self._runtime.blocking(WORKER, lambda: _remove(self._file))

    async def stop(self) -> None:
        """Give up what is under way."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, leader: str) -> None:
        try:
            await self._fetch(leader)
        except (DiskFailed, TooNew) as error:
            self._failed(error)
        except (StoreError, OSError) as error:
            # A later heartbeat of a leader whose log is still too new starts it again.
            self._not_before = self._runtime.now() + self._settings.snapshot_retry
            if isinstance(error, OSError):
                self._discard()
            log.warning("snapshot not fetched", leader=leader, error=str(error))
        except Exception as error:
            self._failed(error)
        finally:
            self._task = None

    async def _fetch(self, leader: str) -> None:
        settings = self._settings
        request = raft_pb2.SnapshotOpen(above=self._committed())
        info = await OPEN.ask(self._links, leader, request, timeout=settings.snapshot_call)
        part = self._part
        if part is None or part.id != info.id:
            self._discard()
            part = self._part = _Part(info.id, 0, self._runtime.now())
        log.info("fetching snapshot", leader=leader, index=info.index, bytes=info.size, offset=part.size)
        while part.size < info.size:
            await self._piece(leader, info, part)
        path = self._file
        size, digest = await self._runtime.blocking(WORKER, lambda: _measure(path, create=True))
        before = (info.before.command, info.index - 1, info.before.term)
        last = (info.last.command, info.index, info.last.term)
        try:
            if size != info.size or digest != info.digest:
                raise Damaged(f"snapshot from {leader}: not what was announced")
            await self._prepare_and_install(path, before, last)
        finally:
            self._discard()

    async def _prepare_and_install(self, path: Path, before: Entry, last: Entry) -> None:
        try:
            await self._runtime.blocking(WORKER, lambda: self._prepare(path))
            self._install(path, before, last)
        finally:
            # It is still there when the log has overtaken the snapshot, or this was cancelled.
            self._runtime.blocking(WORKER, self._discard_prepared)

    async def _piece(self, leader: str, info: raft_pb2.SnapshotInfo, part: _Part) -> None:
        """Fetch what follows `part` and add it. Unavailable: the part stays as it was."""
        offset = part.size
        length = min(self._settings.snapshot_piece, info.size - offset)
        request = raft_pb2.SnapshotRead(id=info.id, offset=offset, length=length)
        timeout = self._settings.snapshot_call
        _, data = await READ.ask_payload(self._links, leader, request, timeout=timeout)
        if not data or len(data) > length:
            raise Damaged(f"snapshot from {leader}: {len(data)} bytes at {offset}")
        path = self._file
        await self._runtime.blocking(WORKER, lambda: _append(path, offset, data))
        part.size, part.at = offset + len(data), self._runtime.now()


def _measure(path: Path, *, create: bool = False) -> tuple[int, bytes]:
    if create:
        path.touch()
    hasher = blake3()
    hasher.update_mmap(path)
    return path.stat().st_size, hasher.digest()


def _remove(path: Path) -> None:
    """Remove a file. For a thread: to free a large one takes long."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("snapshot not removed", file=str(path), error=str(error))


def _read_piece(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, offset)


def _append(path: Path, offset: int, data: Buffer) -> None:
    with path.open("r+b" if offset else "wb") as file:
        os.pwrite(file.fileno(), data, offset)
        if (offset + len(data)) // SYNC_BYTES > offset // SYNC_BYTES:
            os.fdatasync(file.fileno())
