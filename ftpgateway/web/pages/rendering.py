"""From a template to a reply. Everything that is shown is escaped, and made fit for one line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.responses import RedirectResponse, Response

from ftpgateway.serving.refusals import one_line
from ftpgateway.web import assets
from ftpgateway.web.asking import Asked
from ftpgateway.web.http import content
from ftpgateway.web.listing import SORTS
from raftstore.types import owner_name

DONE = {
    "stored": "Stored safely.",
    "made": "The folder is there.",
    "renamed": "Renamed.",
    "moved": "Moved.",
    "deleted": "Deleted.",
    "trashed": "Deleted; it is in the trash.",
    "restored": "Restored.",
    "sent": "Sent.",
    "recalled": "Deleted; who has not opened it does not get it.",
    "blocked": "You take no pictures from them any more.",
    "unblocked": "You take pictures from them again.",
}
"""What pages say that something was done, by a word in their address."""

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def url(prefix: str, path: str) -> str:
    """Return the address of a client path below `prefix`."""
    return prefix + quote(path, safe="/", errors="surrogatepass")


def with_query(address: str, **fields: str) -> str:
    """Return an address with the fields that are not empty."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items() if value)
    return f"{address}?{query}" if query else address


def size(count: int) -> str:
    """Return a size for people."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{count} bytes" if not unit else f"{amount:.1f} {_UNITS[unit]}"


def moment(time_ns: int) -> str:
    """Return a time for people; the browser shows it in its own time zone (`static/app.js`)."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%-d %b %Y, %H:%M")


def iso(time_ns: int) -> str:
    """Return a time for programs."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(time_ns: int) -> str:
    """Return how long ago it was, roughly."""
    seconds = time.time() - time_ns / 10**9
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def crumbs(path: str) -> list[tuple[str, str]]:
    """Return the directories on the way to `path`, each with its path; the top is not among them."""
    names = [name for name in path.split("/") if name]
    return [(name, "/" + "/".join(names[: count + 1])) for count, name in enumerate(names)]


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.filters |= {
    "line": one_line,
    "size": size,
    "moment": moment,
    "iso": iso,
    "ago": ago,
    "owner": owner_name,
}
_environment.globals |= {
    "asset": assets.address,
    "url": url,
    "with_query": with_query,
    "crumbs": crumbs,
    "sorts": SORTS,
    "is_picture_name": content.looks_like_picture,
}


def rendered(
    template: str,
    asked: Asked | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response:
    """Return a page. `asked` is None when nothing is known of who asks."""
    session = asked.session_ if asked is not None else None
    user = session.session.files.account.user if session is not None else None
    here = asked.request.scope["path"] if asked is not None else "/"
    query = asked.request.url.query if asked is not None else ""
    body = _environment.get_template(template).render(
        user=user,
        here=quote(here) + (f"?{query}" if query else ""),
        done=DONE.get(asked.query.get("done", ""), "") if asked is not None else "",
        **context,
    )
    return Response(
        body,
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="text/html; charset=utf-8",
    )


def see(address: str) -> Response:
    """Return the reply to a form that was taken: look there."""
    return RedirectResponse(address, 303)
