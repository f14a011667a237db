"""The store's contract with front-ends, on which `tests/contract` runs: the fake store, and a real one of one node.

Both run on loops of their own threads, as a node's does, so that work in the background goes on between two tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from fakestore import FakeStore
from peer_networks import identity
from storesettings import store_settings
from waiting import PATIENCE

from ftpgateway.access.backend import Backend, Download, Upload
from ftpgateway.demo import ports
from raftstore.errors import StoreError
from raftstore.rights import ROLES, Actor
from raftstore.store.facade import Store
from raftstore.store.node import RunningNode
from raftstore.store.opendisk import open_disk
from raftstore.types import Entry, Page, Rule, User
from raftstore.util.addresses import Address

T = TypeVar("T")

MEMBER = ROLES["member"]


class LoopThread:
    """An event loop in a thread; `run` runs a coroutine there to its end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="contract", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what it returns, or raise what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


class Kept(Protocol):
    """A store with accounts that can be changed."""

    store: Any
    """A Backend with secrets."""

    async def put_account(self, user: User) -> None:
        """Make or change an account."""
        ...

    async def remove_account(self, name: str) -> None:
        """Remove an account."""
        ...


class Fake:
    """The fake store."""

    def __init__(self) -> None:
        self.store = FakeStore()

    async def put_account(self, user: User) -> None:
        """Make or change an account."""
        self.store.put_account(user)

    async def remove_account(self, name: str) -> None:
        """Remove an account."""
        self.store.change_account(name, None)


class Real:
    """A store of one node, with its data in `directory`."""

    def __init__(self, store: Store, node: RunningNode) -> None:
        self.store = store
        self._accounts = node.accounts

    @classmethod
    async def open(cls, directory: Path, ended: Callable[[BaseException], None]) -> Real:
        """Start it; `ended` hears why it had to stop by itself."""
        address = Address("127.0.0.1", ports.free("127.0.0.1", 1)[0])
        settings = replace(store_settings("n1", directory, {"n1": address}, identity("n1")), reserve_bytes=0)
        async with contextlib.AsyncExitStack() as stack:
            disk = await open_disk(settings, ended, stack)
            node = RunningNode(disk, ended, None)
            part = await node.take_part(stack)
            return cls(Store(node, part, stack.pop_all()), node)
        raise AssertionError

    async def put_account(self, user: User) -> None:
        """Make or change an account."""
        await self._accounts.put_user(user)

    async def remove_account(self, name: str) -> None:
        """Remove an account."""
        await self._accounts.remove_user(name)


@contextlib.contextmanager
def real_store(directory: Path, loop: LoopThread) -> Iterator[Real]:
    """A real store that runs, and must not have ended by itself when it is stopped."""
    ended: list[BaseException] = []
    real = loop.run(Real.open(directory, ended.append))
    try:
        yield real
    finally:
        loop.run(real.store.stop())
        assert not ended


_numbers = itertools.count(1)


class World:
    """What a test of the contract works on: a store, a directory of its own in it, and accounts of its own."""

    def __init__(self, kept: Kept, loop: LoopThread) -> None:
        self.run = loop.run
        self.store: Backend = kept.store
        self.secrets: Any = kept.store
        self._kept = kept
        self._number = next(_numbers)
        self.home = f"/world{self._number}"
        self.anna: Actor

    async def begin(self) -> None:
        """Make the directory, and the account anna, which may do everything in it."""
        self.anna = await self.account("anna")
        await self.store.make_home(self.anna)

    def at(self, path: str = "") -> str:
        """The path of something in the test's directory."""
        return f"{self.home}/{path}" if path else self.home

    # Accounts.

    def name(self, short: str) -> str:
        """The name of an account, which no other test has."""
        return f"{short}{self._number}"

    async def account(self, short: str, rights: str = MEMBER, *rules: tuple[str, str], **more: Any) -> Actor:
        """Make an account and open a session; `rules`: path in the test's directory, rights."""
        ruled = tuple(Rule(self.at(path), letters) for path, letters in rules)
        fields = {"home": self.home, "rights": rights, "rules": ruled, **more}
        await self._kept.put_account(User(self.name(short), "hash", **fields))
        return await self.session(short)

    async def session(self, short: str) -> Actor:
        """Open a session of an account that is there."""
        user = await self.store.user(self.name(short))
        assert user is not None
        return Actor.session(user)

    async def change(self, short: str, **fields: Any) -> None:
        """Change an account."""
        user = await self.store.user(self.name(short))
        assert user is not None
        await self._kept.put_account(replace(user, **fields | {"revision": 0}))

    async def remove_account(self, short: str) -> None:
        """Remove an account; what it has stays."""
        await self._kept.remove_account(self.name(short))

    # Names and bytes.

    async def put(self, path: str, data: bytes = b"data", actor: Actor | None = None, **options: Any) -> Entry:
        """Publish a file."""
        upload = await self.upload(path, data, actor, **options)
        return await upload.commit()

    async def upload(self, path: str, data: bytes = b"", actor: Actor | None = None, **options: Any) -> Upload:
        """Open an upload and feed it; it is still to be ended."""
        upload = await self.store.upload(actor or self.anna, self.at(path), **options)
        try:
            if data and not upload.feed(data):
                await upload.drained()
        except BaseException:
            await upload.abort()
            raise
        return upload

    async def get(
        self, path: str, actor: Actor | None = None, offset: int = 0, length: int | None = None
    ) -> bytes:
        """Download a file."""
        return await read(await self.store.download(actor or self.anna, self.at(path)), offset, length)

    async def directory(self, *paths: str) -> None:
        """Make directories."""
        for path in paths:
            await self.store.make_directory(self.anna, self.at(path))

    async def lookup(self, path: str = "", actor: Actor | None = None) -> Entry:
        """Look a name up."""
        return await self.store.lookup(actor or self.anna, self.at(path))

    async def names(self, path: str = "", actor: Actor | None = None, *, backwards: bool = False) -> list[str]:
        """Everything in a directory, page by page."""
        who = actor or self.anna
        page: Page | None = await self.store.listing(who, self.at(path), backwards=backwards)
        found: list[str] = []
        while page is not None:
            found += [entry.name for entry in page.entries]
            if not page.more:
                return found
            page = self.store.next_page(who, page.directory, page.last, backwards=backwards)
        raise AssertionError("the directory was removed")

    async def there(self, path: str) -> bool:
        """Whether there is something."""
        return path.rpartition("/")[2] in await self.names(path.rpartition("/")[0])


async def read(download: Download, offset: int = 0, length: int | None = None) -> bytes:
    """Read a download, and close it."""
    try:
        return b"".join([bytes(block) async for block in download.blocks(offset, length)])
    finally:
        await download.close()


@contextlib.contextmanager
def refused(kind: type[StoreError]) -> Iterator[None]:
    """What is done here must be refused with exactly this error: with its code, and none beneath it."""
    with pytest.raises(StoreError) as caught:
        yield
    assert (caught.value.code, type(caught.value)) == (kind.code, kind), str(caught.value)
