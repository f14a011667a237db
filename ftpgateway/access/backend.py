"""What front-ends need of the store: the contract of `raftstore.store.Store`, as Protocols."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from raftstore.types import Entry, Order, Page, Partial, Span, Usage, User

Buffer = bytes | bytearray | memoryview
Part = Buffer | Span


class Upload(Protocol):
    """One upload. Ends with exactly one of `commit`, `suspend`, `abort`; nothing is visible before `commit`."""

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

    async def commit(self, mtime_ns: int | None = None) -> Entry:
        """Publish: durable and visible everywhere on return. Raises StoreError."""
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
    def pages(self) -> int:
        """How many pages there are."""
        ...

    def page(self, number: int, *, backwards: bool = False) -> Page:
        """Return a page, the first one is 0; `backwards`: from the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Backend(Protocol):
    """The store as front-ends see it. Paths are absolute in the store; all calls may raise StoreError."""

    async def lookup(self, path: str) -> Entry:
        """Return what `path` names."""
        ...

    async def listing(self, path: str, *, backwards: bool = False) -> Page:
        """Return the first entries of a directory by name, or the last ones."""
        ...

    def next_page(self, directory: int, after: str, *, backwards: bool = False) -> Page | None:
        """Return what follows the name `after` in a directory that `listing` told of; None: it was removed."""
        ...

    async def sorted_listing(self, path: str, order: Order) -> SortedListing:
        """Return all entries of a directory, of one moment, newest or largest first."""
        ...

    async def make_directory(self, path: str, owner: str) -> None:
        """Make a directory."""
        ...

    async def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        ...

    async def remove(self, path: str, *, only_of: str = "") -> None:
        """Remove a file, only one of the owner `only_of` if that is given (else Denied), as below."""
        ...

    async def rename(
        self, source: str, target: str, *, source_of: str = "", target_of: str = "", exclusive: bool = False
    ) -> None:
        """Rename a file (over an existing file too, unless `exclusive`) or a directory."""
        ...

    async def set_modified(self, path: str, mtime_ns: int, *, only_of: str = "") -> None:
        """Set the time of last modification, in ns since the epoch."""
        ...

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
    ) -> Upload:
        """Open an upload of `path`; `expected` bytes are checked against quota and free room at once.

        `about`: against that as `takes` tells it then.

        It replaces nothing if `exclusive`, only what `owner` has put if `own_only`. Without `resume` it goes on from
        what is published alone, not from a partial upload.
        """
        ...

    async def download(self, path: str) -> Download:
        """Open the published version of a file."""
        ...

    async def partial(self, path: str, owner: str, *, anew: bool = True) -> Partial | None:
        """Return what `owner` can resume at `path`; `anew`: ask the cluster."""
        ...

    async def drop_partial(self, path: str, owner: str) -> None:
        """Forget what `owner` could resume at `path`."""
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

    def takes(self, owner: str, *, about: bool = False) -> int:
        """Return how many bytes of pictures of `owner` the cluster takes now, quotas aside. Raises NoQuorum.

        `about`: roughly and late, so that it does not tell whether a picture is stored already.
        """
        ...

    def usage(self, owner: str) -> Usage:
        """Return what an account owns, as this node has applied it."""
        ...
