"""A single picture, large, with those beside it."""

from __future__ import annotations

from starlette.responses import Response

from ftpgateway.web.asking import Asked, page
from ftpgateway.web.listing import beside, is_picture, sort_of
from ftpgateway.web.pages.folders import SHOWN_BYTES, may, recipients, usual_sort
from ftpgateway.web.pages.rendering import rendered, see, url, with_query
from raftstore import paths


@page("/view/{path:path}", "GET", "HEAD")
async def view(asked: Asked) -> Response:
    """Show a picture, or say what a file is that cannot be shown."""
    path = asked.path
    entry = await asked.files.entry(path)
    if entry.is_directory:
        return see(url("/folders", path))
    directory, _ = paths.parent(path)
    area = asked.files.mount_of(path)
    sort = asked.query.get("sort", usual_sort(area))
    around = await beside(asked.files, path, sort_of(sort))

    def address(name: str) -> str:
        return with_query(url("/view", paths.join(directory, name)), sort=sort) if name else ""

    return rendered(
        "view.html",
        asked,
        active=area or "folders",
        path=path,
        entry=entry,
        shown=is_picture(entry) and entry.size <= SHOWN_BYTES * 4,
        before=address(around.before),
        behind=address(around.behind),
        directory=directory,
        up=with_query(url("/folders", directory), sort=sort),
        may=may(asked.files, directory),
        recipients=await recipients(asked.files),
    )
