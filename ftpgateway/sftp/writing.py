"""One file open for writing: nothing is visible before `close` has published it.

A file that is written anew streams into an upload. One that is opened without being emptied is not touched until the
first write, which says how much of it stays in front; what is behind the last byte written is added at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from ftpgateway.access import Workspace
from ftpgateway.access.backend import Buffer, Download, Upload
from ftpgateway.sftp.packets import Attributes
from ftpgateway.sftp.window import Window
from raftstore.errors import (
    AlreadyExists,
    Changed,
    Invalid,
    IsADirectory,
    NoQuorum,
    NotFound,
    OutcomeUnknown,
    StoreError,
)
from raftstore.types import Entry

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Manner:
    """How a file is opened for writing, as SFTP's flags say."""

    append: bool = False
    create: bool = False
    truncate: bool = False
    exclusive: bool = False


class Writer:
    """Writes one file. At most one call at a time; `close` or `abandon` ends it."""

    def __init__(self, files: Workspace, path: str, manner: Manner, wait_limit: float) -> None:
        self.path = path
        self._files = files
        self._manner = manner
        self._limit = wait_limit
        self._upload: Upload | None = None
        self._window = Window(0)
        self._earlier: Entry | None = None  # what was published when it was opened
        self._begun = 0  # bytes that its owner can resume, if nothing is published
        self._source: Download | None = None  # of what is behind the last byte written
        self._cut = manner.truncate
        self._expected = 0
        self._mtime_ns: int | None = None
        self._failure: StoreError | None = None
        self._changed = False
        self._more = True  # whether the upload takes more now
        self.taken = 0
        """Bytes that were written to it."""

    async def open(self) -> None:
        """See whether it can be written. Raises StoreError."""
        manner = self._manner
        if manner.truncate and manner.create and not manner.exclusive:
            await self._begin(None)
            return
        try:
            self._earlier = await self._files.entry(self.path)
        except NotFound:
            self._begun = await self._files.begun(self.path, anew=False)
            if not manner.create and not self._begun:
                raise
        else:
            if self._earlier.is_directory:
                raise IsADirectory(self.path)
            if manner.exclusive and manner.create:
                raise AlreadyExists(self.path)
        if manner.truncate or (self._earlier is None and not self._begun):
            await self._begin(None)

    @property
    def size(self) -> int:
        """Bytes of the file as it would be published now."""
        if self._upload is None or not self._cut:
            before = self._earlier.size if self._earlier is not None else self._begun
            return before if self._upload is None else max(before, self._window.end)
        return self._window.end

    @property
    def written(self) -> bool:
        """Whether it differs from what is published."""
        return self._changed

    @property
    def modified_ns(self) -> int | None:
        """Time of last change that it gets when it is published; None: that of its publication."""
        return self._mtime_ns

    async def _begin(self, offset: int | None) -> None:
        """Open the upload; `offset` bytes of what is there stay."""
        if offset and self._earlier is not None:
            await self._files.forget(self.path)  # what goes on is what the client has seen
        await self._release()
        if not self._cut and self._earlier is not None:
            self._source = await self._files.download(self.path)
        upload = await self._files.upload(
            self.path,
            offset=offset,
            append=False,
            exclusive=self._manner.exclusive and self._manner.create,
            expected=None,
        )
        if offset and self._source is not None and not _same(upload.base, self._source.entry):
            await upload.abort()  # else the beginning would be of one version and the end of another
            raise Changed(self.path)
        self._upload = upload
        self._window = Window(self._upload.position)
        self._changed = self._more = True

    @property
    def ready(self) -> bool:
        """Whether a write can be taken without `prepare`."""
        return self._upload is not None and self._more and self._failure is None

    async def prepare(self, offset: int) -> None:
        """Wait until a write at `offset` can be taken. Raises StoreError, also that of an earlier write."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # it would grow with each write
        try:
            if self._upload is None:
                await self._begin(self.size if self._manner.append else offset)
            if not self._more:
                await self._drained()
        except StoreError as error:
            self._failure = error
            raise

    def take(self, offset: int, data: Buffer) -> None:
        """Take a write, whole. Raises StoreError: the file cannot be published any more."""
        self.taken += len(data)
        try:
            self._window.write(self._window.end if self._manner.append else offset, data)
            self._feed(self._window.ready())
        except StoreError as error:
            self._failure = error
            raise

    def _feed(self, parts: Iterable[memoryview]) -> None:
        assert self._upload is not None
        for part in parts:
            self._more = self._upload.feed(part)

    async def _drained(self) -> None:
        assert self._upload is not None
        try:
            async with asyncio.timeout(self._limit):
                await self._upload.drained()
        except TimeoutError:
            raise NoQuorum() from None
        self._more = True

    def set_modified(self, mtime_ns: int) -> None:
        """Set the time that the file gets when it is published."""
        self._mtime_ns = mtime_ns

    async def set_size(self, size: int) -> None:
        """Set where the file ends: at a byte that was written, or one that is still to come. Raises Invalid."""
        if self._upload is None:
            if size > self.size:
                self._expected = size
            elif size < self.size:
                before, self._cut = self._cut, True
                try:
                    await self._begin(size)
                except StoreError:
                    self._cut = before
                    raise
        elif size < self._window.end:
            raise Invalid(
                f"{self._window.end} bytes were written already; a file cannot be cut while it is written"
            )
        else:
            self._cut = True
            self._expected = size

    async def set_attributes(self, wanted: Attributes) -> None:
        """Set what is set in `wanted`; owners and modes are not kept. Raises Invalid."""
        if wanted.size is not None:
            await self.set_size(wanted.size)
        if wanted.mtime is not None:
            self.set_modified(wanted.mtime * 10**9)

    async def close(self) -> None:
        """Publish: durable and visible everywhere on return. Raises StoreError: nothing was published."""
        if self._failure is not None:
            await self.abandon()
            raise self._failure.with_traceback(None)
        try:
            await self.publish()
        except StoreError:
            await self.abandon()
            raise
        finally:
            await self._release()

    async def publish(self) -> None:
        """Publish what was written so far; more may follow. Raises StoreError, also that of an earlier write."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._upload is None and self._expected > self.size:
            raise Invalid(f"{self.size} of {self._expected} bytes came; nothing was published")
        if self._upload is None:
            if self._earlier is not None and self._mtime_ns is not None:
                await self._files.set_modified(self.path, self._mtime_ns)
                self._mtime_ns = None
            return
        self._window.check_whole()
        self._feed(self._window.rest())
        if not self._more:
            await self._drained()
        await self._add_what_is_behind()
        if self._upload.position < self._expected:
            raise Invalid(f"{self._upload.position} of {self._expected} bytes came; nothing was published")
        upload, self._upload = self._upload, None
        try:
            async with asyncio.timeout(self._limit):
                self._earlier = await upload.commit(self._mtime_ns)
        except TimeoutError:
            self._failure = OutcomeUnknown()
            raise self._failure from None
        except StoreError as error:
            self._failure = error  # what was written is gone: no later close or fsync may say that it is stored
            raise
        self._begun = self._expected = 0
        self._mtime_ns = None
        self._cut = self._changed = False

    async def _add_what_is_behind(self) -> None:
        """Add what the file had behind the last byte written."""
        assert self._upload is not None
        if self._source is None or self._cut or self._upload.position >= self._source.size:
            return
        async with contextlib.aclosing(self._source.blocks(self._upload.position)) as blocks:
            async for block in blocks:
                if not self._upload.feed(block):
                    await self._drained()

    async def abandon(self) -> None:
        """End without publishing; what came is kept for its owner to resume. Never raises StoreError."""
        upload, self._upload = self._upload, None
        if upload is not None:
            try:
                async with asyncio.timeout(self._limit):
                    if self._failure is None:
                        for part in self._window.rest():
                            if not upload.feed(part):
                                await upload.drained()
                    await upload.suspend()
            except (TimeoutError, StoreError) as error:
                log.warning("partial upload not kept", path=self.path, error=str(error))
        await self._release()

    async def _release(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.close()


def _same(one: Entry | None, other: Entry) -> bool:
    """Whether both are one version of one file."""
    return one is not None and (one.inode, one.version) == (other.inode, other.version)


async def cut(files: Workspace, path: str, entry: Entry, size: int, wait_limit: float) -> None:
    """Publish the first `size` bytes of a file, which is there as `entry`, as the whole. Raises StoreError."""
    if size > entry.size:
        raise Invalid(f"a file of {entry.size} bytes cannot be made longer without its content")
    writer = Writer(files, path, Manner(), wait_limit)
    try:
        await writer.open()
        await writer.set_size(size)
    except StoreError:
        await writer.abandon()
        raise
    await writer.close()
