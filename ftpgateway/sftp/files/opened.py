"""What a handle of an SFTP session stands for: a directory being listed, or a file that is open."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ftpgateway.access.cursor import DirectoryCursor
from ftpgateway.access.ledger import Charge, LimitReached
from ftpgateway.access.sessions import Session
from ftpgateway.sftp import packets
from ftpgateway.sftp.files.draft import Draft, set_time
from ftpgateway.sftp.files.drafts import Drafts, Manner, Own
from ftpgateway.sftp.files.reading import FileReader
from ftpgateway.sftp.packets import Attributes
from raftstore.errors import Denied, StoreError
from raftstore.rights import Action
from raftstore.types import Entry, Kind
from raftstore.util.buffers import Buffer


def standing_in(name: str, size: int, owner: str, mtime_ns: int | None = None) -> Entry:
    """Return an entry for a file that only its owner sees, since it is not published yet."""
    return Entry(name, Kind.FILE, 0, size, time.time_ns() if mtime_ns is None else mtime_ns, owner, 0)


class Listing:
    """A directory being listed: it holds a page of entries, however many there are."""

    def __init__(self, path: str, cursor: DirectoryCursor, own: Own, *, writable: bool) -> None:
        """`own`: what the session itself sees there beside, or instead."""
        self.path = path
        self._cursor = cursor
        self._own = Merging(own)
        self._left: Iterator[Entry] = itertools.chain(_DOTS, self._page())
        self._writable = writable

    async def portion(self) -> list[bytes]:
        """Return the next names, encoded; none at the end. Raises StoreError."""
        items: list[bytes] = []
        size, now = 0, time.time()
        while True:
            for entry in self._left:
                item = packets.name_item(entry.name, entry, self._writable, now)
                items.append(item)
                size += len(item)
                if size >= packets.NAMES_SIZE:
                    return items
            if items or not self._cursor.more:
                return items
            await self._cursor.advance()
            self._left = self._page()

    def _page(self) -> Iterator[Entry]:
        return self._own.page(self._cursor.entries, more=self._cursor.more)

    async def close(self) -> None:
        """Let go of the page."""
        self._cursor.close()

    async def abandon(self) -> None:
        """Let go of the page."""
        self._cursor.close()


_DOTS = tuple(Entry(name, Kind.DIRECTORY, 0, 0, 0, "", 0) for name in (".", ".."))

HELD = 8
"""Files of a session of which bytes are in memory: a megabyte or two of each."""


class File:
    """An open file. One that may change it has a draft; one that is read sees that of its session, too.

    Where there is none, what is read is the version that was published when it was opened.
    """

    def __init__(
        self, session: Session, path: str, manner: Manner, drafts: Drafts, draft: Draft | None
    ) -> None:
        self._session = session
        self._path = path
        self._manner = manner
        self._drafts = drafts
        self.draft = draft
        self.changes = draft is not None
        """Whether it may change the file, or has made it."""
        self._follows = self.changes  # whether what it reads is its session's draft
        self._reader: FileReader | None = None
        self._entry: Entry | None = None
        self.begun = time.monotonic()
        self.read = self.written = 0

    @property
    def path(self) -> str:
        """The file's name, as far as the session knows."""
        return self.draft.path if self.draft is not None else self._path

    def moved_to(self, path: str) -> None:
        """The session has renamed it."""
        self._path = path

    async def inode(self) -> int:
        """Return the inode of the published file that it is; 0: it is not published. Raises StoreError."""
        if self.draft is not None:
            return (await self.draft.target()).inode
        return self._entry.inode if self._entry is not None else 0

    def follow(self, draft: Draft) -> None:
        """The session writes the file from now on."""
        self._follows = self._sees_draft
        if self.draft is not draft:
            draft.readers += 1
            self.draft = draft

    @property
    def _sees_draft(self) -> bool:
        return self.draft is not None and (self._follows or self.draft.touched)

    @property
    def holds(self) -> bool:
        """Whether it has bytes in memory, or gets some."""
        return self._reader is not None and self._reader.holds

    @property
    def most_held(self) -> int:
        """Bytes that it has in memory at most, to be read."""
        return self._reader.most_held if self._reader is not None else 0

    async def open_to_read(self, *, ahead: bool = False) -> None:
        """Open the published version; `ahead`: get its first block at once. Raises StoreError."""
        download = await self._session.files.download(self._path)
        self._reader = FileReader(download)
        if ahead:
            self._reader.begin()
        self._entry = download.entry

    def read_at_once(self, offset: int, length: int) -> list[memoryview] | None:
        """Return bytes that are in memory; None: `fetch` them."""
        if self._reader is None or self.draft is not None:
            return None
        parts = self._reader.at_hand(offset, length)
        self.read += sum(map(len, parts)) if parts else 0
        return parts

    async def fetch(self, offset: int, length: int) -> Sequence[memoryview]:
        """Return bytes; none at the end of the file. Raises StoreError."""
        if not self._manner.read:
            raise Denied("the file was not opened for reading")
        if self._reader is None or self._sees_draft:
            assert self.draft is not None
            if not self._session.may(Action.READ, self.path):
                raise Denied(Action.READ.value)  # who may replace a file may not for that read what it was
            parts = await self.draft.read(offset, length)
            await self._drafts.was_read(self.draft)
        else:
            parts = await self._reader.fetch(offset, length)
        self.read += sum(map(len, parts))
        return parts

    async def copy(self, source: File) -> bool:
        """Become a copy of all of `source`, without its bytes; False: it has to be written. Raises StoreError."""
        if source._reader is None or source._sees_draft or not source._manner.read or self._manner.append:
            return False
        done = await self._to_write().copy(source._reader.download)
        self.written += source._reader.size if done else 0
        return done

    @property
    def moved(self) -> int:
        """Bytes that were written, or else read."""
        return self.written if self._manner.write else self.read

    @property
    def used(self) -> bool:
        """Whether anything was done with it, as far as one can tell: an empty file is read by opening it."""
        changed = self.changes and self.draft is not None and self.draft.dirty
        return changed or self.moved > 0 or (not self._manner.write and not self.entry().size)

    @property
    def whole(self) -> bool:
        """Whether, once it was closed without a failure, all of it went over."""
        return self._manner.write or self.read >= self.entry().size

    @property
    def writes(self) -> bool:
        """Whether it was opened to be written."""
        return self._manner.write

    def entry(self) -> Entry:
        """Return what it is now, as its session sees it."""
        if self._sees_draft or self._entry is None:
            assert self.draft is not None
            return self.draft.entry()
        return self._entry

    def write_at_once(self, offset: int, data: Buffer) -> bool:
        """Take a write for which nothing has to be waited for; False: `write` it. Raises StoreError."""
        if self.draft is None or not self._manner.write or not self._drafts.ready(self.draft, len(data)):
            return False
        done = self.draft.write_at_once(None if self._manner.append else offset, data)
        self.written += len(data) if done else 0
        return done

    async def write(self, offset: int, data: Buffer) -> None:
        """Take a write. Raises StoreError; the file cannot be published any more then."""
        draft = self._to_write()
        await self._drafts.use(draft, len(data))
        await draft.write(None if self._manner.append else offset, data)
        self.written += len(data)

    def _to_write(self) -> Draft:
        if self.draft is None or not self._manner.write:
            raise Denied("the file was not opened for writing")
        return self.draft

    def fail(self, error: StoreError) -> None:
        """A change was not taken: what was written is never published."""
        if self._manner.write and self.draft is not None:
            self.draft.fail(error)

    async def set_attributes(self, wanted: Attributes) -> None:
        """Set what is set in `wanted`. Raises StoreError."""
        if self.draft is not None and self.changes:
            if wanted.size is not None:
                self._to_write()
            await self.draft.set_attributes(wanted)
        elif wanted.size is not None:
            raise Denied("the file was not opened for writing")
        elif wanted.mtime is not None:
            await set_time(self._session.files, self.path, await self.inode(), wanted.mtime * 10**9)

    async def publish(self, *, unfinished: bool = False) -> None:
        """Publish what was written so far; `unfinished`: before it is closed. Raises StoreError."""
        if self.draft is not None and self.changes:
            await self.draft.publish(unfinished=unfinished)

    async def close(self) -> None:
        """Publish what was written; release everything. Raises StoreError."""
        try:
            await self.publish()
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """End without publishing."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()
        if self.draft is not None:
            await (self._drafts.close(self.draft) if self.changes else self._drafts.close_reader(self.draft))

    async def put_down(self) -> None:
        """Let go of the bytes in memory; the next read gets them again."""
        if self._reader is not None:
            await self._reader.put_down()


class ReadBuffers:
    """The files of a session that have bytes in memory: `HELD` of them, however many a client leaves open, and no more
    than its account may hold. To be released at the end.
    """

    def __init__(self, memory: Charge) -> None:
        """`memory` is charged for them."""
        self._memory = memory
        self._files: dict[File, int] = {}  # with bytes; the one that has got something last is the last

    @property
    def takes_another(self) -> bool:
        """Whether one more may get bytes that nobody has asked for yet."""
        return len(self._files) < HELD

    async def add(self, file: File) -> None:
        """A file has got bytes; those that have got none for the longest time let go of their own.

        If the account may not even hold these, they are let go of, too, and the next read gets them again.
        """
        self._files.pop(file, None)
        self._files[file] = file.most_held
        while not self._fits():
            oldest = next(iter(self._files))
            self.drop(oldest)
            await oldest.put_down()

    def _fits(self) -> bool:
        if len(self._files) > HELD:
            return False
        try:
            self._memory.resize(sum(self._files.values()))
        except LimitReached:
            return False
        return True

    def drop(self, closed: Opened) -> None:
        """What is closed holds nothing."""
        if isinstance(closed, File) and self._files.pop(closed, None) is not None:
            self._memory.resize(min(self._memory.amount, sum(self._files.values())))

    def release(self) -> None:
        """The session is over: all its files are closed."""
        self._memory.release()


Opened = File | Listing


def writable(session: Session, path: str) -> bool:
    """Whether the account may store files at `path`, for the mode bits that clients show."""
    return session.may(Action.WRITE, path)


class Merging:
    """Puts what a session sees of its own among the entries of a directory, or in their place, page by page."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._new = sorted(own.new.items(), reverse=True)

    def page(self, entries: Sequence[Entry], *, more: bool) -> Iterator[Entry]:
        """Yield the entries of the next page by name; `more`: another one follows."""
        own, new = self._own, self._new
        for entry in entries:
            while new and new[-1][0] < entry.name:
                yield _named(*new.pop())
            if entry.name not in own.new:
                changed = own.changed.get(entry.inode)
                yield entry if changed is None else _named(entry.name, changed)
        while new and not more:
            yield _named(*new.pop())


def _named(name: str, entry: Entry) -> Entry:
    return replace(entry, name=name)
