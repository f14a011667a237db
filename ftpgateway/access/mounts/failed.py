"""`/send/.failed`: a short text for each picture that somebody did not take, or was never there to open."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime

from ftpgateway.access.account import Account
from ftpgateway.access.backend import Backend, Download, Part
from ftpgateway.access.cursor import DirectoryCursor, Matches
from ftpgateway.access.tree import Tree, cursor_over, virtual_entry
from raftstore import paths
from raftstore.errors import IsADirectory, NotADirectory, NotFound
from raftstore.rights import Action
from raftstore.rights.letters import permits
from raftstore.types import DeliveryState, Entry, FileVersion, Order, SentItem
from raftstore.util.buffers import Buffer

SHOWN = 1_000
"""Records that are looked at for it, of those that stand and of those that have ended."""

_MAX_STEM = 200
_LETTERS = "elr"
_WHY = {
    DeliveryState.REFUSED: "takes no pictures from you",
    DeliveryState.BOUNCED: "was removed before it was opened",
}


class FailedRecords(Tree):
    """A directory of texts, made as it is read; they go with the records, thirty days after the end of each."""

    refusal = "here is only told what failed; it goes by itself"

    def __init__(self, store: Backend, name: str, root: str) -> None:
        """`root`: where it is in the tree that it is a part of."""
        self._store = store
        self._name = name
        self._root = root

    async def _texts(self) -> dict[str, tuple[bytes, int]]:
        """Return the texts by name, and when each failed."""
        items: list[SentItem] = []
        for ended in (False, True):
            try:
                items += await self._store.people.sent(self._name, SHOWN, ended=ended)
            except NotFound:  # it has never sent anything
                return {}
        texts: dict[str, tuple[bytes, int]] = {}
        for item in items:
            if item.state in _WHY:
                name = _unused(_stem(item), texts)
                texts[name] = _text(item), item.ended_ns or item.sent_ns
        return texts

    async def _one(self, path: str) -> tuple[bytes, int]:
        name, _, below = path[len(self._root) + 1 :].partition("/")
        found = (await self._texts()).get(name)
        if found is None:
            raise NotFound(path)
        if below:
            raise NotADirectory(path)
        return found

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is at `path`. Raises MountRefused for what cannot be done to it."""
        if to not in (None, Action.ENTER, Action.LIST, Action.READ):
            self.refuse()
        if path == self._root:
            return virtual_entry(self, path, None, 0)
        text, moment = await self._one(path)
        return virtual_entry(self, path, len(text), moment, self._name)

    async def directory(
        self,
        path: str,
        *,
        order: Order = Order.NAME,
        backwards: bool = False,
        matches: Matches | None = None,
        beside: Sequence[Entry] = (),
    ) -> DirectoryCursor:
        """Return a cursor over the texts."""
        if path != self._root:
            await self._one(path)
            raise NotADirectory(path)
        entries = [
            virtual_entry(self, f"{path}/{name}", len(text), moment, self._name)
            for name, (text, moment) in (await self._texts()).items()
        ]
        return cursor_over(entries, order, backwards=backwards, matches=matches)

    def letters(self, account: Account, path: str) -> str:
        """Return the account's rights at `path`."""
        return _LETTERS

    def may(self, account: Account, action: Action, path: str, *, own: bool = False) -> bool:
        """Return whether the account may `action` at `path`."""
        return permits(_LETTERS, action, own=own)

    async def download(self, path: str) -> Download:
        """Open a text."""
        if path == self._root:
            raise IsADirectory(path)
        text, moment = await self._one(path)
        return _Text(virtual_entry(self, path, len(text), moment, self._name), text)


def _stem(item: SentItem) -> str:
    name = f"{item.path.replace('/', ' ')} ({item.recipient})"
    return name.encode()[:_MAX_STEM].decode("utf-8", "ignore")


def _unused(stem: str, taken: dict[str, tuple[bytes, int]]) -> str:
    name, number = f"{stem}.txt", 1
    while name in taken:
        number += 1
        name = paths.numbered(f"{stem}.txt", number)
    return name


def _text(item: SentItem) -> bytes:
    sent = datetime.fromtimestamp(item.sent_ns // 10**9, UTC)
    why = f"{item.recipient} {_WHY[item.state]}."
    return f"{item.path}, {item.size} bytes, sent {sent:%Y-%m-%d %H:%M:%S} UTC: {why}\n".encode()


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
