"""What a handle of an SFTP session stands for: a directory being listed, or a file being read or written."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from ftpgateway.access import Session
from ftpgateway.access.directories import DirectoryCursor
from ftpgateway.sftp import packets
from ftpgateway.sftp.reading import Reader
from ftpgateway.sftp.writing import Writer
from raftstore.errors import Denied, Invalid, NotFound
from raftstore.rights import Action
from raftstore.types import Entry, Kind


def standing_in(name: str, size: int, owner: str, mtime_ns: int | None = None) -> Entry:
    """Return an entry for a file that only its owner sees, since it is not published yet."""
    return Entry(name, Kind.FILE, 0, size, time.time_ns() if mtime_ns is None else mtime_ns, owner, 0)


class Listing:
    """A directory being listed: it holds a page of entries, however many there are."""

    def __init__(self, path: str, cursor: DirectoryCursor, *, writable: bool) -> None:
        self.path = path
        self._cursor = cursor
        self._left: Iterator[Entry] = itertools.chain(_DOTS, cursor.entries)
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
            self._left = iter(self._cursor.entries)

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
    """A file open for reading, writing or both. What was written can be read when it is published, not before."""

    def __init__(self, session: Session, path: str, writer: Writer | None) -> None:
        self._session = session
        self.path = path
        self.writer = writer
        self._reader: Reader | None = None
        self._entry: Entry | None = None
        self.begun = time.monotonic()
        self.read = 0

    @property
    def holds(self) -> bool:
        """Whether it has bytes in memory, or gets some."""
        return self._reader is not None and self._reader.holds

    async def open_to_read(self, *, ahead: bool = False) -> None:
        """Open the published version; `ahead`: get its first block at once. Raises StoreError."""
        download = await self._session.files.download(self.path)
        self._reader = Reader(download)
        if ahead:
            self._reader.begin()
        self._entry = download.entry

    def read_at_once(self, offset: int, length: int) -> list[memoryview] | None:
        """Return bytes that are in memory; None: `fetch` them."""
        if self._reader is None or (self.writer is not None and self.writer.written):
            return None
        parts = self._reader.at_hand(offset, length)
        self.read += sum(map(len, parts)) if parts else 0
        return parts

    async def fetch(self, offset: int, length: int) -> list[memoryview]:
        """Return bytes; none at the end of the file. Raises StoreError."""
        if self.writer is not None and self.writer.written:
            raise Invalid("what was written can be read after the file was closed")
        if self._reader is None:
            try:
                await self.open_to_read()
            except NotFound:
                return []
        assert self._reader is not None
        parts = await self._reader.fetch(offset, length)
        self.read += sum(map(len, parts))
        return parts

    @property
    def moved(self) -> int:
        """Bytes that were written, or else read."""
        return self.writer.taken if self.writer is not None else self.read

    @property
    def used(self) -> bool:
        """Whether anything was done with it, as far as one can tell: an empty file is read by opening it."""
        changed = self.writer is not None and self.writer.written
        return changed or self.moved > 0 or (self.writer is None and not self.entry().size)

    @property
    def whole(self) -> bool:
        """Whether, once it was closed without a failure, all of it went over."""
        return self.writer is not None or self.read >= self.entry().size

    def entry(self) -> Entry:
        """Return what it is now, as its session sees it."""
        name = self.path.rpartition("/")[2]
        if self.writer is not None:
            return standing_in(name, self.writer.size, self._session.name, self.writer.modified_ns)
        assert self._entry is not None
        return self._entry

    def to_write(self) -> Writer:
        """Return what it is written through. Raises Denied for a file that is only read."""
        if self.writer is None:
            raise Denied("the file was not opened for writing")
        return self.writer

    async def publish(self) -> None:
        """Publish what was written so far; what is read from then on is that. Raises StoreError."""
        if self.writer is not None:
            await self.writer.publish()
            await self._close_reader()

    async def close(self) -> None:
        """Publish what was written; release everything. Raises StoreError."""
        try:
            if self.writer is not None:
                await self.writer.close()
        finally:
            await self._close_reader()

    async def abandon(self) -> None:
        """End without publishing."""
        if self.writer is not None:
            await self.writer.abandon()
        await self._close_reader()

    async def put_down(self) -> None:
        """Let go of the bytes in memory; the next read gets them again."""
        if self._reader is not None:
            await self._reader.put_down()

    async def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()


class Held:
    """The files of a session that have bytes in memory: `HELD` of them, however many a client leaves open."""

    def __init__(self) -> None:
        self._files: dict[File, None] = {}  # the one that has got something last is the last

    @property
    def room(self) -> bool:
        """Whether one more may get bytes that nobody has asked for yet."""
        return len(self._files) < HELD

    async def add(self, file: File) -> None:
        """A file has got bytes; the one that has got none for the longest time lets go of its own."""
        self._files.pop(file, None)
        self._files[file] = None
        if len(self._files) > HELD:
            oldest = next(iter(self._files))
            self.drop(oldest)
            await oldest.put_down()

    def drop(self, closed: Opened) -> None:
        """What is closed holds nothing."""
        if isinstance(closed, File):
            self._files.pop(closed, None)


Opened = File | Listing


def writable(session: Session, path: str) -> bool:
    """Whether the account may store files at `path`, for the mode bits that clients show."""
    return session.may(Action.WRITE, path)
