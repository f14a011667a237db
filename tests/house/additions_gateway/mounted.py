"""Directories mounted in the view of sessions: one that lies elsewhere in the store, one that lies nowhere."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from ftpgateway.access.account import Account
from ftpgateway.access.backend import Download, Part
from ftpgateway.access.cursor import DirectoryCursor, Matches
from ftpgateway.access.storetree import mapped
from ftpgateway.access.tree import Mount, Place, Tree, cursor_over, virtual_entry
from raftstore.errors import IsADirectory, NotADirectory, NotFound
from raftstore.rights import Action
from raftstore.rights.letters import permits
from raftstore.types import Entry, FileVersion, Order, User
from raftstore.util.buffers import Buffer

MODIFIED = 1_600_000_000 * 10**9


def _newest(user: User) -> str | None:
    """Return where it lies in the store; only those have it who may store something."""
    return f"{user.home.rstrip('/')}/.albums/newest" if "w" in user.rights else None


NEWEST = mapped("newest", _newest)


class Notices(Tree):
    """A directory with a file for each notice, made as it is read."""

    refusal = "notices are only read"

    def __init__(self, place: Place) -> None:
        self._texts = {"welcome.txt": f"Welcome, {place.account.user.name}!\n".encode()}

    def _text(self, path: str) -> bytes:
        name, _, below = path[1:].partition("/")
        if name not in self._texts:
            raise NotFound(path)
        if below:
            raise NotADirectory(path)
        return self._texts[name]

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        if to not in (None, Action.ENTER, Action.LIST, Action.READ):
            self.refuse()
        return virtual_entry(self, path, None if path == "/" else len(self._text(path)), MODIFIED)

    async def directory(
        self,
        path: str,
        *,
        order: Order = Order.NAME,
        backwards: bool = False,
        matches: Matches | None = None,
        beside: Sequence[Entry] = (),
    ) -> DirectoryCursor:
        if path != "/":
            self._text(path)
            raise NotADirectory(path)
        entries = [await self.entry(f"/{name}") for name in self._texts]
        return cursor_over(entries, order, backwards=backwards, matches=matches)

    def letters(self, account: Account, path: str) -> str:
        return "elr"

    def may(self, account: Account, action: Action, path: str, *, own: bool = False) -> bool:
        return permits("elr", action, own=own)

    async def download(self, path: str) -> Download:
        if path == "/":
            raise IsADirectory(path)
        return _Text(await self.entry(path), self._text(path))


NOTICES = Mount("notices", Notices)


class _Text:
    """Bytes in memory, as a download."""

    def __init__(self, entry: Entry, content: bytes) -> None:
        self.entry = entry
        self.version = FileVersion(entry, ())
        self.size = len(content)
        self._content = content

    async def blocks(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[Buffer, None]:
        yield self._content[offset : None if length is None else offset + length]

    def at_once(self, offset: int = 0) -> Part | None:
        return self._content[offset:]

    async def parts(self, offset: int = 0) -> AsyncIterator[Part]:
        yield self._content[offset:]

    async def close(self) -> None:
        pass
