"""An in-memory store with the contract's meaning, for tests of front-ends: failures and delays can be injected.

`hooks[name]` is called (and awaited if it returns an awaitable) at the start of the call `name`: it may wait
on an event or raise a StoreError. Calls: lookup, listing, make_directory, remove_directory, remove, rename,
set_modified, upload, download, partial, drop_partial, user, drained, commit, suspend, abort, feed
(synchronous), block.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from raftstore import paths
from raftstore.errors import (
    AlreadyExists,
    Cycle,
    Denied,
    DiskFull,
    Invalid,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
)
from raftstore.metadata.listing import PackedListing, PackingBudget
from raftstore.types import Entry, Kind, Order, Page, Partial, Usage, User

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


class FakeStore:
    """Holds everything in memory; `ended` counts how uploads and downloads ended."""

    def __init__(self) -> None:
        self._inodes = itertools.count(2)
        self.root = Node(1, "", 0)
        self.accounts: dict[str, User] = {}
        self.secrets: dict[str, bytes] = {}
        self.partials: dict[tuple[str, str], bytes] = {}
        self.hooks: dict[str, Callable[..., Any]] = {}
        self.calls: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.room: int | None = None
        self.window: int | None = None
        self.modified: list[str] = []
        self.listeners: dict[str, Callable[[str, bytes], None]] = {}
        self.told: list[tuple[str, bytes]] = []
        self.page = 256
        self.packing = PackingBudget()
        self.watchers: list[Callable[[str | None], None]] = []

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

    def read(self, path: str) -> bytes:
        data = self.find(path).data
        assert data is not None
        return data

    async def lookup(self, path: str) -> Entry:
        await self.hook("lookup", path)
        return self.find(path).entry(path.rpartition("/")[2] or "/")

    async def listing(self, path: str, *, backwards: bool = False) -> Page:
        await self.hook("listing", path)
        return self._page(self._directory(path), path, "", backwards)

    def next_page(self, directory: int, after: str, *, backwards: bool = False) -> Page | None:
        self.calls["next_page"] += 1
        self.hooks.get("next_page", lambda *_: None)(directory, after)
        found = self._with_inode(directory, self.root, "/")
        return None if found is None else self._page(found[0], found[1], after, backwards)

    async def sorted_listing(self, path: str, order: Order) -> PackedListing:
        await self.hook("sorted_listing", path)
        node = self._directory(path)
        rows = [
            (name, int(entry.kind), entry.inode, entry.size, entry.mtime_ns, entry.owner, entry.version)
            for name, child in sorted(node.children.items())
            for entry in [child.entry(name)]
        ]
        rows.sort(key=lambda row: -row[4] if order is Order.TIME else -row[3])
        pages = [rows[at : at + self.page] for at in range(0, len(rows), self.page)]
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
        return Page(node.inode, path, entries, len(names) > self.page)

    async def make_directory(self, path: str, owner: str) -> None:
        await self.hook("make_directory", path)
        paths.split(path)
        parent, name = self._parent(path)
        if name in parent.children:
            raise AlreadyExists(path)
        self.put(path, None, owner)

    async def remove_directory(self, path: str) -> None:
        await self.hook("remove_directory", path)
        node = self.find(path)
        if node.data is not None:
            raise NotADirectory(path)
        if node.children:
            raise NotEmpty(path)
        parent, name = self._parent(path)
        del parent.children[name]

    def _check_owner(self, node: Node, owner: str) -> None:
        if owner and (node.data is None or node.owner != owner):
            raise Denied(owner)

    async def remove(self, path: str, *, only_of: str = "") -> None:
        await self.hook("remove", path)
        if self.find(path).data is None:
            raise IsADirectory(path)
        self._check_owner(self.find(path), only_of)
        parent, name = self._parent(path)
        del parent.children[name]

    async def rename(
        self, source: str, target: str, *, source_of: str = "", target_of: str = "", exclusive: bool = False
    ) -> None:
        await self.hook("rename", source, target)
        node = self.find(source)
        self._check_owner(node, source_of)
        if target == source:
            return
        if target.startswith(source + "/"):
            raise Cycle(target)
        parent, name = self._parent(target)
        there = parent.children.get(name)
        if there is not None and (there.data is None or node.data is None or exclusive):
            raise AlreadyExists(target)
        if there is not None:
            self._check_owner(there, target_of)
        old_parent, old_name = self._parent(source)
        del old_parent.children[old_name]
        parent.children[name] = node

    async def set_modified(self, path: str, mtime_ns: int, *, only_of: str = "") -> None:
        await self.hook("set_modified", path)
        self._check_owner(self.find(path), only_of)
        self.find(path).mtime_ns = mtime_ns

    # Bytes.

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
        about: bool = False,
    ) -> FakeUpload:
        await self.hook("upload", path)
        if expected is not None and expected > self.takes(owner, about=about):
            raise DiskFull(str(expected))
        parent, name = self._parent(path)
        there = parent.children.get(name)
        if there is not None and there.data is None:
            raise IsADirectory(path)
        if there is not None and exclusive:
            raise AlreadyExists(path)
        if there is not None and own_only:
            self._check_owner(there, owner)
        base = self.partials.get((owner, path)) if resume else None
        published = None
        if base is None and there is not None and (append or offset):
            published = there.entry(name)
        if base is None:
            base = there.data if there is not None and there.data is not None else b""
        if append:
            kept = base
        else:
            if (offset or 0) > len(base):
                raise Invalid(f"cannot continue at byte {offset}: only {len(base)} bytes are there")
            kept = base[: offset or 0]
        self.opened["upload"] += 1
        return FakeUpload(self, path, owner, bytearray(kept), exclusive, published)

    async def download(self, path: str) -> FakeDownload:
        await self.hook("download", path)
        node = self.find(path)
        if node.data is None:
            raise IsADirectory(path)
        self.opened["download"] += 1
        return FakeDownload(self, node.entry(path.rpartition("/")[2]), node.data)

    async def partial(self, path: str, owner: str, *, anew: bool = True) -> Partial | None:
        await self.hook("partial", path)
        data = self.partials.get((owner, path))
        return None if data is None else Partial(path, owner, len(data), 0, ())

    async def drop_partial(self, path: str, owner: str) -> None:
        await self.hook("drop_partial", path)
        if self.partials.pop((owner, path), None) is None:
            raise NotFound(path)

    # Secrets.

    async def secret(self, name: str, *, newest: bool = False) -> bytes | None:
        await self.hook("secret", name)
        return self.secrets.get(name)

    async def agree_on_secret(self, name: str, value: bytes, *, replaces: bytes = b"") -> bytes:
        return self.secrets.setdefault(name, value)

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
        self.told.append((topic, body))

    def change_account(self, name: str, user: User | None) -> None:
        """Change or remove an account, as the application of a log entry does. On the loop."""
        if user is None:
            self.accounts.pop(name, None)
        else:
            self.accounts[name] = user
        for changed in self.watchers:
            changed(name)

    def usage(self, owner: str) -> Usage:
        def of(node: Node) -> Iterator[int]:
            if node.data is not None and node.owner == owner:
                yield len(node.data)
            for child in node.children.values():
                yield from of(child)

        sizes = list(of(self.root))
        return Usage(len(sizes), sum(sizes))

    def takes(self, owner: str, *, about: bool = False) -> int:
        free = 1 << 62 if self.room is None else self.room
        return free // 1000 * 1000 if about else free


class FakeUpload:
    """An upload into the fake store."""

    def __init__(
        self, store: FakeStore, path: str, owner: str, data: bytearray, exclusive: bool, base: Entry | None
    ) -> None:
        self.base = base
        self._store = store
        self.path = path
        self.owner = owner
        self._data = data
        self._exclusive = exclusive
        self._over = False
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
        hook = self._store.hooks.get("feed")
        if hook is not None:
            hook(self.path, len(data))
        self._data += data
        self._unread += len(data)
        return self._store.window is None or self._unread < self._store.window

    async def drained(self) -> None:
        await self._store.hook("drained", self.path)
        self._unread = 0

    async def commit(self, mtime_ns: int | None = None) -> Entry:
        self._end("commit")
        await self._store.hook("commit", self.path)
        parent, name = self._store._parent(self.path)
        if self._exclusive and name in parent.children:
            raise AlreadyExists(self.path)
        node = self._store.put(self.path, bytes(self._data), self.owner, mtime_ns=mtime_ns)
        self._store.partials.pop((self.owner, self.path), None)
        return node.entry(name)

    async def suspend(self) -> None:
        self._end("suspend")
        await self._store.hook("suspend", self.path)
        if self._data:
            self._store.partials[self.owner, self.path] = bytes(self._data)

    async def abort(self) -> None:
        self._end("abort")
        await self._store.hook("abort", self.path)


class FakeDownload:
    """A download of one version."""

    def __init__(self, store: FakeStore, entry: Entry, data: bytes) -> None:
        self._store = store
        self.entry = entry
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    async def blocks(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        end = len(self._data) if length is None else min(len(self._data), offset + length)
        for position in range(offset, end, BLOCK):
            await self._store.hook("block", position)
            yield self._data[position : min(end, position + BLOCK)]

    def at_once(self, offset: int = 0) -> None:
        """Nothing can be sent at once."""

    def parts(self, offset: int = 0) -> AsyncIterator[bytes]:
        return self.blocks(offset)

    async def close(self) -> None:
        self._store.ended["download"] += 1
        await self._store.hook("close_download")
