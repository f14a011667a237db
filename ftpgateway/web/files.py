"""Bytes of pictures over HTTP: out as a reply, whole or in part, and in as a body."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import NamedTuple, TypeVar

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ftpgateway.access.backend import Download, Upload
from ftpgateway.access.ledger import Charge, Resource, UploadMemory
from ftpgateway.access.login.throttle import Throttle, paced
from ftpgateway.serving.logs.transferlog import Transferred
from ftpgateway.serving.refusals import Doing
from ftpgateway.web.asking import Asked
from ftpgateway.web.http import content
from ftpgateway.web.http.guard import Gone
from ftpgateway.web.refusals import BadRequest
from ftpgateway.web.sessions import Moving
from raftstore import paths
from raftstore.errors import AlreadyExists, IsADirectory, NoQuorum, OutcomeUnknown, StoreError, Unavailable
from raftstore.types import CHUNK_SIZE, Entry
from raftstore.util.buffers import Buffer

log = structlog.get_logger()

T = TypeVar("T")

PIECE = 256 * 1024
"""Bytes that are sent at once: a slow client has some time for each."""

TURN_SECONDS = 30.0
"""For which a picture waits until others have gone to the same session."""

TRIED = 1000
"""Names that are tried for an upload that replaces nothing."""


# Out.


async def reply_with_file(asked: Asked, path: str, *, attachment: bool) -> Response:
    """Return the reply with the file at `path`, or with what the request asks for of it.

    What is no picture that a browser may show is an attachment, whatever its name. Raises StoreError, also when the
    first bytes cannot be read: then nothing was sent.
    """
    asked.doing = Doing.READING
    turn = await _turn(asked)
    try:
        download = await asked.files.download(path)
        try:
            return await _reply(asked, path, download, turn, attachment=attachment)
        except BaseException:
            await download.close()
            raise
    except BaseException:
        turn()
        raise


async def _turn(asked: Asked) -> Callable[[], None]:
    """Wait until the session may be sent one more; return what gives the place back, once. Raises Unavailable."""
    pictures = asked.session.pictures
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await pictures.acquire()
    except TimeoutError:
        raise Unavailable("many pictures are on their way to this session") from None
    held = [pictures.release]

    def give_back() -> None:
        if held:
            held.pop()()

    return give_back


async def _reply(
    asked: Asked, path: str, download: Download, turn: Callable[[], None], *, attachment: bool
) -> Response:
    entry, size = download.entry, download.size
    tag, modified = content.tag_of(download.version), content.http_date(entry.mtime_ns)

    async def short(status: int, headers: dict[str, str]) -> Response:
        await download.close()
        turn()
        return Response(status_code=status, headers=headers)

    if content.matches(asked.header("if-none-match"), tag):
        return await short(304, {"ETag": tag, "Cache-Control": "private, no-cache"})
    try:
        part = content.part_of(
            asked.header("range"), size, if_range=asked.header("if-range"), tag=tag, modified=modified
        )
    except content.Unsatisfiable:
        return await short(416, {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    offset, length = part or content.Part(0, size)
    reading = _Reading(download, offset, length, asked.session.session.down)
    media_type = content.type_of(await reading.magic())
    attachment = attachment or media_type == content.OTHER
    headers = dict(content.headers_of(tag, modified, media_type, entry.name, attachment=attachment))
    headers["Content-Length"] = str(length)
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    status = 200 if part is None else 206
    if asked.request.method == "HEAD":
        await reading.close()
        return await short(status, headers)
    memory = asked.session.session.charge(Resource.MEMORY, min(length, CHUNK_SIZE))
    return FileReply(asked, path, download, reading, turn, memory, status, headers)


class _Reading:
    """Bytes of a download from `offset`; the first block is got before anything is sent."""

    def __init__(self, download: Download, offset: int, length: int, throttle: Throttle) -> None:
        self.length = length
        self._download = download
        self._offset = offset
        blocks: AsyncIterator[Buffer] = download.blocks(offset, length)
        self._blocks = paced(blocks, throttle) if throttle.rate else blocks
        self._first: Buffer | None = None

    async def magic(self) -> bytes:
        """Return the first bytes of the file, wherever the reading begins. Raises StoreError."""
        self._first = await anext(self._blocks, b"")
        enough = min(self._download.size, content.MAGIC_BYTES)
        if self._offset == 0 and len(self._first) >= enough:
            return bytes(memoryview(self._first)[: content.MAGIC_BYTES])
        first = self._download.blocks(0, content.MAGIC_BYTES)
        try:
            return bytes(await anext(first, b""))
        finally:
            await first.aclose()

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        """Yield all bytes, PIECE at a time; each is good until the next. Raises StoreError."""
        block, self._first = self._first, None
        while block is not None:
            left = memoryview(block)
            while left:
                piece, left = left[:PIECE], left[PIECE:]
                yield piece
            block = await anext(self._blocks, None)

    async def close(self) -> None:
        """Let go of it."""
        if isinstance(self._blocks, AsyncGenerator):
            await self._blocks.aclose()


class FileReply(Response):
    """A reply that is read as it is sent. One that breaks off is cut, so that nobody takes it for the whole."""

    def __init__(
        self,
        asked: Asked,
        path: str,
        download: Download,
        reading: _Reading,
        turn: Callable[[], None],
        memory: Charge,
        status: int,
        headers: dict[str, str],
    ) -> None:
        """`turn` gives the session's place back."""
        super().__init__(status_code=status, headers=headers)
        self._asked, self._path, self._download, self._reading = asked, path, download, reading
        self._turn, self._memory = turn, memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        asked = self._asked
        with transfer(asked, self._path, upload=False) as moving:
            try:
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                async for piece in self._reading.pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    moving.size += len(piece)
                if moving.size != self._reading.length:
                    asked.connection.abort()
                    return
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                moving.complete = True
            except StoreError as error:
                log.warning("download broken off", user=asked.session.name, path=self._path, error=str(error))
                asked.connection.abort()
            finally:
                self._turn()
                self._memory.release()
                await self._reading.close()
                await self._download.close()


# In.


class Stored(NamedTuple):
    """An upload that is done, and where."""

    path: str
    entry: Entry


async def store_body(
    asked: Asked,
    path: str,
    body: AsyncIterator[bytes],
    *,
    expected: int | None = None,
    exclusive: bool = False,
    beside: bool = False,
    mtime_ns: int | None = None,
) -> Stored:
    """Store what `body` yields at `path`; on return it is durable and seen at every node.

    `exclusive`: never in place of what is there; `beside`: under a name with a number, where the name is taken. What
    breaks off leaves nothing. Raises StoreError, BadRequest.
    """
    asked.doing = Doing.WRITING
    if path == "/":
        raise IsADirectory(path)
    session = asked.session.session
    with contextlib.ExitStack() as held:
        memory = UploadMemory(session.charge)
        held.callback(memory.release)
        moving = held.enter_context(transfer(asked, path, upload=True))
        if beside:
            moving.path, upload = await _open_beside(asked, path, expected)
        else:
            upload = await _open(asked, path, expected, exclusive=exclusive)
        published = False
        try:
            await _feed(asked, upload, body, memory, moving)
            if expected is not None and moving.size != expected:
                raise BadRequest("The body ended early; nothing was stored.")
            await _within(asked, upload.prepare(), Unavailable)
            if asked.connection.gone:
                raise Gone
            published = True
            entry = await _within(asked, upload.commit(mtime_ns), OutcomeUnknown)
        finally:
            if not published:
                await upload.abort()
        moving.complete = True
        return Stored(moving.path, entry)


async def _open(asked: Asked, path: str, expected: int | None, *, exclusive: bool) -> Upload:
    return await asked.files.upload(path, offset=None, append=False, exclusive=exclusive, expected=expected)


async def _open_beside(asked: Asked, path: str, expected: int | None) -> tuple[str, Upload]:
    """Open an upload under the first name that is free: `photo.jpg`, `photo (2).jpg`. Raises AlreadyExists."""
    directory, name = paths.parent(path)
    for number in range(1, TRIED):
        at = paths.join(directory, name if number == 1 else paths.numbered(name, number))
        try:
            return at, await _open(asked, at, expected, exclusive=True)
        except AlreadyExists:
            continue
    raise AlreadyExists(path)


async def _feed(
    asked: Asked, upload: Upload, body: AsyncIterator[bytes], memory: UploadMemory, moving: Moving
) -> None:
    up = asked.session.session.up
    async for data in body:
        for at in range(0, len(data), CHUNK_SIZE):
            piece = data[at : at + CHUNK_SIZE]
            memory.cover(upload.position + len(piece))
            taken = upload.feed(piece)
            moving.size += len(piece)
            if seconds := up.take(len(piece)):
                await asyncio.sleep(seconds)
            if not taken:
                await _within(asked, upload.drained(), NoQuorum)


async def _within(asked: Asked, what: Awaitable[T], late: type[StoreError]) -> T:
    """Wait for the store, which has its own, shorter deadlines. Raises `late`."""
    try:
        async with asyncio.timeout(asked.site.settings.wait_limit):
            return await what
    except TimeoutError:
        raise late from None


# Both.


@contextlib.contextmanager
def transfer(asked: Asked, path: str, *, upload: bool) -> Iterator[Moving]:
    """Note a transfer in the log of transfers when it is over; it is cut when its session ends."""
    moving = Moving(path, upload)
    session, cut = asked.session, asked.connection.abort
    session.on_end.add(cut)
    session.moving[moving] = None
    try:
        yield moving
    finally:
        session.on_end.discard(cut)
        session.moving.pop(moving, None)
        if asked.site.transfers is not None:
            asked.site.transfers.record(
                Transferred(
                    ended=time.time(),
                    seconds=time.monotonic() - moving.began,
                    host=asked.client.address,
                    size=moving.size,
                    path=moving.path,
                    upload=upload,
                    complete=moving.complete,
                    user=session.name,
                    service="web",
                )
            )
