"""An in-memory store with the contract's meaning, for tests of front-ends: failures and delays can be injected.

`tests/contract` holds it to what the real store does.

`hooks[name]` is called (and awaited if it returns an awaitable) at the start of the call `name`: it may wait
on an event or raise a StoreError. Calls: lookup, listing, make_directory, remove_directory, remove, rename,
set_modified, require, make_home, upload, download, partial, drop_partial, user, drained, commit, suspend, abort, feed
(synchronous), block.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from blake3 import blake3

from ftpgateway.access.backend import TrashEntry
from raftstore import paths
from raftstore.errors import (
    AlreadyExists,
    Changed,
    Cycle,
    Denied,
    DiskFull,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    QuotaExceeded,
)
from raftstore.metadata.levels import NEWEST
from raftstore.metadata.listing import PackedListing, PackingBudget
from raftstore.rights import Action, Actor, Rights, Whose, looks
from raftstore.rights.changes import Leave, leave
from raftstore.rights.reserved import LEVEL, Area, takes_nothing
from raftstore.store.targets import Target, newer_of
from raftstore.store.transfers.sessions import Allowance
from raftstore.types import (
    NEWEST_SENT,
    ChunkRef,
    Entry,
    FileVersion,
    Kind,
    Order,
    Page,
    Partial,
    SentItem,
    Usage,
    User,
)
from raftstore.wire import commands_pb2 as commands

BLOCK = 1024 * 1024


@dataclass
class Node:
    """A file (`data`) or a directory (`children`)."""

    inode: int
    owner: str
    mtime_ns: int
    data: bytes | None = None
    version: int = 0
    children: dict[str, Node] = field(default_factory=dict)

    def entry(self, name: str) -> Entry:
        kind = Kind.DIRECTORY if self.data is None else Kind.FILE
        size = 0 if self.data is None else len(self.data)
        return Entry(name, kind, self.inode, size, self.mtime_ns, self.owner, self.version)


class FakePeople:
    """Whom persons see and block, and what is sent without a byte; what is put to somebody just lies there."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self.blocked: dict[str, set[str]] = {}
        self.failed: list[SentItem] = []
        self.sends: list[tuple[str, str, int]] = []
        self.sealed: set[int] = set()

    async def visible(self, actor: Actor, *, all_persons: bool) -> list[str]:
        assert actor.user is not None
        names = [user.name for user in self._store.accounts.values() if user.person and not user.disabled]
        return sorted({*names} - {actor.user.name}) if all_persons else []

    async def sees(self, actor: Actor, name: str, *, all_persons: bool) -> bool:
        return name in await self.visible(actor, all_persons=all_persons)

    async def sent(
        self, name: str, limit: int, *, before: tuple[int, int] = NEWEST_SENT, ended: bool = False
    ) -> list[SentItem]:
        self._store.calls["sent"] += 1
        found = [item for item in self.failed if bool(item.ended_ns) is ended and item.key < before]
        return sorted(found, key=lambda item: item.key, reverse=True)[:limit]

    async def sent_one(self, name: str, number: int) -> SentItem | None:
        self._store.calls["sent_one"] += 1
        found = [item for item in self.failed if item.key[0 if item.ended_ns else 1] == number]
        return found[0] if found else None

    def unopened(self, name: str, inodes: Sequence[int]) -> set[int]:
        return set(inodes) & self.sealed

    async def send_file(self, actor: Actor, path: str, to: str, *, expires_ns: int = 0) -> commands.Result:
        self._store.leave(actor, "send_file", path=path, to=to)
        self._store.find(path)
        if to not in await self.visible(actor, all_persons=True):
            raise NotFound(takes_nothing(to))
        self.sends.append((path, to, expires_ns))
        return commands.Result(accepted=1)

    async def block(self, actor: Actor, person: str, name: str, *, off: bool = False) -> None:
        blocked = self.blocked.setdefault(person, set())
        (blocked.discard if off else blocked.add)(name)

    async def blocks(self, person: str) -> list[str]:
        return sorted(self.blocked.get(person, ()))


class FakeTrash:
    """Puts what is in the trash back to the top of the home."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    def entries(self, actor: Actor, *, after: int = 0) -> AsyncIterator[Sequence[TrashEntry]]:
        raise NotImplementedError

    async def restore(self, actor: Actor, name: str, *, to: str = "", beside: bool = False) -> str:
        assert actor.user is not None
        target = paths.join(actor.user.home, to or name)
        await self._store.rename(
            actor, paths.join(Area.TRASH.of(actor.user.name), name), target, exclusive=True
        )
        return target


class FakeStore:
    """Holds everything in memory; `ended` counts how uploads and downloads ended."""

    level = NEWEST

    def __init__(self) -> None:
        self._inodes = itertools.count(2)
        self.root = Node(1, "", 0)
        self.accounts: dict[str, User] = {}
        self.gone: set[str] = set()
        self.secrets: dict[str, bytes] = {}
        self.partials: dict[tuple[str, str], bytes] = {}
        self.reserved: dict[tuple[int, str], int] = {}
        self.hooks: dict[str, Callable[..., Any]] = {}
        self.calls: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.free_space: int | None = None
        self.window: int | None = None
        self.modified: list[str] = []
        self.listeners: dict[str, Callable[[str, bytes], None]] = {}
        self.reported: list[tuple[str, bytes]] = []
        self.page = 256
        self.packing = PackingBudget()
        self.watchers: list[Callable[[str | None], None]] = []
        self.people = FakePeople(self)
        self.trash = FakeTrash(self)
        self.handed: list[tuple[str, int, bool]] = []
        """What open handles have published: the path, the size, and whether it waits to be delivered."""

    async def hook(self, name: str, *arguments: Any) -> None:
        self.calls[name] += 1
        found = self.hooks.get(name)
        if found is not None:
            result = found(*arguments)
            if inspect.isawaitable(result):
                await result

    # Names.

    def find(self, path: str) -> Node:
        node = self.root
        for name in paths.split(path):
            if node.data is not None:
                raise NotADirectory(path)
            if name not in node.children:
                raise NotFound(path)
            node = node.children[name]
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        directory, name = paths.parent(path)
        node = self.find(directory)
        if node.data is not None:
            raise NotADirectory(directory)
        return node, name

    def put(self, path: str, data: bytes | None, owner: str = "", *, mtime_ns: int | None = None) -> Node:
        """Store a file (None: a directory) directly."""
        parent, name = self._parent(path)
        moment = time.time_ns() if mtime_ns is None else mtime_ns
        inode = parent.children[name].inode if name in parent.children else next(self._inodes)
        parent.children[name] = Node(inode, owner, moment, data, next(self._inodes))
        return parent.children[name]

    def _touch(self, *directories: Node) -> None:
        for node in directories:
            node.mtime_ns = time.time_ns()

    def read(self, path: str) -> bytes:
        data = self.find(path).data
        assert data is not None
        return data

    def published(self, path: str) -> Entry | None:
        """What is at a path, if anything is."""
        try:
            return self._entry(path)
        except (NotFound, NotADirectory):
            return None

    def rights(self, actor: Actor) -> Rights:
        """Rights by the account as it is; one that was never told of here is taken to be as the actor says."""

        def find(name: str) -> Rights | None:
            user = self.accounts.get(name)
            if user is None and name not in self.gone:
                user = actor.user
            return Rights(user, reserved=self.level >= LEVEL) if user is not None else None

        return actor.rights(find, self.level)

    def leave(self, actor: Actor, kind: str, **fields: Any) -> Leave:
        command = commands.Command()
        getattr(command, kind).MergeFrom(type(getattr(command, kind))(**fields))
        return leave(self.rights(actor), command)

    def _entry(self, path: str) -> Entry:
        return self.find(path).entry(path.rpartition("/")[2] or "/")

    async def lookup(self, actor: Actor, path: str, *, to: Action | None = None) -> Entry:
        await self.hook("lookup", path)
        rights = self.rights(actor)
        if to is not None and rights.whose(to, path) is Whose.NOBODYS:
            rights.require(to, path)
        return looks.entry(rights, path, self._entry)

    async def listing(self, actor: Actor, path: str, *, backwards: bool = False) -> Page:
        await self.hook("listing", path)
        rights = self.rights(actor)
        rights.require(Action.LIST, path)
        return looks.page(rights, self._page(self._directory(path), path, "", backwards))

    def next_page(self, actor: Actor, directory: int, after: str, *, backwards: bool = False) -> Page | None:
        self.calls["next_page"] += 1
        hook = self.hooks.get("next_page")
        if hook is not None:
            hook(directory, after)
        found = self._with_inode(directory, self.root, "/")
        if found is None:
            return None
        return looks.page(self.rights(actor), self._page(found[0], found[1], after, backwards))

    async def sorted_listing(self, actor: Actor, path: str, order: Order) -> PackedListing:
        await self.hook("sorted_listing", path)
        rights = self.rights(actor)
        rights.require(Action.LIST, path)
        node = self._directory(path)
        rows = [
            (name, int(entry.kind), entry.inode, entry.size, entry.mtime_ns, entry.owner, entry.version)
            for name, child in sorted(node.children.items())
            for entry in [child.entry(name)]
            if rights.shows(path, name)
        ]
        rows.sort(key=lambda row: -row[4] if order is Order.TIME else -row[3])
        pages = [rows[at : at + self.page] for at in range(0, len(rows), self.page)] or [[]]
        return PackedListing(node.inode, path, pages, self.packing)

    def _directory(self, path: str) -> Node:
        node = self.find(path)
        if node.data is not None:
            raise NotADirectory(path)
        return node

    def _with_inode(self, inode: int, node: Node, path: str) -> tuple[Node, str] | None:
        if node.inode == inode:
            return node, path
        below = (
            self._with_inode(inode, child, f"{path.rstrip('/')}/{name}")
            for name, child in node.children.items()
            if child.data is None
        )
        return next((found for found in below if found is not None), None)

    def _page(self, node: Node, path: str, after: str, backwards: bool) -> Page:
        names = sorted(node.children, reverse=backwards)
        if after:
            names = [name for name in names if (name < after if backwards else name > after)]
        entries = [node.children[name].entry(name) for name in names[: self.page]]
        last = entries[-1].name if entries else ""
        return Page(node.inode, path, entries, len(names) > self.page, last)

    async def require(self, actor: Actor, action: Action, path: str) -> User:
        await self.hook("require", path)
        rights = self.rights(actor)
        rights.require(action, path)
        return rights.user

    async def make_directory(self, actor: Actor, path: str) -> None:
        await self.hook("make_directory", path)
        self._make_directory(actor, path)

    def _make_directory(self, actor: Actor, path: str, *, home: bool = False) -> None:
        names = paths.split(path)
        granted = self.leave(actor, "make_directory", path=path, home=home)
        if not names:
            raise AlreadyExists(path)
        parent, name = self._parent(path)
        self._check_free(parent, name)
        owner = "" if home else granted.owner
        self._check_quota(owner, 1, 0)
        self.put(path, None, owner)
        self._touch(parent)

    async def make_home(self, actor: Actor) -> None:
        await self.hook("make_home")
        path = ""
        for name in paths.split(self.rights(actor).home):
            path = f"{path}/{name}"
            try:
                self._make_directory(actor, path, home=True)
            except AlreadyExists:
                continue

    async def remove_directory(self, actor: Actor, path: str) -> None:
        await self.hook("remove_directory", path)
        self.leave(actor, "remove_directory", path=path)
        self._check_held(actor, Action.REMOVE_DIRECTORY, path)
        node = self.find(path)
        if node.data is not None:
            raise NotADirectory(path)
        if node.children or any(directory == node.inode for directory, _ in self.reserved):
            raise NotEmpty(path)
        parent, name = self._parent(path)
        del parent.children[name]
        self._touch(parent)
        self._move_partials(path, None)

    def _check_held(self, actor: Actor, action: Action, path: str) -> None:
        """Who may not do everything does not shift others' homes and rules, nor rules that restrict it."""
        rights = self.rights(actor)
        if rights.everywhere:
            return
        for user in self.accounts.values():
            places = [rule.path for rule in user.rules] + ([user.home] if user.home != "/" else [])
            own = user.name == rights.user.name
            if any(paths.within(place, path) and (not own or rights.restricted_by(place)) for place in places):
                raise Denied(action.value)

    def _move_partials(self, source: str, target: str | None) -> None:
        """What was begun below a directory moves with it; None: it goes with it."""
        for owner, path in [key for key in self.partials if paths.within(key[1], source)]:
            data = self.partials.pop((owner, path))
            if target is not None:
                self.partials[owner, target + path[len(source) :]] = data

    def _check_owner(self, node: Node, owner: str) -> None:
        if owner and (node.data is None or node.owner != owner):
            raise Denied(owner)

    def _check_seen(self, actor: Actor, path: str, granted: Leave) -> None:
        node = self.find(path)
        seen = looks.sees(self.rights(actor), path, directory=node.data is None, owner=node.owner)
        if granted.source_of and not seen:
            raise NotFound(path)

    async def remove(self, actor: Actor, path: str) -> None:
        await self.hook("remove", path)
        granted = self.leave(actor, "remove_file", path=path)
        self._check_seen(actor, path, granted)
        if self.find(path).data is None:
            raise IsADirectory(path)
        self._check_owner(self.find(path), granted.source_of)
        parent, name = self._parent(path)
        del parent.children[name]
        self._touch(parent)

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
        await self.hook("rename", source, target)
        paths.split(target)
        granted = self.leave(actor, "rename", source=source, target=target)
        self._check_held(actor, Action.RENAME, source)
        node = self.find(source)
        self._check_seen(actor, source, granted)
        if target == source:
            return
        if node.data is None and target.startswith(source + "/"):
            raise Cycle(target)
        self._check_owner(node, granted.source_of)
        if node.data is None:
            self._check_held(actor, Action.WRITE, target)
        elif granted.directories:
            raise Denied(target)
        parent, name = self._parent(target)
        there = parent.children.get(name)
        keeps = exclusive or granted.keeps
        if there is not None and (there.data is None or node.data is None or keeps):
            raise AlreadyExists(target)
        if there is not None:
            self._check_owner(there, granted.target_of)
        else:
            self._check_free(parent, name)
        old_parent, old_name = self._parent(source)
        del old_parent.children[old_name]
        parent.children[name] = node
        self._touch(old_parent, parent)
        if node.data is None:
            self._move_partials(source, target)
            self._move_homes(source, target)
        else:
            self.partials.pop((node.owner, target), None)

    def _move_homes(self, source: str, target: str) -> None:
        for user in list(self.accounts.values()):
            if user.home != "/" and paths.within(user.home, source):
                self.change_account(user.name, replace(user, home=target + user.home[len(source) :]))

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
        await self.hook("copy", source, target)
        paths.split(target)
        granted = self.leave(actor, "copy_file", source=source, target=target)
        copied = self.find(source)
        if copied.data is None:
            raise IsADirectory(source)
        if source == target:
            raise Denied("a file is not copied onto itself")
        parent, name = self._parent(target)
        there = parent.children.get(name)
        if there is not None:
            if there.data is None:
                raise IsADirectory(target)
            if exclusive or granted.keeps:
                raise AlreadyExists(target)
            self._check_owner(there, granted.target_of)
        else:
            self._check_free(parent, name)
        self.check_put(granted.owner, len(copied.data), there)
        self.put(target, copied.data, granted.owner)
        self.partials.pop((granted.owner, target), None)
        self._touch(parent)

    async def set_modified(self, actor: Actor, path: str, mtime_ns: int) -> None:
        await self.hook("set_modified", path)
        granted = self.leave(actor, "set_times", path=path)
        self._check_seen(actor, path, granted)
        self._check_owner(self.find(path), granted.source_of)
        self.find(path).mtime_ns = mtime_ns

    # Bytes.

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
    ) -> FakeUpload:
        await self.hook("upload", path)
        paths.split(path)
        owner = self.rights(actor).owner
        begun = self.partials.get((owner, path)) if append or offset else None
        appends = append and begun is None
        granted = self.leave(actor, "put_file", path=path, append=appends)
        parent, name = self._parent(path)
        there = parent.children.get(name)
        if there is not None and there.data is None:
            raise IsADirectory(path)
        if there is not None and (exclusive or granted.keeps):
            raise AlreadyExists(path)
        if there is not None:
            self._check_owner(there, granted.target_of)
        base = begun
        published = None
        seen = there is not None and looks.sees(self.rights(actor), path, directory=False, owner=there.owner)
        if base is None and there is not None and (append or (offset and seen)):
            published = there.entry(name)
        if base is None:
            base = there.data if there is not None and there.data is not None and (append or seen) else b""
        if append:
            kept = base
        else:
            if (offset or 0) > len(base):
                raise Invalid(f"cannot continue at byte {offset}: only {len(base)} bytes are there")
            kept = base[: offset or 0]
        replaced = there.entry(name) if there is not None else None
        allowance = self._allowance(actor, replaced)
        allowance.check(max(len(kept), expected or 0))
        if expected is not None and not actor.anonymous and expected > self.takes(self.rights(actor).user.name):
            raise DiskFull(str(expected))
        self.opened["upload"] += 1
        put = commands.PutFile(path=path, append=appends, exclusive=exclusive)
        target = Target.of(parent.inode, name, replaced)
        return FakeUpload(self, actor, put, bytearray(kept), allowance, published, target, replaced)

    def upload_at_once(self, actor: Actor, path: str, **how: Any) -> None:
        """Every upload waits for `hook`."""

    def _allowance(self, actor: Actor, replaced: Entry | None) -> Allowance:
        """How large a file in place of `replaced` may be by the quota of now."""
        user = self.accounts.get(actor.user.name) if actor.user is not None and not actor.anonymous else None
        return Allowance.of(user, self.usage, replaced)

    def _check_quota(self, owner: str, files: int, size: int) -> None:
        """Refuse so many more files, or bytes in them."""
        user = next((user for user in self.accounts.values() if user.owner == owner), None)
        if user is None:
            return
        usage = self.usage(owner)
        if files > 0 and user.quota_files and usage.files + files > user.quota_files:
            raise QuotaExceeded(f"{user.quota_files} files")
        if size > 0 and user.quota_bytes and usage.bytes + size > user.quota_bytes:
            raise QuotaExceeded(f"{user.quota_bytes} bytes")

    def check_put(self, owner: str, size: int, there: Node | None) -> None:
        """Refuse a file of `size` bytes in the place of `there`, by the quota."""
        own = there is not None and there.owner == owner
        freed = len(there.data or b"") if there is not None and own else 0
        self._check_quota(owner, 0 if own else 1, size - freed)

    async def allow(self, actor: Actor, command: commands.Command, published: Entry | None = None) -> None:
        granted = leave(self.rights(actor), command)
        if published is not None and granted.keeps:
            raise AlreadyExists(published.name)
        if published is not None and granted.target_of and published.owner != granted.target_of:
            raise Denied(published.name)

    async def base(self, actor: Actor, path: str) -> FakeDownload:
        await self.hook("download", path)
        node = self.find(path)
        if node.data is None:
            raise IsADirectory(path)
        put = commands.PutFile(path=path)
        await self.allow(actor, commands.Command(put_file=put), node.entry(paths.parent(path)[1]))
        self.opened["download"] += 1
        return FakeDownload(self, node.entry(paths.parent(path)[1]), node.data)

    async def directory_of(self, actor: Actor, path: str) -> int:
        return self.find(paths.parent(path)[0]).inode

    async def reserve(self, actor: Actor, path: str) -> Target | None:
        await self.hook("reserve", path)
        self.leave(actor, "reserve_name", path=path)
        parent, name = self._parent(path)
        self._check_free(parent, name)
        number = next(self._inodes)
        self.reserved[parent.inode, name] = number
        return Target(parent.inode, name, reservation=number)

    async def release(self, target: Target) -> None:
        await self.hook("release", target.name)
        self.forget_reservation(target)

    def forget_reservation(self, target: Target) -> None:
        if self.reserved.get((target.directory, target.name)) == target.reservation:
            del self.reserved[target.directory, target.name]

    def _check_free(self, parent: Node, name: str) -> None:
        if name in parent.children or (parent.inode, name) in self.reserved:
            raise AlreadyExists(name)

    async def rewrite(
        self, actor: Actor, base: FakeDownload, path: str, *, draft: bool = False, expires_ns: int = 0
    ) -> FakeUpload:
        await self.hook("rewrite", path)
        entry = base.entry
        self.opened["upload"] += 1
        target = Target.of(0, entry.name, entry)
        put = commands.PutFile(path=path)
        allowance = self._allowance(actor, entry)
        return FakeUpload(self, actor, put, bytearray(base.data), allowance, entry, target, entry)

    def place_of(self, inode: int, at: Node | None = None) -> tuple[Node, str] | None:
        """Return the directory and the name of an inode."""
        parent = at or self.root
        for name, child in parent.children.items():
            if child.inode == inode:
                return parent, name
            found = self.place_of(inode, child)
            if found is not None:
                return found
        return None

    def path_of(self, inode: int) -> str:
        """Return the path of an inode that is there."""
        path = ""
        while inode != self.root.inode:
            place = self.place_of(inode)
            assert place is not None
            inode, path = place[0].inode, f"/{place[1]}{path}"
        return path or "/"

    def directory(self, inode: int) -> Node | None:
        """Return a directory by its inode."""
        if inode == self.root.inode:
            return self.root
        place = self.place_of(inode)
        return place[0].children[place[1]] if place is not None else None

    async def download(self, actor: Actor, path: str) -> FakeDownload:
        await self.hook("download", path)
        self.rights(actor).require(Action.READ, path)
        node = self.find(path)
        if node.data is None:
            raise IsADirectory(path)
        self.opened["download"] += 1
        return FakeDownload(self, node.entry(path.rpartition("/")[2]), node.data)

    async def partial(self, actor: Actor, path: str, *, anew: bool = True) -> Partial | None:
        await self.hook("partial", path)

        def find(owner: str, where: str) -> Partial | None:
            data = self.partials.get((owner, where))
            return None if data is None else Partial(where, owner, len(data), 0, ())

        return looks.partial(self.rights(actor), path, find)

    async def drop_partial(self, actor: Actor, path: str) -> None:
        await self.hook("drop_partial", path)
        granted = self.leave(actor, "drop_partial", path=path)
        if self.partials.pop((granted.owner, path), None) is None:
            raise NotFound(path)

    # Secrets.

    async def secret(self, name: str, *, newest: bool = False) -> bytes | None:
        await self.hook("secret", name)
        return self.secrets.get(name)

    async def agree_on_secret(self, name: str, value: bytes, *, replaces: bytes = b"") -> bytes:
        known = self.secrets.get(name)
        if known is None or hashlib.sha256(known).digest() == replaces:
            self.secrets[name] = value
        elif replaces:
            raise Changed(name)
        return self.secrets[name]

    # Accounts.

    async def user(self, name: str) -> User | None:
        await self.hook("user", name)
        return self.accounts.get(name)

    def cached_user(self, name: str) -> User | None:
        return self.accounts.get(name)

    def watch_accounts(self, changed: Callable[[str | None], None]) -> None:
        self.watchers.append(changed)

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        self.listeners[topic] = heard

    def tell(self, topic: str, body: bytes) -> None:
        self.reported.append((topic, body))

    def put_account(self, user: User) -> None:
        """Make or change an account as a command does: with an identity and a revision of its own. On the loop."""
        earlier, number = self.accounts.get(user.name), next(self._inodes)
        identity = f"{user.name}/{number}" if earlier is None else earlier.identity
        since = number if earlier is None else earlier.sessions_since
        self.gone.discard(user.name)
        self.change_account(user.name, replace(user, identity=identity, revision=number, sessions_since=since))

    def change_account(self, name: str, user: User | None) -> None:
        """Change or remove an account, as the application of a log entry does. On the loop."""
        if user is None:
            self.accounts.pop(name, None)
            self.gone.add(name)
        else:
            self.accounts[name] = user
        for changed in self.watchers:
            changed(name)

    def usage(self, owner: str) -> Usage:
        def of(node: Node) -> Iterator[int]:
            if owner and node.owner == owner:
                yield len(node.data or b"")
            for child in node.children.values():
                yield from of(child)

        sizes = list(of(self.root))
        return Usage(len(sizes), sum(sizes))

    def takes(self, name: str) -> int:
        free = 1 << 62 if self.free_space is None else self.free_space
        return (
            free if Rights(self.accounts[name], reserved=self.level >= LEVEL).sees_all else free // 1000 * 1000
        )


class FakeUpload:
    """An upload into the fake store."""

    def __init__(
        self,
        store: FakeStore,
        actor: Actor,
        put: commands.PutFile,
        data: bytearray,
        allowance: Allowance,
        base: Entry | None,
        target: Target,
        replaced: Entry | None,
    ) -> None:
        self.base = base
        self.path = put.path
        self.owner = actor.owner
        self._store = store
        self._actor = actor
        self._put = put
        self._data = data
        self._allowance = allowance
        self._target = target
        self._replaced = replaced
        self._over = False
        self._folded = False
        self._unread = 0

    def _end(self, how: str) -> None:
        assert not self._over, f"{how} after the end"
        self._over = True
        self._store.ended[how] += 1

    @property
    def position(self) -> int:
        return len(self._data)

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        assert not self._over, "feed after the end"
        assert not self._folded, "feed to a copy"
        self._allowance.check(len(self._data) + len(data))
        hook = self._store.hooks.get("feed")
        if hook is not None:
            hook(self.path, len(data))
        self._data += data
        self._unread += len(data)
        return self._store.window is None or self._unread < self._store.window

    async def drained(self) -> None:
        await self._store.hook("drained", self.path)
        self._unread = 0

    @property
    def whole(self) -> int:
        assert not self._folded, "looked into a copy"
        return len(self._data) // BLOCK * BLOCK

    def check_size(self, size: int) -> None:
        self._allowance.check(size)
        if self._store.free_space is not None and size > self._store.free_space:
            raise DiskFull(str(size))

    def feed_zeroes(self, count: int) -> bool:
        self._allowance.check(len(self._data) + count)
        return self.feed(bytes(count))

    def patch(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        assert self.whole <= offset and offset + len(data) <= self.position
        self._data[offset : offset + len(data)] = data

    def filling(self, start: int, stop: int) -> bytes:
        assert self.whole <= start <= stop <= self.position
        return bytes(self._data[start:stop])

    async def chunk(self, index: int) -> bytes:
        await self._store.hook("chunk", self.path, index)
        assert (index + 1) * BLOCK <= self.whole
        return bytes(self._data[index * BLOCK : (index + 1) * BLOCK])

    def replace(self, index: int, data: bytes | bytearray | memoryview) -> bool:
        assert (index + 1) * BLOCK <= self.whole and len(data) == BLOCK
        self._data[index * BLOCK : (index + 1) * BLOCK] = data
        return self._store.window is None

    async def cut(self, size: int) -> None:
        await self._store.hook("cut", self.path)
        assert size < len(self._data)
        del self._data[size:]

    def adopt(self, base: FakeDownload) -> bool:
        if self._data or not base.data:
            return False
        self._allowance.check(len(base.data))
        self._data += base.data
        self._folded = True
        return True

    async def unfold(self) -> None:
        await self._store.hook("unfold", self.path)
        self._folded = False

    async def target(self) -> Target:
        await self._store.hook("target", self.path)
        return self._target

    async def publish(
        self, target: Target, mtime_ns: int | None = None, *, unfinished: bool = False
    ) -> FakePublished:
        self._end("commit")
        await self._store.hook("commit", self.path)
        store = self._store
        if target.inode:
            place = store.place_of(target.inode)
            if place is None:
                node = Node(0, self.owner, mtime_ns or time.time_ns(), bytes(self._data))
                return FakePublished(
                    FakeDownload(store, node.entry(target.name), bytes(self._data)), True, False
                )
            parent, name = place
            if parent.children[name].version != target.version:
                raise Changed(self.path)
        else:
            directory = store.directory(target.directory)
            if directory is None:
                raise NotFound(self.path)
            parent, name = directory, target.name
            there = parent.children.get(name)
            held = store.reserved.get((parent.inode, name), 0)
            if held != target.reservation:
                raise Changed(self.path) if target.reservation else AlreadyExists(self.path)
            if there is None and target.replaces != (0, 0):
                raise Changed(self.path)
            if there is not None and (there.inode, there.version) != target.replaces:
                raise Changed(self.path)
        at = f"{store.path_of(parent.inode).rstrip('/')}/{name}"
        now = parent.children.get(name)
        put = commands.Command(put_file=commands.PutFile(path=at))
        await store.allow(self._actor, put, now.entry(name) if now is not None else None)
        store.check_put(self.owner, len(self._data), now)
        inode = target.inode or next(store._inodes)
        moment = time.time_ns() if mtime_ns is None else mtime_ns
        node = Node(inode, self.owner, moment, bytes(self._data), next(store._inodes))
        parent.children[name] = node
        store._touch(parent)
        store.reserved.pop((parent.inode, name), None)
        self._store.partials.pop((self.owner, self.path), None)
        waits = unfinished and Area.SENT.has(at)
        store.handed.append((at, len(self._data), waits))
        return FakePublished(FakeDownload(store, node.entry(name), bytes(self._data)), False, waits)

    async def prepare(self) -> None:
        await self._store.hook("prepare", self.path)

    async def commit(self, mtime_ns: int | None = None) -> Entry:
        self._end("commit")
        await self._store.hook("commit", self.path)
        store, put = self._store, self._put
        granted = leave(store.rights(self._actor), commands.Command(put_file=put))
        parent, name = store._parent(self.path)
        there = parent.children.get(name)
        if there is not None and there.data is None:
            raise IsADirectory(self.path)
        if there is None or put.exclusive or granted.keeps:
            store._check_free(parent, name)
        if there is not None:
            store._check_owner(there, granted.target_of)
        kept = (self.base.inode, self.base.version) if self.base is not None else None
        now = (there.inode, there.version) if there is not None else None
        if now != kept and (kept is not None or put.append):
            raise Changed(self.path)
        store.check_put(self.owner, len(self._data), there)
        node = store.put(self.path, bytes(self._data), self.owner, mtime_ns=mtime_ns)
        store._touch(parent)
        store.partials.pop((self.owner, self.path), None)
        return node.entry(name)

    async def suspend(self) -> None:
        self._end("suspend")
        await self._store.hook("suspend", self.path)
        if self._data and not newer_of(self.owner, self._replaced, self._store.published(self.path)):
            self._store.partials[self.owner, self.path] = bytes(self._data)

    async def abort(self) -> None:
        self._end("abort")
        await self._store.hook("abort", self.path)


class FakePublished(NamedTuple):
    """What was published; `waits` to be published once more, to be delivered."""

    download: FakeDownload
    gone: bool
    waits: bool


class FakeDownload:
    """A download of one version."""

    def __init__(self, store: FakeStore, entry: Entry, data: bytes) -> None:
        self._store = store
        self.entry = entry
        self.data = data

    @property
    def version(self) -> FileVersion:
        chunks = (ChunkRef(blake3(self.data).digest(), len(self.data), ()),) if self.data else ()
        return FileVersion(self.entry, chunks)

    @property
    def size(self) -> int:
        return len(self.data)

    async def blocks(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        end = len(self.data) if length is None else min(len(self.data), offset + length)
        for position in range(offset, end, BLOCK):
            await self._store.hook("block", position)
            yield self.data[position : min(end, position + BLOCK)]

    def at_once(self, offset: int = 0) -> None:
        """Nothing can be sent at once."""

    def parts(self, offset: int = 0) -> AsyncIterator[bytes]:
        return self.blocks(offset)

    async def close(self) -> None:
        self._store.ended["download"] += 1
        await self._store.hook("close_download")
