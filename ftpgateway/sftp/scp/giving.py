"""`scp -f`: files of the store go to a client."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from ftpgateway.access.backend import Download
from ftpgateway.access.cursor import DirectoryCursor
from ftpgateway.access.ledger import Resource
from ftpgateway.serving.refusals import Doing
from ftpgateway.sftp.link import SessionOver
from ftpgateway.sftp.scp import messages
from ftpgateway.sftp.scp.messages import Answer, Command
from ftpgateway.sftp.scp.session import ScpLink, Transfer
from raftstore.errors import NotFound, StoreError
from raftstore.rights import Action
from raftstore.types import CHUNK_SIZE, Entry

HELD = 3
"""Blocks of a file in memory: as many as a download gets ahead."""


class Giving:
    """Gives a client what it has named. `run` it once."""

    def __init__(self, link: ScpLink, command: Command) -> None:
        self._link = link
        self._files = link.session.files
        self._command = command

    async def run(self) -> None:
        """Serve until all is sent, or the client ends. Raises SessionOver, BadScp."""
        if not (await self._answer()).text:
            for asked in self._command.paths:
                await self._asked(asked)

    async def _answer(self) -> Answer:
        """Wait for what the client says. Raises SessionOver, also when it has ended or wants to end."""
        found = await self._link.next(messages.answer)
        if found is None:
            raise SessionOver("the client left")
        if found[0].text:
            self._link.failures += 1
        if found[0].fatal:
            raise SessionOver(found[0].text)
        return found[0]

    async def _said(self, *parts: bytes) -> bool:
        """Say something; return whether the client takes it."""
        await self._link.send(*parts)
        return not (await self._answer()).text

    async def _asked(self, asked: str) -> None:
        """Give what a name of the command stands for: itself, or what a pattern in its last part selects."""
        try:
            path = self._files.resolve(asked)
            try:
                entry = await self._files.entry(path)
            except NotFound:
                cursor = await self._files.matching(path)
                if not cursor.entries and not cursor.more:
                    raise
                await self._all(path.rpartition("/")[0], cursor)
                return
        except StoreError as error:
            await self._link.refuse(asked, error)
            return
        if path == "/":
            await self._link.leave_out(asked, "name a directory in it, or all that is in it with *")
            return
        await self._one(path, entry)

    async def _all(self, directory: str, cursor: DirectoryCursor) -> None:
        """Give all that a cursor shows of a directory."""
        try:
            while True:
                for entry in cursor.entries:
                    await self._one(f"{directory.rstrip('/')}/{entry.name}", entry)
                if not cursor.more:
                    return
                await cursor.advance()
        finally:
            cursor.close()

    async def _one(self, path: str, entry: Entry) -> None:
        if not entry.is_directory:
            await self._file(path)
        elif self._command.recursive:
            await self._directory(path, entry)
        else:
            await self._link.leave_out(path, "a directory; -r copies it")

    async def _directory(self, path: str, entry: Entry) -> None:
        try:
            cursor = await self._files.directory(path)
        except StoreError as error:
            await self._link.refuse(path, error)
            return
        try:
            if not await self._begin(entry.mtime_ns, messages.begin_directory(path.rpartition("/")[2])):
                return
            await self._all(path, cursor)
            await self._said(messages.END)
        except StoreError as error:  # it was removed meanwhile, or the session may not go on
            raise SessionOver(str(error)) from None
        finally:
            cursor.close()

    async def _begin(self, mtime_ns: int, head: bytes) -> bool:
        if self._command.times and not await self._said(messages.times(mtime_ns)):
            return False
        return await self._said(head)

    # Files.

    async def _file(self, path: str) -> None:
        try:
            await self._files.require(Action.READ, path)
            download = await self._files.download(path)
        except StoreError as error:
            await self._link.refuse(path, error, Doing.READING)
            return
        try:
            memory = self._link.session.charge(Resource.MEMORY)
            try:
                memory.resize(min(download.size, HELD * CHUNK_SIZE))
            except StoreError as error:
                await self._link.refuse(path, error, Doing.READING)
                return
            try:
                await self._sent(path, download)
            finally:
                memory.release()
        finally:
            await download.close()

    async def _sent(self, path: str, download: Download) -> None:
        transfer, whole = Transfer(path, writes=False), False
        self._link.transfer = transfer
        head = messages.begin_file(path.rpartition("/")[2], download.size)
        if not await self._begin(download.entry.mtime_ns, head):
            return
        try:
            async with aclosing(download.blocks()) as blocks:
                async for block in blocks:
                    seconds = self._link.session.down.take(len(block))
                    await self._link.send(block)
                    transfer.moved += len(block)
                    if seconds:
                        await asyncio.sleep(seconds)
            whole = await self._said(messages.OK)
        except StoreError as error:
            # The client waits for the bytes that are missing: wrong ones it does not get.
            raise SessionOver(f"the file cannot be read: {error}") from None
        finally:
            self._link.on_transfer(transfer, whole)
