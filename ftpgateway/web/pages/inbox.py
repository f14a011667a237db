"""The inbox: from whom something came, and how much of it was not opened yet."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from ftpgateway.web.asking import Asked, page
from ftpgateway.web.listing import listed, sort_of
from ftpgateway.web.pages.rendering import rendered, with_query
from ftpgateway.web.refusals import BadRequest
from raftstore.errors import NotFound
from raftstore.types import Entry


class Sender(NamedTuple):
    """Somebody who has sent something. `more`: there are more pictures than were counted."""

    entry: Entry
    pictures: int
    unopened: int
    more: bool


@page("/inbox", "GET")
async def inbox(asked: Asked) -> Response:
    """Show the senders, those first from whom something came last."""
    if not asked.files.has_mount("inbox"):
        raise BadRequest("That is for persons, and this account is none.", 404)
    found = await listed(asked.files, "/inbox", sort_of("new"), asked.query.get("after", ""))
    senders = []
    for entry in found.entries:
        if not entry.is_directory:
            continue
        try:
            inside = await listed(asked.files, f"/inbox/{entry.name}", sort_of("new"))
        except NotFound:  # the last of it has gone meanwhile
            continue
        pictures = [each.inode for each in inside.entries if not each.is_directory]
        senders.append(
            Sender(entry, len(pictures), len(asked.files.unopened(pictures)), more=bool(inside.after))
        )
    following = with_query("/inbox", after=found.after) if found.after else ""
    return rendered("inbox.html", asked, active="inbox", senders=senders, following=following)
