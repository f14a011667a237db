"""The façade that front-ends use: names through consensus and catalog, bytes through the chunk path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from raftstore.chunks.download import Download
from raftstore.chunks.upload import Upload
from raftstore.cluster.administration import Answering, serve_admin
from raftstore.cluster.boot import Boots
from raftstore.cluster.news import Heard, News
from raftstore.errors import AlreadyExists, Denied, IsADirectory, NotFound, QuotaExceeded, StoreError
from raftstore.evidence import Evidence
from raftstore.gathering import Gathering
from raftstore.metadata.accounts import user_to_message
from raftstore.paths import parent, split
from raftstore.publishing import Aim
from raftstore.rooms import Rooms
from raftstore.sessions import Allowance, DownloadSession, HandleCalls, LateReplicas, UploadSession
from raftstore.settings import StoreSettings
from raftstore.targets import Keep, Target, kept_bytes, newer_of
from raftstore.types import (
    CHUNK_SIZE,
    ChunkRef,
    ClusterStatus,
    Entry,
    FileVersion,
    NodeStatus,
    Partial,
    Usage,
    User,
)
from raftstore.wire import admin_pb2 as admin
from raftstore.wire import commands_pb2 as commands


class Store:
    """One node's store. Every method may raise StoreError; a wait ends at its deadline with NoQuorum.

    Reads are linearizable: each first confirms with a majority that nothing newer was acknowledged.
    """

    def __init__(self, settings: StoreSettings, on_fatal: Callable[[BaseException], None]) -> None:
        self._rooms = Rooms(settings, on_fatal)
        self._gathering = Gathering()
        self._news = News(self._rooms.network, lambda: self._rooms.membership.others())

    async def start(self) -> None:
        """Recover what is on disk, listen, and take part in the cluster.

        Raises Damaged when what is on disk cannot be trusted, OSError when the address is taken.
        """
        await self._rooms.start(self)

    async def check(self) -> None:
        """Open what is on disk as `start` does, without a word to the others, and close it; make nothing new.

        Raises as `start`, Refused when another process has it.
        """
        await self._rooms.check()

    async def stop(self) -> None:
        """Leave; what was acknowledged is on disk already."""
        await self._rooms.stop()

    @property
    def level(self) -> int:
        """The level in force, as this node has applied it (metadata.levels): what commands may be proposed."""
        return self._rooms.catalog.level

    # Names.

    async def lookup(self, path: str) -> Entry:
        """Return what `path` names. Raises NotFound, NotADirectory, BadName."""
        await self._barrier()
        return self._rooms.catalog.lookup(path)

    async def listing(self, path: str) -> Sequence[Entry]:
        """Return the entries of a directory by name, all of one moment. Raises NotFound, NotADirectory."""
        await self._barrier()
        return await self._rooms.catalog.list_directory(path)

    async def file(self, path: str) -> FileVersion:
        """Return the published version of a file. Raises NotFound, IsADirectory."""
        await self._barrier()
        return self._rooms.catalog.file(path)

    async def make_directory(self, path: str, owner: str) -> None:
        """Make a directory. Raises AlreadyExists, NotFound (its parent), BadName."""
        split(path)
        await self._propose(commands.Command(make_directory=commands.MakeDirectory(path=path, owner=owner)))

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory. Raises NotFound, NotADirectory, NotEmpty."""
        split(path)
        await self._propose(commands.Command(remove_directory=commands.RemoveDirectory(path=path)))

    async def remove(self, path: str, *, only_of: str = "") -> None:
        """Remove a file. Raises NotFound, IsADirectory, Denied (it is not a file of `only_of`)."""
        split(path)
        await self._propose(commands.Command(remove_file=commands.RemoveFile(path=path, only_of=only_of)))

    async def rename(
        self, source: str, target: str, *, source_of: str = "", target_of: str = "", exclusive: bool = False
    ) -> None:
        """Rename a file (over an existing file too, unless `exclusive`) or a whole directory.

        Raises AlreadyExists, Cycle, NotFound, Denied (`source` is not a file of `source_of`; what it would replace is
        not of `target_of`).
        """
        split(source)
        split(target)
        rename = commands.Rename(
            source=source, target=target, source_of=source_of, target_of=target_of, exclusive=exclusive
        )
        await self._propose(commands.Command(rename=rename))

    async def set_modified(self, path: str, mtime_ns: int, *, only_of: str = "") -> None:
        """Set the time of last modification, in ns since the epoch.

        Raises NotFound, Denied (it is not a file of `only_of`).
        """
        split(path)
        times = commands.SetTimes(path=path, mtime_ns=mtime_ns, only_of=only_of)
        await self._propose(commands.Command(set_times=times))

    # Bytes.

    async def download(self, path: str) -> DownloadSession:
        """Open the published version of a file for reading. Raises NotFound, IsADirectory."""
        return self._opened(await self.file(path))

    def _opened(self, version: FileVersion) -> DownloadSession:
        return DownloadSession(version, self._download(version), self._rooms.keeper)

    async def upload(
        self,
        path: str,
        owner: str,
        *,
        offset: int | None = None,
        append: bool = False,
        exclusive: bool = False,
        own_only: bool = False,
        resume: bool = True,
        expected: int | None = None,
        handle: bool = False,
    ) -> UploadSession:
        """Open an upload of `path`.

        `offset` (bytes) keeps that much of the owner's partial upload or else of the published version; `append`
        continues the owner's partial upload or else the published version; otherwise it starts at byte 0.
        `expected` bytes, where known, are checked against quota and free room at once. With `own_only` only a file of
        `owner` is replaced; without `resume` a partial upload does not count. `handle`: it will be published by what
        is at `path` now, wherever that is then, see `UploadSession.publish`. Raises NotFound (the parent), Denied,
        AlreadyExists (`exclusive`), NotADirectory, IsADirectory, BadName, Invalid (offset past the
        end), DiskFull, QuotaExceeded, TooLarge, NoQuorum.
        """
        split(path)
        keep = Keep.ALL if exclusive else Keep.OTHERS if own_only else Keep.NONE
        published, sure = await self._confirmed_target(path, owner, keep, fresh=not (append or offset))
        base: FileVersion | Partial | None = None
        if append or offset:
            base = self._rooms.catalog.partial(owner, path) if resume else None
            if base is None and published is not None:
                base = self._rooms.catalog.file(path)
        kept = kept_bytes(base, offset, append)
        aim = Aim(self._rooms.catalog, self._barrier, lambda: self._aimed_at(path), sure=sure)
        session = await self._upload(
            path, owner, base, kept, published, aim, expected=expected, exclusive=exclusive, own_only=own_only
        )
        if handle:
            aim.begin()
        return session

    async def rewrite(
        self, base: DownloadSession, path: str, owner: str, *, own_only: bool = False
    ) -> UploadSession:
        """Open an upload that begins as all of `base`, the version of a file that was at `path` when it was opened.

        It is for `publish`. Raises as `upload`.
        """
        version = base.version
        found = Target.of(0, parent(path)[1], version.entry)
        aim = Aim(self._rooms.catalog, self._barrier, lambda: found, sure=True)
        kept = version.entry.size
        return await self._upload(path, owner, version, kept, version.entry, aim, own_only=own_only)

    async def reserve(self, path: str, owner: str) -> Target | None:
        """Take the name at `path` for a file that is still to be published; None: the level in force cannot do that.

        It is for `publish`; otherwise `release` it. Raises AlreadyExists, NotFound (the parent), QuotaExceeded.
        """
        split(path)
        if self._rooms.catalog.level < 2:
            return None
        await self._barrier()
        done = await self._rooms.reserver.reserve(path, owner)
        return Target(done.inode, parent(path)[1], reservation=done.reservation)

    async def release(self, target: Target) -> None:
        """End the reservation of a name that nobody will publish at: it is free when this returns."""
        await self._rooms.reserver.release(target.reservation)

    def forget_reservation(self, target: Target) -> None:
        """End the reservation of a name that nobody will publish at, in a moment."""
        self._rooms.reserver.forget(target.reservation)

    def _published_as(self, target: Target) -> None:
        if target.reservation:
            self._rooms.reserver.published(target.reservation)

    def _aimed_at(self, path: str) -> Target:
        directory, name = parent(path)
        return Target.of(self._rooms.catalog.lookup(directory).inode, name, self._published(path))

    async def _upload(
        self,
        path: str,
        owner: str,
        base: FileVersion | Partial | None,
        kept: int,
        published: Entry | None,
        aim: Aim,
        *,
        expected: int | None = None,
        exclusive: bool = False,
        own_only: bool = False,
    ) -> UploadSession:
        """Open an upload that begins with `kept` bytes of `base` and takes the place of `published`."""
        allowance = self._allowance(owner, published)
        allowance.check(max(kept, expected or 0))
        prefix, head = await self._prefix(base, kept)
        # Before a store is asked for anything.
        evidence = Evidence(self._rooms.catalog, self._rooms.confirm, prefix)

        async def overtaken() -> bool:
            await self._barrier()
            return newer_of(owner, published, self._published(path))

        late = LateReplicas(self._rooms.recorder, evidence.begun)
        user = self.cached_user(owner)
        replicas = user.replicas if user is not None else 0
        upload = Upload(
            self._rooms.chunk_path,
            prefix=prefix,
            head=head,
            on_replica=late,
            expected=expected,
            replicas=replicas,
        )
        return UploadSession(
            path,
            owner,
            upload,
            late,
            self._propose,
            overtaken,
            evidence,
            self._rooms.keeper,
            self._gathering,
            allowance=allowance,
            quorum=self._rooms.topology.view().with_replicas(replicas).quorum,
            exclusive=exclusive,
            own_only=own_only,
            of_account=user is not None,
            base=base.entry if isinstance(base, FileVersion) else None,
            handle=HandleCalls(aim, self._chunk, self._opened, self._published_as),
        )

    async def _chunk(self, ref: ChunkRef) -> bytes:
        """Return the bytes of a chunk, verified. Raises StoreError."""
        download = Download(
            self._rooms.chunk_path,
            (ref,),
            on_bad_replica=self._rooms.bad_replica,
            on_found=self._rooms.found_replica,
        )
        return b"".join([block async for block in download.blocks()])

    async def partial(self, path: str, owner: str, *, anew: bool = True) -> Partial | None:
        """Return what `owner` can resume at `path`, or None. Nobody else sees it.

        `anew`: ask the cluster; not needed by who has just looked the path up for the same request.
        """
        if anew:
            await self._barrier()
        return self._rooms.catalog.partial(owner, path)

    async def drop_partial(self, path: str, owner: str) -> None:
        """Forget what `owner` could resume at `path`. Raises NotFound."""
        await self._propose(commands.Command(drop_partial=commands.DropPartial(path=path, owner=owner)))

    # Accounts.

    async def user(self, name: str) -> User | None:
        """Return an account, or None."""
        await self._barrier()
        return self._rooms.catalog.user(name)

    def cached_user(self, name: str) -> User | None:
        """Return an account as this node has applied it, without asking the others: for checks on the loop."""
        return self._rooms.catalog.user(name)

    async def users(self) -> list[User]:
        """Return all accounts by name."""
        await self._barrier()
        return self._rooms.catalog.users()

    async def put_user(self, user: User, *, create: bool = False, update: bool = False) -> None:
        """Make or change an account. Raises AlreadyExists (`create`), NotFound (`update`), Invalid.

        Changed (`update`): it is no longer at the revision that `user` has; with revision 0 that does not matter.
        """
        put = commands.PutUser(user=user_to_message(user), create=create, update=update)
        await self._propose(commands.Command(put_user=put))

    async def remove_user(self, name: str) -> None:
        """Remove an account; its files stay. Raises NotFound."""
        await self._propose(commands.Command(remove_user=commands.RemoveUser(name=name)))

    def usage(self, owner: str) -> Usage:
        """Return what an account owns, as this node has applied it."""
        return self._rooms.catalog.usage(owner)

    def watch_accounts(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` on the loop soon after an account was changed or removed here (None: any may have been)."""
        loop = asyncio.get_running_loop()
        self._rooms.catalog.watch_accounts(lambda name: loop.call_soon_threadsafe(changed, name))

    def takes(self, owner: str) -> int:
        """Return how many bytes of pictures of `owner` the cluster takes now in all their copies, quotas aside.

        Raises NoQuorum when too few nodes can be reached.
        """
        user = self.cached_user(owner)
        return self._rooms.chunk_path.room(user.replicas if user is not None else 0)

    # News.

    def listen(self, topic: str, heard: Heard) -> None:
        """Give what other nodes tell about `topic` to `heard`, with the node's name, on the loop."""
        self._news.listen(topic, heard)

    def tell(self, topic: str, body: bytes) -> None:
        """Tell the other nodes in passing: who cannot be reached now never hears of it."""
        self._news.tell(topic, body)

    # Secrets.

    async def secret(self, name: str, *, newest: bool = False) -> bytes | None:
        """Return a secret of the cluster, None when there is none yet. What is known here does, unless `newest`."""
        known = self._rooms.catalog.secret(name)
        if known is None or newest:
            await self._barrier()
            known = self._rooms.catalog.secret(name)
        return known

    async def agree_on_secret(self, name: str, value: bytes, *, replaces: bytes = b"") -> bytes:
        """Make `value` the cluster's secret unless it has one, or if its SHA-256 is `replaces`; return what it is now.

        Raises Changed when it is another than the one that `replaces` stands for.
        """
        agree = commands.AgreeOnSecret(name=name, value=value, replaces=replaces)
        await self._propose(commands.Command(agree_on_secret=agree))
        agreed = await self.secret(name)
        assert agreed is not None
        return agreed

    # The cluster.

    def serve_admin(self, method: str, answer: Answering, *, changes: bool) -> None:
        """Have `answer` make the replies to an admin call. `changes`: only with an admin's certificate."""
        serve_admin(self._rooms.network, method, answer, changes=changes)

    def own_status(self) -> tuple[NodeStatus, str]:
        """Return this node's status and the leader it follows ("" for none)."""
        return self._rooms.own_status()

    def log_empty(self) -> bool:
        """Whether this node's log holds nothing yet: it is new, or its disk was lost."""
        return self._rooms.log_empty()

    def add_membership(self, report: admin.NodeReport, known: int) -> None:
        """Add to a report what this node knows of the membership beyond log entry `known`."""
        self._rooms.membership.add_to(report, known)

    def volumes_identity(self) -> bytes:
        """Identity of the volumes on this node's disk."""
        return self._rooms.volumes.identity

    def room(self) -> int:
        """Bytes of this node's disk that pictures may still take."""
        return self._rooms.room()

    def superseded(self, node: str, identity: bytes) -> bool:
        """Whether `node` has had another disk since the one whose volumes have `identity`."""
        return self._rooms.catalog.superseded(node, identity)

    def outdated(self, node: str, identity: bytes, boots: Boots) -> bool:
        """Whether the data with which `node` has started, on the disk with `identity`, are an older copy."""
        return self._rooms.outdated(node, identity, boots)

    def add_progress(self, report: admin.NodeReport) -> None:
        """Add to a report the number of this start and up to where the log is committed and synced."""
        self._rooms.add_progress(report)

    async def status(self, short_limit: int = 100) -> ClusterStatus:
        """Return the cluster's status as this node sees it, also without a quorum."""
        return await self._rooms.status(short_limit)

    # Within.

    async def _barrier(self) -> None:
        await self._rooms.barrier()

    async def _propose(self, command: commands.Command) -> commands.Result:
        return await self._rooms.propose(command)

    def _download(self, version: FileVersion) -> Download:
        return Download(
            self._rooms.chunk_path,
            version.chunks,
            on_bad_replica=self._rooms.bad_replica,
            on_found=self._rooms.found_replica,
        )

    def _allowance(self, owner: str, replaced: Entry | None) -> Allowance:
        """Return how large a file of `owner` in place of `replaced` may be by the quota of now."""
        user = self._rooms.catalog.user(owner)
        if user is None or not (user.quota_bytes or user.quota_files):
            return Allowance()
        usage = self._rooms.catalog.usage(owner)
        own = replaced is not None and replaced.owner == owner
        if user.quota_files and not own and usage.files >= user.quota_files:
            raise QuotaExceeded(f"{user.quota_files} files are there already")
        if not user.quota_bytes:
            return Allowance()
        freed = replaced.size if replaced is not None and own else 0
        return Allowance(max(freed, user.quota_bytes - usage.bytes + freed))

    async def _confirmed_target(
        self, path: str, owner: str, keep: Keep, *, fresh: bool
    ) -> tuple[Entry | None, bool]:
        """Return the file that an upload to `path` would replace, and whether that is certain; raise unless it can be
        put there.

        An upload that starts at byte 0 (`fresh`) by somebody without a quota needs nothing of the present state
        but leave to begin, and its commit decides on the state of that moment. So what is applied here is enough
        to say yes; only a refusal has to be certain. (Should the owner have published the same path at another
        node so recently that it is not applied here, and this upload break, it is not kept to be resumed.)
        """
        if fresh and self._rooms.follows():
            try:
                user = self._rooms.catalog.user(owner)
                if user is not None and not user.quota_bytes and not user.quota_files:
                    return self._target(path, owner, keep), False
            except StoreError:
                pass
        await self._barrier()
        return self._target(path, owner, keep), True

    def _target(self, path: str, owner: str, keep: Keep) -> Entry | None:
        """Return the file that an upload to `path` would replace; raise unless it can be put there."""
        directory, _ = parent(path)
        self._rooms.catalog.check_directory(directory)
        entry = self._published(path)
        if entry is not None and entry.is_directory:
            raise IsADirectory(path)
        if entry is not None and keep is Keep.ALL:
            raise AlreadyExists(path)
        if entry is not None and keep is Keep.OTHERS and entry.owner != owner:
            raise Denied(path)
        return entry

    def _published(self, path: str) -> Entry | None:
        try:
            return self._rooms.catalog.lookup(path)
        except NotFound:
            return None

    async def _prefix(self, base: FileVersion | Partial | None, kept: int) -> tuple[list[ChunkRef], bytes]:
        """Return the whole chunks within the first `kept` bytes of `base`, and the bytes after them."""
        if base is None or not kept:
            return [], b""
        whole = kept // CHUNK_SIZE
        head = bytearray()
        if kept % CHUNK_SIZE:
            download = Download(
                self._rooms.chunk_path,
                base.chunks,
                on_bad_replica=self._rooms.bad_replica,
                on_found=self._rooms.found_replica,
            )
            async for block in download.blocks(whole * CHUNK_SIZE, kept % CHUNK_SIZE):
                head += block
        return list(base.chunks[:whole]), bytes(head)
