"""A file that a session writes, before it is published: docs/sftp.md, "What a handle is", has the model.

What is written in order from the beginning goes into an upload at once; everything else into pages that lie over it
(`raftstore.store.transfers.spool`). To publish, the chunks that these touch are made anew; what nobody has touched is
taken over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from ftpgateway.access.backend import Download, Upload
from ftpgateway.access.workspace import Workspace
from ftpgateway.sftp.files.gaps import Gaps
from ftpgateway.sftp.files.reading import FileReader
from ftpgateway.sftp.packets import Attributes
from raftstore.errors import Changed, NoQuorum, NotFound, OutcomeUnknown, StoreError
from raftstore.store.targets import Target
from raftstore.store.transfers.spool import PAGE, Spool, Spools
from raftstore.types import CHUNK_SIZE, Entry, Kind
from raftstore.util.buffers import Buffer

log = structlog.get_logger()

_T = TypeVar("_T")

SMALL = 16 * 1024
"""Bytes of a draft that may stay in memory in any case."""

A_TURN = 64
"""Chunks of zeroes that are added before others have their turn."""


class Draft:
    """One file that a session writes: all its handles on that file share it. At most one call at a time.

    `end` or `abandon` it. After a StoreError of `write`, `set_size` or `publish` it is never published.
    """

    def __init__(self, files: Workspace, user: str, path: str, spools: Spools, wait_limit: float) -> None:
        self.path = path
        self.handles = self.readers = 0
        """Of those that may change it, and of those that were opened to read and see what is changed."""
        self.size = 0
        self.taken = 0
        """Bytes that were written to it."""
        self.dirty = False
        """Whether it differs from what is published."""
        self.touched = False
        """Whether it was ever changed through this."""
        self.unlinked = False
        """Whether it has no name any more: it is published nowhere."""
        self.replaces: Entry | None = None
        """What is published at its name, if it is a new file that was renamed over another."""
        self._files = files
        self._user = user
        self._limit = wait_limit
        self._target: Target | None = None
        self._base: Download | None = None
        self._reader: FileReader | None = None
        self._upload: Upload | None = None
        self._resumes = 0  # bytes of what the owner can go on from, until the upload begins with them
        self._spool = Spool(spools, user)
        self._gaps = Gaps()
        self._chunk: tuple[int, Buffer] | None = None  # the last one that was read back
        self._modified_ns = time.time_ns()
        self._mtime_ns: int | None = None
        self._failure: StoreError | None = None
        self._more = True  # whether the upload takes more now
        self._folded = False  # whether the upload is a copy of what it does not hold yet

    # What it is.

    def begin_new(self, upload: Upload, reserved: Target | None) -> None:
        """It begins empty, in place of what is published there, if anything, or under a name that is `reserved`."""
        self._upload, self._target = upload, reserved
        self.dirty = self.touched = True

    def begin_as(self, base: Download) -> None:
        """It begins as what is published."""
        self._base = base
        self.size = base.entry.size
        self._modified_ns = base.entry.mtime_ns
        self._target = Target.of(0, base.entry.name, base.entry)

    def unchanged_since(self, found: Entry) -> bool:
        """Whether it is changed by its session now, or begins as what is published as `found`."""
        return self._upload is not None or self._base is None or self._base.entry.version == found.version

    async def begin_anew(self, base: Download) -> None:
        """Others have published a version since, and nothing is changed here."""
        await self._release()
        self.begin_as(base)

    def begin_at(self, target: Target, size: int) -> None:
        """It begins as what its owner can go on from."""
        self._target = target
        self._resumes = self.size = size

    async def target(self) -> Target:
        """Return what it is published as. Raises StoreError."""
        if self._target is None:
            assert self._upload is not None
            self._target = await self._waited(self._upload.target())
        return self._target

    async def move(self, path: str, target: Target, replaces: Entry | None) -> None:
        """A new file, not published yet, was renamed. Raises StoreError."""
        if self._resumes:
            await self._begun()  # what its owner can go on from is kept by the earlier name
        await self.give_up_name()
        self.path, self._target, self.replaces = path, target, replaces

    async def give_up_name(self) -> None:
        """Others may take the name that was reserved for it; what is new there by then it does not replace.

        Raises StoreError.
        """
        if self._target is not None and self._target.reservation:
            await self._files.release(self._target)
            self._target = replace(self._target, reservation=0)

    def entry(self) -> Entry:
        """Return what its session sees of it."""
        name = self.path.rpartition("/")[2]
        moment = self._modified_ns if self._mtime_ns is None else self._mtime_ns
        return Entry(name, Kind.FILE, 0, self.size, moment, self._user, 0)

    @property
    def failed(self) -> bool:
        """Whether it cannot be published any more."""
        return self._failure is not None

    # Changing.

    def write_at_once(self, offset: int | None, data: Buffer) -> bool:
        """Take a write that goes on where the upload is, None: at the end; False: `write` it. Raises StoreError."""
        upload = self._upload
        if upload is None or not self._more or self._folded or self._failure is not None:
            return False
        at = self.size if offset is None else offset
        if at != upload.position or (self._spool and not self._spool.free(at, at + len(data))):
            return False
        try:
            self._more = upload.feed(data)
        except StoreError as error:
            self._failure = error
            raise
        self._written(at, len(data))
        return True

    def _written(self, offset: int, count: int) -> None:
        end = offset + count
        if offset > self.size:
            self._gaps.add(self.size, offset)
        self._gaps.fill(offset, end)
        self.size = max(self.size, end)
        self.taken += count
        self._modified_ns, self.dirty = time.time_ns(), True

    async def write(self, offset: int | None, data: Buffer) -> None:
        """Take a write, whole; None: at the end. Raises StoreError, also that of an earlier change."""
        await self._changing(self._write(offset, data))

    async def _changing(self, change: Coroutine[Any, Any, None]) -> None:
        if self._failure is not None:
            change.close()
            raise self._failure.with_traceback(None)  # it would grow with each write
        try:
            await change
        except StoreError as error:
            self._failure = error
            raise

    async def _write(self, offset: int | None, data: Buffer) -> None:
        upload = await self._unfolded()
        if not self._more:
            await self._drained()
        if self.write_at_once(offset, data) or not len(data):
            return
        at = self.size if offset is None else offset
        end = at + len(data)
        upload.check_size(max(self.size, end))
        if upload.whole <= at <= upload.position and self._spool.free(at, end):
            known = upload.position - at
            with memoryview(data) as view:
                upload.patch(at, view[:known])
                self._more = upload.feed(view[known:])
        else:
            await self._spool.write(at, data, self._page)
        self._written(at, len(data))
        await self._pass_on()

    async def _begun(self) -> Upload:
        """Return the upload that it is written to, which begins as it is now."""
        if self._upload is None:
            if self._base is not None:
                self._upload = await self._files.rewrite(self._base, self.path)
            else:
                self._upload = await self._files.upload(
                    self.path, offset=self._resumes, append=False, exclusive=False, expected=None, handle=True
                )
            self.dirty = self.touched = self._more = True
        return self._upload

    async def _unfolded(self) -> Upload:
        """Return it to be looked into and changed."""
        upload = await self._begun()
        if self._folded:
            await self._waited(upload.unfold())
            self._folded = False
        return upload

    async def copy(self, base: Download) -> bool:
        """Become a copy of all of `base`, without its bytes; False: it has to be written. Raises StoreError."""
        if self.size or self._spool or self._gaps or self._failure is not None:
            return False
        upload = await self._begun()
        if not upload.adopt(base):
            return False
        self._folded = True
        self._written(0, base.size)
        return True

    async def _page(self, offset: int) -> bytes:
        """Return a page as it is without what lies over it."""
        return (await self._below(offset, offset + PAGE)).ljust(PAGE, b"\0")

    async def _below(self, start: int, stop: int) -> bytes:
        """Return what the upload has from `start` to `stop`, fewer at its end."""
        upload = self._upload
        assert upload is not None
        stop = min(stop, upload.position)
        parts = []
        while start < stop:
            if start >= upload.whole:
                parts.append(upload.filling(start, stop))
                break
            index = start // CHUNK_SIZE
            if self._chunk is None or self._chunk[0] != index:
                self._chunk = index, await self._waited(upload.chunk(index))
            end = min(stop, (index + 1) * CHUNK_SIZE)
            with memoryview(self._chunk[1]) as whole:
                parts.append(bytes(whole[start - index * CHUNK_SIZE : end - index * CHUNK_SIZE]))
            start = end
        return b"".join(parts)

    async def _pass_on(self) -> None:
        """Give the upload what now goes on where it ends."""
        upload = self._upload
        assert upload is not None
        while self._spool and upload.position < (limit := self._gaps.first(self.size)):
            start = upload.position
            stop = min(limit, start + CHUNK_SIZE)
            self._more = upload.feed(await self._spool.read(start, stop))
            await self._spool.drop(start, None if stop == self.size else stop)
            if not self._more:
                await self._drained()

    async def put_down(self) -> None:
        """Keep nothing of it in memory but some pages: others of its session are written now. Raises StoreError."""
        upload = self._upload
        self._chunk = None
        if upload is None or self._failure is not None or self._folded:
            return
        if upload.position - upload.whole <= SMALL:
            return
        content = bytearray(upload.filling(upload.whole, upload.position))
        await self._lay_over(content, upload.whole, len(content))  # it may be older than what is there already
        await self._spool.write(upload.whole, content, self._page)
        await upload.cut(upload.whole)

    async def forget(self) -> None:
        """Let go of what was read back; the next read gets it again."""
        self._chunk = None
        if self._reader is not None:
            await self._reader.put_down()

    def fail(self, error: StoreError) -> None:
        """A change was not taken: it is never published."""
        self._failure = error

    async def set_size(self, size: int) -> None:
        """Cut it, or make it longer by zeroes. Raises StoreError, also that of an earlier change."""
        if self._failure is None:
            if size == self.size:
                return
            await self._begun()  # a failure here is of nothing that was changed
        await self._changing(self._set_size(size))

    async def _set_size(self, size: int) -> None:
        upload = await self._unfolded()
        upload.check_size(size)
        if size > self.size:
            self._gaps.add(self.size, size)
        else:
            await self._spool.cut(size)
            if size < upload.position:
                await self._waited(upload.cut(size))
            self._gaps.cut(size)
        self._chunk = None
        self.size = size
        self._modified_ns, self.dirty = time.time_ns(), True
        await self._pass_on()

    async def set_attributes(self, wanted: Attributes) -> None:
        """Set what is set in `wanted`; owners and modes are not kept. Raises StoreError."""
        if wanted.size is not None:
            await self.set_size(wanted.size)
        if wanted.mtime is None:
            return
        if self.dirty or self.unlinked or self._base is None:
            self._mtime_ns = wanted.mtime * 10**9
        else:
            await set_time(self._files, self.path, self._base.entry.inode, wanted.mtime * 10**9)
            self._modified_ns = wanted.mtime * 10**9

    # Reading.

    async def read(self, offset: int, length: int) -> Sequence[memoryview]:
        """Return bytes as they are now, fewer at the end, none behind it. Raises StoreError."""
        stop = min(offset + length, self.size)
        if offset >= stop:
            return []
        if self._upload is None:
            return await self._published(offset, stop - offset)
        await self._unfolded()
        # What lies over it begins at the earliest with the first page.
        content = bytearray((await self._below(offset, stop)).ljust(stop - offset, b"\0"))
        for start, end in self._spool.runs(offset, stop):
            content[start - offset : end - offset] = await self._spool.read(start, end)
        return [memoryview(content)]

    async def _published(self, offset: int, length: int) -> Sequence[memoryview]:
        if self._base is None:
            raise Changed("it was not published; open it again to go on")
        if self._reader is None:
            self._reader = FileReader(self._base)
        return await self._reader.fetch(offset, length)

    # The end.

    async def publish(self, *, unfinished: bool = False) -> None:
        """Publish what is there; `unfinished`: what is sent waits. Raises StoreError, also of an earlier change."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self.unlinked or not self.dirty:
            return
        try:
            await self._publish(await self._begun(), unfinished=unfinished)
        except StoreError as error:
            self._failure = error  # what was written is gone: no later close or fsync may say that it is stored
            raise

    async def _publish(self, upload: Upload, *, unfinished: bool) -> None:
        await self._compose(upload, self.size)
        target = await self.target()
        self._upload, self._folded = None, False
        try:
            async with asyncio.timeout(self._limit):
                published = await upload.publish(target, self._mtime_ns, unfinished=unfinished)
        except TimeoutError:
            raise OutcomeUnknown() from None
        self._spool.close()
        self._gaps.clear()
        await self._release()
        self._base = published.download
        self.unlinked = published.gone
        self._target, self.replaces = target.became(self._base.entry), None
        self._modified_ns, self._mtime_ns = self._base.entry.mtime_ns, None
        self._resumes = 0
        self.dirty = published.waits

    async def _compose(self, upload: Upload, size: int) -> None:
        """Make the upload hold what its session sees of the first `size` bytes."""
        self._chunk = None
        for index in self._spool.chunks:
            start = index * CHUNK_SIZE
            if start < upload.whole:
                content = bytearray(await self._waited(upload.chunk(index)))
                await self._lay_over(content, start, CHUNK_SIZE)
                self._more = upload.replace(index, memoryview(content))
                await self._drained()
            elif start < upload.position:
                for first, last in self._spool.runs(start, upload.position):
                    upload.patch(first, await self._spool.read(first, last))
        await self._append(upload, size)
        await self._drained()

    async def _append(self, upload: Upload, size: int) -> None:
        """Add what is behind the upload's end."""
        chunks = [index for index in self._spool.chunks if (index + 1) * CHUNK_SIZE > upload.position]
        for index in [*chunks, None]:
            start = size if index is None else min(size, index * CHUNK_SIZE)
            while upload.position < start:  # a gap
                self._more = upload.feed_zeroes(min(start - upload.position, A_TURN * CHUNK_SIZE))
                await self._drained()
                await asyncio.sleep(0)
            if index is not None and upload.position < size:
                first = upload.position
                content = bytearray(min(size, (index + 1) * CHUNK_SIZE) - first)
                await self._lay_over(content, first, len(content))
                self._more = upload.feed(content)
                await self._drained()

    async def _lay_over(self, content: bytearray, start: int, count: int) -> None:
        for first, last in self._spool.runs(start, start + count):
            content[first - start : last - start] = await self._spool.read(first, last)

    async def _drained(self) -> None:
        if not self._more:
            assert self._upload is not None
            await self._waited(self._upload.drained())
            self._more = True

    async def _waited(self, wait: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._limit):
                return await wait
        except TimeoutError:
            raise NoQuorum() from None

    async def unlink(self) -> None:
        """It has no name any more. Raises StoreError: the name is still taken for a while."""
        self.unlinked = True
        await self.give_up_name()

    async def abandon(self) -> None:
        """End without publishing; the contiguous beginning of what came of a new file, or of one that was begun anew,
        is kept for its owner to resume. Never raises StoreError."""
        upload, self._upload = self._upload, None
        if upload is not None:
            changed = self._failure is not None and self._spool
            resumable = self._base is None and not self.unlinked and not changed
            try:
                async with asyncio.timeout(self._limit):
                    if not resumable:
                        await upload.abort()
                    else:
                        await self._suspend(upload)
            except (TimeoutError, StoreError) as error:
                log.warning("partial upload not kept", path=self.path, error=str(error))
        await self.end()

    async def _suspend(self, upload: Upload) -> None:
        self._upload = upload
        try:
            if self._failure is None:
                await self._cut_and_compose(upload)
        except StoreError:
            self._upload = None
            await upload.abort()
            raise
        self._upload = None
        await upload.suspend()

    async def _cut_and_compose(self, upload: Upload) -> None:
        whole = self._gaps.first(self.size)
        await self._spool.cut(whole)
        if whole < upload.position:
            await upload.cut(whole)
        await self._compose(upload, whole)

    async def end(self) -> None:
        """Release what it holds."""
        if self._target is not None and self._target.reservation:
            self._files.forget_reservation(self._target)
        upload, self._upload = self._upload, None
        if upload is not None:
            await upload.abort()
        self._spool.close()
        self._chunk = None
        await self._release()

    async def _release(self) -> None:
        reader, self._reader = self._reader, None
        base, self._base = self._base, None
        if reader is not None:
            await reader.close()
        elif base is not None:
            await base.close()


async def set_time(files: Workspace, path: str, inode: int, mtime_ns: int) -> None:
    """Set the time of a published file that is open, and was at `path`. Raises StoreError.

    Nothing happens when it was removed; Changed when there is another file by now, which is left as it is.
    """
    try:
        found = await files.entry(path)
    except NotFound:
        return
    if found.inode != inode:
        raise Changed(path)
    await files.set_modified(path, mtime_ns)
