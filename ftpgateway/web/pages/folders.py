"""Folders: a grid of what is in one, a page of it at a time, and what can be put there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from starlette.responses import Response

from ftpgateway.access.workspace import Workspace
from ftpgateway.web.asking import Asked, page
from ftpgateway.web.files import reply_with_file, store_body
from ftpgateway.web.http import multipart
from ftpgateway.web.listing import is_picture, listed, sort_of
from ftpgateway.web.pages.rendering import crumbs, rendered, see, url, with_query
from ftpgateway.web.refusals import BadRequest
from raftstore import paths
from raftstore.errors import IsADirectory
from raftstore.rights import Action
from raftstore.types import Entry

SHOWN_BYTES = 40 * 1000 * 1000
"""Largest original that a grid shows; a sign stands for larger ones."""

MOST_RECIPIENTS = 2000


class Tile(NamedTuple):
    """An entry as a grid shows it. `path` is the client's."""

    entry: Entry
    path: str
    shown: bool
    """Whether its picture is shown."""
    sealed: bool = False
    """Whether its person has not opened it yet: it is not read before that."""


class May(NamedTuple):
    """What buttons there are; what counts the store decides."""

    upload: bool
    make: bool
    delete: bool
    rename: bool
    send: bool
    restore: bool


def tiles(directory: str, entries: Sequence[Entry], unopened: frozenset[int] = frozenset()) -> list[Tile]:
    """Return the tiles of some entries of a directory: folders first, which a reader looks for at the top."""
    made = [
        Tile(
            entry,
            paths.join(directory, entry.name),
            is_picture(entry) and entry.size <= SHOWN_BYTES and entry.inode not in unopened,
            entry.inode in unopened,
        )
        for entry in entries
    ]
    return sorted(made, key=lambda tile: not tile.entry.is_directory)


def may(files: Workspace, path: str) -> May:
    """Return what can be offered in a directory."""
    user, mounted = files.account.user, files.mount_of(path)
    below = paths.join(path, "x")
    inside = mounted != "send" or path.count("/") > 1
    return May(
        upload=inside and mounted not in ("inbox", "trash") and files.may(Action.WRITE, below),
        make=inside and mounted not in ("inbox", "trash") and files.may(Action.MAKE_DIRECTORY, below),
        delete=files.may(Action.DELETE, below, own=True),
        rename=mounted in ("", "shared") and files.may(Action.RENAME, below, own=True),
        send=user.person and mounted not in ("send", "trash"),
        restore=mounted == "trash",
    )


def usual_sort(mount: str) -> str:
    """Return how a directory is sorted if nobody says otherwise."""
    return "new" if mount in ("inbox", "send") else "name"


async def recipients(files: Workspace) -> list[str]:
    """Return to whom the person can send, as far as it sees them."""
    if not files.account.user.person:
        return []
    cursor = await files.directory("/send")
    try:
        names = [entry.name for entry in cursor.entries]
        while cursor.more and len(names) < MOST_RECIPIENTS:
            await cursor.advance()
            names += [entry.name for entry in cursor.entries]
        return names
    finally:
        cursor.close()


@page("/", "GET")
async def start(asked: Asked) -> Response:
    """Show the home."""
    return see("/folders/")


@page("/folders", "GET")
async def home(asked: Asked) -> Response:
    """Show the home."""
    return see("/folders/")


@page("/folders/{path:path}", "GET", "HEAD")
async def folder(asked: Asked) -> Response:
    """Show a folder."""
    path = asked.path
    area = asked.files.mount_of(path)
    sort = asked.query.get("sort", usual_sort(area))
    after = asked.query.get("after", "")
    found = await listed(asked.files, path, sort_of(sort), after)
    # Mounted directories have places of their own in the navigation.
    entries = [each for each in found.entries if path != "/" or not asked.files.has_mount(each.name)]
    unopened: frozenset[int] = frozenset()
    if area == "inbox":
        unopened = frozenset(asked.files.unopened([each.inode for each in entries if not each.is_directory]))
    return rendered(
        "folder.html",
        asked,
        active=area or "folders",
        path=path,
        title=crumbs(path)[-1][0] if path != "/" else "Your pictures",
        tiles=tiles(path, entries, unopened),
        following=with_query(url("/folders", path), sort=sort, after=found.after) if found.after else "",
        first=not after,
        sort=sort,
        may=may(asked.files, path),
        recipients=await recipients(asked.files),
    )


@page("/files/{path:path}", "GET", "HEAD")
async def file(asked: Asked) -> Response:
    """Send a picture; what is none, or is asked for as a download, as an attachment."""
    return await reply_with_file(asked, asked.path, attachment="download" in asked.query)


# Uploads by a form. The script uploads by PUT, with progress: see `ftpgateway.web.api`.


@page("/upload/{path:path}", "POST")
async def upload(asked: Asked) -> Response:
    """Store the files of a form in a folder, each as it comes, none in place of another."""
    directory = asked.path
    stored = 0
    form = _Incoming(asked.request.stream(), multipart.boundary_of(asked.header("content-type")))
    async for name, body in form.files():
        path = asked.files.resolve(paths.join(directory, multipart.base_name(name)))
        if path == directory:
            raise IsADirectory(path)
        await store_body(asked, path, body, beside=asked.files.mount_of(path) != "send")
        stored += 1
    if not stored:
        raise BadRequest("No file was chosen.")
    return see(with_query(url("/folders", directory), done="stored"))


class _Incoming:
    """The files of a form, one after another; each has to be read to its end before the next."""

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._reader = multipart.FormReader(boundary)
        self._events: Iterator[multipart.Event] = iter(())

    async def files(self) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Yield each file's name and bytes. Raises BadForm."""
        while (event := await self._next()) is not None:
            if isinstance(event, multipart.PartBegins) and event.filename:
                yield event.filename, self._data()

    async def _data(self) -> AsyncIterator[bytes]:
        while not isinstance(event := await self._next(), multipart.PartEnds):
            if event is None:
                raise multipart.BadForm("The form ended early; the file was not stored.")
            if isinstance(event, multipart.PartData):
                yield event.data

    async def _next(self) -> multipart.Event | None:
        while True:
            event = next(self._events, None)
            if event is not None:
                return event
            data = await anext(self._body, None)
            if data is None:
                if not self._reader.ended:
                    raise multipart.BadForm("The form ended early.")
                return None
            self._events = self._reader.feed(data)
