"""Bytes that were written out of order to files that are not published yet: in memory, or in files without a name.

A page of a file is in its spool or not: so gaps take nothing, and a million writes of a byte take no more than the
pages that they are on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from raftstore.chunks.volumes.files import Files
from raftstore.errors import DiskFailed, DiskFull, QuotaExceeded
from raftstore.types import CHUNK_SIZE
from raftstore.util.buffers import Buffer

log = structlog.get_logger()

PAGE = 4096
IN_MEMORY = 64
"""Pages of a file that are kept in memory; a file with more of them gets a file on disk."""

MEMORY_OF_USER = 16 * 1024 * 1024
MEMORY_OF_NODE = 64 * 1024 * 1024
"""Bytes of pages that are kept in memory for an account, and for all; beyond, also small ones go to disk."""

FILES_OF_USER = 256
FILES_OF_NODE = 2_048
"""Files on disk at a time."""

STEP = 256
"""Pages that are charged at a time: a megabyte."""

THREADS = 2

_PAGES = CHUNK_SIZE // PAGE  # of a chunk

Below = Callable[[int], Awaitable[bytes]]
"""Returns the page at an offset as it is without the spool: a whole page, with zeroes behind the end of the file."""

_T = TypeVar("_T")


class Ledger(Protocol):
    """Bounds what users take."""

    def charge(self, user: str, size: int) -> None:
        """Count `size` more bytes. Raises QuotaExceeded, DiskFull: nothing was counted."""
        ...

    def release(self, user: str, size: int) -> None:
        """Count `size` bytes less."""
        ...


class SpoolLedger:
    """Bytes on spool: at most half of the disk's room for all, a quarter for one account."""

    def __init__(self, free_space: Callable[[], int]) -> None:
        """`free_space`: bytes of this node's disk that can be taken now, the reserve aside."""
        self._free_space = free_space
        self._users: dict[str, int] = {}
        self.total = 0

    def charge(self, user: str, size: int) -> None:
        """See Ledger."""
        free_space, used = self._free_space() + self.total, self._users.get(user, 0)
        if self.total + size > free_space // 2:
            raise DiskFull("this node keeps no more of unfinished files; close some, or write them in order")
        if used + size > free_space // 4:
            raise QuotaExceeded(
                f"{used} bytes of your files that are open are kept out of order; close some of them first"
            )
        self.total += size
        self._users[user] = used + size

    def release(self, user: str, size: int) -> None:
        """See Ledger."""
        self.total -= size
        left = self._users.get(user, 0) - size
        if left > 0:
            self._users[user] = left
        else:
            self._users.pop(user, None)


class Shares:
    """Counts what each user has of something. Pure."""

    def __init__(self, of_user: int, of_all: int) -> None:
        self._of_user = of_user
        self._of_all = of_all
        self._users: Counter[str] = Counter()
        self.total = 0

    def take(self, user: str, count: int) -> bool:
        """Count `count` more, if there may be so many."""
        if self._users[user] + count > self._of_user or self.total + count > self._of_all:
            return False
        self._users[user] += count
        self.total += count
        return True

    def give(self, user: str, count: int) -> None:
        """Count `count` less."""
        self._users[user] -= count
        self.total -= count
        if not self._users[user]:
            del self._users[user]


class Spools:
    """Where the spools of a node's sessions are: the directory `place`, which is emptied first, and some threads."""

    def __init__(self, place: Path, ledger: Ledger) -> None:
        """Raises OSError."""
        self.ledger = ledger
        self._memory = Shares(MEMORY_OF_USER, MEMORY_OF_NODE)
        self._files = Shares(FILES_OF_USER, FILES_OF_NODE)
        self._place = place
        self._threads = ThreadPoolExecutor(THREADS, "spool")
        place.mkdir(mode=0o700, exist_ok=True)
        place.chmod(0o700)
        for left in place.iterdir():
            log.info("spool of an earlier run removed", file=left.name)
            left.unlink()

    def close(self) -> None:
        """End the threads; the sessions are over."""
        self._threads.shutdown()

    @property
    def memory_used(self) -> int:
        """Bytes of pages in memory."""
        return self._memory.total

    @property
    def files_used(self) -> int:
        """Files on disk."""
        return self._files.total

    def keeps(self, user: str, pages: int) -> bool:
        """Whether so many more pages may be in memory; if so, they count."""
        return self._memory.take(user, pages * PAGE)

    def keeps_less(self, user: str, pages: int) -> None:
        """So many pages are not in memory any more."""
        self._memory.give(user, pages * PAGE)

    def take_file(self, user: str) -> None:
        """Count one more file on disk. Raises QuotaExceeded."""
        if not self._files.take(user, 1):
            raise QuotaExceeded(
                "too many of the open files were written out of order; close some of them first"
            )

    def give_file(self, user: str) -> None:
        """Count one file less."""
        self._files.give(user, 1)

    async def run(self, function: Callable[[], _T]) -> _T:
        """Do what may wait for the disk. Raises DiskFailed."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function)
        except OSError as error:
            raise DiskFailed(f"spool: {error.strerror}") from error

    def file(self) -> Nameless:
        """Make a file that nobody else can open, and that is gone when nobody refers to it. For a thread.

        Raises OSError.
        """
        with contextlib.suppress(OSError):  # a file system without it
            flags = os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
            return Nameless(os.open(self._place, flags, 0o600))
        path = self._place / f"{os.urandom(8).hex()}.spool"
        file = Nameless(os.open(path, os.O_CREAT | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC, 0o600))
        path.unlink()
        return file


class Nameless:
    """A file that is closed when nobody refers to it: a thread may still be at it when its session is over."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)

    def write(self, data: Buffer, offset: int) -> None:
        """Write all of `data`. Raises OSError."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.descriptor, view, offset)
            offset += written
            view = view[written:]

    def read(self, length: int, offset: int) -> bytes:
        """Return `length` bytes. Raises OSError."""
        parts = []
        while length:
            part = os.pread(self.descriptor, length, offset)
            if not part:
                raise OSError(errno.EIO, "a spool is shorter than what was written to it")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def punch(self, offset: int, length: int) -> None:
        """Give disk space back where the file system can."""
        with contextlib.suppress(OSError):
            Files().punch(self.descriptor, offset, length)


class Spool:
    """The pages of one file that were written out of order. At most one call at a time; `close` it."""

    def __init__(self, spools: Spools, user: str) -> None:
        self._spools = spools
        self._user = user
        self._chunks: dict[int, int] = {}  # by chunk of the file: a bit for each page that is here
        self._count = self._charged = 0
        self._memory: dict[int, bytearray] = {}
        self._file: Nameless | None = None

    def __bool__(self) -> bool:
        return bool(self._count)

    @property
    def chunks(self) -> list[int]:
        """The numbers of the file's chunks of which something is here, in order."""
        return sorted(self._chunks)

    def has(self, page: int) -> bool:
        """Whether a page is here."""
        return bool(self._chunks.get(page // _PAGES, 0) >> page % _PAGES & 1)

    def free(self, start: int, stop: int) -> bool:
        """Whether nothing of the bytes from `start` to `stop` is here, nor on a page with them."""
        return not self._count or not any(self.has(page) for page in range(start // PAGE, -(-stop // PAGE)))

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the bytes from `start` to `stop` that are here, in order: (first, after the last)."""
        at = start
        while at < stop:
            bits = self._chunks.get(at // CHUNK_SIZE, 0)
            if not bits:
                at = (at // CHUNK_SIZE + 1) * CHUNK_SIZE
                continue
            if not self.has(at // PAGE):
                at = (at // PAGE + 1) * PAGE
                continue
            end = at
            while end < stop and self.has(end // PAGE):
                end = (end // PAGE + 1) * PAGE
            yield at, min(end, stop)
            at = end

    async def write(self, offset: int, data: Buffer, below: Below) -> None:
        """Take `data`, not empty, at `offset`. Raises StoreError: nothing was taken."""
        end = offset + len(data)
        first, last = offset // PAGE, (end - 1) // PAGE
        fresh = sum(not self.has(page) for page in range(first, last + 1))
        head = tail = b""
        if offset % PAGE and not self.has(first):
            head = (await below(first * PAGE))[: offset % PAGE]
        if end % PAGE and not self.has(last):
            tail = (await below(last * PAGE))[end % PAGE :]
        self._charge(fresh)
        whole = b"".join((head, data, tail)) if head or tail else data
        await self._put(offset - len(head), whole)
        for page in range(first, last + 1):
            self._chunks[page // _PAGES] = self._chunks.get(page // _PAGES, 0) | 1 << page % _PAGES
        self._count += fresh

    def _charge(self, fresh: int) -> None:
        count = self._count + fresh
        wanted = (count if count <= IN_MEMORY else -(-count // STEP) * STEP) * PAGE
        if wanted > self._charged:
            self._spools.ledger.charge(self._user, wanted - self._charged)
            self._charged = wanted

    async def _put(self, offset: int, data: Buffer) -> None:
        """Write from `offset` on; pages that are not here yet are written whole."""
        first, last = offset // PAGE, (offset + len(data) - 1) // PAGE
        if self._file is None:
            fresh = sum(page not in self._memory for page in range(first, last + 1))
            if len(self._memory) + fresh > IN_MEMORY or not self._spools.keeps(self._user, fresh):
                await self._move_to_disk()
        file = self._file
        if file is not None:
            kept = bytes(data)  # the packet's buffer is used again
            await self._spools.run(lambda: file.write(kept, offset))
            return
        with memoryview(data) as view:
            for page in range(first, last + 1):
                start, stop = max(offset, page * PAGE), min(offset + len(data), (page + 1) * PAGE)
                kept_page = self._memory.setdefault(page, bytearray(PAGE))
                kept_page[start - page * PAGE : stop - page * PAGE] = view[start - offset : stop - offset]

    async def _move_to_disk(self) -> None:
        pages = list(self._memory.items())

        def move() -> Nameless:
            file = self._spools.file()
            for page, content in pages:
                file.write(content, page * PAGE)
            return file

        self._spools.take_file(self._user)
        try:
            self._file = await self._spools.run(move)
        except BaseException:
            self._spools.give_file(self._user)
            raise
        self._forget_memory()

    def _forget_memory(self) -> None:
        self._spools.keeps_less(self._user, len(self._memory))
        self._memory.clear()

    async def read(self, start: int, stop: int) -> bytes:
        """Return bytes from `start` to `stop`, all of which are here. Raises StoreError."""
        file = self._file
        if file is not None:
            return await self._spools.run(lambda: file.read(stop - start, start))
        first = start // PAGE
        pages = b"".join(self._memory[page] for page in range(first, (stop - 1) // PAGE + 1))
        return pages[start - first * PAGE : stop - first * PAGE]

    async def cut(self, size: int) -> None:
        """Forget what is behind the first `size` bytes; the rest of the last page is zeroes. Raises StoreError."""
        await self.drop(size, None)
        page, rest = divmod(size, PAGE)
        if rest and self.has(page):
            await self._put(size, bytes(PAGE - rest))

    async def drop(self, start: int, stop: int | None) -> None:
        """Forget the pages that lie wholly in the bytes from `start` to `stop` (None: the end of the file)."""
        first, after = -(-start // PAGE), stop // PAGE if stop is not None else None
        gone_from: list[int] = []
        for chunk, bits in list(self._chunks.items()):
            low = min(max(first - chunk * _PAGES, 0), _PAGES)
            high = min(max(after - chunk * _PAGES, 0), _PAGES) if after is not None else _PAGES
            gone = bits & ((1 << high) - 1) & ~((1 << low) - 1)
            if not gone:
                continue
            gone_from.append(chunk)
            self._count -= gone.bit_count()
            if bits == gone:
                del self._chunks[chunk]
            else:
                self._chunks[chunk] = bits ^ gone
            for page in range(chunk * _PAGES + low, chunk * _PAGES + high) if self._memory else ():
                if self._memory.pop(page, None) is not None:
                    self._spools.keeps_less(self._user, 1)
        if not self._count:
            self.close()
        elif gone_from:
            last = after if after is not None else (max(gone_from) + 1) * _PAGES
            await self._give_back(first * PAGE, last * PAGE)

    async def _give_back(self, start: int, stop: int) -> None:
        """Give the disk space of what was forgotten back, and some of what was charged for it."""
        file = self._file
        if file is not None and start < stop:
            await self._spools.run(lambda: file.punch(start, stop - start))
        needed = -(-self._count // STEP) * STEP * PAGE
        if self._charged > needed:
            self._spools.ledger.release(self._user, self._charged - needed)
            self._charged = needed

    def close(self) -> None:
        """Forget everything; it can be used again."""
        self._chunks.clear()
        self._count = 0
        self._forget_memory()
        if self._file is not None:
            self._file = None
            self._spools.give_file(self._user)
        charged, self._charged = self._charged, 0
        if charged:
            self._spools.ledger.release(self._user, charged)
