"""What front-ends need of the store: the contract of `raftstore.store.facade.Store`, as Protocols."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol

from raftstore.rights import Action, Actor
from raftstore.store.targets import Target
from raftstore.types import Entry, FileVersion, Order, Page, Partial, SentItem, Span, Usage, User
from raftstore.util.buffers import Buffer
from raftstore.wire import commands_pb2 as commands

Part = Buffer | Span


class Published(Protocol):
    """What was published, open for reading. `gone`: its file is not there any more, so nobody else will see it."""

    @property
    def download(self) -> Download:
        """To be closed."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it was published nowhere."""
        ...

    @property
    def waits(self) -> bool:
        """Whether it is delivered only when it is published once more."""
        ...


class Upload(Protocol):
    """One upload. Ends with exactly one of `commit`, `publish`, `suspend`, `abort`; nothing is visible before."""

    @property
    def position(self) -> int:
        """Bytes from the start of the file that the upload holds so far."""
        ...

    @property
    def base(self) -> Entry | None:
        """The published version whose beginning it keeps; None when it begins anew, or goes on from what was begun."""
        ...

    def feed(self, data: Buffer) -> bool:
        """Take all of `data` (copied); False asks to await `drained` before more. Raises StoreError."""
        ...

    async def drained(self) -> None:
        """Wait until the upload takes more. Raises StoreError."""
        ...

    @property
    def whole(self) -> int:
        """Bytes from the start in whole chunks. What is behind, up to `position`, is in memory, to be `patch`ed."""
        ...

    def check_size(self, size: int) -> None:
        """Raise QuotaExceeded or TooLarge when a file of `size` bytes could not be published."""
        ...

    def feed_zeroes(self, count: int) -> bool:
        """Take `count` zero bytes, whole chunks of them for next to nothing. As `feed`."""
        ...

    def patch(self, offset: int, data: Buffer) -> None:
        """Overwrite bytes between `whole` and `position`, copying `data`. Raises StoreError."""
        ...

    def filling(self, start: int, stop: int) -> bytes:
        """Return bytes between `whole` and `position`."""
        ...

    async def chunk(self, index: int) -> Buffer:
        """Return the bytes of chunk `index`, a whole one. Raises StoreError."""
        ...

    def replace(self, index: int, data: Buffer) -> bool:
        """Take `data`, a whole chunk that nobody changes any more, as chunk `index`. As `feed`."""
        ...

    async def cut(self, size: int) -> None:
        """Keep the first `size` bytes. Raises StoreError."""
        ...

    def adopt(self, base: Any) -> bool:
        """Become a copy of all of the download `base`, without its bytes; False: it has to be fed. `unfold` it before
        anything but its end. Raises StoreError."""
        ...

    async def unfold(self) -> None:
        """Hold what was adopted as if it had been fed. Raises StoreError."""
        ...

    async def target(self) -> Target:
        """Return the file that it was opened on, or will make. Raises StoreError."""
        ...

    def prepare(self) -> Coroutine[Any, Any, object]:
        """Wait until all that came is durable. Whoever calls it leaves the time to `commit`. Raises StoreError."""
        ...

    async def commit(self, mtime_ns: int | None = None) -> Entry:
        """Publish at the path: durable and visible everywhere on return. Raises StoreError."""
        ...

    async def publish(
        self, target: Target, mtime_ns: int | None = None, *, unfinished: bool = False
    ) -> Published:
        """Publish as what `target` is by now; `unfinished`: more may follow. Raises StoreError."""
        ...

    async def suspend(self) -> None:
        """Keep what came for its owner to resume. Never raises StoreError."""
        ...

    async def abort(self) -> None:
        """Throw it away."""
        ...


class Download(Protocol):
    """One whole version of a file, to its end, whatever happens to the name meanwhile."""

    @property
    def entry(self) -> Entry:
        """What the name stood for when it was opened."""
        ...

    @property
    def version(self) -> FileVersion:
        """What is read: its entry and chunks."""
        ...

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        ...

    def blocks(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[Buffer, None]:
        """Yield verified bytes from `offset`. Raises Unavailable when no copy can be read."""
        ...

    def at_once(self, offset: int = 0) -> Part | None:
        """Return all bytes from `offset` on if they can be sent now, without waiting; close a `Span`."""
        ...

    def parts(self, offset: int = 0) -> AsyncIterator[Part]:
        """Yield what `blocks` does, with a `Span` for what can be sent straight from a file; close each of them."""
        ...

    async def close(self) -> None:
        """Release what the download holds."""
        ...


class SortedListing(Protocol):
    """A whole directory, to be read page by page and closed."""

    @property
    def count(self) -> int:
        """How many entries are held."""
        ...

    @property
    def pages(self) -> int:
        """How many pages there are."""
        ...

    def page(self, number: int, *, backwards: bool = False) -> Page:
        """Return a page, the first one is 0; `backwards`: from the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class People(Protocol):
    """What persons do beside putting and getting files. Calls may raise StoreError."""

    async def visible(self, actor: Actor, *, all_persons: bool) -> list[str]:
        """Return to whom an account may see that it can send; `all_persons`: everybody sees every person."""
        ...

    async def sees(self, actor: Actor, name: str, *, all_persons: bool) -> bool:
        """Return whether a name is among those that are visible to an account."""
        ...

    async def sent(
        self, name: str, limit: int, *, before: tuple[int, int] = ..., ended: bool = False
    ) -> list[SentItem]:
        """Return what a person has sent, newest first, one for each recipient, behind the item with the key `before`.

        `ended`: what has ended.
        """
        ...

    async def sent_one(self, name: str, number: int) -> SentItem | None:
        """Return what a person has sent, by the number of the delivery; None: there is none of that number."""
        ...

    def unopened(self, name: str, inodes: Sequence[int]) -> set[int]:
        """Return which of these entries of a person's inbox nobody has read, as this node has applied it."""
        ...

    async def send_file(self, actor: Actor, path: str, to: str, *, expires_ns: int = 0) -> commands.Result:
        """Send a stored file to a person or group."""
        ...

    async def block(self, actor: Actor, person: str, name: str, *, off: bool = False) -> None:
        """Have `person` take nothing more from `name`, or (`off`) take it again."""
        ...

    async def blocks(self, person: str) -> list[str]:
        """Return whom a person blocks, sorted."""
        ...


class TrashEntry(Protocol):
    """A file in the trash. Times in ns since the epoch, by cluster time."""

    @property
    def name(self) -> str:
        """Its name there."""
        ...

    @property
    def path(self) -> str:
        """Where it was in the store."""
        ...

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def removed_ns(self) -> int:
        """When it came there."""
        ...

    @property
    def expires_ns(self) -> int:
        """When it goes."""
        ...


class TrashCalls(Protocol):
    """What is done with trash beside reading it. Calls may raise StoreError."""

    def entries(self, actor: Actor, *, after: int = ...) -> AsyncIterator[Sequence[TrashEntry]]:
        """Yield what is in it behind inode `after`, the oldest first, some at a time."""
        ...

    async def restore(self, actor: Actor, name: str, *, to: str = "", beside: bool = False) -> str:
        """Put the file `name` of the trash to `to`, or to where it was; return its path in the store."""
        ...


class Backend(Protocol):
    """The store as front-ends see it. Paths are absolute in the store; all calls may raise StoreError.

    What concerns names says who asks: it is judged by the rights of that actor, and Denied where they do not allow it.
    `draft` and `expires_ns` are for what a person sends: the name is one that uploaders use while they write; after how
    long it is gone (0: as the account has it).
    """

    @property
    def level(self) -> int:
        """The level in force (raftstore.metadata.levels), by whose rules accounts are judged."""
        ...

    @property
    def people(self) -> People:
        """What persons do beside."""
        ...

    @property
    def trash(self) -> TrashCalls:
        """How trash is restored."""
        ...

    async def lookup(self, actor: Actor, path: str, *, to: Action | None = None) -> Entry:
        """Return what `path` names, to do that with it; NotFound for what the actor does not see."""
        ...

    async def listing(self, actor: Actor, path: str, *, backwards: bool = False) -> Page:
        """Return the first entries of a directory by name, or the last ones, as far as the actor is shown them."""
        ...

    def next_page(self, actor: Actor, directory: int, after: str, *, backwards: bool = False) -> Page | None:
        """Return what follows the name `after` in a directory that `listing` told of; None: it was removed."""
        ...

    async def sorted_listing(self, actor: Actor, path: str, order: Order) -> SortedListing:
        """Return all that the actor is shown of a directory, of one moment, newest or largest first."""
        ...

    async def require(self, actor: Actor, action: Action, path: str) -> User:
        """Raise Denied unless the actor may `action` at `path`; return the account as it is."""
        ...

    async def make_directory(self, actor: Actor, path: str) -> None:
        """Make a directory."""
        ...

    async def make_home(self, actor: Actor) -> None:
        """Make the actor's home directory where it is missing."""
        ...

    async def remove_directory(self, actor: Actor, path: str) -> None:
        """Remove an empty directory."""
        ...

    async def remove(self, actor: Actor, path: str) -> None:
        """Remove a file."""
        ...

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
        """Rename a file (over an existing file too, unless `exclusive`) or a directory."""
        ...

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
        """Copy a file, over an existing one too unless `exclusive`; no byte is copied."""
        ...

    async def set_modified(self, actor: Actor, path: str, mtime_ns: int) -> None:
        """Set the time of last modification, in ns since the epoch."""
        ...

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
    ) -> Upload:
        """Open an upload of `path`; `expected` bytes are checked against quota and free room at once.

        It replaces nothing if `exclusive`, and never what the actor may not. `handle`: it is published by what is at
        `path` now.
        """
        ...

    def upload_at_once(
        self,
        actor: Actor,
        path: str,
        *,
        exclusive: bool = False,
        expected: int | None = None,
        draft: bool = False,
        expires_ns: int = 0,
    ) -> Upload | None:
        """Open an upload that begins at byte 0, if nobody has to be asked for that; None: `upload` does it."""
        ...

    async def allow(self, actor: Actor, command: commands.Command, published: Entry | None = None) -> None:
        """Raise Denied or AlreadyExists unless the actor may do what `command` asks; `published`: what it replaces."""
        ...

    async def base(self, actor: Actor, path: str) -> Download:
        """Open the published version of a file to be changed; its bytes are not for who may not read there."""
        ...

    async def rewrite(
        self, actor: Actor, base: Any, path: str, *, draft: bool = False, expires_ns: int = 0
    ) -> Upload:
        """Open an upload that begins as all of the download `base`, of a file that was at `path`; for `publish`."""
        ...

    async def directory_of(self, actor: Actor, path: str) -> int:
        """Return the inode of the directory that `path` is in: to compare with, not to be told."""
        ...

    async def reserve(self, actor: Actor, path: str) -> Target | None:
        """Take the name at `path` for a file to be published; None: this cluster cannot yet."""
        ...

    async def release(self, target: Target) -> None:
        """End the reservation of a name that nobody will publish at; it is free on return."""
        ...

    def forget_reservation(self, target: Target) -> None:
        """Do the same in a moment."""
        ...

    async def download(self, actor: Actor, path: str) -> Download:
        """Open the published version of a file."""
        ...

    async def partial(self, actor: Actor, path: str, *, anew: bool = True) -> Partial | None:
        """Return what the actor can resume at `path`; `anew`: ask the cluster."""
        ...

    async def drop_partial(self, actor: Actor, path: str) -> None:
        """Forget what the actor could resume at `path`."""
        ...

    async def user(self, name: str) -> User | None:
        """Return an account as the whole cluster knows it."""
        ...

    def cached_user(self, name: str) -> User | None:
        """Return an account as this node has applied it; does not wait. The same object until it changes."""
        ...

    def listen(self, topic: str, heard: Callable[[str, bytes], None]) -> None:
        """Give what other nodes tell about `topic` to `heard`, with the node's name, on the loop."""
        ...

    def tell(self, topic: str, body: bytes) -> None:
        """Tell the other nodes in passing: who cannot be reached now never hears of it."""
        ...

    def watch_accounts(self, changed: Callable[[str | None], None]) -> None:
        """Call `changed` on the loop soon after an account was changed or removed (None: any may have been)."""
        ...

    def takes(self, name: str) -> int:
        """Return how many bytes of pictures of an account the cluster takes now, quotas aside. Raises NoQuorum.

        Roughly for one that does not see all that is stored: it must not tell whether a picture is there already.
        """
        ...

    def usage(self, owner: str) -> Usage:
        """Return what an owner, an account's identity, has published, as this node has applied it."""
        ...
