"""Requests of one SFTP session to replies. Those that wait for nothing are answered at once, without a task switch."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ftpgateway.access.ledger import Resource
from ftpgateway.access.sessions import Session
from ftpgateway.serving.logs.refusallog import RefusalLog
from ftpgateway.serving.opensessions import Operation
from ftpgateway.serving.refusals import Doing, one_line
from ftpgateway.sftp import packets, refusals
from ftpgateway.sftp.files.copying import copy_data
from ftpgateway.sftp.files.draft import Draft
from ftpgateway.sftp.files.drafts import Drafts, Manner
from ftpgateway.sftp.files.opened import File, Listing, Opened, ReadBuffers, standing_in, writable
from ftpgateway.sftp.packets import BadPacket, Fields
from ftpgateway.sftp.refusals import Unsupported
from raftstore import paths
from raftstore.errors import AlreadyExists, Invalid, NotFound, StoreError
from raftstore.rights import Action
from raftstore.store.transfers.spool import Spools
from raftstore.types import Entry
from raftstore.util.buffers import Buffer

Reply = Sequence[Buffer]

_READING = frozenset({packets.READ, packets.OPEN})
_PROBES = frozenset({packets.STAT, packets.LSTAT})
_WRITING = frozenset({packets.WRITE, packets.CLOSE, packets.EXTENDED})
_OF_FILES = frozenset({"read", "write"})
"""Requests of which the open file tells already what is done."""

OnTransfer = Callable[[File, bool], None]
"""Told of a file that was closed, and whether it went over whole."""


class Requests:
    """Answers one client, one request after the other. `abandon` ends it."""

    def __init__(
        self,
        session: Session,
        *,
        max_handles: int,
        wait_limit: float,
        spools: Spools,
        events: Any,
        refused: RefusalLog,
        on_transfer: OnTransfer | None = None,
    ) -> None:
        """`events` is the log, bound to the session. `on_transfer` is told of each file that was read or written."""
        self._on_transfer = on_transfer
        self._events = events
        self._refused = refused
        self._doing = self._about = ""  # for the log: request and path
        self._answering_since = 0.0  # monotonic; 0: no request waits for the store
        self._reported: Exception | None = None
        self._session = session
        self._files = session.files
        self._max_handles = max_handles
        self._written = session.charge(Resource.MEMORY)
        self._drafts = Drafts(self._files, session.name, spools, wait_limit, self._written)
        self._handles: dict[bytes, Opened] = {}
        self._charge = session.charge(Resource.HANDLES)
        self._held = ReadBuffers(session.charge(Resource.MEMORY))
        self._numbers = 0
        self._pause = 0.0
        self._stopped = False
        self._methods: dict[int, Callable[[int, Fields], Awaitable[Reply]]] = {
            packets.OPEN: self._open,
            packets.CLOSE: self._close,
            packets.READ: self._read,
            packets.WRITE: self._write,
            packets.LSTAT: self._stat,
            packets.STAT: self._stat,
            packets.FSTAT: self._fstat,
            packets.SETSTAT: self._setstat,
            packets.FSETSTAT: self._fsetstat,
            packets.OPENDIR: self._opendir,
            packets.READDIR: self._readdir,
            packets.REMOVE: self._remove,
            packets.MKDIR: self._mkdir,
            packets.RMDIR: self._rmdir,
            packets.REALPATH: self._realpath,
            packets.RENAME: self._rename,
            packets.READLINK: self._no_links,
            packets.SYMLINK: self._no_links,
            packets.EXTENDED: self._extended,
        }
        self._extensions: dict[str, Callable[[int, Fields], Awaitable[Reply]]] = {
            "posix-rename@openssh.com": self._posix_rename,
            "hardlink@openssh.com": self._no_links,
            "fsync@openssh.com": self._fsync,
            "lsetstat@openssh.com": self._setstat,
            "limits@openssh.com": self._limits,
            "expand-path@openssh.com": self._expand,
            "statvfs@openssh.com": self._statvfs,
            "fstatvfs@openssh.com": self._statvfs,
            "copy-data": self._copy_data,
            "copy-file": self._copy_file,
        }

    def operations(self) -> list[Operation]:
        """Return the files that are open, and the request that waits for the store, as operators see them."""
        now = time.monotonic()
        found = [
            Operation("upload" if file.writes else "download", file.path, file.moved, now - file.begun)
            for file in self._handles.values()
            if isinstance(file, File)
        ]
        if self._answering_since and self._doing not in _OF_FILES:
            found.append(Operation(self._doing, self._about, None, now - self._answering_since))
        return found

    @property
    def busy(self) -> bool:
        """Whether a file or a directory is open, or a request is being answered: a file is being published, say."""
        return bool(self._handles or self._answering_since)

    def pause(self) -> float:
        """Return for how many seconds the session has to wait, by its account's bandwidth."""
        pause, self._pause = self._pause, 0.0
        return pause

    def at_once(self, kind: int, request: int, data: memoryview) -> Reply | None:
        """Answer a read or a write for which nothing has to be waited for; None: `answer` it."""
        if kind == packets.WRITE:
            fields = Fields(data)
            file: Opened | None = None
            try:
                file = self._handles.get(bytes(fields.raw()))
                if not isinstance(file, File):
                    return None
                offset, content = fields.u64(), fields.raw()
                if not file.write_at_once(offset, content):
                    return None
                self._pause = self._session.up.take(len(content))
            except BadPacket:
                return None
            except StoreError as error:
                assert isinstance(file, File)
                self._doing, self._about = packets.REQUESTS[kind], file.path
                return self._refuse(kind, request, error, Doing.WRITING)
            return [packets.status(request, packets.OK)]
        if kind == packets.READ:
            return self._read_at_once(request, Fields(data))
        return None

    def _read_at_once(self, request: int, fields: Fields) -> Reply | None:
        try:
            file = self._handles.get(bytes(fields.raw()))
            offset, length = fields.u64(), fields.u32()
        except BadPacket:
            return None
        if not isinstance(file, File):
            return None
        parts = file.read_at_once(offset, min(length, packets.MAX_DATA))
        return None if parts is None else self._data(request, parts)

    async def answer(self, kind: int, request: int, data: memoryview) -> Reply:
        """Answer a request. Never raises but for what ends the session."""
        doing = Doing.WRITING if kind in _WRITING else Doing.READING if kind in _READING else Doing.NAMES
        method = self._methods.get(kind, self._unknown)
        self._doing, self._about = packets.REQUESTS.get(kind, "unknown"), ""
        self._answering_since = time.monotonic()
        try:
            return await method(request, Fields(data))
        except (BadPacket, StoreError) as error:
            return self._refuse(kind, request, error, doing)
        except Exception:
            self._events.exception("request failed", command=self._doing, path=one_line(self._about))
            return [packets.status(request, packets.FAILURE, refusals.INTERNAL)]
        finally:
            self._answering_since = 0.0

    def _refuse(self, kind: int, request: int, error: StoreError | BadPacket, doing: Doing) -> Reply:
        """Reply with the reason, and log it; that every further write to a file fails as well is told once."""
        code, text = (
            (packets.BAD_MESSAGE, str(error)) if isinstance(error, BadPacket) else refusals.said(error, doing)
        )
        if error is not self._reported:
            self._reported = error
            self._refused.refused(
                command=self._doing,
                path=one_line(self._about),
                reason=one_line(text),
                probe=kind in _PROBES and code == packets.NO_SUCH_FILE,
            )
        return [packets.status(request, code, text)]

    def stop(self) -> None:
        """The session is about to be over: what takes long ends."""
        self._stopped = True

    async def abandon(self) -> None:
        """The session is over: what is written and not closed is not published."""
        handles, self._handles = self._handles, {}
        self._charge.release()
        for opened in handles.values():
            used = isinstance(opened, File) and opened.used
            await opened.abandon()
            self._transferred(opened, used, whole=False)
        self._held.release()
        self._written.release()

    def _transferred(self, opened: Opened, used: bool, *, whole: bool) -> None:
        if used and isinstance(opened, File) and self._on_transfer is not None:
            self._on_transfer(opened, whole and opened.whole)

    # Handles.

    def _keep(self, request: int, opened: Opened) -> Reply:
        self._numbers += 1
        handle = self._numbers.to_bytes(8, "big")
        self._handles[handle] = opened
        return [packets.packet(packets.HANDLE, request, packets.string(handle))]

    def _check_handles(self) -> None:
        if len(self._handles) >= self._max_handles:
            raise Invalid(f"at most {self._max_handles} files and directories can be open; close one first")
        self._charge.resize(len(self._handles) + 1)

    def _handle(self, fields: Fields) -> Opened:
        opened = self._handles.get(bytes(fields.raw()))
        if opened is None:
            raise BadPacket("no such handle")
        self._about = opened.path
        return opened

    def _file(self, fields: Fields) -> File:
        opened = self._handle(fields)
        if not isinstance(opened, File):
            raise BadPacket("the handle is a directory's")
        return opened

    def _path(self, fields: Fields) -> str:
        text = fields.text()
        self._about = self._about or text  # of two names, the first
        return self._files.resolve(text)

    async def _open(self, request: int, fields: Fields) -> Reply:
        path, flags = self._path(fields), fields.u32()
        self._check_handles()
        manner = Manner.of(flags)
        if manner.write or manner.create or manner.truncate:
            draft = await self._drafts.open(path, manner)
            if draft is not None:
                try:
                    await self._followed(draft)
                except BaseException:
                    await self._drafts.close(draft)  # no handle would ever do it
                    raise
                return self._keep(request, File(self._session, path, manner, self._drafts, draft))
        return await self._open_to_read(request, path, manner)

    async def _open_to_read(self, request: int, path: str, manner: Manner) -> Reply:
        draft = await self._drafts.at(path)
        file = File(self._session, path, manner, self._drafts, None)
        if draft is not None and draft.touched:
            await self._files.require(Action.READ, path)
            file.follow(draft)
            return self._keep(request, file)
        ahead = self._held.takes_another and draft is None
        await file.open_to_read(ahead=ahead)
        if ahead:
            await self._held.add(file)
        if draft is not None:
            file.follow(draft)
        return self._keep(request, file)

    async def _followed(self, draft: Draft) -> None:
        """The files of the session that are open to be read, and are that one, see what is written to it."""
        reading = [one for one in self._handles.values() if isinstance(one, File) and not one.changes]
        if not reading or not (inode := (await draft.target()).inode):
            return
        for file in reading:
            if file.draft is not draft and await file.inode() == inode:
                earlier = file.draft
                file.follow(draft)
                if earlier is not None:
                    await self._drafts.close_reader(earlier)

    async def _close(self, request: int, fields: Fields) -> Reply:
        handle = bytes(fields.raw())
        opened = self._handles.pop(handle, None)
        if opened is None:
            raise BadPacket("no such handle")
        self._about = opened.path
        self._charge.resize(len(self._handles))
        self._held.drop(opened)
        used, whole = isinstance(opened, File) and opened.used, False
        try:
            await opened.close()
            whole = True
        finally:
            self._transferred(opened, used, whole=whole)
        return _ok(request)

    async def _read(self, request: int, fields: Fields) -> Reply:
        file, offset, length = self._file(fields), fields.u64(), fields.u32()
        parts = await file.fetch(offset, min(length, packets.MAX_DATA))
        await self._held.add(file)
        return self._data(request, parts)

    def _data(self, request: int, parts: Sequence[memoryview]) -> Reply:
        size = sum(map(len, parts))
        if not size:
            return [packets.status(request, packets.EOF)]
        self._pause = self._session.down.take(size)
        return [packets.data_head(request, size), *parts]

    async def _write(self, request: int, fields: Fields) -> Reply:
        file, offset, content = self._file(fields), fields.u64(), fields.raw()
        await file.write(offset, content)
        self._pause = self._session.up.take(len(content))
        return _ok(request)

    async def _fsync(self, request: int, fields: Fields) -> Reply:
        await self._file(fields).publish(unfinished=True)
        return _ok(request)

    async def _copy_data(self, request: int, fields: Fields) -> Reply:
        source, start, length = self._file(fields), fields.u64(), fields.u64()
        target, at = self._file(fields), fields.u64()

        async def fetch(offset: int, count: int) -> Sequence[memoryview]:
            parts = await source.fetch(offset, count)
            await self._held.add(source)
            return parts

        whole = await copy_data(
            source,
            start,
            length,
            target,
            at,
            fetch=fetch,
            pause=self._session.up.take,
            over=lambda: self._stopped or self._session.ended,
        )
        return _ok(request) if whole else [packets.status(request, packets.EOF)]

    # Attributes.

    async def _entry(self, path: str) -> Entry:
        """Return what the session sees at `path`: what it writes itself, what is published, what it can resume."""
        draft, found = await self._drafts.look(path)
        if draft is not None and (draft.dirty or found is None):
            return draft.entry()
        if found is not None:
            return found
        begun = await self._files.begun(path, anew=False)
        if not begun:
            raise NotFound(path)
        return standing_in(path.rpartition("/")[2], begun, self._session.name)

    async def _stat(self, request: int, fields: Fields) -> Reply:
        path = self._path(fields)
        entry = await self._entry(path)
        return self._attributes(request, path, entry)

    async def _fstat(self, request: int, fields: Fields) -> Reply:
        opened = self._handle(fields)
        if isinstance(opened, Listing):
            return self._attributes(request, opened.path, await self._files.entry(opened.path))
        return self._attributes(request, opened.path, opened.entry())

    def _attributes(self, request: int, path: str, entry: Entry) -> Reply:
        body = packets.attributes(entry, writable=writable(self._session, path))
        return [packets.packet(packets.ATTRS, request, body)]

    async def _setstat(self, request: int, fields: Fields) -> Reply:
        path, wanted = self._path(fields), fields.attributes()
        refusals.check_owner(wanted)
        draft = await self._drafts.at(path)
        if draft is not None:
            await draft.set_attributes(wanted)
            return _ok(request)
        entry = await self._entry(path)
        if wanted.size is not None and (entry.is_directory or wanted.size != entry.size):
            await self._drafts.cut(path, wanted.size)
        if wanted.mtime is not None:
            await self._files.set_modified(path, wanted.mtime * 10**9)
        return _ok(request)

    async def _fsetstat(self, request: int, fields: Fields) -> Reply:
        opened, wanted = self._handle(fields), fields.attributes()
        refusals.check_owner(wanted)
        if isinstance(opened, File):
            await opened.set_attributes(wanted)
        elif wanted.mtime is not None:
            await self._files.set_modified(opened.path, wanted.mtime * 10**9)
        return _ok(request)

    # Names.

    async def _opendir(self, request: int, fields: Fields) -> Reply:
        path = self._path(fields)
        self._check_handles()
        cursor = await self._files.directory(path)
        own = await self._drafts.within(path)
        return self._keep(request, Listing(path, cursor, own, writable=writable(self._session, path)))

    async def _readdir(self, request: int, fields: Fields) -> Reply:
        opened = self._handle(fields)
        if not isinstance(opened, Listing):
            raise BadPacket("the handle is a file's")
        items = await opened.portion()
        if not items:
            return [packets.status(request, packets.EOF)]
        return [packets.names(request, items)]

    async def _remove(self, request: int, fields: Fields) -> Reply:
        await self._drafts.remove(refusals.not_home(self._path(fields)))
        return _ok(request)

    async def _mkdir(self, request: int, fields: Fields) -> Reply:
        path = self._path(fields)
        if await self._drafts.at(path) is not None:
            raise AlreadyExists(path)
        await self._files.make_directory(path)
        return _ok(request)

    async def _rmdir(self, request: int, fields: Fields) -> Reply:
        path = refusals.not_home(self._path(fields))
        await self._drafts.check_empty(path)
        await self._files.remove_directory(path)
        return _ok(request)

    async def _rename(self, request: int, fields: Fields) -> Reply:
        """RENAME replaces nothing; clients that want that ask for posix-rename."""
        await self._renamed(fields, exclusive=True)
        return _ok(request)

    async def _posix_rename(self, request: int, fields: Fields) -> Reply:
        await self._renamed(fields, exclusive=False)
        return _ok(request)

    async def _renamed(self, fields: Fields, *, exclusive: bool) -> None:
        source, target = refusals.not_home(self._path(fields)), refusals.not_home(self._path(fields))
        if source == target:
            await self._entry(source)
            if exclusive:
                raise AlreadyExists(target)
            return
        await self._drafts.rename(source, target, exclusive=exclusive)
        for opened in self._handles.values():
            if isinstance(opened, File) and paths.within(opened.path, source):
                opened.moved_to(target + opened.path[len(source) :])

    async def _copy_file(self, request: int, fields: Fields) -> Reply:
        """Copy what is published (draft-ietf-secsh-filexfer-extensions-00, section 6)."""
        source, target, over = self._path(fields), refusals.not_home(self._path(fields)), fields.boolean()
        for path in (source, target):
            draft = await self._drafts.at(path)
            if draft is not None and draft.dirty:
                raise Invalid("this session writes it; close it first")
        await self._files.copy(source, target, exclusive=not over)
        return _ok(request)

    async def _realpath(self, request: int, fields: Fields) -> Reply:
        return [packets.names(request, [packets.name_item(self._path(fields), None)])]

    async def _expand(self, request: int, fields: Fields) -> Reply:
        text = fields.text()
        first, _, rest = text.partition("/")
        if first == "~":
            text = "/" + rest
        elif first.startswith("~"):
            raise NotFound(first)
        return [packets.names(request, [packets.name_item(self._files.resolve(text), None)])]

    # The rest.

    async def _extended(self, request: int, fields: Fields) -> Reply:
        name = fields.text()
        self._doing = name if name in self._extensions else "extended"
        return await self._extensions.get(name, self._unknown)(request, fields)

    async def _limits(self, request: int, fields: Fields) -> Reply:
        return [packets.limits(request, self._max_handles)]

    async def _statvfs(self, request: int, fields: Fields) -> Reply:
        free_space = await self._files.free_space("/")
        total = free_space.quota if free_space.quota is not None else free_space.cluster + free_space.used
        return [packets.free_space(request, free_space.free, total)]

    async def _no_links(self, request: int, fields: Fields) -> Reply:
        raise Unsupported(refusals.NO_LINKS)

    async def _unknown(self, request: int, fields: Fields) -> Reply:
        raise Unsupported()


def _ok(request: int) -> Reply:
    return [packets.status(request, packets.OK)]
