"""`scp -t`: files that a client sends go into the store, one by one, each whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from ftpgateway.access.backend import Upload
from ftpgateway.access.ledger import UploadMemory
from ftpgateway.serving.refusals import Doing
from ftpgateway.sftp.link import SessionOver
from ftpgateway.sftp.scp import messages
from ftpgateway.sftp.scp.messages import (
    BadScp,
    Command,
    Data,
    Directory,
    Event,
    Failure,
    File,
    Left,
    Receiver,
    Sent,
    Times,
)
from ftpgateway.sftp.scp.session import ScpLink, Transfer
from raftstore.errors import AlreadyExists, Denied, NoQuorum, NotADirectory, NotFound, StoreError

T = TypeVar("T")

DISCARDED = 256 * 1024 * 1024
"""Bytes of a file that are thrown away after it was refused in its middle: the client sends them before it listens."""


class Taking:
    """Takes what a client sends. `run` it once."""

    def __init__(self, link: ScpLink, command: Command) -> None:
        self._link = link
        self._files = link.session.files
        self._command = command
        self._receiver = Receiver()
        self._into: list[str] = []  # the directories that are entered
        self._times: list[int | None] = []  # when each of them was modified, if its sender says so
        self._mtime: int | None = None  # of what comes next

    async def run(self) -> None:
        """Serve until the client ends. Raises SessionOver, BadScp; nothing that is not whole is published then."""
        target = await self._target()
        if target is None:
            return
        path, inside = target
        await self._link.send(messages.OK)
        while (event := await self._event()) is not None:
            match event[0]:
                case Times(mtime):
                    self._mtime = mtime
                    await self._link.send(messages.OK)
                case File() as file:
                    await self._file(self._place(path, file.name, inside=inside), file)
                case Directory(name):
                    await self._enter(self._place(path, name, inside=inside))
                case Left():
                    await self._leave()
                case Failure(fatal=fatal):
                    self._link.failures += 1
                    self._mtime = None
                    if fatal:
                        return
                case other:
                    raise AssertionError(other)
        if not self._receiver.between:
            raise SessionOver("the client left in the middle of a transfer")

    async def _event(self) -> tuple[Event, memoryview] | None:
        return await self._link.next(self._receiver.step)

    async def _target(self) -> tuple[str, bool] | None:
        """Return where to, and whether that is a directory to put into; None: the client was told why not."""
        asked = self._command.paths[0]
        try:
            path = self._files.resolve(asked)
            inside = await self._is_directory(path)
            if (self._command.directory or asked.endswith("/")) and not inside:
                raise NotADirectory(path)
        except StoreError as error:
            await self._link.refuse(asked, error)
            return None
        return path, inside

    async def _is_directory(self, path: str) -> bool:
        try:
            return (await self._files.entry(path)).is_directory
        except (NotFound, Denied):  # who sees nothing there may store there all the same
            return False

    def _place(self, target: str, name: str, *, inside: bool) -> str:
        if self._into:
            return f"{self._into[-1].rstrip('/')}/{name}"
        return f"{target.rstrip('/')}/{name}" if inside else target

    def _taken_mtime(self) -> int | None:
        mtime, self._mtime = self._mtime, None
        return mtime

    # Directories.

    async def _enter(self, path: str) -> None:
        mtime = self._taken_mtime()
        if not self._command.recursive:
            raise BadScp("a directory, which was not asked for by -r")
        try:
            path = self._files.resolve(path)
            await self._made(path)
        except StoreError as error:
            await self._link.refuse(path, error)
            return
        self._receiver.accept()
        self._into.append(path)
        self._times.append(mtime)
        await self._link.send(messages.OK)

    async def _made(self, path: str) -> None:
        """Make a directory, if it is not there. Raises StoreError."""
        try:
            await self._files.make_directory(path)
        except (AlreadyExists, Denied):
            if not await self._is_directory(path):
                raise

    async def _leave(self) -> None:
        path, mtime = self._into.pop(), self._times.pop()
        if mtime is not None:
            try:
                await self._files.set_modified(path, mtime * 10**9)
            except StoreError as error:
                await self._link.refuse(path, error)
                return
        await self._link.send(messages.OK)

    # Files.

    async def _file(self, path: str, file: File) -> None:
        mtime = self._taken_mtime()
        transfer = self._link.transfer = Transfer(path, writes=True)
        try:
            transfer.path = path = self._files.resolve(path)
            memory = UploadMemory(self._link.session.charge)
        except StoreError as error:
            await self._link.refuse(path, error, Doing.WRITING)
            return
        try:
            try:
                upload = await self._files.upload(
                    path, offset=None, append=False, exclusive=False, expected=file.size
                )
            except StoreError as error:
                await self._link.refuse(path, error, Doing.WRITING)
                return
            await self._received(path, file, mtime, upload, memory, transfer)
        finally:
            memory.release()

    async def _received(
        self,
        path: str,
        file: File,
        mtime: int | None,
        upload: Upload,
        memory: UploadMemory,
        transfer: Transfer,
    ) -> None:
        """Receive the bytes, publish the file, tell the client."""
        whole = ended = False
        try:
            self._receiver.accept()
            await self._link.send(messages.OK)
            wrong, error = await self._bytes(upload, memory, transfer, file.size)
            if not wrong:
                ended = True
                error = await self._published(upload, mtime)
            whole = not wrong and error is None
        finally:
            if not ended:
                await upload.abort()
            self._link.on_transfer(transfer, whole)
        if error is not None:
            await self._link.refuse(path, error, Doing.WRITING)
        elif wrong:
            await self._link.leave_out(path, f"not stored: {wrong}")
        else:
            await self._link.send(messages.OK)

    async def _bytes(
        self, upload: Upload, memory: UploadMemory, transfer: Transfer, size: int
    ) -> tuple[str, StoreError | None]:
        """Feed what comes, or throw it away once it was refused; return what is wrong with it, and the refusal."""
        error: StoreError | None = None
        while (event := await self._event()) is not None:
            said, data = event
            if isinstance(said, Sent):
                return said.error or ("it was refused" if error is not None else ""), error
            assert isinstance(said, Data)
            transfer.moved += said.count
            if error is not None:
                continue
            try:
                memory.cover(upload.position + said.count)
                more = upload.feed(data)
                seconds = self._link.session.up.take(said.count)
                if not more:
                    await self._waited(upload.drained())
                if seconds:
                    await asyncio.sleep(seconds)
            except StoreError as refusal:
                error = refusal
                if size - transfer.moved > DISCARDED:
                    await self._link.refuse(transfer.path, refusal, Doing.WRITING)
                    raise SessionOver("too much of a file is left that was refused") from None
        raise SessionOver("the client left in the middle of a file")

    async def _published(self, upload: Upload, mtime: int | None) -> StoreError | None:
        """Publish; return why not."""
        try:
            await upload.commit(mtime * 10**9 if mtime else None)
        except StoreError as error:
            return error
        return None

    async def _waited(self, wait: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._link.wait_limit):
                return await wait
        except TimeoutError:
            raise NoQuorum() from None
