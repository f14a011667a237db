"""What is done with one picture or several: rename, move, delete, restore, send; and new folders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from ftpgateway.access.workspace import Workspace
from ftpgateway.serving.refusals import TooManyNames
from ftpgateway.web.asking import Asked, Form, page
from ftpgateway.web.http import security
from ftpgateway.web.pages.rendering import see, url, with_query
from ftpgateway.web.refusals import BadRequest
from raftstore import paths
from raftstore.errors import Cycle
from raftstore.util.durations import seconds_of

MOST = 1000
"""Names that one request changes."""

LONGEST_SECONDS = 3650 * 86_400


def chosen(files: Workspace, form: Form) -> list[str]:
    """Return the paths of what was chosen. Raises BadRequest, TooManyNames, BadName."""
    found = [files.resolve("/" + path) for path in dict.fromkeys(form.all("path")) if path]
    if not found:
        raise BadRequest("Nothing was chosen.")
    if len(found) > MOST:
        raise TooManyNames
    return found


async def _each(asked: Asked, done: str, do: Callable[[str], Awaitable[object]]) -> Response:
    """Do something with all that was chosen; the first that cannot be ends it, and what was done stays."""
    form = await asked.form()
    for path in chosen(asked.files, form):
        await do(path)
    return _back(form, done)


def _back(form: Form, done: str) -> Response:
    back = security.local_path(form.one("back"), "/folders/")
    address, _, query = back.partition("?")
    kept = "&".join(each for each in query.split("&") if each and not each.startswith("done="))
    return see(f"{address}?{kept}&done={done}" if kept else f"{address}?done={done}")


async def remove(files: Workspace, path: str) -> None:
    """Delete a file, or an empty folder. Raises StoreError."""
    if (await files.entry(path)).is_directory:
        await files.remove_directory(path)
    else:
        await files.remove(path)


@page("/do/delete", "POST")
async def delete(asked: Asked) -> Response:
    """Delete files and empty folders."""
    trash = asked.files.has_mount("trash")
    form = await asked.form()
    found = chosen(asked.files, form)
    for path in found:
        await remove(asked.files, path)
    area = asked.files.mount_of(found[0])
    kept = trash and area not in ("inbox", "send", "trash")
    return _back(form, "recalled" if area == "send" else "trashed" if kept else "deleted")


@page("/do/restore", "POST")
async def restore(asked: Asked) -> Response:
    """Put files of the trash back to where they were, beside what is there now."""

    async def put_back(path: str) -> None:
        await asked.files.restore(paths.parent(path)[1], beside=True)

    return await _each(asked, "restored", put_back)


@page("/do/send", "POST")
async def send(asked: Asked) -> Response:
    """Send pictures to a person or group."""
    form = await asked.form()
    recipient, found = form.one("to").strip(), chosen(asked.files, form)
    if not recipient:
        raise BadRequest("To whom? Give the name of a person or group.")
    expires = expiry(form.one("expires"))
    for path in found:
        await asked.files.send_file(path, recipient, expires_ns=expires)
    return _back(form, "sent")


def expiry(text: str) -> int:
    """Return after how many ns what is sent is gone; 0: as the account has it. Raises BadRequest."""
    if not text.strip():
        return 0
    seconds = seconds_of(text.strip().lower(), LONGEST_SECONDS)
    if seconds is None:
        raise BadRequest("A time is 30m, 24h or 7d, and at most 3650d.")
    return seconds * 10**9


@page("/do/move", "POST")
async def move(asked: Asked) -> Response:
    """Move files and folders to another folder, never over what is there."""
    form = await asked.form()
    target = asked.files.resolve("/" + form.one("folder").strip())
    found = chosen(asked.files, form)
    if not (await asked.files.entry(target)).is_directory:
        raise BadRequest("Move them to a folder.", 409)
    for path in found:
        if paths.within(target, path):
            raise Cycle(path)
        await asked.files.rename(path, paths.join(target, paths.parent(path)[1]), exclusive=True)
    return _back(form, "moved")


@page("/do/rename", "POST")
async def rename(asked: Asked) -> Response:
    """Give a file or folder another name in its folder, never that of something else."""
    form = await asked.form()
    found, name = chosen(asked.files, form), form.one("name").strip()
    if len(found) != 1:
        raise BadRequest("Choose one to rename.")
    directory, _ = paths.parent(found[0])
    target = asked.files.resolve(_inside(directory, name))
    await asked.files.rename(found[0], target, exclusive=True)
    if form.one("view"):
        return see(with_query(url("/view", target), done="renamed"))
    return _back(form, "renamed")


@page("/do/folder", "POST")
async def make_folder(asked: Asked) -> Response:
    """Make a folder."""
    form = await asked.form()
    directory = asked.files.resolve("/" + form.one("in"))
    path = asked.files.resolve(_inside(directory, form.one("name").strip()))
    await asked.files.make_directory(path)
    return see(with_query(url("/folders", path), done="made"))


def _inside(directory: str, name: str) -> str:
    """Return the path of a name that somebody has typed. Raises BadName."""
    paths.check_name(name)
    return paths.join(directory, name)
