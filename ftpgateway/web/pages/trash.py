"""The trash: what was deleted or replaced, until its time is over."""

from __future__ import annotations

from starlette.responses import Response

from ftpgateway.web.asking import Asked, page
from ftpgateway.web.listing import listed, sort_of
from ftpgateway.web.pages.folders import may, tiles
from ftpgateway.web.pages.rendering import rendered, with_query
from ftpgateway.web.refusals import BadRequest


@page("/trash", "GET")
async def trash(asked: Asked) -> Response:
    """Show it, the newest pictures first."""
    if not asked.files.has_mount("trash"):
        raise BadRequest("This account has no trash; what is deleted is gone.", 404)
    sort = asked.query.get("sort", "new")
    found = await listed(asked.files, "/trash", sort_of(sort), asked.query.get("after", ""))
    return rendered(
        "trash.html",
        asked,
        active="trash",
        tiles=tiles("/trash", found.entries),
        sort=sort,
        following=with_query("/trash", sort=sort, after=found.after) if found.after else "",
        may=may(asked.files, "/trash"),
        days=asked.files.account.user.trash_ns // (86_400 * 10**9),
    )
