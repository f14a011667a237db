"""`/send/.failed`: a short text for each picture that somebody did not take, or was never there to open."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime

from ftpgateway.access.account import Account
from ftpgateway.access.backend import Backend, Download, Part
from ftpgateway.access.cursor import DirectoryCursor, Matches
from ftpgateway.access.tree import Tree, cursor_over, virtual_entry
from raftstore.errors import IsADirectory, NotADirectory, NotFound
from raftstore.rights import Action
from raftstore.rights.letters import permits
from raftstore.types import NEWEST_SENT, DeliveryState, Entry, FileVersion, Order, SentItem
from raftstore.util.buffers import Buffer

SHOWN = 1_000
"""Records that are looked at for it, of those that stand and of those that have ended."""

PAGE = 100
"""Of them at a time: the node's loop has other work in between."""

_MAX_STEM = 200
_NUMBERED = re.compile(r" (\d{1,18})\.txt\Z")
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

    async def _items(self) -> list[SentItem]:
        """Return what failed among what was sent last; looked through a page at a time."""
        items: list[SentItem] = []
        for ended in (False, True):
            left, before = SHOWN, NEWEST_SENT
            while left > 0:
                try:
                    page = await self._store.people.sent(self._name, PAGE, before=before, ended=ended)
                except NotFound:  # it has never sent anything
                    return []
                items += [item for item in page if item.state in _WHY]
                left -= len(page)
                if len(page) < PAGE:
                    break
                before = page[-1].key
        return items

    async def _one(self, path: str) -> SentItem:
        name, _, below = path[len(self._root) + 1 :].partition("/")
        number = _NUMBERED.search(name)
        item = None
        if number is not None:
            with contextlib.suppress(NotFound):
                item = await self._store.people.sent_one(self._name, int(number[1]))
        if item is None or item.state not in _WHY or _file_name(item) != name:
            raise NotFound(path)
        if below:
            raise NotADirectory(path)
        return item

    def _entry(self, path: str, item: SentItem) -> Entry:
        moment = item.ended_ns or item.sent_ns
        return virtual_entry(self, path, len(_text(item)), moment, self._name)

    async def entry(self, path: str, *, to: Action | None = None) -> Entry:
        """Return what is at `path`. Raises MountRefused for what cannot be done to it."""
        if to not in (None, Action.ENTER, Action.LIST, Action.READ):
            self.refuse()
        if path == self._root:
            return virtual_entry(self, path, None, 0)
        return self._entry(path, await self._one(path))

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
        entries = [self._entry(f"{path}/{_file_name(item)}", item) for item in await self._items()]
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
        item = await self._one(path)
        return _Text(self._entry(path, item), _text(item))


def _file_name(item: SentItem) -> str:
    """Return a name that no other text has, by which its delivery is found without looking through all."""
    stem = f"{item.path.replace('/', ' ')} ({item.recipient})".encode()[:_MAX_STEM].decode("utf-8", "ignore")
    return f"{stem} {item.key[0] if item.ended_ns else item.key[1]}.txt"


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
