"""The façade that front-ends use: names through consensus and catalog, bytes through the chunk path."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from raftstore.chunks.transfer.download import Download
from raftstore.chunks.transfer.upload import Upload
from raftstore.cluster.events import EventFeed
from raftstore.cluster.people import People
from raftstore.cluster.retention import RetentionCalls
from raftstore.cluster.settings import StoreSettings
from raftstore.cluster.status.news import Heard
from raftstore.cluster.trash import TrashCalls, reclaimable
from raftstore.errors import DiskFull, NotFound, StoreError
from raftstore.metadata.catalog import Catalog
from raftstore.metadata.listing import PackedListing
from raftstore.metadata.tables.cluster.maintenance import Rest
from raftstore.paths import parent, split
from raftstore.peers.calls import Answered
from raftstore.rights import Action, Actor, Rights
from raftstore.rights.reserved import Area
from raftstore.store.checks import Checks
from raftstore.store.freespace import AboutFree
from raftstore.store.names import Names
from raftstore.store.node import Part, RunningNode
from raftstore.store.opendisk import OnFatal, open_disk
from raftstore.store.opened import OpenedMarks
from raftstore.store.targets import Target, changed, kept_bytes, newer_of, target
from raftstore.store.transfers.confirmations import ConfirmedCopies
from raftstore.store.transfers.publishbatch import PublishBatch
from raftstore.store.transfers.publishing import Aim
from raftstore.store.transfers.sessions import (
    Allowance,
    DownloadSession,
    HandleCalls,
    LateReplicas,
    PublishCalls,
    UploadPlan,
    UploadSession,
)
from raftstore.types import (
    CHUNK_SIZE,
    INBOX_MARK,
    ChunkRef,
    ClientFigure,
    ClusterStatus,
    Entry,
    FileVersion,
    Order,
    Page,
    Partial,
    Usage,
    User,
)
from raftstore.util.limits.slices import next_slice
from raftstore.util.metrics import Metrics
from raftstore.util.stallwatch import StallWatch
from raftstore.wire import commands_pb2 as commands

_Context = TypeVar("_Context")


class Store:
    """One node's store. Every method may raise StoreError; a wait ends at its deadline with NoQuorum.

    Reads are linearizable: each first confirms with a majority that nothing newer was acknowledged.
    """

    def __init__(self, node: RunningNode, part: Part, stack: contextlib.AsyncExitStack) -> None:
        """A node that takes part. See `open`."""
        self._node = node
        self._catalog = node.disk.catalog
        self.cached_user: Callable[[str], User | None] = self._catalog.user
        """Returns an account as this node has applied it, without asking the others: for checks on the loop."""
        self._reserver = part.reserver
        self._stager = part.stager
        self._stack = stack
        self._about_free = AboutFree(node.chunk_path.free_space)
        self._publish_batch = PublishBatch()
        self._names = Names(node.disk.catalog, node.barrier, node.propose)
        self.trash = TrashCalls(node.disk.catalog, node.barrier, self._names.change)
        self.retention = RetentionCalls(node.disk.catalog, node.barrier, self._names.change)
        self._people = People(node.disk.catalog, node.barrier, node.propose, self._names.change)
        self._opened_marks = OpenedMarks(node.propose)
        self.checks = Checks(node, part)
        """What supervisors and balancers ask."""

    @classmethod
    async def open(cls, settings: StoreSettings, on_fatal: OnFatal, metrics: Metrics | None = None) -> Store:
        """Recover what is on disk, listen, take part in the cluster; return what front-ends use of it.

        What the node counts is collected by `metrics`.

        On failure what was opened is closed again. Raises Damaged when what is on disk cannot be trusted, Invalid,
        OSError when the address is taken.
        """
        stack = contextlib.AsyncExitStack()
        try:
            stalls = StallWatch(settings.stall_threshold) if settings.stall_threshold else None
            if stalls is not None:
                stalls.start()
                stack.callback(stalls.stop)
            disk = await open_disk(settings, on_fatal, stack)
            node = RunningNode(disk, on_fatal, None if stalls is None else stalls.status)
            part = await node.take_part(stack)
            if metrics is not None:
                node.meter(part, metrics)
                if stalls is not None:
                    metrics.add(stalls)
        except BaseException:
            await stack.aclose()
            raise
        store = cls(node, part, stack)
        store._opened_marks.start()
        stack.push_async_callback(store._opened_marks.stop)
        return store

    async def stop(self) -> None:
        """Leave; what was acknowledged is on disk already."""
        await self._stack.aclose()

    @property
    def level(self) -> int:
        """The level in force, as this node has applied it (metadata.levels): what commands may be proposed."""
        return self._catalog.level

    @property
    def people(self) -> People:
        """What persons do beside putting and getting files."""
        return self._people

    @property
    def events(self) -> EventFeed:
        """What has become of what persons send, of trash and of retention: `events.after(number)` follows it."""
        return self._node.events

    # Names: each call says who asks, and is judged by that.

    async def lookup(self, actor: Actor, path: str, *, to: Action | None = None) -> Entry:
        """Return what `path` names, to do that with it. Raises NotFound (also: not to be seen), Denied, BadName."""
        return await self._names.lookup(actor, path, to=to)

    async def listing(self, actor: Actor, path: str, *, backwards: bool = False) -> Page:
        """Return the first entries of a directory by name, or the last ones, as far as the actor is shown them.

        A directory of one page is seen at one moment. Of a larger one, names that nobody changes meanwhile come
        exactly once, and each page is as of the moment in which it is asked for, rights included. Raises NotFound,
        NotADirectory, Denied.
        """
        await self._node.barrier()
        await next_slice()
        return self._names.page(actor, path, backwards=backwards)

    def next_page(self, actor: Actor, directory: int, after: str, *, backwards: bool = False) -> Page | None:
        """Return what follows the name `after` in a directory that `listing` told of, without asking the others.

        All is seen that was acknowledged before `listing` was asked. None: the directory was removed. To be called
        once in a slice (`raftstore.util.limits.slices`). Raises NotFound (it is not in the actor's home any more),
        Denied.
        """
        return self._names.next_page(actor, directory, after, backwards=backwards)

    async def sorted_listing(self, actor: Actor, path: str, order: Order) -> PackedListing:
        """Return what the actor is shown of a directory, of one moment, newest or largest first; to be closed.

        Raises NotFound, NotADirectory, Denied, Invalid (too many to be sorted), Unavailable.
        """
        await self._node.barrier()
        return await self._catalog.sorted_listing(path, order, actor)

    async def require(self, actor: Actor, action: Action, path: str) -> User:
        """Raise Denied unless the actor may `action` at `path`; return the account as it is."""
        return await self._names.require(actor, action, path)

    async def make_directory(self, actor: Actor, path: str) -> None:
        """Make a directory. Raises AlreadyExists, NotFound (its parent), BadName, Denied."""
        await self._names.make_directory(actor, path)

    async def make_home(self, actor: Actor) -> None:
        """Make the actor's home directory where it is missing."""
        await self._names.make_home(actor)

    async def remove_directory(self, actor: Actor, path: str) -> None:
        """Remove an empty directory. Raises NotFound, NotADirectory, NotEmpty, Denied."""
        await self._names.remove_directory(actor, path)

    async def remove(self, actor: Actor, path: str) -> None:
        """Remove a file. Raises NotFound, IsADirectory, Denied."""
        await self._names.remove(actor, path)

    async def rename(
        self,
        actor: Actor,
        source: str,
        target: str,
        *,
        exclusive: bool = False,
        draft: bool = False,
        expires_ns: int = 0,
    ) -> None:
        """Rename a file (over an existing file too, unless `exclusive`) or a whole directory.

        Among what a person sends it delivers, unless `target` is a `draft`'s name; `expires_ns` as in `upload`.
        Raises AlreadyExists, Cycle, NotFound, Denied, BadName (also for what is in it: its paths would be too long).
        """
        rename = commands.Rename(exclusive=exclusive)
        if Area.SENT.has(target) and self.people.there:
            rename.draft, rename.expires_ns = draft, expires_ns
        await self._names.rename(actor, source, target, rename)

    async def copy(
        self,
        actor: Actor,
        source: str,
        target: str,
        *,
        exclusive: bool = False,
        draft: bool = False,
        expires_ns: int = 0,
    ) -> None:
        """Make a file at `target` with the content of that at `source`, over an existing file too, unless `exclusive`.

        No byte is copied, and the copy is as old as the call. Among what a person sends it delivers; `draft` and
        `expires_ns` as in `upload`. Raises AlreadyExists, NotFound, IsADirectory, NotADirectory, Denied (also: onto
        itself), BadName, QuotaExceeded.
        """
        copy = commands.CopyFile(exclusive=exclusive)
        if Area.SENT.has(target):
            copy.draft, copy.expires_ns = draft, expires_ns
        await self._names.copy(actor, source, target, copy)

    async def set_modified(self, actor: Actor, path: str, mtime_ns: int) -> None:
        """Set the time of last modification, in ns since the epoch. Raises NotFound, Denied."""
        await self._names.set_modified(actor, path, mtime_ns)

    # Bytes.

    async def download(self, actor: Actor, path: str) -> DownloadSession:
        """Open the published version of a file for reading. Raises NotFound, IsADirectory, Denied.

        It stays readable to its end, whatever becomes of the name and of the right to it.
        """
        version = await self._names.file(actor, path)
        if actor.owner and version.entry.owner == actor.owner + INBOX_MARK:
            self._opened_marks.note(version.entry.inode)
        return self._opened(version)

    async def base(self, actor: Actor, path: str) -> DownloadSession:
        """Open the published version of a file that the actor may change. Raises NotFound, IsADirectory, Denied."""
        return self._opened(
            await self._names.read(actor, lambda rights, catalog: changed(rights, catalog, path))
        )

    def _opened(self, version: FileVersion) -> DownloadSession:
        return DownloadSession(version, self._download(version.chunks), self._node.leases)

    async def upload(
        self,
        actor: Actor,
        path: str,
        *,
        offset: int | None = None,
        append: bool = False,
        exclusive: bool = False,
        expected: int | None = None,
        handle: bool = False,
        draft: bool = False,
        expires_ns: int = 0,
    ) -> UploadSession:
        """Open an upload of `path`.

        `offset` (bytes) keeps that much of the actor's partial upload or else of the published version;
        `append` continues the actor's partial upload or else the published version; otherwise it starts at byte
        0. `expected` bytes, where known, are checked against quota and free room at once. What the actor may
        replace is decided when it is published. `handle`: it will be published by what is at `path` now,
        wherever that is then: see `UploadSession.publish`. Of what a person sends: `draft` says that uploaders
        use such a name while they write, `expires_ns` after how long it is gone (0: as the account has it).
        Raises NotFound (the parent), Denied, AlreadyExists (`exclusive`), NotADirectory, IsADirectory, BadName,
        Invalid (offset past the end), DiskFull, QuotaExceeded, TooLarge, NoQuorum.
        """
        split(path)
        put = self._put(path, exclusive=exclusive, draft=draft, expires_ns=expires_ns)
        published, base, sure = await self._target(actor, put, append=append, offset=offset)
        kept = kept_bytes(base, offset, append)
        aim = Aim(self._catalog, self._node.barrier, lambda: self._aimed_at(path), sure=sure)
        session = await self._upload(actor, put, base, kept, published, aim, expected=expected)
        if handle:
            aim.begin()
        return session

    def upload_at_once(
        self,
        actor: Actor,
        path: str,
        *,
        exclusive: bool = False,
        expected: int | None = None,
        draft: bool = False,
        expires_ns: int = 0,
    ) -> UploadSession | None:
        """Open an upload that begins at byte 0, as `upload` does, if nobody else has to be asked; None: `upload` does.

        Raises BadName, DiskFull, TooLarge.
        """
        split(path)
        put = self._put(path, exclusive=exclusive, draft=draft, expires_ns=expires_ns)
        user = self._account(actor)
        found = self._seen(actor, user, put)
        if found is None:
            return None
        aim = Aim(self._catalog, self._node.barrier, lambda: self._aimed_at(path), sure=False)
        return self._session(actor, user, put, None, 0, found[0], aim, [], b"", expected)

    def _put(
        self, path: str, *, exclusive: bool = False, draft: bool = False, expires_ns: int = 0
    ) -> commands.PutFile:
        put = commands.PutFile(path=path, exclusive=exclusive)
        if Area.SENT.has(path) and self.people.there:
            put.draft, put.expires_ns = draft, expires_ns
        return put

    async def rewrite(
        self, actor: Actor, base: DownloadSession, path: str, *, draft: bool = False, expires_ns: int = 0
    ) -> UploadSession:
        """Open an upload that begins as all of `base`, the version of a file that was at `path` when it was opened.

        It is for `publish`; `draft` and `expires_ns` as in `upload`. Raises as `upload`.
        """
        version = base.version
        found = Target.of(0, parent(path)[1], version.entry)
        aim = Aim(self._catalog, self._node.barrier, lambda: found, sure=True)
        put = self._put(path, draft=draft, expires_ns=expires_ns)
        return await self._upload(actor, put, version, version.entry.size, version.entry, aim)

    async def allow(self, actor: Actor, command: commands.Command, published: Entry | None = None) -> None:
        """Raise Denied or AlreadyExists unless the actor may do what `command` asks; `published`: what it replaces."""
        await self._names.allow(actor, command, published)

    async def directory_of(self, actor: Actor, path: str) -> int:
        """Return the inode of the directory that `path` is in: to compare with, not to be told. Raises NotFound."""
        return await self._names.directory_of(actor, path)

    async def reserve(self, actor: Actor, path: str) -> Target | None:
        """Take the name at `path` for a file that is still to be published; None: the level in force cannot do that.

        It is for `publish`; otherwise `release` it. Raises AlreadyExists, NotFound (the parent), QuotaExceeded, Denied.
        """
        split(path)
        if self._catalog.level < 2:
            return None
        await self._node.barrier()
        done = await self._reserver.reserve(path, lambda command: self._names.change(actor, command))
        return Target(done.inode, parent(path)[1], reservation=done.reservation)

    async def release(self, target: Target) -> None:
        """End the reservation of a name that nobody will publish at: it is free when this returns."""
        await self._reserver.release(target.reservation)

    def forget_reservation(self, target: Target) -> None:
        """End the reservation of a name that nobody will publish at, in a moment."""
        self._reserver.forget(target.reservation)

    def _published_as(self, target: Target) -> None:
        if target.reservation:
            self._reserver.published(target.reservation)

    def _aimed_at(self, path: str) -> Target:
        directory, name = parent(path)
        return Target.of(self._catalog.lookup(directory).inode, name, self._published(path))

    async def _upload(
        self,
        actor: Actor,
        put: commands.PutFile,
        base: FileVersion | Partial | None,
        kept: int,
        published: Entry | None,
        aim: Aim,
        *,
        expected: int | None = None,
    ) -> UploadSession:
        """Open an upload that begins with `kept` bytes of `base` and takes the place of `published`."""
        prefix, head = await self._prefix(base, kept) if kept else ([], b"")
        return self._session(
            actor, self._account(actor), put, base, kept, published, aim, prefix, head, expected
        )

    def _session(
        self,
        actor: Actor,
        user: User | None,
        put: commands.PutFile,
        base: FileVersion | Partial | None,
        kept: int,
        published: Entry | None,
        aim: Aim,
        prefix: Sequence[ChunkRef],
        head: bytes,
        expected: int | None,
    ) -> UploadSession:
        path = put.path
        allowance = Allowance.of(user, self._committed, published)
        allowance.check(max(kept, expected or 0))
        # Before a store is asked for anything.
        confirmed = ConfirmedCopies(self._catalog, self._node.confirm, prefix)

        async def overtaken() -> bool:
            await self._node.barrier()
            return newer_of(actor.owner, published, self._published(path))

        late = LateReplicas(self._node.recorder, confirmed.begun)
        replicas = user.replicas if user is not None else 0
        if expected is not None and not self._sees_all(user):
            if expected > CHUNK_SIZE and expected > self._free(user):
                raise DiskFull()
            expected = None  # an exact look would tell what `takes` does not
        upload = Upload(
            self._node.chunk_path,
            prefix=prefix,
            head=head,
            on_replica=late,
            expected=expected,
            replicas=replicas,
        )
        put.quorum = self._node.topology.view().with_replicas(replicas).quorum
        calls = PublishCalls(
            lambda command: self._names.change(actor, command),
            overtaken,
            confirmed,
            late,
            self._node.leases,
            self._publish_batch,
            self._stager,
        )
        kept_version = base.entry if isinstance(base, FileVersion) else None
        return UploadSession(
            UploadPlan(put, actor.owner, allowance, kept_version),
            upload,
            calls,
            HandleCalls(aim, self._chunk, self._opened, self._published_as),
        )

    async def _chunk(self, ref: ChunkRef) -> bytes:
        """Return the bytes of a chunk, verified. Raises StoreError."""
        return b"".join([block async for block in self._download((ref,)).blocks()])

    async def partial(self, actor: Actor, path: str, *, anew: bool = True) -> Partial | None:
        """Return what the actor can resume at `path`, or None. Nobody else sees it.

        `anew`: ask the cluster; not needed by who has just looked the path up for the same request.
        """
        return await self._names.partial(actor, path, anew=anew)

    async def drop_partial(self, actor: Actor, path: str) -> None:
        """Forget what the actor could resume at `path`. Raises NotFound."""
        await self._names.drop_partial(actor, path)

    # Accounts.

    async def user(self, name: str) -> User | None:
        """Return an account, or None."""
        return await self._node.accounts.user(name)

    def usage(self, owner: str) -> Usage:
        """Return what an owner (an account's identity) has published, as this node has applied it."""
        return self._catalog.usage(owner)

    def watch_accounts(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` on the loop soon after an account was changed or removed here (None: any may have been)."""
        loop = asyncio.get_running_loop()
        self._catalog.watch_accounts(lambda name: loop.call_soon_threadsafe(changed, name))

    def takes(self, name: str) -> int:
        """Return how many bytes of pictures of an account the cluster takes now in all their copies, quotas aside.

        Roughly and late for one that does not see all that is stored: see `freespace`. Raises NoQuorum when too few
        nodes can be reached.
        """
        return self._free(self.cached_user(name))

    def _free(self, user: User | None) -> int:
        replicas = user.replicas if user is not None else 0
        return (
            self._node.chunk_path.free_space(replicas) if self._sees_all(user) else self._about_free(replicas)
        )

    def _sees_all(self, user: User | None) -> bool:
        rights = self._catalog.rights(user.name) if user is not None else None
        return rights is not None and rights.sees_all

    # News.

    def listen(self, topic: str, heard: Heard) -> None:
        """Give what other nodes tell about `topic` to `heard`, with the node's name, on the loop."""
        self._node.news.listen(topic, heard)

    def tell(self, topic: str, body: bytes) -> None:
        """Tell the other nodes in passing: who cannot be reached now never hears of it."""
        self._node.news.tell(topic, body)

    # Secrets.

    async def secret(self, name: str, *, newest: bool = False) -> bytes | None:
        """Return a secret of the cluster, None when there is none yet. What is known here does, unless `newest`."""
        known = self._catalog.secret(name)
        if known is None or newest:
            await self._node.barrier()
            known = self._catalog.secret(name)
        return known

    async def agree_on_secret(self, name: str, value: bytes, *, replaces: bytes = b"") -> bytes:
        """Make `value` the cluster's secret unless it has one, or if its SHA-256 is `replaces`; return what it is now.

        Raises Changed when it is another than the one that `replaces` stands for.
        """
        agree = commands.AgreeOnSecret(name=name, value=value, replaces=replaces)
        await self._node.propose(commands.Command(agree_on_secret=agree))
        agreed = await self.secret(name)
        assert agreed is not None
        return agreed

    # The cluster.

    def answer(self, calls: Iterable[Answered[_Context, Any, Any]], context: _Context) -> None:
        """Answer these calls, too, with what `context` offers (`raftstore.cluster.calls`)."""
        for call in calls:
            call.serve_with(self._node.network, context, self._node.auditor)

    def report_clients(self, figures: Callable[[], dict[str, ClientFigure]]) -> None:
        """Have the node's status tell `figures`, by resource: what the clients of the front-ends hold."""
        self._node.own.client_figures = figures

    def maintenance(self) -> Rest | None:
        """The maintenance that this node is in, as applied here; None: it is in none."""
        return self._node.maintenance.now().get(self._node.disk.settings.name)

    def report_certificate(self, name: str, read: Callable[[], bytes]) -> None:
        """Have the node's status tell when a front-end's certificate ends; `read` returns it as PEM, or OSError."""
        self._node.own.certificates.add(name, read)

    def free_space(self) -> int:
        """Bytes of this node's disk that pictures may still take."""
        return self._node.disk.free_space()

    async def status(self, short_limit: int = 100) -> ClusterStatus:
        """Return the cluster's status as this node sees it, also without a quorum."""
        return await self._node.status(short_limit)

    # Within.

    def _download(self, chunks: Sequence[ChunkRef]) -> Download:
        return Download(
            self._node.chunk_path,
            chunks,
            on_bad_replica=self._node.bad_replica,
            on_found=self._node.found_replica,
        )

    def _account(self, actor: Actor) -> User | None:
        """Return the actor's account as this node has applied it, None when it has none."""
        if actor.user is None or actor.anonymous:
            return None
        user = self._catalog.user(actor.user.name)
        return user if user is not None and user.owner == actor.owner else None

    def _committed(self, owner: str) -> Usage:
        """Return what counts on the owner's quota, without the trash that would make room."""
        usage = self._catalog.usage(owner)
        spare = reclaimable(self._catalog, owner)
        return Usage(usage.files - spare.files, usage.bytes - spare.bytes)

    async def _target(
        self, actor: Actor, put: commands.PutFile, *, append: bool, offset: int | None
    ) -> tuple[Entry | None, FileVersion | Partial | None, bool]:
        """Return the file that an upload would replace, what it keeps the beginning of, and whether that is certain;
        raise unless it may be put.

        An upload that starts at byte 0 by somebody without a quota needs nothing of the present state but leave to
        begin, and its commit decides on the state of that moment. So what is applied here is enough to say yes; only a
        refusal has to be certain. (Should the owner have published the same path at another node so recently that it
        is not applied here, and this upload break, it is not kept to be resumed.)
        """

        found = None if append or offset else self._seen(actor, self._account(actor), put)
        if found is not None:
            return *found, False

        def look(rights: Rights, catalog: Catalog) -> tuple[Entry | None, FileVersion | Partial | None]:
            return target(rights, catalog, put, append=append, offset=offset)

        return *await self._names.read(actor, look), True

    def _seen(
        self, actor: Actor, user: User | None, put: commands.PutFile
    ) -> tuple[Entry | None, FileVersion | Partial | None] | None:
        """Return what `_target` does of what is applied here; None: that does not do."""
        if user is None or user.quota_bytes or user.quota_files or not self._node.follows():
            return None
        try:
            return self._names.now(
                actor, lambda rights, catalog: target(rights, catalog, put, append=False, offset=None)
            )
        except StoreError:
            return None

    def _published(self, path: str) -> Entry | None:
        try:
            return self._catalog.published(path)
        except NotFound:
            return None

    async def _prefix(self, base: FileVersion | Partial | None, kept: int) -> tuple[list[ChunkRef], bytes]:
        """Return the whole chunks within the first `kept` bytes of `base`, and the bytes after them."""
        if base is None or not kept:
            return [], b""
        whole = kept // CHUNK_SIZE
        head = bytearray()
        if kept % CHUNK_SIZE:
            async for block in self._download(base.chunks).blocks(whole * CHUNK_SIZE, kept % CHUNK_SIZE):
                head += block
        return list(base.chunks[:whole]), bytes(head)
